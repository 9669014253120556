// SPDX-License-Identifier: Apache-2.0

package query

import (
	"strings"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

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

// readEntry reads a WITH entry.
func (c *compiler) readEntry(entry *cte, names []string, alias ast.Alias) (*source, string, error) {
	name := c.fresh("t")
	src, err := newSource(names, alias, entry.cols, func(i int) string { return name + "." + entry.outs[i] })
	return src, entry.sql + " AS " + name, err
}
