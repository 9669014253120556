// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/session"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

// env is what a query of this statement sees.
func (w *work) env() *query.Env {
	zone, err := time.LoadLocation(session.Value(w.session, "TIMEZONE"))
	if err != nil {
		zone = time.UTC
	}
	formats := map[string]string{}
	for name, value := range w.session.Parameters {
		if strings.HasSuffix(name, "_FORMAT") {
			formats[name] = value
		}
	}
	return &query.Env{
		Text: w.text, Binds: w.binds, Variables: w.variables(), TimeZone: zone, Formats: formats, Now: w.started,
		Rand:      rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		Relations: relations{w}, Functions: functions{w},
	}
}

// query runs SELECT.
func (w *work) query(ctx context.Context, q *ast.Query) (*Result, error) {
	rows, err := w.engine.Run(ctx, q, w.env())
	return &Result{Rowset: rows}, err
}

// queryColumns gives the columns of a SELECT without running it.
func (w *work) queryColumns(ctx context.Context, q *ast.Query) ([]rowset.Column, error) {
	return w.engine.Describe(ctx, q, w.env())
}

// scalar evaluates an expression without tables: a bind, IDENTIFIER(?), LIKE ?, SET v = expr.
func (w *work) scalar(ctx context.Context, x ast.Expr) (query.Value, error) {
	if l, ok := x.(*ast.Literal); ok && l.Kind == ast.StringLiteral {
		return query.TextValue(l.Text), nil
	}
	return w.engine.Eval(ctx, x, w.env())
}

// relation is a table that queries can read: the columns, and the rows that who runs the query may see.
type relation struct {
	columns []rowset.Column
	rows    func(ctx context.Context, w *work, call query.TableCall) ([][]*string, error)
}

// relations answers the query engine.
type relations struct{ w *work }

// Table finds the result of a pipe's step, or a view of INFORMATION_SCHEMA.
func (r relations) Table(ctx context.Context, t *ast.TableName, columnsOnly bool) (*rowset.Rowset, error) {
	w := r.w
	if t.Pipe > 0 {
		if t.Pipe > len(w.piped) {
			return nil, errs.New(errs.Invalid, "SQL compilation error:\n$%d has no statement before it in the pipe", t.Pipe).Numbered(1003, "42000")
		}
		return w.piped[len(w.piped)-t.Pipe], nil
	}
	if t.Name.Arg != nil && len(t.Name.Parts) == 0 {
		if err := w.resolve(t.Name); err != nil {
			return nil, err
		}
	}
	parts := make([]string, len(t.Name.Parts))
	for i, p := range t.Name.Parts {
		parts[i] = p.Canonical()
	}
	if len(parts) == 1 && w.session.Schema == rbac.InformationSchema {
		parts = []string{w.session.Database, w.session.Schema, parts[0]}
	}
	if n := len(parts); n >= 2 && parts[n-2] == rbac.InformationSchema {
		if view, ok := w.views[parts[n-1]]; ok {
			if err := w.reaches(ctx, parts[:n-2]); err != nil {
				return nil, err
			}
			return w.fill(ctx, view, query.TableCall{Name: strings.Join(parts, ".")}, columnsOnly)
		}
	}
	return nil, errs.New(errs.NotFound, "SQL compilation error:\nObject '%s' does not exist or not authorized.", strings.Join(parts, ".")).
		Numbered(2003, "42S02")
}

// reaches tells whether the role may use the database that an INFORMATION_SCHEMA was written with, if it was.
func (w *work) reaches(ctx context.Context, database []string) error {
	if len(database) == 0 {
		return nil
	}
	return w.view(ctx, func(_ catalog.Tx, g *rbac.Guard) error {
		_, err := g.Find(catalog.KindDatabase, catalog.Name{Object: database[0]})
		return err
	})
}

// Function runs a table function of the executor's table, or the table form of a service's method.
func (r relations) Function(ctx context.Context, call query.TableCall, columnsOnly bool) (*rowset.Rowset, error) {
	w := r.w
	if call.Object != nil {
		if f, ok := w.tableMethods[call.Name]; ok {
			return w.fill(ctx, f, call, columnsOnly)
		}
		return nil, unknownTableFunction(call.Object.String() + "!" + call.Name)
	}
	if call.Name == "RESULT_SCAN" {
		return w.resultScan(ctx, call, columnsOnly)
	}
	if f, ok := w.tableFunctions[call.Name]; ok {
		return w.fill(ctx, f, call, columnsOnly)
	}
	// INFORMATION_SCHEMA belongs to each database, so it may be written with or without one.
	if at := strings.Index(call.Name, rbac.InformationSchema+"."); at >= 0 {
		if f, ok := w.tableFunctions[call.Name[at:]]; ok {
			return w.fill(ctx, f, call, columnsOnly)
		}
	}
	return nil, unknownTableFunction(call.Name)
}

// unknownTableFunction has the number on which clients fall back to other statements.
func unknownTableFunction(name string) error {
	return errs.New(errs.Invalid, "SQL compilation error:\nUnknown table function %s", name).Numbered(2143, "42601")
}

func (w *work) fill(ctx context.Context, r relation, call query.TableCall, columnsOnly bool) (*rowset.Rowset, error) {
	out := &rowset.Rowset{Columns: r.columns, Rows: [][]*string{}}
	if columnsOnly {
		return out, nil
	}
	rows, err := r.rows(ctx, w, call)
	if rows != nil {
		out.Rows = rows
	}
	return out, err
}

// resultScan is RESULT_SCAN('<query id>'): the stored result of a statement of the same user.
func (w *work) resultScan(ctx context.Context, call query.TableCall, _ bool) (*rowset.Rowset, error) {
	if len(call.Args) != 1 || call.Args[0].Value.IsNull() {
		return nil, errs.New(errs.Invalid, "SQL compilation error:\nRESULT_SCAN needs the id of a statement").Numbered(938, "22023")
	}
	id := call.Args[0].Value.Text()
	result, err := w.stored(ctx, w.session, id)
	if err != nil {
		return nil, err
	}
	return result.Rowset, nil
}

// functions answers the query engine with the functions that depend on the session.
type functions struct{ w *work }

// Call runs a system function or a method of a service.
func (f functions) Call(ctx context.Context, name string, object *ast.Name, args []query.Value, columnsOnly bool) (query.Value, bool, error) {
	w := f.w
	fn, ok := w.functionOf(name, object)
	if !ok {
		return query.Value{}, false, nil
	}
	if columnsOnly || w.describes {
		return query.Value{Column: fn.result}, true, nil
	}
	v, err := w.invoke(ctx, fn, name, object, args)
	v.Column = fn.result // the same in every run, and when the columns are described
	return v, true, err
}

// readers runs fn in a snapshot with a listing, for relations over objects.
func (w *work) readers(ctx context.Context, fn func(l *listing) error) ([][]*string, error) {
	var rows [][]*string
	err := w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		l := newListing(w, tx, g, nil)
		if err := fn(l); err != nil {
			return err
		}
		rows = l.rows
		return l.done()
	})
	return rows, err
}
