// SPDX-License-Identifier: Apache-2.0

package query

import (
	"strconv"
	"strings"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// window compiles f(...) OVER (...).
func (c *compiler) window(name string, x *ast.Function, sc *scope) (*node, error) {
	over, err := c.over(x.Over, sc, name)
	if err != nil {
		return nil, err
	}
	if c.isAggregate(name) {
		return c.aggregate(name, x, sc, over)
	}
	var args []*compiled
	for _, a := range x.Args {
		arg, err := c.expression(a.Value, sc)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	number, real := countColumn(), rowset.Column{Type: rowset.Real, NotNull: true}
	limit := map[string]int{
		"ROW_NUMBER": 0, "RANK": 0, "DENSE_RANK": 0, "PERCENT_RANK": 0, "CUME_DIST": 0, "NTILE": 1,
		"LAG": 3, "LEAD": 3, "FIRST_VALUE": 1, "LAST_VALUE": 1, "NTH_VALUE": 2,
	}
	most, ok := limit[name]
	if !ok {
		return nil, errUnknownFunction(name)
	}
	if len(args) > most || len(args) == 0 && most > 0 {
		return nil, errArguments(name, "wrong number of arguments")
	}
	call := strings.ToLower(name)
	switch name {
	case "ROW_NUMBER", "RANK", "DENSE_RANK":
		return c.leaf(call+"()"+over, number), nil
	case "PERCENT_RANK", "CUME_DIST":
		return c.leaf(call+"()"+over, real), nil
	case "NTILE":
		return c.leaf(call+"("+c.emitAs(args[0], number)+")"+over, number), nil
	}
	return c.offset(call, args, over)
}

// offset compiles the functions that give a value of another row.
func (c *compiler) offset(call string, args []*compiled, over string) (*node, error) {
	col := args[0].col
	if len(args) == 3 {
		col = common(col, args[2].col)
	}
	col = nullable(known(col))
	text := call + "(" + c.emitAs(args[0], col)
	if len(args) > 1 {
		text += ", " + c.emitAs(args[1], rowset.Column{Type: rowset.Fixed, Precision: 18})
	}
	if len(args) > 2 {
		text += ", " + c.emitAs(args[2], col)
	}
	return c.leaf(text+")"+over, col), nil
}

// over writes OVER (...).
func (c *compiler) over(w *ast.Window, sc *scope, name string) (string, error) {
	var parts []string
	var keys []string
	for _, e := range w.Partition {
		x, err := c.expression(e, sc)
		if err != nil {
			return "", err
		}
		keys = append(keys, c.emit(x))
	}
	if len(keys) > 0 {
		parts = append(parts, "PARTITION BY "+strings.Join(keys, ", "))
	}
	keys = nil
	for _, o := range w.Order {
		x, err := c.expression(o.Expr, sc)
		if err != nil {
			return "", err
		}
		keys = append(keys, c.emit(&compiled{c.sortable(x.node), x.leaves})+direction(o))
	}
	if len(keys) > 0 {
		parts = append(parts, "ORDER BY "+strings.Join(keys, ", "))
	}
	frame, err := windowFrame(w.Frame)
	if err != nil {
		return "", err
	}
	if frame == "" && len(w.Order) > 0 {
		switch name {
		case "FIRST_VALUE", "LAST_VALUE", "NTH_VALUE":
			frame = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
		}
	}
	if frame != "" {
		parts = append(parts, frame)
	}
	return " OVER (" + strings.Join(parts, " ") + ")", nil
}

// windowFrame lets only the words of a frame and numbers through.
func windowFrame(text string) (string, error) {
	for _, word := range strings.Fields(text) {
		switch word {
		case "ROWS", "RANGE", "BETWEEN", "AND", "UNBOUNDED", "PRECEDING", "FOLLOWING", "CURRENT", "ROW":
			continue
		}
		if _, err := strconv.ParseUint(word, 10, 31); err != nil {
			return "", errCompile("invalid window frame '%s'", text)
		}
	}
	return text, nil
}

// sortable gives a variant in a form whose order in SQLite is that of its values: numbers, then texts.
func (c *compiler) sortable(n *node) *node {
	if !isVariant(n.col.Type) {
		return n
	}
	return derived(rowset.Column{Type: rowset.Binary}, func(f *frame) (any, error) {
		v, err := n.eval(f)
		if v == nil || err != nil {
			return nil, err
		}
		return variantKey(v.(variant)), nil
	}, n)
}

// subquery compiles (SELECT ...) as a value.
func (c *compiler) subquery(q *ast.Query, sc *scope) (*node, error) {
	s, err := c.query(q, &scope{parent: sc})
	if err != nil {
		return nil, err
	}
	if len(s.cols) != 1 {
		return nil, errCompile("Invalid expression: a sub-query used as a value must have one column, not %d", len(s.cols))
	}
	_, a, err := single(c, []*node{{col: s.cols[0]}})
	if err != nil {
		return nil, err
	}
	a.cols, a.args = []rowset.Column{a.out}, 1
	text := "(SELECT agg(" + strconv.Itoa(c.register(a)) + ", " + s.outs[0] + ") FROM (" + s.sql + "))"
	return c.leaf(text, a.out), nil
}

// exists compiles EXISTS (SELECT ...).
func (c *compiler) exists(q *ast.Query, sc *scope) (*node, error) {
	s, err := c.query(q, &scope{parent: sc})
	if err != nil {
		return nil, err
	}
	return c.leaf("EXISTS ("+s.sql+")", rowset.Column{Type: rowset.Boolean, NotNull: true}), nil
}

// inQuery compiles x IN (SELECT ...) and (x, y) IN (SELECT ...).
func (c *compiler) inQuery(x *ast.In, sc *scope) (*node, error) {
	left := []ast.Expr{x.X}
	if t, ok := x.X.(*ast.Tuple); ok {
		left = t.Items
	}
	s, err := c.query(x.Query, &scope{parent: sc})
	if err != nil {
		return nil, err
	}
	if len(s.cols) != len(left) {
		return nil, errCompile("IN has %d values on its left and %d columns on its right", len(left), len(s.cols))
	}
	cols, outs, texts := make([]rowset.Column, len(left)), make([]string, len(left)), make([]string, len(left))
	notNull := true
	for i, e := range left {
		value, err := c.expression(e, sc)
		if err != nil {
			return nil, err
		}
		cols[i], outs[i] = known(compared(value.col, s.cols[i])), c.fresh("c")
		texts[i] = c.emitAs(value, cols[i])
		notNull = notNull && value.col.NotNull && s.cols[i].NotNull
	}
	op := " IN ("
	if x.Not {
		op = " NOT IN ("
	}
	text := "((" + strings.Join(texts, ", ") + ")" + op + c.branch(s, cols, outs) + "))"
	return c.leaf(text, rowset.Column{Type: rowset.Boolean, NotNull: notNull}), nil
}
