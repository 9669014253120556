// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// compiler turns one query into a plan and its SQLite text.
type compiler struct {
	ctx      context.Context
	engine   *Engine
	env      *Env
	describe bool // nothing may be run or fetched
	caster   *caster
	plan     *plan
	leaves   *leafSet // of the expression being compiled
	names    int      // counter of generated names
	depth    int      // of nested queries
	joined   bool     // the FROM being compiled, or one around it, has more than one table
	tabled   bool     // the expression needs SQLite: it read a column, an aggregate or a sub-query
}

// plan is what a statement's SQLite text refers to by number.
type plan struct {
	ctx        context.Context
	scalars    []scalar
	params     []parameter
	aggregates []aggregate
	relations  []*relation
	batches    [][][]driver.Value // rows that lateral table functions made, by the handle they gave
	lastErr    error              // what a function failed with, which SQLite would give back as text only
}

// scalar is fn(k, leaves...).
type scalar struct {
	eval   evaluator
	leaves []rowset.Column
	out    rowset.Column
	frame  frame
}

// parameter is ?k, a constant that SQLite compares with.
type parameter struct {
	eval evaluator
	col  rowset.Column
}

// frame holds the values of an expression's leaves.
type frame struct{ vals []any }

// evaluator computes an expression.
type evaluator func(f *frame) (any, error)

// node is a compiled expression. Its column has no type while it is the bare NULL.
type node struct {
	col      rowset.Column
	eval     evaluator
	sql      func() string // text of what SQLite itself computes: a column, an aggregate, a sub-query; nil for what needs fn
	constant bool          // the same for the whole query
	volatile bool          // may differ at every call
	depth    int           // of nested AND and OR
	plain    bool          // a literal, bind or variable: it can be computed while compiling
	text     string        // of a literal and a bind of text, as functions that take a unit or a format need it while compiling
}

// leafSet is the list of what an expression reads from SQLite.
type leafSet struct {
	sql  []string
	cols []rowset.Column
}

// compiled is an expression with the leaves it reads.
type compiled struct {
	*node
	leaves *leafSet
}

// leaf makes the node of something that SQLite computes.
func (c *compiler) leaf(sql string, col rowset.Column) *node {
	c.tabled = true
	index := -1
	for i, have := range c.leaves.sql {
		if have == sql {
			index = i
		}
	}
	if index < 0 {
		index = len(c.leaves.sql)
		c.leaves.sql = append(c.leaves.sql, sql)
		c.leaves.cols = append(c.leaves.cols, col)
	}
	return &node{col: col, sql: func() string { return sql }, eval: func(f *frame) (any, error) { return f.vals[index], nil }}
}

// expression compiles e with its own leaves.
func (c *compiler) expression(e ast.Expr, sc *scope) (*compiled, error) {
	return c.separate(func() (*node, error) { return c.expr(e, sc) })
}

// condition compiles e as a boolean with its own leaves.
func (c *compiler) condition(e ast.Expr, sc *scope) (*compiled, error) {
	return c.separate(func() (*node, error) { return c.boolean(e, sc) })
}

func (c *compiler) separate(f func() (*node, error)) (*compiled, error) {
	outer := c.leaves
	c.leaves = &leafSet{}
	defer func() { c.leaves = outer }()
	n, err := f()
	if err != nil {
		return nil, err
	}
	return &compiled{n, c.leaves}, nil
}

// emit writes a compiled expression as SQLite text.
func (c *compiler) emit(x *compiled) string {
	if x.sql != nil {
		return x.sql()
	}
	k := len(c.plan.scalars)
	col := known(x.col)
	eval := x.eval
	if x.constant {
		eval = once(eval)
	}
	c.plan.scalars = append(c.plan.scalars, scalar{
		eval: eval, leaves: x.leaves.cols, out: col, frame: frame{vals: make([]any, len(x.leaves.cols))},
	})
	var b strings.Builder
	b.WriteString("fn(" + strconv.Itoa(k))
	for _, sql := range x.leaves.sql {
		b.WriteString("," + sql)
	}
	b.WriteString(")")
	return b.String()
}

// emitAs is emit of the expression converted to a type.
func (c *compiler) emitAs(x *compiled, to rowset.Column) string {
	return c.emit(&compiled{c.convert(x.node, to), x.leaves})
}

// once remembers the first value.
func once(eval evaluator) evaluator {
	done := false
	var value any
	return func(f *frame) (any, error) {
		if done {
			return value, nil
		}
		v, err := eval(f)
		if err == nil {
			value, done = v, true
		}
		return v, err
	}
}

// fresh makes a name that is used nowhere else in the statement.
func (c *compiler) fresh(prefix string) string {
	c.names++
	return prefix + strconv.Itoa(c.names)
}

// convert gives the node in another type. What is already of the type stays itself, so that SQLite can use its columns.
func (c *compiler) convert(n *node, to rowset.Column) *node {
	from := n.col
	to.NotNull, to.Name = from.NotNull, ""
	same := from.Type == to.Type
	switch {
	case from.Type == "":
		return &node{col: nullable(to), eval: n.eval, constant: n.constant, volatile: n.volatile}
	case same && from.Type == rowset.Fixed && from.Scale == to.Scale && from.Precision <= to.Precision && (from.Precision > 18 || to.Precision <= 18),
		same && (from.Type == rowset.Text || from.Type == rowset.Binary) && from.Length <= to.Length,
		same && from.Type != rowset.Fixed && from.Type != rowset.Text && from.Type != rowset.Binary && from.Scale <= to.Scale:
		if from == to {
			return n
		}
		copied := *n
		copied.col = to
		return &copied
	}
	cast := c.caster
	return derived(to, func(f *frame) (any, error) {
		v, err := n.eval(f)
		if v == nil || err != nil {
			return nil, err
		}
		return cast.cast(v, from, to)
	}, n)
}

func nullable(col rowset.Column) rowset.Column {
	col.NotNull = false
	return col
}

// derived makes a node that is computed from others.
func derived(col rowset.Column, eval evaluator, from ...*node) *node {
	n := &node{col: col, eval: eval, constant: true}
	for _, f := range from {
		n.constant = n.constant && f.constant
		n.volatile = n.volatile || f.volatile
	}
	return n
}

// literal makes a constant node.
func literal(col rowset.Column, v any) *node {
	n := &node{col: col, constant: true, plain: true, eval: func(*frame) (any, error) { return v, nil }}
	n.text, _ = v.(string)
	return n
}

// constant evaluates an expression that reads no table.
func (c *compiler) constant(e ast.Expr) (Value, error) {
	x, err := c.expression(e, nil)
	if err != nil {
		return Value{}, err
	}
	if len(x.leaves.sql) > 0 {
		return Value{}, errCompile("expression %s is not constant", e)
	}
	v, err := x.eval(&frame{})
	if err != nil {
		return Value{}, err
	}
	return Value{Column: known(x.col), data: v}, nil
}

// count evaluates LIMIT and OFFSET; -1 for none.
func (c *compiler) count(e ast.Expr, what string) (int64, error) {
	if e == nil {
		return -1, nil
	}
	if c.describe {
		return 0, nil
	}
	v, err := c.constant(e)
	if err != nil || v.IsNull() {
		return -1, err
	}
	n, ok := v.Int()
	if !ok || n < 0 {
		return 0, errCompile("invalid value [%s] for parameter '%s'", v.Text(), what)
	}
	return n, nil
}

// constants evaluates SELECT of expressions without a table; ok is false when the query is something else.
func (c *compiler) constants(q *ast.Query) (result *rowset.Rowset, ok bool, err error) {
	sel, isSelect := q.Body.(*ast.Select)
	if !isSelect || len(q.With) > 0 || len(q.OrderBy) > 0 || !constantFrom(sel.From) ||
		sel.Where != nil || sel.Having != nil || sel.Qualify != nil || len(sel.GroupBy) > 0 {
		return nil, false, nil
	}
	for _, item := range sel.Items {
		if _, star := item.Expr.(*ast.Star); star || c.hasAggregate(item.Expr) {
			return nil, false, nil
		}
	}
	sc := &scope{items: sel.Items, itemNodes: make([]*node, len(sel.Items))}
	nodes := make([]*node, len(sel.Items))
	for i, item := range sel.Items {
		if nodes[i], err = c.item(sc, i); err != nil || c.tabled {
			return nil, err != nil, err
		}
		_ = item
	}
	limit, err := c.count(q.Limit, "LIMIT")
	if err != nil {
		return nil, true, err
	}
	offset, err := c.count(q.Offset, "OFFSET")
	if err != nil {
		return nil, true, err
	}
	result = &rowset.Rowset{Columns: make([]rowset.Column, len(nodes)), Rows: [][]*string{}}
	row := make([]*string, len(nodes))
	for i, n := range nodes {
		result.Columns[i] = named(known(n.col), itemName(sel.Items[i]))
		v, err := n.eval(&frame{})
		if err != nil {
			return nil, true, err
		}
		if v != nil {
			cell := toCell(result.Columns[i], v)
			row[i] = &cell
		}
	}
	if limit != 0 && offset <= 0 {
		result.Rows = append(result.Rows, row)
	}
	return result, true, nil
}

// constantFrom tells whether FROM is absent or DUAL.
func constantFrom(from []ast.Table) bool {
	return len(from) == 0 || len(from) == 1 && isDual(from[0])
}

func isDual(t ast.Table) bool {
	n, ok := t.(*ast.TableName)
	return ok && n.Pipe == 0 && n.Name != nil && len(n.Name.Parts) == 1 && n.Name.Parts[0].Canonical() == "DUAL"
}

func named(col rowset.Column, name string) rowset.Column {
	col.Name = name
	return col
}

// itemName is the name of an output column.
func itemName(item ast.Item) string {
	if item.Alias != nil {
		return item.Alias.Canonical()
	}
	if col, ok := item.Expr.(*ast.Column); ok && item.Expr != nil {
		if col.Index > 0 {
			return fmt.Sprintf("$%d", col.Index)
		}
		return col.Parts[len(col.Parts)-1].Canonical()
	}
	return strings.ToUpper(item.Text)
}
