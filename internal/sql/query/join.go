// SPDX-License-Identifier: Apache-2.0

package query

import (
	"slices"
	"strings"

	"firn.dev/firn/internal/sql/ast"
)

// join compiles a join, adding the sources of both sides.
func (c *compiler) join(x *ast.Join, sc *scope) (string, error) {
	c.joined = true
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
