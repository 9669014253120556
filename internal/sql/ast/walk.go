// SPDX-License-Identifier: Apache-2.0

package ast

// Inspect visits every query, body, table and expression below the given one, parents first and in the order of the text. node is a
// *Query, Body, Table, Expr or nil; visit gets the same types and returns whether to go below what it got.
func Inspect(node any, visit func(node any) bool) {
	w := walker{visit}
	switch n := node.(type) {
	case nil:
	case *Query:
		w.query(n)
	case Body:
		w.body(n)
	case Table:
		w.table(n)
	case Expr:
		w.expr(n)
	}
}

type walker struct{ visit func(node any) bool }

func (w walker) query(q *Query) {
	if q == nil || !w.visit(q) {
		return
	}
	for _, c := range q.With {
		w.query(c.Query)
	}
	w.body(q.Body)
	w.orders(q.OrderBy)
	w.exprs(q.Limit, q.Offset)
}

func (w walker) body(b Body) {
	if q, ok := b.(*Query); ok {
		w.query(q)
		return
	}
	if b == nil || !w.visit(b) {
		return
	}
	switch b := b.(type) {
	case *Select:
		for _, item := range b.Items {
			w.expr(item.Expr)
		}
		for _, t := range b.From {
			w.table(t)
		}
		w.expr(b.Where)
		w.exprs(b.GroupBy...)
		w.exprs(b.Having, b.Qualify)
	case *SetOperation:
		w.body(b.Left)
		w.body(b.Right)
	case *Values:
		for _, row := range b.Rows {
			w.exprs(row...)
		}
	}
}

func (w walker) table(t Table) {
	if t == nil || !w.visit(t) {
		return
	}
	switch t := t.(type) {
	case *TableName:
		w.expr(t.Name.argument())
	case *TableFunction:
		w.expr(t.Object.argument())
		if t.Stage != nil {
			w.expr(t.Stage.Arg)
		}
		w.arguments(t.Args)
		w.exprs(t.Partition...)
		w.orders(t.Order)
	case *Derived:
		w.query(t.Query)
	case *Join:
		w.table(t.Left)
		w.table(t.Right)
		w.expr(t.On)
	}
}

// argument is the argument of IDENTIFIER, of a name that may be nil.
func (n *Name) argument() Expr {
	if n == nil {
		return nil
	}
	return n.Arg
}

func (w walker) exprs(all ...Expr) {
	for _, e := range all {
		w.expr(e)
	}
}

func (w walker) orders(all []Order) {
	for _, o := range all {
		w.expr(o.Expr)
	}
}

func (w walker) arguments(all []Argument) {
	for _, a := range all {
		w.expr(a.Value)
	}
}

func (w walker) expr(e Expr) {
	if e == nil || !w.visit(e) {
		return
	}
	switch e := e.(type) {
	case *Unary:
		w.expr(e.X)
	case *Binary:
		w.exprs(e.L, e.R)
	case *IsNull:
		w.expr(e.X)
	case *IsDistinct:
		w.exprs(e.L, e.R)
	case *In:
		w.expr(e.X)
		w.exprs(e.List...)
		w.query(e.Query)
	case *Between:
		w.exprs(e.X, e.Low, e.High)
	case *Like:
		w.expr(e.X)
		w.exprs(e.Patterns...)
		w.expr(e.Escape)
	case *Cast:
		w.expr(e.X)
	case *Subquery:
		w.query(e.Query)
	case *Exists:
		w.query(e.Query)
	case *Path:
		w.exprs(e.X, e.Index)
	case *Array:
		w.exprs(e.Items...)
	case *ObjectLiteral:
		w.exprs(e.Values...)
	case *Tuple:
		w.exprs(e.Items...)
	default:
		w.compound(e)
	}
}

func (w walker) compound(e Expr) {
	switch e := e.(type) {
	case *Case:
		w.expr(e.Operand)
		for _, when := range e.Whens {
			w.exprs(when.If, when.Then)
		}
		w.expr(e.Else)
	case *Function:
		w.arguments(e.Args)
		w.orders(e.Within)
		if e.Over != nil {
			w.exprs(e.Over.Partition...)
			w.orders(e.Over.Order)
		}
	case *Method:
		w.expr(e.Object.argument())
		w.arguments(e.Args)
	}
}
