// SPDX-License-Identifier: Apache-2.0

package query

import (
	"strconv"
	"strings"

	"firn.dev/firn/internal/sql/ast"
)

// group compiles GROUP BY and decides whether the SELECT aggregates.
func (c *compiler) group(sel *ast.Select, order []ast.Order, sc *scope) (string, error) {
	aggregates := len(sel.GroupBy) > 0 || sel.Having != nil && c.hasAggregate(sel.Having)
	for _, item := range sel.Items {
		aggregates = aggregates || c.hasAggregate(item.Expr)
	}
	for _, o := range order {
		aggregates = aggregates || c.hasAggregate(o.Expr)
	}
	if !aggregates && sel.Having != nil {
		return "", errCompile("HAVING needs GROUP BY or an aggregate function")
	}
	if !aggregates {
		return "", nil
	}
	keys := map[string]bool{}
	var texts []string
	for _, e := range c.groupExprs(sel, sc) {
		x, err := c.expression(e, sc)
		if err != nil {
			return "", err
		}
		text := c.emit(x)
		keys[e.String()] = true
		if len(x.leaves.sql) == 1 && x.sql != nil {
			delete(keys, e.String())
			keys["\x00"+text] = true
		}
		texts = append(texts, text)
	}
	sc.grouped, sc.keys = true, keys
	if len(texts) == 0 {
		return "", nil
	}
	return " GROUP BY " + strings.Join(texts, ", "), nil
}

// groupExprs gives the expressions of GROUP BY with places and aliases resolved.
func (c *compiler) groupExprs(sel *ast.Select, sc *scope) []ast.Expr {
	var out []ast.Expr
	for _, e := range sel.GroupBy {
		if lit, ok := e.(*ast.Literal); ok && lit.Kind == ast.NumberLiteral {
			if i, err := strconv.Atoi(lit.Text); err == nil && i >= 1 && i <= len(sel.Items) {
				out = append(out, sel.Items[i-1].Expr)
				continue
			}
		}
		col, ok := e.(*ast.Column)
		if ok && len(col.Parts) == 1 && col.Index == 0 && len(sc.find(nil, col.Parts[0].Canonical(), 0)) == 0 {
			if i := sc.alias(col.Parts[0].Canonical()); i >= 0 {
				out = append(out, sel.Items[i].Expr)
				continue
			}
		}
		out = append(out, e)
	}
	return out
}
