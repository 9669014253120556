// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/ast"
)

// wordExpr reads an operand that begins with a word: a keyword's expression, a column or a call.
func (p *parser) wordExpr() ast.Expr {
	word := p.tok().word
	next := p.peek(1)
	call := next.kind == opToken && next.text == "("
	switch word {
	case "NULL":
		p.advance()
		return &ast.Literal{Kind: ast.NullLiteral}
	case "TRUE", "FALSE":
		p.advance()
		return &ast.Literal{Kind: ast.BoolLiteral, Text: strings.ToLower(word)}
	case "CASE":
		return p.caseExpr()
	case "DATE", "TIME", "TIMESTAMP", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ", "INTERVAL":
		if next.kind == stringToken {
			return p.typedLiteral()
		}
	case "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "LOCALTIME", "LOCALTIMESTAMP":
		if !call {
			return &ast.Function{Name: []ast.Ident{p.ident()}}
		}
	}
	if call {
		switch word {
		case "EXISTS":
			return p.exists()
		case "CAST", "TRY_CAST":
			return p.cast()
		case "EXTRACT":
			return p.extract()
		case "POSITION":
			return p.position()
		case "LEFT", "RIGHT", "INSERT", "LIKE", "RLIKE", "ILIKE":
			return p.function([]ast.Ident{p.ident()})
		}
	}
	if reserved(word) {
		p.unexpected("an expression")
		return nil
	}
	return p.reference()
}

func (p *parser) typedLiteral() ast.Expr {
	word := p.advance().word
	text := p.advance().text
	if word == "INTERVAL" {
		return &ast.Interval{Text: text}
	}
	return &ast.Cast{X: &ast.Literal{Kind: ast.StringLiteral, Text: text}, Type: ast.Type{Name: word}}
}

func (p *parser) caseExpr() ast.Expr {
	p.advance()
	e := &ast.Case{}
	if !p.isWords("WHEN") {
		e.Operand = p.expr()
	}
	for p.take("WHEN") {
		w := ast.When{If: p.expr()}
		p.expect("THEN")
		w.Then = p.expr()
		e.Whens = append(e.Whens, w)
	}
	if len(e.Whens) == 0 {
		p.unexpected("WHEN")
	}
	if p.take("ELSE") {
		e.Else = p.expr()
	}
	p.expect("END")
	return e
}

func (p *parser) exists() ast.Expr {
	p.advance()
	p.expectOp("(")
	e := &ast.Exists{Query: p.query()}
	p.expectOp(")")
	return e
}

func (p *parser) cast() ast.Expr {
	e := &ast.Cast{Try: p.advance().word == "TRY_CAST"}
	p.expectOp("(")
	e.X = p.expr()
	p.expect("AS")
	e.Type = p.dataType()
	p.expectOp(")")
	return e
}

// extract reads EXTRACT(part FROM x), which is DATE_PART('part', x).
func (p *parser) extract() ast.Expr {
	p.advance()
	p.expectOp("(")
	part := &ast.Literal{Kind: ast.StringLiteral, Text: strings.ToLower(p.tok().text)}
	if !p.is(wordToken) && !p.is(stringToken) {
		p.unexpected("a part of a date")
		return nil
	}
	p.advance()
	p.expect("FROM")
	e := &ast.Function{Name: []ast.Ident{{Text: "DATE_PART"}}, Args: []ast.Argument{{Value: part}, {Value: p.expr()}}}
	p.expectOp(")")
	return e
}

// position reads POSITION(a IN b), which is POSITION(a, b), and the latter.
func (p *parser) position() ast.Expr {
	name := p.ident()
	p.expectOp("(")
	args := []ast.Argument{{Value: p.binary(bindAdd)}}
	if p.take("IN") {
		args = append(args, ast.Argument{Value: p.expr()})
	}
	for p.takeOp(",") {
		args = append(args, p.argument())
	}
	p.expectOp(")")
	return &ast.Function{Name: []ast.Ident{name}, Args: args}
}

// reference reads what begins with identifiers: a column, t.*, t.$1, a call, or service!method(...).
func (p *parser) reference() ast.Expr {
	pos := p.offset()
	parts := []ast.Ident{p.ident()}
	for len(parts) < 4 && p.takeOp(".") {
		switch {
		case p.takeOp("*"):
			return p.exclude(&ast.Star{Qualifier: parts})
		case p.is(columnToken):
			return p.columnNumber(parts)
		}
		parts = append(parts, p.ident())
	}
	switch {
	case p.isOp("("):
		return p.function(parts)
	case len(parts) <= 3 && p.takeOp("!"):
		e := &ast.Method{Object: &ast.Name{Kind: catalog.KindService, Parts: parts, Pos: pos}}
		e.Name = p.ident().Canonical()
		p.expectOp("(")
		e.Args = p.argumentList()
		p.expectOp(")")
		return e
	}
	return &ast.Column{Parts: parts, Pos: pos}
}

// function reads the brackets of a call and what may follow them.
func (p *parser) function(name []ast.Ident) ast.Expr {
	if !p.nest() {
		return nil
	}
	defer p.unnest()
	e := &ast.Function{Name: name}
	p.expectOp("(")
	e.Distinct = p.take("DISTINCT")
	if p.isOp("*") && p.peek(1).text == ")" {
		p.advance()
		e.Star = true
	} else {
		e.Args = p.argumentList()
	}
	p.expectOp(")")
	if p.take("WITHIN", "GROUP") {
		p.expectOp("(")
		p.expect("ORDER", "BY")
		e.Within = p.orders()
		p.expectOp(")")
	}
	if p.take("OVER") {
		e.Over = p.window()
	}
	return e
}

func (p *parser) window() *ast.Window {
	w := &ast.Window{}
	p.expectOp("(")
	w.Partition, w.Order = p.partition()
	if p.isAny("ROWS", "RANGE") {
		w.Frame = p.frame()
	}
	p.expectOp(")")
	return w
}

func (p *parser) partition() (partition []ast.Expr, order []ast.Order) {
	if p.take("PARTITION", "BY") {
		partition = p.exprs()
	}
	if p.take("ORDER", "BY") {
		order = p.orders()
	}
	return partition, order
}

// frame reads ROWS | RANGE with its bounds.
func (p *parser) frame() string {
	words := []string{p.advance().word}
	if !p.take("BETWEEN") {
		return strings.Join(append(words, p.frameBound()...), " ")
	}
	words = append(append(words, "BETWEEN"), p.frameBound()...)
	p.expect("AND")
	return strings.Join(append(append(words, "AND"), p.frameBound()...), " ")
}

func (p *parser) frameBound() []string {
	if p.take("CURRENT", "ROW") {
		return []string{"CURRENT", "ROW"}
	}
	bound := p.tok().word
	if p.is(numberToken) {
		bound = p.tok().text
	} else if bound != "UNBOUNDED" {
		p.unexpected("UNBOUNDED, CURRENT ROW or a number")
		return nil
	}
	p.advance()
	direction := p.takeAny("PRECEDING", "FOLLOWING")
	if direction == "" {
		p.unexpected("PRECEDING or FOLLOWING")
	}
	return []string{bound, direction}
}
