// SPDX-License-Identifier: Apache-2.0

package query

import (
	"strings"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// builder makes the node of a call of a scalar function. functions_*.go hold them, one file per family.
type builder func(c *compiler, name string, args []*node) (*node, error)

// functionTable is every scalar function the engine has itself.
func functionTable() map[string]builder {
	all := map[string]builder{}
	for _, family := range []map[string]builder{
		textFunctions(), patternFunctions(), numberFunctions(), conditionFunctions(), conversionFunctions(),
		timeFunctions(), timePartFunctions(), variantFunctions(), arrayFunctions(), listFunctions(), randomFunctions(), digestFunctions(),
	} {
		for name, b := range family {
			all[name] = b
		}
	}
	return all
}

// Column types of functions.
var (
	text    = rowset.TextColumn("")
	number  = rowset.NumberColumn("")
	real    = rowset.Column{Type: rowset.Real}
	boolean = rowset.Column{Type: rowset.Boolean}
	date    = rowset.Column{Type: rowset.Date}
	ntz     = rowset.Column{Type: rowset.TimestampNTZ, Scale: 9}
	ltz     = rowset.Column{Type: rowset.TimestampLTZ, Scale: 9}
	tz      = rowset.Column{Type: rowset.TimestampTZ, Scale: 9}
	clockOf = rowset.Column{Type: rowset.Time, Scale: 9}
	blob    = rowset.Column{Type: rowset.Binary, Length: maxBinary}
	anyJSON = rowset.Column{Type: rowset.Variant}
	list    = rowset.Column{Type: rowset.Array}
	object  = rowset.Column{Type: rowset.Object}
	count18 = rowset.Column{Type: rowset.Fixed, Precision: 18}
)

// simple is a function that is NULL when an argument is. Arguments are converted to params; those beyond required may be
// absent, and f gets as many as there are. A nil result is NULL.
func simple(out rowset.Column, required int, params []rowset.Column, f func(a []any) (any, error)) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), required, len(params)); err != nil {
			return nil, err
		}
		col := out
		col.NotNull = true
		converted := make([]*node, len(args))
		for i, n := range args {
			converted[i] = c.convert(n, params[i])
			col.NotNull = col.NotNull && n.col.NotNull
		}
		return strict(col, f, converted...), nil
	}
}

// sure is simple for functions that cannot fail.
func sure(out rowset.Column, required int, params []rowset.Column, f func(a []any) any) builder {
	return simple(out, required, params, func(a []any) (any, error) { return f(a), nil })
}

// maybe is simple for functions that give NULL for some arguments.
func maybe(out rowset.Column, required int, params []rowset.Column, f func(a []any) (any, error)) builder {
	b := simple(out, required, params, f)
	return func(c *compiler, name string, args []*node) (*node, error) {
		n, err := b(c, name, args)
		if err == nil {
			n.col.NotNull = false
		}
		return n, err
	}
}

func arity(name string, have, least, most int) error {
	switch {
	case have < least:
		return errArguments(name, "not enough arguments")
	case have > most:
		return errArguments(name, "too many arguments")
	}
	return nil
}

// function compiles a call in an expression.
func (c *compiler) function(x *ast.Function, sc *scope) (*node, error) {
	parts := make([]string, len(x.Name))
	for i, p := range x.Name {
		parts[i] = p.Canonical()
	}
	name := strings.Join(parts, ".")
	switch {
	case x.Over != nil:
		return c.window(name, x, sc)
	case c.isAggregate(name):
		return c.aggregate(name, x, sc, "")
	}
	b := c.engine.functions[name]
	if b == nil && c.env.Functions == nil {
		return nil, errUnknownFunction(name)
	}
	args := make([]*node, len(x.Args))
	for i, a := range x.Args {
		if a.Name != "" && b != nil {
			return nil, errArguments(name, "unexpected argument name "+a.Name)
		}
		if unit, ok := bareUnit(name, i, a.Value); ok && b != nil {
			args[i] = literal(rowset.TextColumn(""), unit)
			continue
		}
		n, err := c.expr(a.Value, sc)
		if err != nil {
			return nil, err
		}
		args[i] = n
	}
	if b != nil {
		return b(c, name, args)
	}
	return c.sessionFunction(name, nil, args)
}

// bareUnit reads a unit of time that stands as a bare word where a function wants one.
func bareUnit(name string, place int, e ast.Expr) (string, bool) {
	col, ok := e.(*ast.Column)
	if !ok || len(col.Parts) != 1 || col.Parts[0].Quoted || col.Index > 0 {
		return "", false
	}
	word := col.Parts[0].Text
	switch name {
	case "DATEADD", "DATEDIFF", "TIMEADD", "TIMEDIFF", "TIMESTAMPADD", "TIMESTAMPDIFF", "DATE_PART", "EXTRACT":
		return word, place == 0
	case "DATE_TRUNC":
		return word, place == 0 && isUnit(word)
	case "TRUNC", "LAST_DAY":
		return word, place == 1 && isUnit(word)
	}
	return "", false
}

// bareFunction is a function that may be written without brackets; nil when the name is none.
func (c *compiler) bareFunction(name string) (*node, error) {
	if !strings.HasPrefix(name, "CURRENT_") && name != "LOCALTIME" && name != "LOCALTIMESTAMP" {
		return nil, nil
	}
	if b := c.engine.functions[name]; b != nil {
		return b(c, name, nil)
	}
	if c.env.Functions == nil {
		return nil, nil
	}
	if _, known, err := c.env.Functions.Call(c.ctx, name, nil, nil, true); !known || err != nil {
		return nil, err
	}
	return c.sessionFunction(name, nil, nil)
}

// method compiles object!method(args).
func (c *compiler) method(x *ast.Method, sc *scope) (*node, error) {
	if c.env.Functions == nil {
		return nil, errUnknownFunction(x.Name)
	}
	args := make([]*node, len(x.Args))
	for i, a := range x.Args {
		n, err := c.expr(a.Value, sc)
		if err != nil {
			return nil, err
		}
		args[i] = n
	}
	return c.sessionFunction(x.Name, x.Object, args)
}

// sessionFunction compiles a call of a function that the caller of the engine has. Its type is asked for now; it is called
// when the query runs, once when its arguments are constant.
func (c *compiler) sessionFunction(name string, on *ast.Name, args []*node) (*node, error) {
	values := make([]Value, len(args))
	for i, n := range args {
		values[i] = NullValue(known(n.col))
		if n.plain {
			v, err := n.eval(&frame{})
			if err != nil {
				return nil, err
			}
			values[i] = Value{Column: known(n.col), data: v}
		}
	}
	described, found, err := c.env.Functions.Call(c.ctx, name, on, values, true)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errUnknownFunction(name)
	}
	col := known(described.Column)
	col.Name = ""
	n := derived(col, nil, args...)
	n.eval = func(f *frame) (any, error) {
		values := make([]Value, len(args))
		for i, a := range args {
			v, err := a.eval(f)
			if err != nil {
				return nil, err
			}
			values[i] = Value{Column: known(a.col), data: v}
		}
		v, _, err := c.env.Functions.Call(c.ctx, name, on, values, false)
		if err != nil || v.data == nil {
			return nil, err
		}
		return c.caster.cast(v.data, v.Column, col)
	}
	if n.constant {
		n.eval = once(n.eval)
	}
	return n, nil
}
