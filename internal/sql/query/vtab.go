// SPDX-License-Identifier: Apache-2.0

package query

import (
	"database/sql/driver"
	"errors"
	"strconv"
	"strings"

	"modernc.org/sqlite/vtab"
)

// lateralWidth is the number of columns of the table that lateral functions fill.
const lateralWidth = 6

// module makes the two kinds of virtual tables: relation(index, width) reads a relation of the plan that runs, and
// lateral(width) the rows of the handle it is called with.
type module struct {
	c       *connection
	lateral bool
}

// Create makes a table.
func (m module) Create(ctx vtab.Context, args []string) (vtab.Table, error) {
	return m.Connect(ctx, args)
}

// Connect makes a table.
func (m module) Connect(ctx vtab.Context, args []string) (vtab.Table, error) {
	numbers := make([]int, 0, 2)
	for _, a := range args[3:] {
		n, err := strconv.Atoi(strings.TrimSpace(a))
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	if len(numbers) == 0 {
		return nil, errors.New("a virtual table needs its width")
	}
	width := numbers[len(numbers)-1]
	var b strings.Builder
	b.WriteString("CREATE TABLE x(")
	for i := range width {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("r" + strconv.Itoa(i))
	}
	if m.lateral {
		b.WriteString(", handle HIDDEN")
	}
	b.WriteString(")")
	if err := ctx.Declare(b.String()); err != nil {
		return nil, err
	}
	return &table{module: m, index: numbers[0], width: width}, nil
}

// table is one virtual table.
type table struct {
	module
	index, width int
}

// BestIndex says that rows come in their order; a lateral table needs its handle.
func (t *table) BestIndex(info *vtab.IndexInfo) error {
	info.EstimatedCost, info.EstimatedRows = 10000, 10000
	if !t.lateral {
		return nil
	}
	for i := range info.Constraints {
		c := &info.Constraints[i]
		if c.Column == t.width && c.Op == vtab.OpEQ && c.Usable {
			c.ArgIndex, c.Omit, info.IdxNum = 0, true, 1
			info.EstimatedCost, info.EstimatedRows = 10, 10
			return nil
		}
	}
	// Without its handle the table cannot be read; the cost makes SQLite choose an order in which it has one.
	info.EstimatedCost = 1e30
	return nil
}

// Open starts a scan.
func (t *table) Open() (vtab.Cursor, error) { return &cursor{table: t}, nil }

// Disconnect does nothing.
func (t *table) Disconnect() error { return nil }

// Destroy does nothing.
func (t *table) Destroy() error { return nil }

// cursor is one scan.
type cursor struct {
	table *table
	rows  [][]driver.Value // of a lateral table
	rel   *relation
	at    int
	more  bool
}

// Filter begins the scan.
func (c *cursor) Filter(idxNum int, _ string, vals []vtab.Value) error {
	p := c.table.c.plan
	c.at, c.rows, c.rel, c.more = 0, nil, nil, false
	if p == nil {
		return errors.New("no query runs")
	}
	if c.table.lateral {
		if idxNum != 1 || len(vals) != 1 {
			return errors.New("a lateral table without its handle")
		}
		if handle, ok := vals[0].(int64); ok && int(handle) < len(p.batches) {
			c.rows = p.batches[handle]
		}
		return nil
	}
	if c.table.index >= len(p.relations) {
		return errors.New("no such relation")
	}
	c.rel = p.relations[c.table.index]
	return c.look(p)
}

// look finds out whether there is a row at the present place.
func (c *cursor) look(p *plan) error {
	if p.ctx.Err() != nil {
		return p.fail(errStopped(p.ctx))
	}
	more, err := c.rel.more(c.at)
	if err != nil {
		return p.fail(err)
	}
	c.more = more
	return nil
}

// Next goes to the next row.
func (c *cursor) Next() error {
	c.at++
	if c.table.lateral {
		return nil
	}
	return c.look(c.table.c.plan)
}

// Eof tells whether the rows are over.
func (c *cursor) Eof() bool {
	if c.table.lateral {
		return c.at >= len(c.rows)
	}
	return !c.more
}

// Column gives a value of the present row.
func (c *cursor) Column(col int) (vtab.Value, error) {
	if c.table.lateral {
		if col < len(c.rows[c.at]) {
			return c.rows[c.at][col], nil
		}
		return nil, nil
	}
	if col >= c.rel.width {
		return nil, nil
	}
	v, err := c.rel.cell(c.at, col)
	if err != nil {
		return nil, c.table.c.plan.fail(err)
	}
	return v, nil
}

// Rowid is the place of the row.
func (c *cursor) Rowid() (int64, error) { return int64(c.at), nil }

// Close ends the scan.
func (c *cursor) Close() error { return nil }
