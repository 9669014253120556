// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

// How tight binary operators bind. NOT stands between AND and comparisons.
const (
	bindOr = iota + 1
	bindAnd
	bindNot
	bindCompare
	bindAdd
	bindMultiply
	bindUnary
)

// reserved tells whether an unquoted word cannot be a column or an alias.
func reserved(word string) bool {
	switch word {
	case "ALL", "AND", "ANY", "AS", "BETWEEN", "BY", "CASE", "CAST", "CONNECT", "CREATE", "CROSS", "DISTINCT", "DROP", "ELSE", "END", "EXCEPT", "EXISTS",
		"FALSE", "FETCH", "FOR", "FROM", "FULL", "GRANT", "GROUP", "HAVING", "ILIKE", "IN", "INNER", "INSERT", "INTERSECT", "INTO", "IS", "JOIN",
		"LATERAL", "LEFT", "LIKE", "LIMIT", "MINUS", "NATURAL", "NOT", "NULL", "OF", "OFFSET", "ON", "OR", "ORDER", "QUALIFY", "REGEXP", "REVOKE",
		"RIGHT", "RLIKE", "SELECT", "SET", "TABLE", "THEN", "TO", "TRUE", "TRY_CAST", "UNION", "USING", "VALUES", "WHEN", "WHERE", "WITH", "ESCAPE":
		return true
	}
	return false
}

// exprs reads expressions separated by commas.
func (p *parser) exprs() []ast.Expr {
	all := []ast.Expr{p.expr()}
	for p.takeOp(",") {
		all = append(all, p.expr())
	}
	return all
}

func (p *parser) expr() ast.Expr { return p.binary(bindOr) }

// binary reads operators that bind at least as tight as least.
func (p *parser) binary(least int) ast.Expr {
	if !p.nest() {
		return nil
	}
	defer p.unnest()
	var left ast.Expr
	if least <= bindNot && p.take("NOT") {
		left = &ast.Unary{Op: "NOT", X: p.binary(bindNot)}
	} else {
		left = p.unary()
	}
	for n := 1; p.chain(n); n++ {
		op, prec := p.operator()
		if prec < least {
			return left
		}
		if op == "" {
			left = p.predicate(left)
			continue
		}
		p.advance()
		left = &ast.Binary{Op: op, L: left, R: p.binary(prec + 1)}
	}
	return nil
}

// operator gives the binary operator here and how tight it binds; op is "" for predicates such as IN, prec is 0 for none.
func (p *parser) operator() (op string, prec int) {
	t := p.tok()
	if t.kind == opToken {
		switch t.text {
		case "=", "<", "<=", ">", ">=", "<>":
			return t.text, bindCompare
		case "!=":
			return "<>", bindCompare
		case "+", "-", "||":
			return t.text, bindAdd
		case "*", "/", "%":
			return t.text, bindMultiply
		}
		return "", 0
	}
	switch t.word {
	case "OR":
		return "OR", bindOr
	case "AND":
		return "AND", bindAnd
	case "IS", "IN", "BETWEEN", "LIKE", "ILIKE", "RLIKE", "REGEXP":
		return "", bindCompare
	case "NOT":
		switch p.peek(1).word {
		case "IN", "BETWEEN", "LIKE", "ILIKE", "RLIKE", "REGEXP":
			return "", bindCompare
		}
	}
	return "", 0
}

// predicate reads what follows the left operand of IS, IN, BETWEEN and LIKE.
func (p *parser) predicate(x ast.Expr) ast.Expr {
	negated := p.take("NOT")
	switch word := p.advance().word; word {
	case "IS":
		return p.isPredicate(x)
	case "IN":
		return p.in(x, negated)
	case "BETWEEN":
		b := &ast.Between{X: x, Not: negated, Low: p.binary(bindAdd)}
		p.expect("AND")
		b.High = p.binary(bindAdd)
		return b
	default:
		if word == "REGEXP" {
			word = "RLIKE"
		}
		return p.like(x, word, negated)
	}
}

func (p *parser) isPredicate(x ast.Expr) ast.Expr {
	negated := p.take("NOT")
	switch {
	case p.take("NULL"):
		return &ast.IsNull{X: x, Not: negated}
	case p.take("DISTINCT", "FROM"):
		return &ast.IsDistinct{L: x, R: p.binary(bindAdd), Not: negated}
	case p.isAny("TRUE", "FALSE"):
		return &ast.IsDistinct{L: x, R: p.primary(), Not: !negated}
	}
	p.unexpected("NULL, TRUE, FALSE or DISTINCT FROM")
	return nil
}

func (p *parser) in(x ast.Expr, negated bool) ast.Expr {
	e := &ast.In{X: x, Not: negated}
	if !p.isOp("(") {
		p.unexpected("(")
		return e
	}
	switch inner := p.bracket().(type) {
	case *ast.Subquery:
		e.Query = inner.Query
	case *ast.Tuple:
		e.List = inner.Items
	default:
		e.List = []ast.Expr{inner}
	}
	return e
}

func (p *parser) like(x ast.Expr, op string, negated bool) ast.Expr {
	e := &ast.Like{Op: op, X: x, Not: negated, Mode: p.takeAny("ANY", "ALL")}
	if e.Mode != "" {
		p.expectOp("(")
		e.Patterns = p.exprs()
		p.expectOp(")")
	} else {
		e.Patterns = []ast.Expr{p.binary(bindAdd)}
	}
	if p.take("ESCAPE") {
		e.Escape = p.binary(bindAdd)
	}
	return e
}

func (p *parser) unary() ast.Expr {
	if !p.isOp("-") && !p.isOp("+") {
		return p.postfix(p.primary())
	}
	if !p.nest() {
		return nil
	}
	defer p.unnest()
	op := p.advance().text
	return &ast.Unary{Op: op, X: p.unary()}
}

// postfix reads casts and paths after an operand.
func (p *parser) postfix(x ast.Expr) ast.Expr {
	inPath := false
	for n := 1; p.chain(n); n++ {
		switch {
		case p.takeOp("::"):
			x, inPath = &ast.Cast{X: x, Type: p.dataType()}, false
		case p.takeOp("["):
			x, inPath = &ast.Path{X: x, Index: p.expr()}, true
			p.expectOp("]")
		case p.isOp(":"), inPath && p.isOp("."):
			p.advance()
			x, inPath = &ast.Path{X: x, Key: p.ident().Text}, true
		default:
			return x
		}
	}
	return nil
}

// dataType reads a type name with its precision or length.
func (p *parser) dataType() ast.Type {
	if !p.is(wordToken) {
		p.unexpected("a data type")
		return ast.Type{}
	}
	t := ast.Type{Name: p.advance().word}
	if t.Name == "DOUBLE" && p.take("PRECISION") || t.Name == "CHAR" && p.take("VARYING") {
		t.Name = map[string]string{"DOUBLE": "DOUBLE PRECISION", "CHAR": "VARCHAR"}[t.Name]
	}
	if p.isOp("(") && p.peek(1).kind == numberToken {
		p.advance()
		t.Args = append(t.Args, p.number())
		for p.takeOp(",") {
			t.Args = append(t.Args, p.number())
		}
		p.expectOp(")")
	}
	return t
}

// primary reads an operand.
func (p *parser) primary() ast.Expr {
	t := p.tok()
	switch t.kind {
	case stringToken, numberToken, variableToken:
		return p.scalar()
	case columnToken:
		return p.columnNumber(nil)
	case quotedToken:
		return p.reference()
	case wordToken:
		return p.wordExpr()
	case opToken:
		switch t.text {
		case "(":
			return p.bracket()
		case "[":
			return p.array()
		case "{":
			return p.object()
		case "?", ":":
			if p.isBind() {
				return p.bind()
			}
		}
	}
	p.unexpected("an expression")
	return nil
}

func (p *parser) columnNumber(qualifier []ast.Ident) ast.Expr {
	c := &ast.Column{Parts: qualifier, Pos: p.offset()}
	for _, digit := range p.advance().text {
		if c.Index = c.Index*10 + int(digit-'0'); c.Index > 1<<20 {
			break
		}
	}
	if c.Index == 0 || c.Index > 1<<20 {
		p.refuse(errs.Syntax, 1003, "42000", "column $%d is out of range", c.Index)
	}
	return c
}

func (p *parser) exclude(s *ast.Star) ast.Expr {
	if p.take("EXCLUDE") {
		if p.isOp("(") {
			s.Exclude = p.identList()
		} else {
			s.Exclude = []ast.Ident{p.ident()}
		}
	}
	return s
}

func (p *parser) array() ast.Expr {
	p.expectOp("[")
	e := &ast.Array{}
	if !p.isOp("]") {
		e.Items = p.exprs()
	}
	p.expectOp("]")
	return e
}

func (p *parser) object() ast.Expr {
	p.expectOp("{")
	e := &ast.ObjectLiteral{}
	for p.err == nil && !p.isOp("}") {
		if len(e.Keys) > 0 {
			p.expectOp(",")
		}
		e.Keys = append(e.Keys, p.expectString())
		p.expectOp(":")
		e.Values = append(e.Values, p.expr())
	}
	p.expectOp("}")
	return e
}

// bracket reads (expr), (a, b) or (query). Whether brackets that open with a bracket hold a query is known once the inner one is read.
func (p *parser) bracket() ast.Expr {
	if !p.nest() {
		return nil
	}
	defer p.unnest()
	p.expectOp("(")
	if p.isAny("SELECT", "WITH", "VALUES") {
		q := p.query()
		p.expectOp(")")
		return &ast.Subquery{Query: q}
	}
	openedTwice := p.isOp("(")
	first := p.expr()
	if inner, ok := first.(*ast.Subquery); ok && openedTwice && p.continuesQuery() {
		q := p.queryFrom(nil, inner.Query)
		p.expectOp(")")
		return &ast.Subquery{Query: q}
	}
	if p.takeOp(")") {
		return first
	}
	items := []ast.Expr{first}
	for p.takeOp(",") {
		items = append(items, p.expr())
	}
	p.expectOp(")")
	return &ast.Tuple{Items: items}
}

// source is the text from a byte offset up to the token read last.
func (p *parser) source(from int) string {
	return strings.TrimSpace(p.text[from:p.tokens[p.at-1].end])
}
