// SPDX-License-Identifier: Apache-2.0

package query

import (
	"strconv"
	"strings"

	"firn.dev/firn/internal/sql/ast"
)

// ordered sorts what is no plain SELECT by its outputs.
func (c *compiler) ordered(s *statement, order []ast.Order, outer *scope) (*statement, error) {
	src, from, err := c.source(s, ast.Alias{})
	if err != nil {
		return nil, err
	}
	out := c.project(src, from)
	out.volatile = s.volatile
	keys, err := c.orderKeys(order, &scope{parent: outer, sources: []*source{src}}, nil)
	if err != nil {
		return nil, err
	}
	out.sql += " ORDER BY " + strings.Join(keys, ", ")
	return out, nil
}

// orderKeys compiles ORDER BY. A place or the name of an output means the output; nil outputs mean those of the only source.
func (c *compiler) orderKeys(order []ast.Order, sc *scope, outputs []output) ([]string, error) {
	var keys []string
	for _, o := range order {
		x, out, err := c.orderKey(o.Expr, sc, outputs)
		if err != nil {
			return nil, err
		}
		text := out
		if out == "" || isVariant(x.col.Type) {
			text = c.emit(&compiled{c.sortable(x.node), x.leaves})
		}
		keys = append(keys, text+direction(o))
	}
	return keys, nil
}

// orderKey finds the output or compiles the expression; out is the output's name in SQLite.
func (c *compiler) orderKey(e ast.Expr, sc *scope, outputs []output) (x *compiled, out string, err error) {
	if lit, ok := e.(*ast.Literal); ok && lit.Kind == ast.NumberLiteral {
		i, err := strconv.Atoi(lit.Text)
		if outputs == nil {
			columns := sc.sources[0].columns
			if err != nil || i < 1 || i > len(columns) {
				return nil, "", errCompile("ORDER BY position %s is not in the select list", lit.Text)
			}
			x, err := c.separate(func() (*node, error) { return c.leaf(columns[i-1].sql, columns[i-1].Column), nil })
			return x, "", err
		}
		if err != nil || i < 1 || i > len(outputs) {
			return nil, "", errCompile("ORDER BY position %s is not in the select list", lit.Text)
		}
		return outputs[i-1].compiled, outputs[i-1].out, nil
	}
	col, isColumn := e.(*ast.Column)
	for _, o := range outputs {
		if isColumn && len(col.Parts) == 1 && col.Index == 0 && o.name == col.Parts[0].Canonical() || o.item >= 0 && o.text == e.String() {
			return o.compiled, o.out, nil
		}
	}
	x, err = c.expression(e, sc)
	return x, "", err
}

// direction is what follows a key: NULL is the greatest value unless said otherwise.
func direction(o ast.Order) string {
	way, first := " ASC", false
	if o.Desc {
		way, first = " DESC", true
	}
	if o.NullsFirst != nil {
		first = *o.NullsFirst
	}
	if first {
		return way + " NULLS FIRST"
	}
	return way + " NULLS LAST"
}

// splitKey undoes text + direction.
func splitKey(key string) (text, direction string) {
	i := strings.LastIndex(key, " NULLS ")
	i = strings.LastIndexByte(key[:i], ' ')
	return key[:i], key[i:]
}
