// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/ast"
)

// properties reads NAME = value pairs, separated by blanks or commas, to the end of the statement or the first word that is not
// followed by '='. WITH before a name means nothing.
func (p *parser) properties() []ast.Property {
	var all []ast.Property
	for p.err == nil {
		p.take("WITH")
		x, ok := p.property()
		if !ok {
			return all
		}
		all = append(all, x)
		p.takeOp(",")
	}
	return nil
}

// beginsProperty tells whether NAME = begins here. Tags have dotted names, and TAG ( ... ) has no '='.
func (p *parser) beginsProperty() bool {
	n := 0
	for p.peek(n).kind == wordToken && p.peek(n+1).kind == opToken && p.peek(n+1).text == "." {
		n += 2
	}
	next := p.peek(n + 1)
	return p.peek(n).kind == wordToken && next.kind == opToken && (next.text == "=" || next.text == "(" && p.isWords("TAG"))
}

// property reads one NAME = value.
func (p *parser) property() (ast.Property, bool) {
	if !p.beginsProperty() {
		return ast.Property{}, false
	}
	name := p.advance().word
	for p.takeOp(".") {
		name += "." + p.advance().word
	}
	p.takeOp("=")
	p.secret = p.secret || strings.Contains(name, "PASSWORD") || strings.Contains(name, "SECRET") || strings.Contains(name, "TOKEN")
	return ast.Property{Name: name, Value: p.value()}, true
}

// value reads the value of a property.
func (p *parser) value() ast.Value {
	v := ast.Value{Pos: p.offset()}
	switch {
	case p.is(stringToken):
		v.Text = p.advance().text
	case p.isOp("-"), p.isOp("+"), p.is(numberToken):
		v.Kind = ast.NumberValue
		if p.takeOp("-") {
			v.Text = "-"
		} else {
			p.takeOp("+")
		}
		if !p.is(numberToken) {
			p.unexpected("a number")
			return v
		}
		v.Text += p.advance().text
	case p.isOp("("):
		p.brackets(&v)
	case p.isBind(), p.is(variableToken):
		v.Kind, v.Expr = ast.BindValue, p.scalar()
	case p.isWords("IDENTIFIER") && p.peek(1).text == "(":
		p.identifierValue(&v)
	case p.isIdent():
		parts := p.dotted(4)
		v.Kind = ast.WordValue
		if len(parts) > 1 || parts[0].Quoted {
			v.Kind = ast.NameValue
		}
		for i, part := range parts {
			if i > 0 {
				v.Text += "."
			}
			v.Text += part.String()
		}
	default:
		p.unexpected("a value")
	}
	return v
}

// identifierValue reads IDENTIFIER('name'), which is the name, or IDENTIFIER(?), which is the bind.
func (p *parser) identifierValue(v *ast.Value) {
	e := p.identifierArgument()
	literal, ok := e.(*ast.Literal)
	if !ok {
		v.Kind, v.Expr = ast.BindValue, e
		return
	}
	n, err := ParseName(literal.Text, catalog.KindStage)
	if err != nil {
		p.stop(err)
		return
	}
	v.Kind, v.Text = ast.NameValue, n.String()
	if len(n.Parts) == 1 && !n.Parts[0].Quoted {
		v.Kind = ast.WordValue
	}
}

// brackets reads (a, b) or (K = v K2 = v2).
func (p *parser) brackets(v *ast.Value) {
	p.expectOp("(")
	if !p.nest() {
		return
	}
	defer p.unnest()
	if p.beginsProperty() {
		v.Kind = ast.MapValue
		for p.err == nil && !p.isOp(")") {
			x, ok := p.property()
			if !ok {
				p.unexpected("<name> = <value>")
				return
			}
			v.Map = append(v.Map, x)
			p.takeOp(",")
		}
		p.expectOp(")")
		return
	}
	v.Kind = ast.ListValue
	if p.takeOp(")") {
		return
	}
	v.List = append(v.List, p.value())
	for p.takeOp(",") {
		v.List = append(v.List, p.value())
	}
	p.expectOp(")")
}
