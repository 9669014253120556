// SPDX-License-Identifier: Apache-2.0

package query

import (
	"database/sql/driver"
	"errors"
	"fmt"
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

// from compiles FROM into the scope's sources.
func (c *compiler) from(tables []ast.Table, sc *scope) (string, error) {
	if constantFrom(tables) {
		return "", nil
	}
	joined := c.joined
	defer func() { c.joined = joined }()
	c.joined = joined || len(tables) > 1
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
	s, err := c.query(x.Query, outer)
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Number == 904 && x.Lateral {
		return nil, "", errUnsupported("LATERAL sub-query that reads the tables before it")
	}
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
	table := relationTable(index, r.width)
	if c.joined && r.width > 0 {
		// SQLite makes indexes for joins, but not of virtual tables.
		copied := c.fresh("m")
		table = "(WITH " + copied + " AS MATERIALIZED (SELECT * FROM " + table + ") SELECT * FROM " + copied + ")"
	}
	return src, table + " AS " + name, nil
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
