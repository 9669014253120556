// SPDX-License-Identifier: Apache-2.0

package query

import (
	"database/sql/driver"
	"math/big"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// tableFunction compiles TABLE(f(...)) and its like.
func (c *compiler) tableFunction(x *ast.TableFunction, sc *scope) (*source, string, error) {
	parts := make([]string, len(x.Function))
	for i, p := range x.Function {
		parts[i] = p.Canonical()
	}
	name := strings.Join(parts, ".")
	if x.Object == nil && x.Stage == nil {
		switch name {
		case "GENERATOR":
			return c.generator(x)
		case "SPLIT_TO_TABLE", "STRTOK_SPLIT_TO_TABLE":
			return c.lateral(x, sc, splitColumns(), c.splitRows(name))
		case "FLATTEN":
			return c.flatten(x, sc)
		}
	}
	if c.env.Relations == nil {
		return nil, "", errs.New(errs.Invalid, "SQL compilation error:\nUnknown table function %s", name).Numbered(2143, "42601")
	}
	call := TableCall{Name: name, Object: x.Object, Stage: x.Stage}
	if x.Stage != nil && name == "" {
		call.Name = "DIRECTORY"
	}
	for _, a := range x.Args {
		v, err := c.constant(a.Value)
		if err != nil && !c.describe {
			return nil, "", err
		}
		if err != nil {
			v = NullValue(text)
		}
		call.Args = append(call.Args, Argument{Name: a.Name, Value: v})
	}
	rows, err := c.env.Relations.Function(c.ctx, call, c.describe)
	if err != nil {
		return nil, "", err
	}
	return c.table1(rows, nil, x.Alias)
}

// generator is GENERATOR(ROWCOUNT => n, TIMELIMIT => s): rows without columns.
func (c *compiler) generator(x *ast.TableFunction) (*source, string, error) {
	rows, seconds := int64(-1), int64(-1)
	for i, a := range x.Args {
		v, err := c.constant(a.Value)
		if err != nil {
			return nil, "", err
		}
		n, ok := v.Int()
		if !ok || n < 0 {
			return nil, "", errArguments("GENERATOR", "not a number of rows or seconds")
		}
		switch {
		case a.Name == "ROWCOUNT" || a.Name == "" && i == 0:
			rows = n
		case a.Name == "TIMELIMIT" || a.Name == "" && i == 1:
			seconds = n
		default:
			return nil, "", errArguments("GENERATOR", "unexpected argument name "+a.Name)
		}
	}
	r := &relation{width: 0, cell: func(int, int) (driver.Value, error) { return nil, nil }}
	if seconds < 0 || rows >= 0 && seconds == 0 {
		r.more = func(i int) (bool, error) { return int64(i) < rows, nil }
	} else {
		r.more = c.ticking(rows, time.Duration(seconds)*time.Second)
	}
	return c.relation(r, nil, nil, x.Alias)
}

// ticking gives rows for a time, a thousand a second, so that a long limit fills no memory.
func (c *compiler) ticking(rows int64, limit time.Duration) func(i int) (bool, error) {
	var end <-chan time.Time
	return func(i int) (bool, error) {
		if i == 0 {
			end = time.After(limit)
		}
		if rows > 0 && int64(i) >= rows {
			return false, nil
		}
		tick := time.NewTimer(time.Millisecond)
		defer tick.Stop()
		select {
		case <-c.ctx.Done():
			return false, errStopped(c.ctx)
		case <-end:
			return false, nil
		case <-tick.C:
			return true, nil
		}
	}
}

func splitColumns() []rowset.Column {
	return []rowset.Column{
		{Name: "SEQ", Type: rowset.Fixed, Precision: 19, NotNull: true},
		{Name: "INDEX", Type: rowset.Fixed, Precision: 10, NotNull: true},
		{Name: "VALUE", Type: rowset.Text, Length: rowset.MaxText},
	}
}

// rowMaker gives the rows of one call of a lateral function in stored form; seq counts the calls from 1.
type rowMaker func(args []any, seq int64) ([][]any, error)

// splitRows is SPLIT_TO_TABLE(text, separator).
func (c *compiler) splitRows(name string) rowMaker {
	return func(args []any, seq int64) ([][]any, error) {
		if len(args) != 2 {
			return nil, errArguments(name, "not two arguments")
		}
		if args[0] == nil || args[1] == nil {
			return nil, nil
		}
		parts := splitText(args[0].(string), args[1].(string))
		if name != "SPLIT_TO_TABLE" {
			by := args[1].(string)
			parts = nil
			for _, p := range strings.FieldsFunc(args[0].(string), func(r rune) bool { return strings.ContainsRune(by, r) }) {
				parts = append(parts, p)
			}
		}
		rows := make([][]any, len(parts))
		for i, p := range parts {
			rows[i] = []any{big.NewInt(seq), big.NewInt(int64(i + 1)), p}
		}
		return rows, nil
	}
}

// lateral compiles a table function whose arguments may read the tables before it. The arguments are texts.
func (c *compiler) lateral(x *ast.TableFunction, sc *scope, cols []rowset.Column, make rowMaker) (*source, string, error) {
	for _, e := range x.Partition {
		if _, err := c.expression(e, sc); err != nil {
			return nil, "", err
		}
	}
	for _, o := range x.Order {
		key, err := c.expression(o.Expr, sc)
		if err != nil {
			return nil, "", err
		}
		if key.plain {
			return nil, "", errCompile("a constant in ORDER BY of a table function: %s", o.Expr)
		}
	}
	call, err := c.separate(func() (*node, error) {
		var args []*node
		for _, a := range x.Args {
			if a.Name != "" {
				return nil, errArguments(x.Function[len(x.Function)-1].Canonical(), "unexpected argument name "+a.Name)
			}
			n, err := c.expr(a.Value, sc)
			if err != nil {
				return nil, err
			}
			args = append(args, c.convert(n, text))
		}
		return c.handle(args, cols, make), nil
	})
	if err != nil {
		return nil, "", err
	}
	return c.called(call, cols, x.Alias)
}

// handle is the node that makes the rows and gives the handle under which the lateral table finds them.
func (c *compiler) handle(args []*node, cols []rowset.Column, make rowMaker) *node {
	seq := int64(0)
	plan := c.plan
	return volatileNode(count18, func(f *frame) (any, error) {
		values := []any{}
		for _, n := range args {
			v, err := n.eval(f)
			if err != nil {
				return nil, err
			}
			values = append(values, v)
		}
		seq++
		rows, err := make(values, seq)
		if err != nil {
			return nil, err
		}
		batch := [][]driver.Value{}
		for _, row := range rows {
			stored := []driver.Value{}
			for i, v := range row {
				stored = append(stored, encode(cols[i], v))
			}
			batch = append(batch, stored)
		}
		plan.batches = append(plan.batches, batch)
		return big.NewInt(int64(len(plan.batches) - 1)), nil
	}, args...)
}

// called writes the call of the lateral table.
func (c *compiler) called(x *compiled, cols []rowset.Column, alias ast.Alias) (*source, string, error) {
	name := c.fresh("t")
	src, err := newSource(nil, alias, cols, func(i int) string { return name + ".r" + strconv.Itoa(i) })
	return src, "each(" + c.emit(x) + ") AS " + name, err
}

// flatten is FLATTEN(INPUT => x, PATH => p, OUTER => b, RECURSIVE => b, MODE => m).
// https://docs.snowflake.com/en/sql-reference/functions/flatten
func (c *compiler) flatten(x *ast.TableFunction, sc *scope) (*source, string, error) {
	cols := []rowset.Column{
		{Name: "SEQ", Type: rowset.Fixed, Precision: 19, NotNull: true}, {Name: "KEY", Type: rowset.Text, Length: rowset.MaxText},
		{Name: "PATH", Type: rowset.Text, Length: rowset.MaxText}, {Name: "INDEX", Type: rowset.Fixed, Precision: 18},
		{Name: "VALUE", Type: rowset.Variant}, {Name: "THIS", Type: rowset.Variant},
	}
	f := flattening{mode: "BOTH"}
	call, err := c.separate(func() (*node, error) {
		var input *node
		for i, a := range x.Args {
			switch {
			case a.Name == "INPUT" || a.Name == "" && i == 0:
				n, err := c.expr(a.Value, sc)
				if err != nil {
					return nil, err
				}
				input = c.convert(n, anyJSON)
			default:
				v, err := c.constant(a.Value)
				if err != nil {
					return nil, err
				}
				if err := f.option(a.Name, v); err != nil {
					return nil, err
				}
			}
		}
		if input == nil {
			return nil, errArguments("FLATTEN", "no INPUT")
		}
		return c.handle([]*node{input}, cols, f.rows), nil
	})
	if err != nil {
		return nil, "", err
	}
	return c.called(call, cols, x.Alias)
}

// flattening is the options of one FLATTEN.
type flattening struct {
	path             string
	outer, recursive bool
	mode             string
}

func (f *flattening) option(name string, v Value) error {
	switch name {
	case "PATH":
		f.path = v.Text()
	case "OUTER":
		f.outer, _ = v.Bool()
	case "RECURSIVE":
		f.recursive, _ = v.Bool()
	case "MODE":
		f.mode = strings.ToUpper(v.Text())
	default:
		return errArguments("FLATTEN", "unexpected argument name "+name)
	}
	return nil
}

func (f *flattening) rows(args []any, seq int64) ([][]any, error) {
	var rows [][]any
	if args[0] != nil {
		if v, ok := args[0].(variant).path(f.path); ok {
			rows = f.expand(v, f.path, seq, nil)
		}
	}
	if len(rows) == 0 && f.outer {
		rows = append(rows, []any{big.NewInt(seq), nil, nil, nil, nil, nil})
	}
	return rows, nil
}

func (f *flattening) expand(v variant, path string, seq int64, rows [][]any) [][]any {
	add := func(key, index any, at string, item any) {
		rows = append(rows, []any{big.NewInt(seq), key, at, index, variant{item}, v})
		if f.recursive {
			rows = f.expand(variant{item}, at, seq, rows)
		}
	}
	switch x := v.v.(type) {
	case []any:
		if f.mode != "OBJECT" {
			for i, item := range x {
				add(nil, big.NewInt(int64(i)), path+"["+strconv.Itoa(i)+"]", item)
			}
		}
	case map[string]any:
		if f.mode != "ARRAY" {
			for _, key := range sortedKeys(x) {
				at := key
				if path != "" {
					at = path + "." + key
				}
				add(key, nil, at, x[key])
			}
		}
	}
	return rows
}
