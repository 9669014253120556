// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"
	"strconv"
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

func (c *compiler) unary(x *ast.Unary, sc *scope) (*node, error) {
	if x.Op == "NOT" {
		n, err := c.boolean(x.X, sc)
		if err != nil {
			return nil, err
		}
		return derived(n.col, func(f *frame) (any, error) {
			v, err := n.eval(f)
			if v == nil || err != nil {
				return nil, err
			}
			return !v.(bool), nil
		}, n), nil
	}
	n, err := c.expr(x.X, sc)
	if err != nil {
		return nil, err
	}
	n = c.numeric(n)
	if x.Op == "+" {
		return n, nil
	}
	return derived(n.col, func(f *frame) (any, error) {
		v, err := n.eval(f)
		if v == nil || err != nil {
			return nil, err
		}
		if r, ok := v.(float64); ok {
			return -r, nil
		}
		return new(big.Int).Neg(v.(*big.Int)), nil
	}, n), nil
}

// numeric gives the node as a number: texts and variants are read as such.
func (c *compiler) numeric(n *node) *node {
	switch n.col.Type {
	case rowset.Fixed, rowset.Real:
		return n
	case rowset.Variant:
		return c.convert(n, rowset.Column{Type: rowset.Real})
	case rowset.Text:
		return c.convert(n, rowset.Column{Type: rowset.Fixed, Precision: 18, Scale: 5})
	}
	return c.convert(n, rowset.Column{Type: rowset.Fixed, Precision: maxPrecision})
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

// tupleEqual is (a, b) = (c, d).
func (c *compiler) tupleEqual(l *ast.Tuple, x *ast.Binary, sc *scope) (*node, error) {
	r, ok := x.R.(*ast.Tuple)
	if !ok || len(r.Items) != len(l.Items) || x.Op != "=" {
		return nil, errUnsupported(x.String())
	}
	var all *node
	for i := range l.Items {
		a, b, err := c.pair(l.Items[i], r.Items[i], sc)
		if err != nil {
			return nil, err
		}
		eq := c.comparison("=", a, b)
		if all == nil {
			all = eq
		} else {
			all = logical("AND", all, eq)
		}
	}
	return all, nil
}

// logical is AND and OR with NULL as unknown.
func logical(op string, l, r *node) *node {
	decisive := op == "OR"
	n := derived(rowset.Column{Type: rowset.Boolean, NotNull: l.col.NotNull && r.col.NotNull}, func(f *frame) (any, error) {
		a, err := l.eval(f)
		if err != nil || a == decisive {
			return a, err
		}
		b, err := r.eval(f)
		if err != nil || b == decisive {
			return b, err
		}
		if a == nil || b == nil {
			return nil, nil
		}
		return b, nil
	}, l, r)
	// Deep trees are left to fn: SQLite limits the depth of expressions.
	n.depth = 1 + max(l.depth, r.depth)
	if l.sql != nil && r.sql != nil && n.depth < 200 {
		n.sql = func() string { return "(" + l.sql() + " " + op + " " + r.sql() + ")" }
	}
	return n
}

// comparison is l op r in the type of both. What SQLite stores in an order of its own it compares itself.
func (c *compiler) comparison(op string, l, r *node) *node {
	col := known(compared(l.col, r.col))
	if l.col.Type == "" || r.col.Type == "" {
		return derived(rowset.Column{Type: rowset.Boolean}, func(*frame) (any, error) { return nil, nil }, l, r)
	}
	l, r = c.convert(l, col), c.convert(r, col)
	n := derived(rowset.Column{Type: rowset.Boolean, NotNull: l.col.NotNull && r.col.NotNull}, func(f *frame) (any, error) {
		a, err := l.eval(f)
		if a == nil || err != nil {
			return nil, err
		}
		b, err := r.eval(f)
		if b == nil || err != nil {
			return nil, err
		}
		return holds(op, compare(col.Type, a, b)), nil
	}, l, r)
	if isVariant(col.Type) || col.Type == rowset.TimestampTZ {
		return n
	}
	if !n.constant && (l.sql != nil || l.constant) && (r.sql != nil || r.constant) {
		n.sql = func() string {
			return "(" + c.native(l) + " " + strings.Replace(op, "!=", "<>", 1) + " " + c.native(r) + ")"
		}
	}
	return n
}

// native is the text of something SQLite has, or of a constant that is bound.
func (c *compiler) native(n *node) string {
	if n.sql != nil {
		return n.sql()
	}
	c.plan.params = append(c.plan.params, parameter{n.eval, n.col})
	return "?" + strconv.Itoa(len(c.plan.params))
}

func holds(op string, order int) bool {
	switch op {
	case "=":
		return order == 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	}
	return order != 0
}

func (c *compiler) concat(l, r *node) *node {
	if l.col.Type == rowset.Binary && r.col.Type == rowset.Binary {
		col := rowset.Column{Type: rowset.Binary, Length: min(l.col.Length+r.col.Length, maxBinary), NotNull: l.col.NotNull && r.col.NotNull}
		return strict(col, func(a []any) (any, error) {
			return append(append([]byte{}, a[0].([]byte)...), a[1].([]byte)...), nil
		}, l, r)
	}
	l, r = c.convert(l, textFor(l)), c.convert(r, textFor(r))
	col := rowset.Column{Type: rowset.Text, Length: min(l.col.Length+r.col.Length, rowset.MaxText), NotNull: l.col.NotNull && r.col.NotNull}
	return strict(col, func(a []any) (any, error) { return a[0].(string) + a[1].(string), nil }, l, r)
}

// textFor is the text type that holds the node's values.
func textFor(n *node) rowset.Column {
	if n.col.Type == rowset.Text {
		return n.col
	}
	return rowset.TextColumn("")
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

func (c *compiler) arithmetic(op string, l, r *node) (*node, error) {
	l, r = c.numeric(l), c.numeric(r)
	notNull := l.col.NotNull && r.col.NotNull
	if l.col.Type == rowset.Real || r.col.Type == rowset.Real {
		col := rowset.Column{Type: rowset.Real, NotNull: notNull}
		return strict(col, func(a []any) (any, error) { return floatArithmetic(op, a[0].(float64), a[1].(float64)) },
			c.convert(l, col), c.convert(r, col)), nil
	}
	out := arithmeticType(op, l.col, r.col)
	out.NotNull = notNull
	lc, rc := l.col, r.col
	return strict(out, func(a []any) (any, error) {
		return decimalArithmetic(op, a[0].(*big.Int), a[1].(*big.Int), lc, rc, out)
	}, l, r), nil
}

func (c *compiler) isNull(x *ast.IsNull, sc *scope) (*node, error) {
	inner, err := c.expr(x.X, sc)
	if err != nil {
		return nil, err
	}
	n := derived(rowset.Column{Type: rowset.Boolean, NotNull: true}, func(f *frame) (any, error) {
		v, err := inner.eval(f)
		return (v == nil) != x.Not, err
	}, inner)
	if inner.sql != nil {
		test := " IS NULL)"
		if x.Not {
			test = " IS NOT NULL)"
		}
		n.sql = func() string { return "(" + inner.sql() + test }
	}
	return n, nil
}

func (c *compiler) isDistinct(x *ast.IsDistinct, sc *scope) (*node, error) {
	l, r, err := c.pair(x.L, x.R, sc)
	if err != nil {
		return nil, err
	}
	n := c.nullSafeEqual(l, r)
	return derived(n.col, func(f *frame) (any, error) {
		v, err := n.eval(f)
		if err != nil {
			return nil, err
		}
		return v.(bool) == x.Not, nil
	}, n), nil
}

// nullSafeEqual is equality in which NULL equals NULL.
func (c *compiler) nullSafeEqual(l, r *node) *node {
	col := known(compared(l.col, r.col))
	l, r = c.convert(l, col), c.convert(r, col)
	return derived(rowset.Column{Type: rowset.Boolean, NotNull: true}, func(f *frame) (any, error) {
		a, err := l.eval(f)
		if err != nil {
			return nil, err
		}
		b, err := r.eval(f)
		if err != nil || a == nil || b == nil {
			return a == nil && b == nil, err
		}
		return compare(col.Type, a, b) == 0, nil
	}, l, r)
}

func (c *compiler) between(x *ast.Between, sc *scope) (*node, error) {
	value, low, err := c.pair(x.X, x.Low, sc)
	if err != nil {
		return nil, err
	}
	high, err := c.expr(x.High, sc)
	if err != nil {
		return nil, err
	}
	if x.Not {
		return logical("OR", c.comparison("<", value, low), c.comparison(">", value, high)), nil
	}
	return logical("AND", c.comparison(">=", value, low), c.comparison("<=", value, high)), nil
}
