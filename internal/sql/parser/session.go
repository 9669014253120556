// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

func sessionSynopses() []Synopsis {
	return []Synopsis{
		{"Session", "USE { ROLE | DATABASE | SCHEMA | WAREHOUSE } <name>", "", `USE SCHEMA db."my schema"`},
		{"Session", "USE <database>[.<schema>]", "", "USE db.public"},
		{"Session", "USE SECONDARY ROLES { ALL | NONE | <role> }", "", "USE SECONDARY ROLES NONE"},
		{"Session", "ALTER SESSION SET <parameter> = <value> [ ... ]", "Names that Firn does not know are kept and have no effect.",
			"ALTER SESSION SET QUERY_TAG = 'nightly', TIMEZONE = 'UTC'"},
		{"Session", "ALTER SESSION UNSET <parameter> [ , ... ]", "", "ALTER SESSION UNSET QUERY_TAG"},
		{"Session", "SET { <variable> = <expression> | ( <variable> [ , ... ] ) = ( <expression> [ , ... ] ) }", "Read one as $<variable>.",
			"SET (a, b) = (1, 'x')"},
		{"Session", "UNSET { <variable> | ( <variable> [ , ... ] ) }", "", "UNSET (a, b)"},
		{"Session", "{ BEGIN [ WORK | TRANSACTION ] [ NAME <name> ] | START TRANSACTION | COMMIT [ WORK ] | ROLLBACK [ WORK ] }",
			"Accepted; every statement commits by itself.", "BEGIN TRANSACTION"},
	}
}

func (p *parser) use() ast.Statement {
	if p.take("SECONDARY", "ROLES") {
		return p.useSecondaryRoles()
	}
	s := &ast.Use{What: p.takeAny("ROLE", "DATABASE", "SCHEMA", "WAREHOUSE")}
	if s.What != "" {
		s.Name = p.name(catalog.Kind(s.What))
		return s
	}
	s.Name = p.name(catalog.KindSchema)
	if s.Name != nil && len(s.Name.Parts) == 1 {
		s.Name.Kind = catalog.KindDatabase
	}
	return s
}

func (p *parser) useSecondaryRoles() ast.Statement {
	s := &ast.UseSecondaryRoles{Mode: p.takeAny("ALL", "NONE")}
	if s.Mode == "" {
		s.Role = p.name(catalog.KindRole)
	}
	return s
}

func (p *parser) alterSession() ast.Statement {
	s := &ast.AlterSession{}
	s.Set, s.Unset = p.setUnset()
	return s
}

func (p *parser) setVariables() ast.Statement {
	s := &ast.SetVariables{}
	if !p.isOp("(") {
		s.Variables = []ast.Ident{p.ident()}
		p.expectOp("=")
		s.Values = []ast.Expr{p.expr()}
		return s
	}
	s.Variables = p.identList()
	p.expectOp("=")
	p.expectOp("(")
	s.Values = p.exprs()
	p.expectOp(")")
	if len(s.Variables) != len(s.Values) {
		p.refuse(errs.Syntax, 1003, "42000", "SET has %d variables and %d values", len(s.Variables), len(s.Values))
	}
	return s
}

func (p *parser) unsetVariables() ast.Statement {
	if p.isOp("(") {
		return &ast.UnsetVariables{Variables: p.identList()}
	}
	return &ast.UnsetVariables{Variables: []ast.Ident{p.ident()}}
}

// opensBlock tells whether the BEGIN before the n-th token ahead opens a block of Snowflake Scripting and no transaction.
func (p *parser) opensBlock(n int) bool {
	t := p.peek(n)
	switch t.word {
	case "WORK", "TRANSACTION", "NAME":
		return false
	}
	return t.kind != endToken && !(t.kind == opToken && (t.text == ";" || t.text == "->>"))
}

func (p *parser) transaction(word string) ast.Statement {
	switch word {
	case "START":
		p.expect("TRANSACTION")
		word = "BEGIN"
	case "BEGIN":
		if p.opensBlock(0) {
			p.unsupported("BEGIN ... END")
			return nil
		}
		p.takeAny("WORK", "TRANSACTION")
	default:
		p.take("WORK")
	}
	if word == "BEGIN" && p.take("NAME") {
		p.ident()
	}
	return &ast.Transaction{Verb: word}
}
