// SPDX-License-Identifier: Apache-2.0

package query

import (
	"strconv"
	"strings"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

func (c *compiler) in(x *ast.In, sc *scope) (*node, error) {
	if x.Query != nil {
		return c.inQuery(x, sc)
	}
	if t, ok := x.X.(*ast.Tuple); ok {
		return c.inTuples(t, x, sc)
	}
	value, err := c.expr(x.X, sc)
	if err != nil {
		return nil, err
	}
	items, err := c.all(x.List, sc)
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		items[i] = c.comparison("=", value, item)
	}
	return anyOf(items, x.Not), nil
}

// inTuples is (a, b) IN ((1, 2), (3, 4)).
func (c *compiler) inTuples(t *ast.Tuple, x *ast.In, sc *scope) (*node, error) {
	tests := make([]*node, len(x.List))
	for i, item := range x.List {
		var err error
		if tests[i], err = c.tupleEqual(t, &ast.Binary{Op: "=", L: t, R: item}, sc); err != nil {
			return nil, err
		}
	}
	return anyOf(tests, x.Not), nil
}

// anyOf tells whether one of the tests holds; unknown when none does and one is unknown.
func anyOf(tests []*node, not bool) *node {
	col := rowset.Column{Type: rowset.Boolean, NotNull: true}
	for _, t := range tests {
		col.NotNull = col.NotNull && t.col.NotNull
	}
	return derived(col, func(f *frame) (any, error) {
		unknown := false
		for _, t := range tests {
			v, err := t.eval(f)
			if err != nil {
				return nil, err
			}
			if v == true {
				return !not, nil
			}
			unknown = unknown || v == nil
		}
		if unknown {
			return nil, nil
		}
		return not, nil
	}, tests...)
}

func (c *compiler) caseWhen(x *ast.Case, sc *scope) (*node, error) {
	var conditions, results []*node
	for _, w := range x.Whens {
		var cond *node
		var err error
		if x.Operand != nil {
			cond, err = c.binary(&ast.Binary{Op: "=", L: x.Operand, R: w.If}, sc)
		} else {
			cond, err = c.boolean(w.If, sc)
		}
		if err != nil {
			return nil, err
		}
		then, err := c.expr(w.Then, sc)
		if err != nil {
			return nil, err
		}
		conditions, results = append(conditions, cond), append(results, then)
	}
	otherwise := literal(rowset.Column{}, nil)
	if x.Else != nil {
		var err error
		if otherwise, err = c.expr(x.Else, sc); err != nil {
			return nil, err
		}
	}
	return c.choose(conditions, append(results, otherwise)), nil
}

// choose gives the result of the first true condition, else the last result.
func (c *compiler) choose(conditions, results []*node) *node {
	results = c.unify(results)
	col := results[0].col
	for _, r := range results {
		col.NotNull = col.NotNull && r.col.NotNull
	}
	return derived(col, func(f *frame) (any, error) {
		for i, cond := range conditions {
			v, err := cond.eval(f)
			if err != nil {
				return nil, err
			}
			if v == true {
				return results[i].eval(f)
			}
		}
		return results[len(results)-1].eval(f)
	}, append(append([]*node{}, conditions...), results...)...)
}

// unify converts all nodes to the type of all.
func (c *compiler) unify(nodes []*node) []*node {
	col := nodes[0].col
	for _, n := range nodes[1:] {
		col = common(col, n.col)
	}
	if col.Type == "" {
		return nodes
	}
	out := make([]*node, len(nodes))
	for i, n := range nodes {
		out[i] = c.convert(n, col)
	}
	return out
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
