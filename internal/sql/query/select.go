// SPDX-License-Identifier: Apache-2.0

package query

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// maxDepth bounds queries in queries.
const maxDepth = 200

// statement is a compiled query.
type statement struct {
	sql      string
	cols     []rowset.Column // with their names; NULL columns have no type
	outs     []string        // their names in SQLite
	volatile bool
}

// result is the columns as clients see them.
func (s *statement) result() []rowset.Column {
	out := make([]rowset.Column, len(s.cols))
	for i, col := range s.cols {
		out[i] = known(col)
	}
	return out
}

// query compiles a query inside the scope of those around it.
func (c *compiler) query(q *ast.Query, outer *scope) (*statement, error) {
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > maxDepth {
		return nil, errs.New(errs.Exhausted, "a query has more than %d levels", maxDepth)
	}
	sc := &scope{parent: outer}
	with, err := c.with(q.With, sc)
	if err != nil {
		return nil, err
	}
	var s *statement
	if sel, ok := q.Body.(*ast.Select); ok {
		s, err = c.selectBody(sel, q.OrderBy, sc)
	} else if s, err = c.body(q.Body, sc); err == nil && len(q.OrderBy) > 0 {
		s, err = c.ordered(s, q.OrderBy, sc)
	}
	if err != nil {
		return nil, err
	}
	limit, err := c.count(q.Limit, "LIMIT")
	if err != nil {
		return nil, err
	}
	offset, err := c.count(q.Offset, "OFFSET")
	if err != nil {
		return nil, err
	}
	if limit >= 0 || offset > 0 {
		s.sql += " LIMIT " + strconv.FormatInt(limit, 10) + " OFFSET " + strconv.FormatInt(max(offset, 0), 10)
	}
	s.sql = with + s.sql
	return s, nil
}

func (c *compiler) body(b ast.Body, sc *scope) (*statement, error) {
	switch x := b.(type) {
	case *ast.Select:
		return c.selectBody(x, nil, &scope{parent: sc})
	case *ast.SetOperation:
		return c.setOperation(x, sc)
	case *ast.Values:
		src, from, err := c.values(x, ast.Alias{}, sc)
		if err != nil {
			return nil, err
		}
		return c.project(src, from), nil
	case *ast.Query:
		return c.query(x, sc)
	}
	return nil, errUnsupported(fmt.Sprintf("%T", b))
}

// project is SELECT * of one source.
func (c *compiler) project(src *source, from string) *statement {
	s := &statement{}
	var items []string
	for _, col := range src.columns {
		out := c.fresh("c")
		items = append(items, col.sql+" AS "+out)
		s.cols, s.outs = append(s.cols, col.Column), append(s.outs, out)
	}
	s.sql = "SELECT " + strings.Join(items, ", ") + " FROM " + from
	return s
}

// derived makes a statement a source of FROM.
func (c *compiler) source(s *statement, alias ast.Alias) (*source, string, error) {
	name := c.fresh("t")
	src := &source{}
	if alias.Name.Text != "" {
		src.names = []string{alias.Name.Canonical()}
	}
	cols, err := renamed(s.cols, alias.Columns)
	if err != nil {
		return nil, "", err
	}
	for i, col := range cols {
		src.columns = append(src.columns, sourceColumn{Column: col, sql: name + "." + s.outs[i]})
	}
	if !s.volatile {
		return src, "(" + s.sql + ") AS " + name, nil
	}
	// SQLite would put a sub-query's expressions wherever they are used; RANDOM() must be computed once for each row.
	once := c.fresh("m")
	return src, "(WITH " + once + " AS MATERIALIZED (" + s.sql + ") SELECT * FROM " + once + ") AS " + name, nil
}

// renamed applies a list of column aliases.
func renamed(cols []rowset.Column, names []ast.Ident) ([]rowset.Column, error) {
	if len(names) > len(cols) {
		return nil, errCompile("Invalid column alias list: %d names for %d columns", len(names), len(cols))
	}
	out := append([]rowset.Column{}, cols...)
	for i, n := range names {
		out[i].Name = n.Canonical()
	}
	return out, nil
}

// setOperation compiles UNION, INTERSECT and EXCEPT.
func (c *compiler) setOperation(x *ast.SetOperation, sc *scope) (*statement, error) {
	l, err := c.body(x.Left, sc)
	if err != nil {
		return nil, err
	}
	r, err := c.body(x.Right, sc)
	if err != nil {
		return nil, err
	}
	if len(l.cols) != len(r.cols) {
		return nil, errBranches(len(l.cols), len(r.cols))
	}
	cols := make([]rowset.Column, len(l.cols))
	for i := range cols {
		cols[i] = named(common(l.cols[i], r.cols[i]), l.cols[i].Name)
	}
	outs := make([]string, len(cols))
	for i := range outs {
		outs[i] = c.fresh("c")
	}
	op := x.Op
	if x.All {
		op += " ALL"
	}
	sql := c.branch(l, cols, outs) + " " + op + " " + c.branch(r, cols, outs)
	return &statement{sql: sql, cols: cols, outs: outs, volatile: l.volatile || r.volatile}, nil
}

// branch gives a statement's rows in the types of cols.
func (c *compiler) branch(s *statement, cols []rowset.Column, outs []string) string {
	// A source without an alias cannot fail.
	src, from, _ := c.source(s, ast.Alias{})
	items := make([]string, len(cols))
	for i, col := range src.columns {
		x, _ := c.separate(func() (*node, error) { return c.leaf(col.sql, col.Column), nil })
		items[i] = c.emitAs(x, known(cols[i])) + " AS " + outs[i]
	}
	return "SELECT " + strings.Join(items, ", ") + " FROM " + from
}

// output is one column of a SELECT: its expression, name and name in SQLite.
type output struct {
	*compiled
	name string
	out  string
	text string // the tree as text, by which ORDER BY finds it
	item int    // index of the item, -1 of a column of *
}

// selectBody compiles one SELECT with the ORDER BY that belongs to it.
func (c *compiler) selectBody(sel *ast.Select, order []ast.Order, sc *scope) (*statement, error) {
	sc.items, sc.itemNodes = sel.Items, make([]*node, len(sel.Items))
	from, err := c.from(sel.From, sc)
	if err != nil {
		return nil, err
	}
	where := ""
	if sel.Where != nil {
		if c.hasAggregate(sel.Where) {
			return nil, errCompile("Invalid aggregate function in where clause [%s]", sel.Where)
		}
		x, err := c.condition(sel.Where, sc)
		if err != nil {
			return nil, err
		}
		where = " WHERE " + c.emit(x)
	}
	group, err := c.group(sel, order, sc)
	if err != nil {
		return nil, err
	}
	having := ""
	if sel.Having != nil {
		x, err := c.condition(sel.Having, sc)
		if err != nil {
			return nil, err
		}
		having = " HAVING " + c.emit(x)
	}
	outputs, err := c.outputs(sel, sc)
	if err != nil {
		return nil, err
	}
	keys, err := c.orderKeys(order, sc, outputs)
	if err != nil {
		return nil, err
	}
	return c.assemble(sel, sc, outputs, from+where+group+having, keys)
}

// assemble writes the statement; QUALIFY needs one more level, since SQLite has no such clause.
func (c *compiler) assemble(sel *ast.Select, sc *scope, outputs []output, tail string, keys []string) (*statement, error) {
	s := &statement{}
	items := make([]string, 0, len(outputs)+len(keys)+1)
	if sc.into != nil && len(sc.into) != len(outputs) {
		return nil, errBranches(len(sc.into), len(outputs))
	}
	for i, o := range outputs {
		if sc.into != nil {
			o.compiled = &compiled{c.convert(o.node, sc.into[i]), o.leaves}
		}
		items = append(items, c.emit(o.compiled)+" AS "+o.out)
		s.cols, s.outs = append(s.cols, named(o.col, o.name)), append(s.outs, o.out)
		s.volatile = s.volatile || o.volatile
	}
	head := "SELECT "
	if sel.Distinct {
		head = "SELECT DISTINCT "
	}
	orderBy := ""
	if sel.Qualify == nil {
		if len(keys) > 0 {
			orderBy = " ORDER BY " + strings.Join(keys, ", ")
		}
		s.sql = head + strings.Join(items, ", ") + tail + orderBy
		return s, nil
	}
	x, err := c.condition(sel.Qualify, sc)
	if err != nil {
		return nil, err
	}
	test := c.fresh("q")
	items = append(items, c.emit(x)+" AS "+test)
	var outer []string
	for _, key := range keys {
		expr, direction := splitKey(key)
		if slices.Contains(s.outs, expr) {
			outer = append(outer, key)
			continue
		}
		name := c.fresh("k")
		items = append(items, expr+" AS "+name)
		outer = append(outer, name+direction)
	}
	if len(outer) > 0 {
		orderBy = " ORDER BY " + strings.Join(outer, ", ")
	}
	s.sql = head + strings.Join(s.outs, ", ") + " FROM (SELECT " + strings.Join(items, ", ") + tail + ") WHERE " + test + orderBy
	return s, nil
}

// outputs compiles the items of a SELECT, with every * written out.
func (c *compiler) outputs(sel *ast.Select, sc *scope) ([]output, error) {
	var outputs []output
	for i, item := range sel.Items {
		if star, ok := item.Expr.(*ast.Star); ok {
			cols, err := c.star(star, sc)
			if err != nil {
				return nil, err
			}
			outputs = append(outputs, cols...)
			continue
		}
		x, err := c.separate(func() (*node, error) { return c.item(sc, i) })
		if err != nil {
			return nil, err
		}
		outputs = append(outputs, output{compiled: x, name: itemName(item), out: c.fresh("c"), text: item.Expr.String(), item: i})
	}
	return outputs, nil
}

// star writes * or t.* out.
func (c *compiler) star(star *ast.Star, sc *scope) ([]output, error) {
	var outputs []output
	matched := false
	for _, src := range sc.sources {
		if !src.matches(star.Qualifier) {
			continue
		}
		matched = true
		for _, col := range src.columns {
			if col.merged && len(star.Qualifier) == 0 || excluded(star, col.Name) {
				continue
			}
			if sc.grouped && !sc.keys["\x00"+col.sql] {
				return nil, errGroup(col.Name)
			}
			x, _ := c.separate(func() (*node, error) { return c.leaf(col.sql, col.Column), nil })
			outputs = append(outputs, output{compiled: x, name: col.Name, out: c.fresh("c"), item: -1})
		}
	}
	if !matched && len(star.Qualifier) > 0 {
		return nil, c.errIdentifier(star.Qualifier[len(star.Qualifier)-1].Canonical(), 0)
	}
	if len(outputs) == 0 {
		return nil, errCompile("SELECT with no columns")
	}
	return outputs, nil
}

func excluded(star *ast.Star, name string) bool {
	for _, e := range star.Exclude {
		if e.Canonical() == name {
			return true
		}
	}
	return false
}
