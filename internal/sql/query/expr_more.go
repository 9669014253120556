// SPDX-License-Identifier: Apache-2.0

package query

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// bind compiles ?, :1 and :name.
func (c *compiler) bind(x *ast.Bind) (*node, error) {
	key := x.Name
	if key == "" {
		key = strconv.Itoa(x.Index)
	}
	b, ok := c.env.Binds[key]
	if !ok || b.Array {
		if c.describe && !ok {
			return literal(rowset.Column{}, nil), nil
		}
		return nil, errBindMissing()
	}
	if len(b.Values) == 0 || b.Values[0] == nil {
		return literal(nullable(bindColumn(b.Type, "")), nil), nil
	}
	col := bindColumn(b.Type, *b.Values[0])
	v, err := bindDatum(c.caster, &col, *b.Values[0])
	return literal(col, v), err
}

// bindColumn is the type of a bind; a bind can always be NULL.
func bindColumn(kind, value string) rowset.Column {
	switch strings.ToUpper(kind) {
	case "FIXED":
		n, scale, _ := parseDecimal(value)
		if n == nil {
			return rowset.NumberColumn("")
		}
		return numberColumn(n, scale, false)
	case "REAL":
		return rowset.Column{Type: rowset.Real}
	case "BOOLEAN":
		return rowset.Column{Type: rowset.Boolean}
	case "DATE":
		return rowset.Column{Type: rowset.Date}
	case "TIME", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ":
		return rowset.Column{Type: rowset.Type(strings.ToLower(kind)), Scale: 9}
	case "BINARY":
		return rowset.Column{Type: rowset.Binary, Length: maxBinary}
	case "VARIANT", "OBJECT", "ARRAY":
		return rowset.Column{Type: rowset.Type(strings.ToLower(kind))}
	case "ANY":
		return rowset.Column{}
	}
	return rowset.TextColumn("")
}

// bindDatum reads a bind's text: dates in milliseconds, times in nanoseconds; a text that is no number is read as a date is.
func bindDatum(cast *caster, col *rowset.Column, text string) (any, error) {
	fromText := func() (any, error) { return cast.cast(text, rowset.TextColumn(""), *col) }
	switch col.Type {
	case "":
		*col = rowset.TextColumn("")
		return text, nil
	case rowset.Fixed:
		n, scale, ok := parseDecimal(text)
		if !ok {
			return nil, errNumeric(text)
		}
		return rescale(n, scale, col.Scale), nil
	case rowset.Date, rowset.Time, rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
		number, zone, _ := strings.Cut(text, " ")
		n, ok := new(big.Int).SetString(number, 10)
		if !ok {
			return fromText()
		}
		return bindTime(cast, *col, n, zone), nil
	}
	return fromText()
}

func bindTime(cast *caster, col rowset.Column, n *big.Int, zone string) any {
	switch col.Type {
	case rowset.Date:
		return new(big.Int).Div(n, big.NewInt(86400000)).Int64()
	case rowset.Time:
		return n.Int64()
	}
	sec, nano := new(big.Int).DivMod(n, pow10(9), new(big.Int))
	t := time.Unix(sec.Int64(), nano.Int64()).UTC()
	if col.Type == rowset.TimestampTZ {
		if minutes, err := strconv.Atoi(zone); err == nil {
			return t.In(time.FixedZone("", (minutes-1440)*60))
		}
		return cast.zoned(t, rowset.TimestampLTZ, col)
	}
	return t
}

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

// path compiles x:key and x[index].
func (c *compiler) path(x *ast.Path, sc *scope) (*node, error) {
	base, err := c.expr(x.X, sc)
	if err != nil {
		return nil, err
	}
	if base.col.Type != "" && !isVariant(base.col.Type) {
		return nil, errCompile("Invalid argument types for function 'GET': (%s, VARCHAR)", typeName(base.col))
	}
	if x.Index == nil {
		return strict(rowset.Column{Type: rowset.Variant}, func(a []any) (any, error) {
			return optional(a[0].(variant).key(x.Key))
		}, base), nil
	}
	index, err := c.expr(x.Index, sc)
	if err != nil {
		return nil, err
	}
	return c.get(base, index), nil
}

// get is x[i] and GET: by place for numbers, by name for texts.
func (c *compiler) get(base, index *node) *node {
	col := rowset.Column{Type: rowset.Variant}
	if index.col.Type == rowset.Fixed || index.col.Type == rowset.Real {
		return strict(col, func(a []any) (any, error) {
			return optional(a[0].(variant).index(a[1].(*big.Int).Int64()))
		}, base, c.convert(index, rowset.NumberColumn("")))
	}
	return strict(col, func(a []any) (any, error) {
		return optional(a[0].(variant).key(a[1].(string)))
	}, base, c.convert(index, rowset.TextColumn("")))
}

func optional(v variant, ok bool) (any, error) {
	if !ok {
		return nil, nil
	}
	return v, nil
}

func (c *compiler) array(x *ast.Array, sc *scope) (*node, error) {
	items, err := c.all(x.Items, sc)
	if err != nil {
		return nil, err
	}
	return c.arrayOf(items, false), nil
}

// arrayOf is the array of the nodes; NULL becomes JSON null, which prints as undefined elsewhere, or is left out.
func (c *compiler) arrayOf(items []*node, compact bool) *node {
	for i, n := range items {
		items[i] = c.convert(n, rowset.Column{Type: rowset.Variant})
	}
	return derived(rowset.Column{Type: rowset.Array, NotNull: true}, func(f *frame) (any, error) {
		out := []any{}
		for _, n := range items {
			v, err := n.eval(f)
			if err != nil {
				return nil, err
			}
			if v != nil {
				out = append(out, v.(variant).v)
			} else if !compact {
				out = append(out, nil)
			}
		}
		return variant{out}, nil
	}, items...)
}

func (c *compiler) object(x *ast.ObjectLiteral, sc *scope) (*node, error) {
	values, err := c.all(x.Values, sc)
	if err != nil {
		return nil, err
	}
	keys := make([]*node, len(x.Keys))
	for i, k := range x.Keys {
		keys[i] = literal(rowset.TextColumn(""), k)
	}
	return c.objectOf(keys, values, false), nil
}

// objectOf is the object of keys and values; NULL values are left out unless keep is set.
func (c *compiler) objectOf(keys, values []*node, keep bool) *node {
	for i := range keys {
		keys[i] = c.convert(keys[i], rowset.TextColumn(""))
		values[i] = c.convert(values[i], rowset.Column{Type: rowset.Variant})
	}
	return derived(rowset.Column{Type: rowset.Object, NotNull: true}, func(f *frame) (any, error) {
		out := map[string]any{}
		for i := range keys {
			k, err := keys[i].eval(f)
			if err != nil {
				return nil, err
			}
			v, err := values[i].eval(f)
			if err != nil {
				return nil, err
			}
			if k == nil || v == nil && !keep {
				continue
			}
			if v == nil {
				v = variant{}
			}
			out[k.(string)] = v.(variant).v
		}
		return variant{out}, nil
	}, append(append([]*node{}, keys...), values...)...)
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

// jsonNumber is a number as a part of a variant.
func jsonNumber(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }
