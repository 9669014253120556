// SPDX-License-Identifier: Apache-2.0

package query

import (
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// scope is what names mean inside one SELECT. A nil scope knows no name.
type scope struct {
	parent  *scope
	sources []*source
	ctes    map[string]*cte

	items     []ast.Item // of the SELECT, whose aliases other parts of it may use
	itemNodes []*node    // of items that are compiled
	inItem    []bool     // items being compiled, so that an alias cannot mean itself

	into []rowset.Column // types the outputs must have: those of the WITH entry that a recursive branch belongs to

	grouped    bool            // the SELECT aggregates
	keys       map[string]bool // of GROUP BY: the text of an expression, or "\x00" and the SQLite text of a column
	aggregated bool            // inside the arguments of an aggregate
}

// cte is a WITH entry.
type cte struct {
	sql  string // its name in SQLite
	cols []rowset.Column
	outs []string
}

// source is one table of FROM.
type source struct {
	names   []string // what qualifies its columns: the alias, or the parts of the table's name
	columns []sourceColumn
}

// sourceColumn is a column as FROM offers it.
type sourceColumn struct {
	rowset.Column
	sql    string
	merged bool // by USING: found with a qualifier only, and not part of *
}

// matches tells whether the qualifier names the source.
func (s *source) matches(qualifier []ast.Ident) bool {
	if len(qualifier) > len(s.names) {
		return false
	}
	tail := s.names[len(s.names)-len(qualifier):]
	for i, q := range qualifier {
		if q.Canonical() != tail[i] {
			return false
		}
	}
	return true
}

// find gives the columns of a name, or with index the one at its place.
func (sc *scope) find(qualifier []ast.Ident, name string, index int) []sourceColumn {
	var found []sourceColumn
	for _, s := range sc.sources {
		if !s.matches(qualifier) {
			continue
		}
		place := 0
		for _, col := range s.columns {
			if col.merged && len(qualifier) == 0 {
				continue
			}
			place++
			if index == place || index == 0 && col.Name == name {
				found = append(found, col)
			}
		}
	}
	if index > 0 && len(found) > 1 {
		return found[:1]
	}
	return found
}

// cte finds a WITH entry here or further out.
func (sc *scope) cte(name string) *cte {
	for ; sc != nil; sc = sc.parent {
		if found := sc.ctes[name]; found != nil {
			return found
		}
	}
	return nil
}

// alias gives the index of the item with an alias, -1 when there is none that can be used now.
func (sc *scope) alias(name string) int {
	for i, item := range sc.items {
		if item.Alias != nil && item.Alias.Canonical() == name && (sc.inItem == nil || !sc.inItem[i]) {
			return i
		}
	}
	return -1
}

// item compiles the i-th item in the current leaves. A volatile item that was computed before gives its last value: SQLite
// computes the items of a row from left to right, and RANDOM() AS a, a * 2 must speak of one number.
func (c *compiler) item(sc *scope, i int) (*node, error) {
	if n := sc.itemNodes[i]; n != nil && n.volatile {
		return n, nil
	}
	if sc.inItem == nil {
		sc.inItem = make([]bool, len(sc.items))
	}
	sc.inItem[i] = true
	defer func() { sc.inItem[i] = false }()
	n, err := c.expr(sc.items[i].Expr, sc)
	if err != nil || !n.volatile {
		return n, err
	}
	var last any
	remembered := *n
	remembered.sql = nil
	remembered.eval = func(*frame) (any, error) { return last, nil }
	sc.itemNodes[i] = &remembered
	computed := *n
	computed.sql = nil
	eval := n.eval
	computed.eval = func(f *frame) (any, error) {
		v, err := eval(f)
		last = v
		return v, err
	}
	return &computed, nil
}

// column compiles a reference to a column: of this SELECT, an alias of it, or of a SELECT around it.
func (c *compiler) column(x *ast.Column, sc *scope) (*node, error) {
	name, qualifier := "", x.Parts
	if x.Index == 0 {
		name, qualifier = x.Parts[len(x.Parts)-1].Canonical(), x.Parts[:len(x.Parts)-1]
	}
	for s := sc; s != nil; s = s.parent {
		found := s.find(qualifier, name, x.Index)
		if len(found) > 1 {
			return nil, errAmbiguous(name)
		}
		if len(found) == 1 {
			if s.grouped && !s.aggregated && !s.keys["\x00"+found[0].sql] {
				return nil, errGroup(columnText(x))
			}
			return c.leaf(found[0].sql, found[0].Column), nil
		}
		if len(qualifier) == 0 && x.Index == 0 {
			if i := s.alias(name); i >= 0 {
				return c.item(s, i)
			}
		}
	}
	if len(qualifier) == 0 && x.Index == 0 && !x.Parts[0].Quoted {
		if n, err := c.bareFunction(name); n != nil || err != nil {
			return n, err
		}
	}
	return nil, c.errIdentifier(columnText(x), x.Pos)
}

// columnText is a column as messages show it: upper case where it is not quoted.
func columnText(x *ast.Column) string {
	text := ""
	for i, p := range x.Parts {
		if i > 0 {
			text += "."
		}
		if p.Quoted {
			text += p.String()
		} else {
			text += p.Canonical()
		}
	}
	if x.Index > 0 {
		return (&ast.Column{Parts: x.Parts, Index: x.Index}).String()
	}
	return text
}
