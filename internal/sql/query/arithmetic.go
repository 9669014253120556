// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

func floatArithmetic(op string, l, r float64) (any, error) {
	switch op {
	case "+":
		return l + r, nil
	case "-":
		return l - r, nil
	case "*":
		return l * r, nil
	}
	if r == 0 {
		return nil, errDivision()
	}
	if op == "/" {
		return l / r, nil
	}
	return math.Mod(l, r), nil
}

// withInterval is + and - with INTERVAL; nil when there is none.
func (c *compiler) withInterval(x *ast.Binary, sc *scope) (*node, error) {
	sign := int64(1)
	if x.Op == "-" {
		sign = -1
	}
	left, right := x.L, x.R
	if _, ok := left.(*ast.Interval); ok && sign > 0 {
		left, right = right, left
	}
	interval, ok := right.(*ast.Interval)
	if !ok {
		return nil, nil
	}
	n, err := c.expr(left, sc)
	if err != nil {
		return nil, err
	}
	return c.addInterval(n, interval.Text, sign)
}

// dateArithmetic is date + days and date - date; nil when the left side is no date.
func (c *compiler) dateArithmetic(op string, l, r *node) *node {
	sign := int64(1)
	if op == "-" {
		sign = -1
	}
	if l.col.Type == rowset.Fixed && r.col.Type == rowset.Date && sign > 0 {
		l, r = r, l
	}
	if l.col.Type != rowset.Date {
		return nil
	}
	notNull := l.col.NotNull && r.col.NotNull
	if r.col.Type == rowset.Date && sign < 0 {
		return strict(rowset.Column{Type: rowset.Fixed, Precision: 9, NotNull: notNull}, func(a []any) (any, error) {
			return big.NewInt(a[0].(int64) - a[1].(int64)), nil
		}, l, r)
	}
	return strict(rowset.Column{Type: rowset.Date, NotNull: notNull}, func(a []any) (any, error) {
		return a[0].(int64) + sign*a[1].(*big.Int).Int64(), nil
	}, l, c.convert(r, rowset.NumberColumn("")))
}

// addInterval adds '1 year, 3 days'.
func (c *compiler) addInterval(n *node, text string, sign int64) (*node, error) {
	for _, part := range strings.Split(text, ",") {
		fields := strings.Fields(part)
		if len(fields) == 0 {
			continue
		}
		count, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return nil, errCompile("invalid interval '%s'", text)
		}
		unit := "SECOND"
		if len(fields) > 1 {
			unit = fields[1]
		}
		if n, err = c.addUnits(unit, literal(rowset.Column{Type: rowset.Fixed, Precision: maxPrecision, NotNull: true}, big.NewInt(sign*count)), n); err != nil {
			return nil, err
		}
	}
	return n, nil
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
