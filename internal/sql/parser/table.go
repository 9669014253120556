// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/ast"
)

// tables reads the entries of FROM.
func (p *parser) tables() []ast.Table {
	all := []ast.Table{p.joined()}
	for p.takeOp(",") {
		all = append(all, p.joined())
	}
	return all
}

// joined reads a table and the joins after it.
func (p *parser) joined() ast.Table { return p.joins(p.table()) }

func (p *parser) joins(left ast.Table) ast.Table {
	for n := 1; p.chain(n); n++ {
		start := p.at
		j := &ast.Join{Natural: p.take("NATURAL")}
		j.Kind = p.takeAny("INNER", "CROSS", "LEFT", "RIGHT", "FULL")
		switch j.Kind {
		case "LEFT", "RIGHT", "FULL":
			p.take("OUTER")
		case "":
			j.Kind = "INNER"
		}
		if !p.take("JOIN") {
			if p.at != start {
				p.unexpected("JOIN")
			}
			return left
		}
		j.Left, j.Right = left, p.table()
		switch {
		case p.take("ON"):
			j.On = p.expr()
		case p.take("USING"):
			j.Using = p.identList()
		}
		left = j
	}
	return left
}

// table reads one entry of FROM with its alias.
func (p *parser) table() ast.Table {
	lateral := p.take("LATERAL")
	switch {
	case p.isOp("("):
		return p.tableBracket(lateral)
	case p.isWords("VALUES"):
		p.advance()
		d := &ast.Derived{Query: &ast.Query{Body: p.values()}, Lateral: lateral}
		d.Alias = p.alias()
		return d
	case p.is(columnToken):
		t := &ast.TableName{}
		c, _ := p.columnNumber(nil).(*ast.Column)
		t.Pipe, t.Alias = c.Index, p.alias()
		return t
	case p.is(stageToken):
		p.unsupported("SELECT ... FROM @stage")
		return nil
	case p.isWords("TABLE") && p.peek(1).text == "(":
		return p.tableKeyword()
	case p.isWords("DIRECTORY") && p.peek(1).text == "(":
		p.at += 2
		f := &ast.TableFunction{Stage: p.stage()}
		p.expectOp(")")
		f.Alias = p.alias()
		return f
	case lateral:
		f := &ast.TableFunction{Lateral: true}
		p.tableCall(f)
		f.Alias = p.alias()
		return f
	}
	if p.is(wordToken) && reserved(p.tok().word) {
		p.unexpected("a table")
		return nil
	}
	t := &ast.TableName{Name: p.name(ast.KindTable)}
	t.Alias = p.alias()
	return t
}

// tableBracket reads (query) or (table JOIN table); what opens with two brackets is known once the inner one is read.
func (p *parser) tableBracket(lateral bool) ast.Table {
	if !p.nest() {
		return nil
	}
	defer p.unnest()
	p.expectOp("(")
	var d *ast.Derived
	if p.isAny("SELECT", "WITH", "VALUES") {
		d = &ast.Derived{Query: p.query()}
	} else {
		inner := p.table()
		derived, ok := inner.(*ast.Derived)
		if !ok || derived.Lateral || derived.Alias.Name != (ast.Ident{}) || !p.continuesQuery() {
			return p.joinBracket(inner)
		}
		d = &ast.Derived{Query: p.queryFrom(nil, derived.Query)}
	}
	p.expectOp(")")
	d.Lateral, d.Alias = lateral, p.alias()
	return d
}

// joinBracket reads the rest of (table JOIN table), or of brackets around one table.
func (p *parser) joinBracket(first ast.Table) ast.Table {
	t := p.joins(first)
	p.expectOp(")")
	switch t := t.(type) {
	case *ast.Derived:
		p.outerAlias(&t.Alias)
	case *ast.TableName:
		p.outerAlias(&t.Alias)
	case *ast.TableFunction:
		p.outerAlias(&t.Alias)
	}
	return t
}

// outerAlias reads an alias behind brackets around a table that has none inside.
func (p *parser) outerAlias(a *ast.Alias) {
	if a.Name == (ast.Ident{}) {
		*a = p.alias()
	}
}

// alias reads [AS] name [(column, ...)].
func (p *parser) alias() ast.Alias {
	var a ast.Alias
	name, ok := p.aliasName()
	if !ok {
		return a
	}
	a.Name = name
	if p.isOp("(") {
		a.Columns = p.identList()
	}
	return a
}

// tableKeyword reads TABLE(f(...)), TABLE(service!method(...)) and TABLE('name').
func (p *parser) tableKeyword() ast.Table {
	p.at += 2
	if p.is(stringToken) || p.is(variableToken) || p.isBind() {
		t := &ast.TableName{Name: &ast.Name{Kind: ast.KindTable, Pos: p.offset()}}
		t.Name.Arg = p.scalar()
		p.expectOp(")")
		t.Alias = p.alias()
		return t
	}
	f := &ast.TableFunction{}
	p.tableCall(f)
	p.expectOp(")")
	f.Alias = p.alias()
	return f
}

// tableCall reads a call of a table function or of a method, and OVER.
func (p *parser) tableCall(f *ast.TableFunction) {
	pos := p.offset()
	f.Function = p.dotted(3)
	if p.takeOp("!") {
		f.Object = &ast.Name{Kind: catalog.KindService, Parts: f.Function, Pos: pos}
		f.Function = []ast.Ident{p.ident()}
	}
	p.expectOp("(")
	f.Args = p.argumentList()
	p.expectOp(")")
	if p.take("OVER") {
		p.expectOp("(")
		f.Partition, f.Order = p.partition()
		p.expectOp(")")
	}
}
