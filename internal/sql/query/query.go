// SPDX-License-Identifier: Apache-2.0

// Package query evaluates SELECT: it types a query's tree, computes expressions with one implementation of every function,
// and leaves joins, grouping, ordering and windows to a SQLite database in memory that holds nothing of its own.
//
// It knows no catalog, no role and no session: relations and session functions come from the caller, already filtered by what
// the role may see. SELECT of constants never touches SQLite. The executor is its only caller.
//
// How a query runs: compile.go turns every scalar expression into one Go function over the columns it reads, typed before
// anything runs; select.go, from.go and window.go write the SQLite statement in which such an expression is fn(k, columns);
// sqlite.go runs it on a pooled connection whose authorizer permits nothing but reading. storage.go says how values travel.
package query

import (
	"context"
	"math/rand/v2"
	"time"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// Env is what one query sees. It is used by one query at a time.
type Env struct {
	Text      string                 // the statement, for the positions in messages; may be ""
	Binds     map[string]rowset.Bind // "1", "2", ... or upper-case names
	Variables map[string]Value       // session variables, upper case
	TimeZone  *time.Location         // nil for UTC
	Formats   map[string]string      // session parameters *_OUTPUT_FORMAT and *_INPUT_FORMAT that are set
	Now       time.Time              // of the statement
	Rand      *rand.Rand             // of RANDOM, UNIFORM, RANDSTR, UUID_STRING; nil for one with a seed of its own
	Relations Relations              // nil for none
	Functions Functions              // nil for none
}

// Relations gives the tables that are not part of the query itself. Rows must be only those the role may read.
type Relations interface {
	// Table gives a named relation; with table.Pipe the result of that step of a pipe. With columnsOnly rows are not needed.
	//
	// Errors: NotFound (2003) when there is none; they reach the user as they are.
	Table(ctx context.Context, table *ast.TableName, columnsOnly bool) (*rowset.Rowset, error)
	// Function gives the result of a table function that the engine does not have: RESULT_SCAN, GET_JOB_HISTORY, methods of
	// services, INFORMATION_SCHEMA, DIRECTORY. With columnsOnly nothing is run and rows are not needed.
	//
	// Errors: Invalid (2143) when there is none; they reach the user as they are.
	Function(ctx context.Context, call TableCall, columnsOnly bool) (*rowset.Rowset, error)
}

// TableCall is a call of a table function with its arguments evaluated.
type TableCall struct {
	Name   string        // canonical, dotted as written: "RESULT_SCAN", "SNOWFLAKE.SPCS.GET_JOB_HISTORY"; of a method its name; "DIRECTORY"
	Object *ast.Name     // of a method
	Stage  *ast.StageRef // of DIRECTORY
	Args   []Argument
}

// Argument is an argument by place or, with a Name in upper case, by name.
type Argument struct {
	Name  string
	Value Value
}

// Functions gives the scalar functions that depend on the session: CURRENT_ROLE, LAST_QUERY_ID, SYSTEM$..., and methods.
type Functions interface {
	// Call calls the function; known is false when there is none of this name. name is canonical and dotted as written; object
	// is that of a method. With columnsOnly nothing may be done: only Column of the value counts, and arguments that are not
	// known before the run are NULL. A call with constant arguments is made once in a query, and for arguments of table
	// functions also by Describe: RESULT_SCAN(LAST_QUERY_ID()) has no columns otherwise.
	Call(ctx context.Context, name string, object *ast.Name, args []Value, columnsOnly bool) (v Value, known bool, err error)
}

// Engine evaluates queries. It is safe for concurrent use.
type Engine struct {
	functions  map[string]builder
	aggregates map[string]aggregateBuilder
	pool       *pool
}

// New makes an engine. Close it to free its SQLite connections.
func New() *Engine {
	return &Engine{functions: functionTable(), aggregates: aggregateTable(), pool: newPool()}
}

// Close frees the connections; queries that run end first.
func (e *Engine) Close() error { return e.pool.close() }

// Run evaluates the query.
//
// Errors: Invalid with the number clients know (904, 2140, 100038, ...); Canceled and Timeout when ctx ends; Exhausted when
// the query needs more than the limits allow; those of Relations and Functions as they are.
func (e *Engine) Run(ctx context.Context, q *ast.Query, env *Env) (*rowset.Rowset, error) {
	c := e.compiler(ctx, env, false)
	if result, ok, err := c.constants(q); ok || err != nil {
		return result, err
	}
	c = e.compiler(ctx, env, false)
	compiled, err := c.query(q, nil)
	if err != nil {
		return nil, err
	}
	return e.pool.run(ctx, c.plan, compiled)
}

// Describe gives the columns that Run would give, and runs nothing. Binds that are missing count as NULL.
//
// Errors: as Run, those of compilation.
func (e *Engine) Describe(ctx context.Context, q *ast.Query, env *Env) ([]rowset.Column, error) {
	compiled, err := e.compiler(ctx, env, true).query(q, nil)
	if err != nil {
		return nil, err
	}
	return compiled.result(), nil
}

// Eval computes an expression without tables: LIMIT, SET v = expr, IDENTIFIER(?), the arguments of CALL.
//
// Errors: as Run.
func (e *Engine) Eval(ctx context.Context, expr ast.Expr, env *Env) (Value, error) {
	return e.compiler(ctx, env, false).constant(expr)
}

func (e *Engine) compiler(ctx context.Context, env *Env, describe bool) *compiler {
	return &compiler{
		ctx: ctx, engine: e, env: env, describe: describe, plan: &plan{ctx: ctx},
		caster: &caster{zone: env.TimeZone, formats: env.Formats}, leaves: &leafSet{},
	}
}
