// SPDX-License-Identifier: Apache-2.0

package query

import (
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// relation is a table that SQLite reads through the virtual table of its number; see sqlite.go.
type relation struct {
	width int
	// more tells whether there is a row i; rows are asked for in order, perhaps several times from 0.
	more func(i int) (bool, error)
	cell func(i, column int) (driver.Value, error)
}

// with compiles WITH.
func (c *compiler) with(entries []ast.CTE, sc *scope) (string, error) {
	if len(entries) == 0 {
		return "", nil
	}
	sc.ctes = map[string]*cte{}
	var texts []string
	recursive := false
	for _, e := range entries {
		text, err := c.entry(e, sc)
		if err != nil {
			return "", err
		}
		recursive = recursive || e.Recursive || mentions(e)
		texts = append(texts, text)
	}
	if recursive {
		return "WITH RECURSIVE " + strings.Join(texts, ", ") + " ", nil
	}
	return "WITH " + strings.Join(texts, ", ") + " ", nil
}

// mentions tells whether a WITH entry reads itself, which Snowflake allows without RECURSIVE.
func mentions(e ast.CTE) bool {
	found := false
	ast.Inspect(e.Query, func(n any) bool {
		if t, ok := n.(*ast.TableName); ok && t.Name != nil && len(t.Name.Parts) == 1 && t.Name.Parts[0].Canonical() == e.Name.Canonical() {
			found = true
		}
		return true
	})
	return found
}

func (c *compiler) entry(e ast.CTE, sc *scope) (string, error) {
	union, isUnion := e.Query.Body.(*ast.SetOperation)
	if isUnion && union.Op == "UNION" && len(e.Query.With) == 0 && mentions(e) {
		return c.recursiveEntry(e, union, sc)
	}
	s, err := c.query(e.Query, sc)
	if err != nil {
		return "", err
	}
	cols, err := renamed(s.cols, e.Columns)
	if err != nil {
		return "", err
	}
	name := c.fresh("w")
	sc.ctes[e.Name.Canonical()] = &cte{sql: name, cols: cols, outs: s.outs}
	how := " AS ("
	if s.volatile {
		how = " AS MATERIALIZED ("
	}
	return name + how + s.sql + ")", nil
}

// recursiveEntry types the entry by its first branch, made wide, since what follows may be larger.
func (c *compiler) recursiveEntry(e ast.CTE, union *ast.SetOperation, sc *scope) (string, error) {
	anchor, err := c.body(union.Left, sc)
	if err != nil {
		return "", err
	}
	cols, err := renamed(anchor.cols, e.Columns)
	if err != nil {
		return "", err
	}
	name := c.fresh("w")
	outs := make([]string, len(cols))
	for i, col := range cols {
		wide := nullable(known(col))
		switch wide.Type {
		case rowset.Fixed:
			wide.Precision = maxPrecision
		case rowset.Text:
			wide.Length = rowset.MaxText
		}
		cols[i], outs[i] = wide, c.fresh("c")
	}
	sc.ctes[e.Name.Canonical()] = &cte{sql: name, cols: cols, outs: outs}
	// SQLite wants the recursive branch as one plain SELECT.
	branch, ok := union.Right.(*ast.Select)
	if !ok {
		return "", errUnsupported("a recursive branch that is no plain SELECT")
	}
	step, err := c.selectBody(branch, nil, &scope{parent: sc, into: cols})
	if err != nil {
		return "", err
	}
	op := " UNION "
	if union.All {
		op = " UNION ALL "
	}
	return name + "(" + strings.Join(outs, ", ") + ") AS (" + c.branch(anchor, cols, outs) + op + step.sql + ")", nil
}

// from compiles FROM into the scope's sources.
func (c *compiler) from(tables []ast.Table, sc *scope) (string, error) {
	if constantFrom(tables) {
		return "", nil
	}
	var texts []string
	for _, t := range tables {
		text, err := c.table(t, sc)
		if err != nil {
			return "", err
		}
		texts = append(texts, text)
	}
	return " FROM " + strings.Join(texts, ", "), nil
}

// table compiles one entry of FROM, adding its sources to the scope.
func (c *compiler) table(t ast.Table, sc *scope) (string, error) {
	var src *source
	var text string
	var err error
	switch x := t.(type) {
	case *ast.TableName:
		src, text, err = c.tableName(x, sc)
	case *ast.TableFunction:
		src, text, err = c.tableFunction(x, sc)
	case *ast.Derived:
		src, text, err = c.derivedTable(x, sc)
	case *ast.Join:
		return c.join(x, sc)
	default:
		err = errUnsupported(fmt.Sprintf("%T", t))
	}
	if err != nil {
		return "", err
	}
	sc.sources = append(sc.sources, src)
	return text, nil
}

func (c *compiler) derivedTable(x *ast.Derived, sc *scope) (*source, string, error) {
	if v, ok := x.Query.Body.(*ast.Values); ok && len(x.Query.With) == 0 && len(x.Query.OrderBy) == 0 && x.Query.Limit == nil && x.Query.Offset == nil {
		return c.values(v, x.Alias, sc)
	}
	// What stands beside the table in FROM is not visible inside it; what is around the SELECT is.
	outer := &scope{parent: sc.parent, ctes: sc.ctes}
	if x.Lateral {
		return nil, "", errUnsupported("LATERAL sub-query")
	}
	s, err := c.query(x.Query, outer)
	if err != nil {
		return nil, "", err
	}
	return c.source(s, x.Alias)
}

func (c *compiler) tableName(x *ast.TableName, sc *scope) (*source, string, error) {
	if isDual(x) {
		return c.table1(&rowset.Rowset{Columns: []rowset.Column{rowset.TextColumn("DUMMY")}, Rows: [][]*string{{nil}}}, []string{"DUAL"}, x.Alias)
	}
	var names []string
	if x.Pipe == 0 && x.Name != nil {
		for _, p := range x.Name.Parts {
			names = append(names, p.Canonical())
		}
		if entry := sc.cte(strings.Join(names, ".")); len(names) == 1 && entry != nil {
			return c.readEntry(entry, names, x.Alias)
		}
	}
	if c.env.Relations == nil {
		return nil, "", errs.New(errs.NotFound, "SQL compilation error:\nObject '%s' does not exist or not authorized.", strings.Join(names, ".")).Numbered(2003, "42S02")
	}
	rows, err := c.env.Relations.Table(c.ctx, x, c.describe)
	if err != nil {
		return nil, "", err
	}
	return c.table1(rows, names, x.Alias)
}

// readEntry reads a WITH entry.
func (c *compiler) readEntry(entry *cte, names []string, alias ast.Alias) (*source, string, error) {
	name := c.fresh("t")
	src, err := newSource(names, alias, entry.cols, func(i int) string { return name + "." + entry.outs[i] })
	return src, entry.sql + " AS " + name, err
}

// newSource names a table and its columns.
func newSource(names []string, alias ast.Alias, cols []rowset.Column, sql func(i int) string) (*source, error) {
	if alias.Name.Text != "" {
		names = []string{alias.Name.Canonical()}
	}
	cols, err := renamed(cols, alias.Columns)
	if err != nil {
		return nil, err
	}
	src := &source{names: names}
	for i, col := range cols {
		src.columns = append(src.columns, sourceColumn{Column: col, sql: sql(i)})
	}
	return src, nil
}

// table1 is a relation whose rows are cells.
func (c *compiler) table1(rows *rowset.Rowset, names []string, alias ast.Alias) (*source, string, error) {
	return c.relation(&relation{
		width: len(rows.Columns),
		more:  func(i int) (bool, error) { return i < len(rows.Rows), nil },
		cell: func(i, column int) (driver.Value, error) {
			return encodeCell(rows.Columns[column], rows.Rows[i][column])
		},
	}, rows.Columns, names, alias)
}

// encodeCell gives the stored form of a cell.
func encodeCell(col rowset.Column, cell *string) (driver.Value, error) {
	if cell == nil {
		return nil, nil
	}
	if col.Type == rowset.Text {
		return *cell, nil
	}
	d, err := fromCell(col, cell)
	return encode(col, d), err
}

// relation registers a relation and writes how FROM reads it.
func (c *compiler) relation(r *relation, cols []rowset.Column, names []string, alias ast.Alias) (*source, string, error) {
	name := c.fresh("t")
	src, err := newSource(names, alias, cols, func(i int) string { return fmt.Sprintf("%s.r%d", name, i) })
	if err != nil {
		return nil, "", err
	}
	index := len(c.plan.relations)
	c.plan.relations = append(c.plan.relations, r)
	return src, relationTable(index, r.width) + " AS " + name, nil
}

// values evaluates VALUES.
func (c *compiler) values(v *ast.Values, alias ast.Alias, sc *scope) (*source, string, error) {
	if len(v.Rows) == 0 {
		return nil, "", errCompile("VALUES without rows")
	}
	outer := &scope{parent: sc.parent, ctes: sc.ctes}
	cols := make([]rowset.Column, len(v.Rows[0]))
	nodes := make([][]*node, len(v.Rows))
	tabled := c.tabled
	for i, row := range v.Rows {
		if len(row) != len(cols) {
			return nil, "", errCompile("Invalid number of values in VALUES: expected %d, got %d", len(cols), len(row))
		}
		x, err := c.valuesRow(row, outer)
		if err != nil {
			return nil, "", err
		}
		nodes[i] = x
		for j, n := range x {
			if i == 0 {
				cols[j] = n.col
			} else {
				cols[j] = common(cols[j], n.col)
			}
		}
	}
	c.tabled = tabled
	rows := make([][]driver.Value, len(nodes))
	for i, row := range nodes {
		rows[i] = make([]driver.Value, len(cols))
		for j, n := range row {
			if c.describe {
				continue
			}
			d, err := c.convert(n, known(cols[j])).eval(&frame{})
			if err != nil {
				return nil, "", err
			}
			rows[i][j] = encode(known(cols[j]), d)
		}
	}
	for j := range cols {
		cols[j].Name = fmt.Sprintf("COLUMN%d", j+1)
	}
	return c.stored(rows, cols, nil, alias)
}

// valuesRow compiles a row of VALUES, which may not read tables.
func (c *compiler) valuesRow(row []ast.Expr, outer *scope) ([]*node, error) {
	nodes := make([]*node, len(row))
	for j, e := range row {
		x, err := c.expression(e, outer)
		if err != nil {
			return nil, err
		}
		if len(x.leaves.sql) > 0 {
			return nil, errCompile("Invalid expression [%s] in VALUES clause", e)
		}
		nodes[j] = x.node
	}
	return nodes, nil
}

// stored is a relation of rows in stored form.
func (c *compiler) stored(rows [][]driver.Value, cols []rowset.Column, names []string, alias ast.Alias) (*source, string, error) {
	return c.relation(&relation{
		width: len(cols),
		more:  func(i int) (bool, error) { return i < len(rows), nil },
		cell:  func(i, column int) (driver.Value, error) { return rows[i][column], nil },
	}, cols, names, alias)
}

// join compiles a join, adding the sources of both sides.
func (c *compiler) join(x *ast.Join, sc *scope) (string, error) {
	first := len(sc.sources)
	left, err := c.table(x.Left, sc)
	if err != nil {
		return "", err
	}
	middle := len(sc.sources)
	right, err := c.table(x.Right, sc)
	if err != nil {
		return "", err
	}
	if _, nested := x.Right.(*ast.Join); nested {
		right = "(" + right + ")"
	}
	ls, rs := sc.sources[first:middle], sc.sources[middle:]
	on := ""
	switch {
	case x.Natural || len(x.Using) > 0:
		if on, err = c.using(x, sc, first, ls, rs); err != nil {
			return "", err
		}
	case x.On != nil:
		test, err := c.condition(x.On, sc)
		if err != nil {
			return "", err
		}
		on = " ON " + c.emit(test)
	}
	if x.Kind == "LEFT" || x.Kind == "FULL" {
		optionalSources(rs)
	}
	if x.Kind == "RIGHT" || x.Kind == "FULL" {
		optionalSources(ls)
	}
	kind := x.Kind
	if kind == "" || kind == "CROSS" && on != "" {
		kind = "INNER"
	}
	return left + " " + kind + " JOIN " + right + on, nil
}

// optionalSources marks columns that an outer join may fill with NULL.
func optionalSources(sources []*source) {
	for _, s := range sources {
		for i := range s.columns {
			s.columns[i].NotNull = false
		}
	}
}

// using joins by columns of the same name, which then appear once, before all others.
func (c *compiler) using(x *ast.Join, sc *scope, first int, ls, rs []*source) (string, error) {
	names := x.Using
	if x.Natural {
		names = sharedNames(ls, rs)
	}
	merged := &source{}
	var tests []string
	for _, name := range names {
		l, r := take(ls, name.Canonical()), take(rs, name.Canonical())
		if l == nil || r == nil {
			return "", c.errIdentifier(name.Canonical(), 0)
		}
		col := known(common(l.Column, r.Column))
		pair, err := c.separate(func() (*node, error) {
			return c.comparison("=", c.leaf(l.sql, l.Column), c.leaf(r.sql, r.Column)), nil
		})
		if err != nil {
			return "", err
		}
		tests = append(tests, c.emit(pair))
		either, err := c.separate(func() (*node, error) {
			return c.coalesce([]*node{c.leaf(l.sql, l.Column), c.leaf(r.sql, r.Column)}), nil
		})
		if err != nil {
			return "", err
		}
		col.Name = name.Canonical()
		text := l.sql
		if x.Kind != "INNER" && x.Kind != "LEFT" && x.Kind != "" || col.Type != l.Type || col.Scale != l.Scale || col.Precision != l.Precision {
			text = c.emit(either)
		}
		merged.columns = append(merged.columns, sourceColumn{Column: col, sql: text})
		l.merged, r.merged = true, true
	}
	sc.sources = slices.Insert(sc.sources, first, merged)
	if len(tests) == 0 {
		return "", nil
	}
	return " ON " + strings.Join(tests, " AND "), nil
}

// take finds the column that USING speaks of.
func take(sources []*source, name string) *sourceColumn {
	for _, s := range sources {
		for i := range s.columns {
			if s.columns[i].Name == name && !s.columns[i].merged {
				return &s.columns[i]
			}
		}
	}
	return nil
}

func sharedNames(ls, rs []*source) []ast.Ident {
	var names []ast.Ident
	for _, s := range ls {
		for _, col := range s.columns {
			if !col.merged && take(rs, col.Name) != nil {
				names = append(names, ast.Ident{Text: col.Name, Quoted: true})
			}
		}
	}
	return names
}
