// SPDX-License-Identifier: Apache-2.0

package ast

import "fmt"

// Expr is a value expression. String prints canonical SQL.
type Expr interface {
	fmt.Stringer
	expr()
}

// LiteralKind is the type of a literal.
type LiteralKind int

// The kinds of literals.
const (
	NullLiteral   LiteralKind = iota
	BoolLiteral               // Text is "true" or "false"
	NumberLiteral             // Text as written
	StringLiteral             // Text unescaped
)

// Literal is a constant.
type Literal struct {
	Kind LiteralKind
	Text string
}

// Bind is ?, :1 or :name. A ? has the place after the highest one before it, so both forms make the same tree.
type Bind struct {
	Index int    // 1-based; 0 of :name
	Name  string // upper case, of :name; else ""
}

// Variable is $name, a session variable.
type Variable struct{ Name string } // upper case

// Column is [[[db.]schema.]table.]column, or $n.
type Column struct {
	Parts []Ident
	Index int // n of $n, 1-based; 0 else. Parts then hold the qualifier, if any
	Pos   int
}

// Star is * or t.*; with Exclude the columns left out.
type Star struct {
	Qualifier []Ident
	Exclude   []Ident
}

// Unary is NOT x, -x, +x.
type Unary struct {
	Op string // "NOT", "-" or "+"
	X  Expr
}

// Binary is l op r.
type Binary struct {
	Op   string // "AND", "OR", "=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "||"
	L, R Expr
}

// IsNull is x IS [NOT] NULL.
type IsNull struct {
	X   Expr
	Not bool
}

// IsDistinct is l IS [NOT] DISTINCT FROM r.
type IsDistinct struct {
	L, R Expr
	Not  bool
}

// In is x [NOT] IN (list) or x [NOT] IN (query).
type In struct {
	X     Expr
	Not   bool
	List  []Expr
	Query *Query
}

// Between is x [NOT] BETWEEN low AND high.
type Between struct {
	X, Low, High Expr
	Not          bool
}

// Like is x [NOT] {LIKE | ILIKE | RLIKE} [ANY | ALL] pattern [ESCAPE e].
type Like struct {
	Op       string // "LIKE", "ILIKE" or "RLIKE"
	X        Expr
	Not      bool
	Mode     string // "", "ANY" or "ALL"
	Patterns []Expr
	Escape   Expr
}

// Case is CASE [operand] WHEN .. THEN .. ELSE .. END.
type Case struct {
	Operand Expr
	Whens   []When
	Else    Expr
}

// When is one branch of Case.
type When struct{ If, Then Expr }

// Type is a data type as written.
type Type struct {
	Name string // upper case, synonyms kept: "NUMBER", "STRING", "TIMESTAMP_LTZ"
	Args []int  // precision and scale, or length
}

// Cast is x::type, CAST(x AS type), TRY_CAST(x AS type), DATE '...' and the like.
type Cast struct {
	X    Expr
	Type Type
	Try  bool
}

// Function is a call inside an expression: f(args), COUNT(*), f(DISTINCT x), f(x) OVER (...).
type Function struct {
	Name     []Ident // dotted
	Args     []Argument
	Star     bool
	Distinct bool
	Within   []Order // WITHIN GROUP (ORDER BY ...)
	Over     *Window
}

// Method is service!method(args).
type Method struct {
	Object *Name
	Name   string // upper case
	Args   []Argument
}

// Window is OVER (PARTITION BY ... ORDER BY ...).
type Window struct {
	Partition []Expr
	Order     []Order
	Frame     string // as written, upper case; "" for none
}

// Subquery is (SELECT ...) as a value.
type Subquery struct{ Query *Query }

// Exists is EXISTS (SELECT ...).
type Exists struct{ Query *Query }

// Path is x:key, x.key after a colon, or x[index].
type Path struct {
	X     Expr
	Key   string // of :key; "" with Index
	Index Expr
}

// Array is [a, b].
type Array struct{ Items []Expr }

// ObjectLiteral is {'k': v}.
type ObjectLiteral struct {
	Keys   []string
	Values []Expr
}

// Interval is INTERVAL '1 hour'.
type Interval struct{ Text string }

// Tuple is (a, b) on the left of IN or =.
type Tuple struct{ Items []Expr }

func (*Literal) expr()       {}
func (*Bind) expr()          {}
func (*Variable) expr()      {}
func (*Column) expr()        {}
func (*Star) expr()          {}
func (*Unary) expr()         {}
func (*Binary) expr()        {}
func (*IsNull) expr()        {}
func (*IsDistinct) expr()    {}
func (*In) expr()            {}
func (*Between) expr()       {}
func (*Like) expr()          {}
func (*Case) expr()          {}
func (*Cast) expr()          {}
func (*Function) expr()      {}
func (*Method) expr()        {}
func (*Subquery) expr()      {}
func (*Exists) expr()        {}
func (*Path) expr()          {}
func (*Array) expr()         {}
func (*ObjectLiteral) expr() {}
func (*Interval) expr()      {}
func (*Tuple) expr()         {}
