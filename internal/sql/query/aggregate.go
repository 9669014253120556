// SPDX-License-Identifier: Apache-2.0

package query

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"modernc.org/sqlite"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// accumulator collects the rows of a group.
type accumulator interface {
	// add takes the arguments of one row, as the types of the aggregate's columns say.
	add(args []any) error
	// result may be asked for several times, with rows added in between.
	result() (any, error)
}

// aggregate is agg(k, arguments...).
type aggregate struct {
	cols     []rowset.Column // of the arguments and, after them, of the keys of WITHIN GROUP
	args     int             // how many of cols are arguments
	order    []ast.Order     // of WITHIN GROUP
	out      rowset.Column
	start    func() accumulator
	distinct bool
	nulls    bool // rows whose first argument is NULL count
	window   bool // rows may leave again
}

// aggregateBuilder gives the types in which arguments are wanted, and fills out and start of the aggregate.
type aggregateBuilder func(c *compiler, args []*node) (want []rowset.Column, a aggregate, err error)

// hasAggregate tells whether an expression aggregates; sub-queries are their own affair.
func (c *compiler) hasAggregate(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n any) bool {
		switch x := n.(type) {
		case *ast.Query, *ast.Subquery, *ast.Exists:
			return false
		case *ast.Function:
			if x.Over == nil && len(x.Name) == 1 && c.isAggregate(x.Name[0].Canonical()) {
				found = true
			}
		}
		return !found
	})
	return found
}

func (c *compiler) isAggregate(name string) bool {
	return name == "COUNT" || name == "COUNT_IF" || c.engine.aggregates[name] != nil
}

// aggregated compiles the arguments of an aggregate, which see the rows and not the groups.
func (c *compiler) aggregated(sc *scope, f func() error) error {
	if sc == nil {
		return errCompile("an aggregate function needs a SELECT")
	}
	if !sc.grouped {
		return f()
	}
	if sc.aggregated {
		return errCompile("Aggregate functions cannot be nested")
	}
	sc.aggregated = true
	defer func() { sc.aggregated = false }()
	return f()
}

// aggregate compiles a call of an aggregate function; over is the text of its window or "".
func (c *compiler) aggregate(name string, x *ast.Function, sc *scope, over string) (*node, error) {
	var args []*compiled
	compile := func() error {
		for _, a := range x.Args {
			arg, err := c.expression(a.Value, sc)
			if err != nil {
				return err
			}
			args = append(args, arg)
		}
		return nil
	}
	var err error
	if over != "" {
		err = compile()
	} else {
		err = c.aggregated(sc, compile)
	}
	if err != nil {
		return nil, err
	}
	if over != "" && x.Distinct {
		return nil, errUnsupported("DISTINCT in a window function")
	}
	switch name {
	case "COUNT":
		return c.countRows(x, args, over)
	case "COUNT_IF":
		if len(args) != 1 {
			return nil, errArguments(name, "not one argument")
		}
		test := args[0]
		b := c.convert(test.node, rowset.Column{Type: rowset.Boolean})
		only := derived(rowset.Column{Type: rowset.Boolean}, func(f *frame) (any, error) {
			v, err := b.eval(f)
			if v != true {
				return nil, err
			}
			return v, err
		}, b)
		return c.leaf("count("+c.emit(&compiled{only, test.leaves})+")"+over, countColumn()), nil
	}
	return c.customAggregate(name, x, args, sc, over)
}

func countColumn() rowset.Column {
	return rowset.Column{Type: rowset.Fixed, Precision: 18, NotNull: true}
}

func (c *compiler) countRows(x *ast.Function, args []*compiled, over string) (*node, error) {
	if x.Star || len(args) == 0 {
		return c.leaf("count(*)"+over, countColumn()), nil
	}
	distinct := ""
	if x.Distinct {
		distinct = "DISTINCT "
	}
	text := c.emit(args[0])
	if len(args) > 1 {
		// A row counts when no argument is NULL; rows are told apart by all of them.
		key, err := c.separate(func() (*node, error) {
			nodes := make([]*node, len(args))
			for i, a := range args {
				nodes[i] = c.leaf(c.emit(a), known(a.col))
			}
			return strict(rowset.TextColumn(""), func(a []any) (any, error) { return rowKey(a, args), nil }, nodes...), nil
		})
		if err != nil {
			return nil, err
		}
		text = c.emit(key)
	}
	return c.leaf("count("+distinct+text+")"+over, countColumn()), nil
}

func rowKey(values []any, args []*compiled) string {
	var b strings.Builder
	for i, v := range values {
		cell := toCell(known(args[i].col), v)
		fmt.Fprintf(&b, "%d:%s", len(cell), cell)
	}
	return b.String()
}

func (c *compiler) customAggregate(name string, x *ast.Function, args []*compiled, sc *scope, over string) (*node, error) {
	nodes := make([]*node, len(args))
	for i, a := range args {
		nodes[i] = a.node
	}
	want, a, err := c.engine.aggregates[name](c, nodes)
	if err != nil {
		return nil, err
	}
	a.distinct, a.window, a.args = x.Distinct, over != "", len(want)
	var texts []string
	for i, col := range want {
		a.cols = append(a.cols, known(col))
		texts = append(texts, c.emitAs(args[i], known(col)))
	}
	err = c.aggregated(sc, func() error {
		for _, o := range x.Within {
			key, err := c.expression(o.Expr, sc)
			if err != nil {
				return err
			}
			a.cols, a.order = append(a.cols, known(key.col)), append(a.order, o)
			texts = append(texts, c.emit(key))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	text := "agg(" + strconv.Itoa(c.register(a)) + ", " + strings.Join(texts, ", ") + ")" + over
	return a.afterEmpty(c.leaf(text, nullable(a.out))), nil
}

// register puts an aggregate on the plan.
func (c *compiler) register(a aggregate) int {
	c.plan.aggregates = append(c.plan.aggregates, a)
	return len(c.plan.aggregates) - 1
}

// afterEmpty gives what an aggregate of no rows is: SQLite then never asks us.
func (a *aggregate) afterEmpty(n *node) *node {
	empty, err := a.start().result()
	if err != nil || empty == nil {
		return n
	}
	col := n.col
	col.NotNull = true
	return derived(col, func(f *frame) (any, error) {
		v, err := n.eval(f)
		if v == nil {
			return empty, err
		}
		return v, err
	}, n)
}

// running is one group, or one window, of an aggregate while SQLite goes through its rows.
type running struct {
	connection *connection
	spec       *aggregate
	acc        accumulator
	rows       [][]any // of a window, and of what is sorted first
	seen       map[string]bool
	stale      bool // rows left the window since acc was made
}

// Step adds a row.
func (r *running) Step(_ *sqlite.FunctionContext, args []driver.Value) error {
	p := r.connection.plan
	if p == nil {
		return errors.New("no query runs")
	}
	if p.ctx.Err() != nil {
		return p.fail(errStopped(p.ctx))
	}
	if r.spec == nil {
		k, ok := args[0].(int64)
		if !ok || int(k) >= len(p.aggregates) {
			return errors.New("no such aggregate")
		}
		r.spec = &p.aggregates[k]
		r.acc = r.spec.start()
	}
	row := make([]any, len(r.spec.cols))
	for i, col := range r.spec.cols {
		v, err := decode(col, args[i+1])
		if err != nil {
			return p.fail(err)
		}
		row[i] = v
	}
	if r.spec.window || len(r.spec.order) > 0 {
		r.rows = append(r.rows, row)
	}
	if len(r.spec.order) > 0 {
		return nil
	}
	return r.add(p, row)
}

func (r *running) add(p *plan, row []any) error {
	if row[0] == nil && !r.spec.nulls {
		return nil
	}
	if r.spec.distinct {
		key := fmt.Sprint(encode(r.spec.cols[0], row[0]))
		if r.seen[key] {
			return nil
		}
		if r.seen == nil {
			r.seen = map[string]bool{}
		}
		r.seen[key] = true
	}
	if err := r.acc.add(row[:r.spec.args]); err != nil {
		return p.fail(err)
	}
	return nil
}

// WindowInverse takes the oldest row away.
func (r *running) WindowInverse(*sqlite.FunctionContext, []driver.Value) error {
	if len(r.rows) > 0 {
		r.rows, r.stale = r.rows[1:], true
	}
	return nil
}

// WindowValue is the value of the rows so far.
func (r *running) WindowValue(*sqlite.FunctionContext) (driver.Value, error) {
	if r.spec == nil {
		return nil, nil
	}
	p := r.connection.plan
	if r.stale || len(r.spec.order) > 0 {
		if err := r.again(p); err != nil {
			return nil, err
		}
	}
	v, err := r.acc.result()
	if err != nil {
		return nil, p.fail(err)
	}
	return encode(r.spec.out, v), nil
}

// again computes the value from the rows that are there, in the order of WITHIN GROUP.
func (r *running) again(p *plan) error {
	r.acc, r.seen, r.stale = r.spec.start(), nil, false
	rows := r.rows
	if len(r.spec.order) > 0 {
		rows = slices.Clone(rows)
		slices.SortStableFunc(rows, r.spec.compareKeys)
	}
	for _, row := range rows {
		if err := r.add(p, row); err != nil {
			return err
		}
	}
	return nil
}

// compareKeys orders rows by the keys of WITHIN GROUP.
func (a *aggregate) compareKeys(l, r []any) int {
	for i, o := range a.order {
		at := a.args + i
		x, y := l[at], r[at]
		nullsFirst := o.Desc
		if o.NullsFirst != nil {
			nullsFirst = *o.NullsFirst
		}
		order := 0
		switch {
		case x == nil && y == nil:
		case x == nil || y == nil:
			if (x == nil) == nullsFirst {
				return -1
			}
			return 1
		default:
			order = compare(a.cols[at].Type, x, y)
		}
		if o.Desc {
			order = -order
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

// Final does nothing: WindowValue gave the value.
func (r *running) Final(*sqlite.FunctionContext) {}
