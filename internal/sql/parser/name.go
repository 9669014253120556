// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

// ParseName reads the name of an object of the kind from a value such as the bind of IDENTIFIER(?): one to three parts, as many as
// the kind has, nothing before or after.
//
// Errors: Invalid, number 904 with the whole text.
func ParseName(text string, kind catalog.Kind) (*ast.Name, error) {
	p := parser{text: text, tokens: scan(text)}
	if len(text) > maxText || p.tok().pos != 0 {
		return nil, invalidIdentifier(text)
	}
	n := p.plainName(kind)
	if p.err != nil && errs.Is(p.err, errs.Invalid) {
		return nil, p.err
	}
	if p.err != nil || !p.is(endToken) || p.tokens[p.at-1].end != int32(len(text)) {
		return nil, invalidIdentifier(text)
	}
	return n, nil
}

func invalidIdentifier(text string) error {
	return errs.New(errs.Invalid, "SQL compilation error:\ninvalid identifier '%s'", text).Numbered(904, "42000")
}

// name reads a name or IDENTIFIER(...).
func (p *parser) name(kind catalog.Kind) *ast.Name {
	if p.isWords("IDENTIFIER") && p.peek(1).kind == opToken && p.peek(1).text == "(" {
		n := &ast.Name{Kind: kind, Pos: p.offset()}
		n.Arg = p.identifierArgument()
		return n
	}
	return p.plainName(kind)
}

// identifierArgument reads IDENTIFIER('x' | ? | :n | $v).
func (p *parser) identifierArgument() ast.Expr {
	p.advance()
	p.expectOp("(")
	e := p.scalar()
	p.expectOp(")")
	return e
}

// scalar reads a string or number literal, a bind or a session variable.
func (p *parser) scalar() ast.Expr {
	switch {
	case p.is(stringToken):
		return &ast.Literal{Kind: ast.StringLiteral, Text: p.advance().text}
	case p.is(numberToken):
		return &ast.Literal{Kind: ast.NumberLiteral, Text: p.advance().text}
	case p.take("NULL"):
		return &ast.Literal{Kind: ast.NullLiteral}
	case p.is(variableToken):
		return &ast.Variable{Name: strings.ToUpper(p.advance().text)}
	case p.isBind():
		return p.bind()
	}
	p.unexpected("a literal, a bind or a session variable")
	return nil
}

func (p *parser) offset() int { return int(p.tok().pos) - p.base }

// plainName reads the dotted parts of a name, as many as the kind may have.
func (p *parser) plainName(kind catalog.Kind) *ast.Name {
	n := &ast.Name{Kind: kind, Pos: p.offset()}
	n.Parts = p.dotted(nameParts(kind))
	if p.err == nil && unquotedOnly(kind) {
		p.checkUnquoted(kind, n.Parts[len(n.Parts)-1])
	}
	return n
}

// nameParts is how many parts the name of an object of the kind may have.
func nameParts(kind catalog.Kind) int {
	if kind == ast.KindTable {
		return 3
	}
	switch kind.Scope() {
	case catalog.InSchema:
		return 3
	case catalog.InDatabase:
		return 2
	}
	return 1
}

// unquotedOnly tells whether names of the kind are part of image paths, where quoted identifiers cannot be written.
func unquotedOnly(kind catalog.Kind) bool {
	return kind == catalog.KindRuntimeEnvironment || kind == catalog.KindImageRepository
}

func (p *parser) checkUnquoted(kind catalog.Kind, part ast.Ident) {
	if part.Quoted && catalog.Quote(part.Text) != part.Text {
		p.refuse(errs.Invalid, 904, "42000", "invalid identifier '%s': name the %s without quotes, in letters, digits, _ and $",
			part, strings.ToLower(string(kind)))
	}
}

// dotted reads one to most identifiers with dots between.
func (p *parser) dotted(most int) []ast.Ident {
	parts := make([]ast.Ident, 1, most)
	parts[0] = p.ident()
	for len(parts) < most && p.takeOp(".") {
		parts = append(parts, p.ident())
	}
	return parts
}

// isIdent tells whether the token may be an identifier.
func (p *parser) isIdent() bool { return p.is(wordToken) || p.is(quotedToken) && p.tok().text != "" }

// ident reads one identifier; every word may be one.
func (p *parser) ident() ast.Ident {
	if !p.isIdent() {
		p.unexpected("a name")
		return ast.Ident{}
	}
	t := p.advance()
	return ast.Ident{Text: t.text, Quoted: t.kind == quotedToken}
}

// identList reads (a, b).
func (p *parser) identList() []ast.Ident {
	p.expectOp("(")
	all := []ast.Ident{p.ident()}
	for p.takeOp(",") {
		all = append(all, p.ident())
	}
	p.expectOp(")")
	return all
}

// isBind tells whether ?, :1 or :name begins here.
func (p *parser) isBind() bool {
	if p.isOp("?") {
		return true
	}
	next := p.peek(1)
	return p.isOp(":") && next.pos == p.tok().end && (next.kind == wordToken || next.kind == numberToken && allDigits(next.text))
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

func (p *parser) bind() ast.Expr {
	if p.takeOp("?") {
		p.binds++
		return &ast.Bind{Index: p.binds}
	}
	p.expectOp(":")
	if p.is(wordToken) {
		return &ast.Bind{Name: p.advance().word}
	}
	n := p.number()
	if n == 0 || n > 1<<16 {
		p.refuse(errs.Syntax, 1003, "42000", "bind :%d is out of range", n)
	}
	p.binds = max(p.binds, n)
	return &ast.Bind{Index: n}
}
