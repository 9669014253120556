// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"modernc.org/sqlite"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/rowset"
)

// maxIdle is how many connections wait for the next query.
const maxIdle = 8

// SQLite's limits for one statement, by the numbers of sqlite3_limit.
// https://www.sqlite.org/c3ref/c_limit_attached.html
const (
	limitLength    = 0 // bytes of a value
	limitSQLLength = 1
	limitAttached  = 7
	limitWorkers   = 11

	maxValueBytes  = 128 << 20
	maxResultBytes = 512 << 20
	maxSQLBytes    = 32 << 20
)

// pool keeps opened connections. Each has a driver of its own, so that its functions know which plan runs on it. Drivers stay
// when their connection closes, because SQLite's binding never forgets one.
type pool struct {
	mu     sync.Mutex
	idle   []*connection
	spare  []*connection // closed
	closed bool
}

func newPool() *pool { return &pool{} }

// connection is a SQLite database in memory without content: what queries read is made of the plan that runs.
type connection struct {
	driver *sqlite.Driver
	db     *sql.DB
	conn   *sql.Conn
	plan   *plan
	setup  bool            // while the connection prepares itself: the authorizer permits everything
	have   map[string]bool // virtual tables that exist
}

// get gives a connection that nobody else uses.
func (p *pool) get(ctx context.Context) (*connection, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	var c *connection
	if n := len(p.spare); n > 0 {
		c = p.spare[n-1]
		p.spare = p.spare[:n-1]
	}
	p.mu.Unlock()
	if c == nil {
		c = &connection{driver: &sqlite.Driver{}}
		if err := c.register(c.driver); err != nil {
			return nil, errs.Wrap(err, errs.Internal, "prepare the query engine")
		}
	}
	// The connection outlives the query that opens it.
	if err := c.open(context.WithoutCancel(ctx)); err != nil {
		p.mu.Lock()
		p.spare = append(p.spare, c)
		p.mu.Unlock()
		return nil, errs.Wrap(err, errs.Internal, "open the query engine")
	}
	return c, nil
}

// put keeps a connection for the next query; broken ones are closed.
func (p *pool) put(c *connection, broken bool) {
	c.plan = nil
	p.mu.Lock()
	defer p.mu.Unlock()
	if !broken && !p.closed && len(p.idle) < maxIdle {
		p.idle = append(p.idle, c)
		return
	}
	c.close()
	p.spare = append(p.spare, c)
}

func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
	return nil
}

func (c *connection) close() {
	// The database is empty and in memory: there is nothing that closing could lose.
	_ = c.conn.Close()
	_ = c.db.Close()
}

// connector opens the one connection of a driver.
type connector struct{ driver *sqlite.Driver }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(":memory:") }
func (c connector) Driver() driver.Driver                        { return c.driver }

// open makes the database and secures it.
func (c *connection) open(ctx context.Context) error {
	c.have, c.setup = map[string]bool{}, true
	c.db = sql.OpenDB(connector{c.driver})
	c.db.SetMaxOpenConns(1)
	conn, err := c.db.Conn(ctx)
	if err != nil {
		_ = c.db.Close()
		return err
	}
	c.conn = conn
	if err := c.secure(ctx); err != nil {
		c.close()
		return err
	}
	return nil
}

// register puts the functions and virtual tables of the engine on a driver.
func (c *connection) register(d *sqlite.Driver) error {
	err := d.RegisterFunction("fn", &sqlite.FunctionImpl{NArgs: -1, Scalar: c.scalar, VolatileArgs: true})
	if err != nil {
		return err
	}
	err = d.RegisterFunction("agg", &sqlite.FunctionImpl{
		NArgs: -1, VolatileArgs: true,
		MakeAggregate: func(sqlite.FunctionContext) (sqlite.AggregateFunction, error) { return &running{connection: c}, nil },
	})
	if err != nil {
		return err
	}
	if err := d.RegisterModule("relation", module{c, false}); err != nil {
		return err
	}
	return d.RegisterModule("lateral", module{c, true})
}

// secure makes the lateral table, sets the limits and closes the door.
func (c *connection) secure(ctx context.Context) error {
	if _, err := c.conn.ExecContext(ctx, "CREATE VIRTUAL TABLE temp.each USING lateral("+strconv.Itoa(lateralWidth)+")"); err != nil {
		return err
	}
	c.have["each"] = true
	for id, value := range map[int]int{limitLength: maxValueBytes, limitSQLLength: maxSQLBytes, limitAttached: 0, limitWorkers: 0} {
		if _, err := sqlite.Limit(c.conn, id, value); err != nil {
			return err
		}
	}
	c.setup = false
	return c.conn.Raw(func(dc any) error { return dc.(sqlite.AuthorizerRegisterer).RegisterAuthorizer(c.authorize) })
}

// authorize permits reading and the functions the compiler writes, and nothing else.
func (c *connection) authorize(action sqlite.AuthorizerActionCode, table, name, _, _ string) sqlite.AuthorizerReturnCode {
	if c.setup {
		return sqlite.AuthorizerOK
	}
	switch action {
	case sqlite.AuthSelect, sqlite.AuthRecursive:
		return sqlite.AuthorizerOK
	case sqlite.AuthRead:
		if c.have[table] || generated(table) {
			return sqlite.AuthorizerOK
		}
	case sqlite.AuthFunction:
		switch name {
		case "fn", "agg", "count", "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile",
			"lag", "lead", "first_value", "last_value", "nth_value":
			return sqlite.AuthorizerOK
		}
	}
	return sqlite.AuthorizerDeny
}

// generated tells whether a name is one that the compiler gives to WITH entries.
func generated(name string) bool {
	return len(name) > 1 && (name[0] == 'w' || name[0] == 'm') && strings.Trim(name[1:], "0123456789") == ""
}

// relationTable is the name of the virtual table for a relation. Tables stay on the connection, so their widths are rounded up.
func relationTable(index, width int) string {
	room := 8
	for room < width {
		room *= 2
	}
	return fmt.Sprintf("r%d_%d", index, room)
}

// tables makes the virtual tables that the plan reads and the connection does not have yet.
func (c *connection) tables(ctx context.Context, p *plan) error {
	for i, r := range p.relations {
		name := relationTable(i, r.width)
		if c.have[name] {
			continue
		}
		_, room, _ := strings.Cut(name, "_")
		c.setup = true
		_, err := c.conn.ExecContext(ctx, fmt.Sprintf("CREATE VIRTUAL TABLE temp.%s USING relation(%d, %s)", name, i, room))
		c.setup = false
		if err != nil {
			return err
		}
		c.have[name] = true
	}
	return nil
}

// run executes a compiled query.
func (p *pool) run(ctx context.Context, pl *plan, s *statement) (*rowset.Rowset, error) {
	if ctx.Err() != nil {
		return nil, errStopped(ctx)
	}
	params := make([]driver.NamedValue, 0, len(pl.params))
	c, err := p.get(ctx)
	if err != nil {
		return nil, err
	}
	broken := true
	defer func() { p.put(c, broken) }()
	if err := c.tables(ctx, pl); err != nil {
		return nil, c.failure(ctx, pl, err)
	}
	for i, param := range pl.params {
		d, err := param.eval(&frame{})
		if err != nil {
			broken = false
			return nil, err
		}
		params = append(params, driver.NamedValue{Ordinal: i + 1, Value: encode(param.col, d)})
	}
	c.plan = pl
	result := &rowset.Rowset{Columns: s.result(), Rows: [][]*string{}}
	err = c.conn.Raw(func(dc any) error {
		return read(ctx, dc.(driver.QueryerContext), s.sql, params, result)
	})
	if err != nil {
		failure := c.failure(ctx, pl, err)
		broken = pl.lastErr == nil
		return nil, failure
	}
	broken = false
	return result, nil
}

// read runs the statement and writes its rows as cells.
func read(ctx context.Context, q driver.QueryerContext, text string, params []driver.NamedValue, result *rowset.Rowset) error {
	rows, err := q.QueryContext(ctx, text, params)
	if err != nil {
		return err
	}
	// A statement that only reads has nothing to tell when it is closed.
	defer func() { _ = rows.Close() }()
	values := make([]driver.Value, len(result.Columns))
	size := 0
	for {
		err := rows.Next(values)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		cells := make([]*string, len(values))
		for i, v := range values {
			if v == nil {
				continue
			}
			d, err := decode(result.Columns[i], v)
			if err != nil {
				return err
			}
			cell := toCell(result.Columns[i], d)
			cells[i] = &cell
			size += len(cell)
		}
		if size += 32 * (len(cells) + 1); size > maxResultBytes {
			return errs.New(errs.Exhausted, "the result is larger than %d MB: ask for fewer rows", maxResultBytes>>20).Numbered(300005, "XX000")
		}
		result.Rows = append(result.Rows, cells)
		if len(result.Rows)&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// failure turns what SQLite says into what the user may know.
func (c *connection) failure(ctx context.Context, pl *plan, err error) error {
	if pl.lastErr != nil {
		return pl.lastErr
	}
	if ctx.Err() != nil {
		return errStopped(ctx)
	}
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok && (e.Code()&0xff == 18 || e.Code()&0xff == 7) {
		return errs.Wrap(err, errs.Exhausted, "the query needs more memory than is allowed").Numbered(300005, "XX000")
	}
	return errs.Wrap(err, errs.Internal, "run a query")
}

// scalar is fn(k, values...).
func (c *connection) scalar(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	p := c.plan
	if p == nil {
		return nil, errors.New("no query runs")
	}
	if p.ctx.Err() != nil {
		return nil, p.fail(errStopped(p.ctx))
	}
	k, ok := args[0].(int64)
	if !ok || k < 0 || int(k) >= len(p.scalars) {
		return nil, errors.New("no such expression")
	}
	s := &p.scalars[k]
	for i, col := range s.leaves {
		v, err := decode(col, args[i+1])
		if err != nil {
			return nil, p.fail(err)
		}
		s.frame.vals[i] = v
	}
	v, err := s.eval(&s.frame)
	if err != nil {
		return nil, p.fail(err)
	}
	return encode(s.out, v), nil
}

// fail remembers an error that SQLite would give back as text only.
func (p *plan) fail(err error) error {
	if p.lastErr == nil {
		p.lastErr = err
	}
	return err
}
