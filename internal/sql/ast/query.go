// SPDX-License-Identifier: Apache-2.0

package ast

// Query is a SELECT with everything around it. It is a Statement, and a part of FROM and of expressions.
type Query struct {
	With    []CTE
	Body    Body
	OrderBy []Order
	Limit   Expr
	Offset  Expr
}

// CTE is one WITH entry.
type CTE struct {
	Name      Ident
	Columns   []Ident
	Recursive bool
	Query     *Query
}

// Body is *Select, *SetOperation, *Values or *Query in brackets.
type Body interface{ body() }

// Select is one SELECT.
type Select struct {
	Distinct bool
	Items    []Item
	From     []Table // joined by commas
	Where    Expr
	GroupBy  []Expr
	Having   Expr
	Qualify  Expr
}

// Item is one output of SELECT.
type Item struct {
	Expr  Expr
	Alias *Ident
	Text  string // the expression as written: the column's name when there is no alias
}

// SetOperation is UNION [ALL], INTERSECT, EXCEPT (or MINUS).
type SetOperation struct {
	Op    string // "UNION", "INTERSECT" or "EXCEPT"
	All   bool
	Left  Body
	Right Body
}

// Values is VALUES (..), (..): columns COLUMN1, COLUMN2, ... also readable as $1, $2.
type Values struct{ Rows [][]Expr }

// Order is one ORDER BY key.
type Order struct {
	Expr       Expr
	Desc       bool
	NullsFirst *bool // nil: as the direction says (last when ascending)
}

// Table is one entry of FROM: *TableName, *TableFunction, *Derived or *Join.
type Table interface{ table() }

// Alias is AS name (column, ...).
type Alias struct {
	Name    Ident // zero when there is none
	Columns []Ident
}

// TableName is a named relation, IDENTIFIER(?) or DUAL, or $1 in a pipe.
type TableName struct {
	Name  *Name
	Pipe  int // n of $n: the result of a step of a pipe; 0 else
	Alias Alias
}

// TableFunction is TABLE(f(args)), f(args) after LATERAL, DIRECTORY(@stage), or TABLE(service!method(args)).
type TableFunction struct {
	Function  []Ident // dotted name; last part is the function or method
	Object    *Name   // of a method, else nil
	Args      []Argument
	Stage     *StageRef // of DIRECTORY
	Lateral   bool
	Alias     Alias
	Partition []Expr  // OVER (PARTITION BY ...)
	Order     []Order // OVER (... ORDER BY ...)
}

// Derived is a sub-query or VALUES in FROM.
type Derived struct {
	Query   *Query
	Lateral bool
	Alias   Alias
}

// Join is a join of two tables.
type Join struct {
	Kind    string // "INNER", "LEFT", "RIGHT", "FULL" or "CROSS"
	Natural bool
	Left    Table
	Right   Table
	On      Expr
	Using   []Ident
}

func (*Select) body()       {}
func (*SetOperation) body() {}
func (*Values) body()       {}
func (*Query) body()        {}

func (*TableName) table()     {}
func (*TableFunction) table() {}
func (*Derived) table()       {}
func (*Join) table()          {}
