// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"
	"strings"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// expr compiles an expression into the current leaves.
func (c *compiler) expr(e ast.Expr, sc *scope) (*node, error) {
	if sc != nil && sc.grouped && !sc.aggregated && sc.keys[e.String()] {
		return c.groupKey(e, sc)
	}
	switch x := e.(type) {
	case *ast.Literal:
		return c.literal(x)
	case *ast.Bind:
		return c.bind(x)
	case *ast.Variable:
		v, ok := c.env.Variables[x.Name]
		if !ok {
			return nil, errVariable(x.Name)
		}
		return valueNode(v), nil
	case *ast.Column:
		return c.column(x, sc)
	case *ast.Unary:
		return c.unary(x, sc)
	case *ast.Binary:
		return c.binary(x, sc)
	case *ast.IsNull:
		return c.isNull(x, sc)
	case *ast.IsDistinct:
		return c.isDistinct(x, sc)
	case *ast.In:
		return c.in(x, sc)
	case *ast.Between:
		return c.between(x, sc)
	case *ast.Like:
		return c.like(x, sc)
	case *ast.Case:
		return c.caseWhen(x, sc)
	case *ast.Cast:
		return c.castTo(x, sc)
	case *ast.Function:
		return c.function(x, sc)
	case *ast.Method:
		return c.method(x, sc)
	case *ast.Subquery:
		return c.subquery(x.Query, sc)
	case *ast.Exists:
		return c.exists(x.Query, sc)
	case *ast.Path:
		return c.path(x, sc)
	case *ast.Array:
		return c.array(x, sc)
	case *ast.ObjectLiteral:
		return c.object(x, sc)
	}
	return nil, errUnsupported(e.String())
}

// groupKey compiles an expression of GROUP BY where the groups are at hand.
func (c *compiler) groupKey(e ast.Expr, sc *scope) (*node, error) {
	sc.aggregated = true
	x, err := c.expression(e, sc)
	sc.aggregated = false
	if err != nil {
		return nil, err
	}
	if len(x.leaves.sql) == 0 {
		return x.node, nil
	}
	return c.leaf(c.emit(x), x.col), nil
}

func (c *compiler) literal(x *ast.Literal) (*node, error) {
	switch x.Kind {
	case ast.BoolLiteral:
		return literal(rowset.Column{Type: rowset.Boolean, NotNull: true}, x.Text == "true"), nil
	case ast.NumberLiteral:
		return numberNode(x.Text)
	case ast.StringLiteral:
		return literal(rowset.Column{Type: rowset.Text, Length: len([]rune(x.Text)), NotNull: true}, x.Text), nil
	}
	return literal(rowset.Column{}, nil), nil
}

func numberNode(text string) (*node, error) {
	if strings.ContainsAny(text, "eE") {
		f, ok := parseFloat(text)
		if !ok {
			return nil, errNumeric(text)
		}
		return literal(rowset.Column{Type: rowset.Real, NotNull: true}, f), nil
	}
	n, scale, ok := parseDecimal(text)
	if !ok {
		return nil, errNumeric(text)
	}
	return literal(numberColumn(n, scale, true), n), nil
}

// numberColumn is the type of a number as written: as many digits as it has.
func numberColumn(n *big.Int, scale int, notNull bool) rowset.Column {
	precision := digitsOf(n)
	if scale > 0 && precision <= scale {
		precision = scale + 1
	}
	return rowset.Column{Type: rowset.Fixed, Precision: min(precision, maxPrecision), Scale: scale, NotNull: notNull}
}

func valueNode(v Value) *node {
	col := v.Column
	col.Name = ""
	if v.IsNull() {
		return literal(nullable(col), nil)
	}
	if n, ok := v.data.(*big.Int); ok {
		narrow := numberColumn(n, col.Scale, col.NotNull)
		col.Precision = min(col.Precision, narrow.Precision)
	}
	return literal(col, v.data)
}

// boolean compiles e as a condition.
func (c *compiler) boolean(e ast.Expr, sc *scope) (*node, error) {
	n, err := c.expr(e, sc)
	if err != nil {
		return nil, err
	}
	return c.convert(n, rowset.Column{Type: rowset.Boolean}), nil
}

func (c *compiler) binary(x *ast.Binary, sc *scope) (*node, error) {
	switch x.Op {
	case "AND", "OR":
		l, err := c.boolean(x.L, sc)
		if err != nil {
			return nil, err
		}
		r, err := c.boolean(x.R, sc)
		if err != nil {
			return nil, err
		}
		return logical(x.Op, l, r), nil
	case "+", "-":
		if n, err := c.withInterval(x, sc); n != nil || err != nil {
			return n, err
		}
	}
	if t, ok := x.L.(*ast.Tuple); ok {
		return c.tupleEqual(t, x, sc)
	}
	l, r, err := c.pair(x.L, x.R, sc)
	if err != nil {
		return nil, err
	}
	switch x.Op {
	case "=", "<>", "!=", "<", "<=", ">", ">=":
		return c.comparison(x.Op, l, r), nil
	case "||":
		return c.concat(l, r), nil
	case "+", "-":
		if n := c.dateArithmetic(x.Op, l, r); n != nil {
			return n, nil
		}
	}
	return c.arithmetic(x.Op, l, r)
}

func (c *compiler) pair(l, r ast.Expr, sc *scope) (*node, *node, error) {
	ln, err := c.expr(l, sc)
	if err != nil {
		return nil, nil, err
	}
	rn, err := c.expr(r, sc)
	return ln, rn, err
}

// strict is a node that is NULL when one of its arguments is.
func strict(col rowset.Column, f func(a []any) (any, error), args ...*node) *node {
	return derived(col, func(fr *frame) (any, error) {
		values := make([]any, len(args))
		for i, n := range args {
			v, err := n.eval(fr)
			if v == nil || err != nil {
				return nil, err
			}
			values[i] = v
		}
		return f(values)
	}, args...)
}

func (c *compiler) castTo(x *ast.Cast, sc *scope) (*node, error) {
	n, err := c.expr(x.X, sc)
	if err != nil {
		return nil, err
	}
	to, err := columnOf(x.Type)
	if err != nil {
		return nil, err
	}
	if x.Try {
		return c.try(n, to), nil
	}
	if n.col.Type == rowset.Variant || n.col.Type == "" {
		to.NotNull = false
	}
	out := c.convert(n, to)
	if isVariant(n.col.Type) {
		out.col.NotNull = false
	}
	return out, nil
}

// try is a conversion that gives NULL where it fails.
func (c *compiler) try(n *node, to rowset.Column) *node {
	converted := c.convert(n, to)
	return derived(nullable(converted.col), func(f *frame) (any, error) {
		if v, err := n.eval(f); v == nil || err != nil {
			return nil, err
		}
		v, err := converted.eval(f)
		if err != nil {
			return nil, nil
		}
		return v, nil
	}, n)
}

func (c *compiler) all(exprs []ast.Expr, sc *scope) ([]*node, error) {
	nodes := make([]*node, len(exprs))
	for i, e := range exprs {
		n, err := c.expr(e, sc)
		if err != nil {
			return nil, err
		}
		nodes[i] = n
	}
	return nodes, nil
}
