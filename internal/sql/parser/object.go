// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

func (p *parser) create() ast.Statement {
	s := &ast.Create{OrReplace: p.take("OR", "REPLACE")}
	p.take("SCOPED")
	p.take("TRANSIENT")
	s.Temporary = p.takeAny("TEMPORARY", "TEMP") != ""
	s.Kind = p.kind("CREATE")
	if s.Temporary && s.Kind != catalog.KindStage {
		p.unsupported("CREATE TEMPORARY " + string(s.Kind))
	}
	if s.OrReplace && s.Kind == catalog.KindComputePool {
		p.unsupported("CREATE OR REPLACE COMPUTE POOL")
	}
	s.IfNotExists = p.take("IF", "NOT", "EXISTS")
	if s.IfNotExists && s.OrReplace {
		p.refuse(errs.Syntax, 1003, "42000", "options IF NOT EXISTS and OR REPLACE are incompatible")
	}
	s.Name = p.name(s.Kind)
	if s.Kind == catalog.KindService {
		s.Service = &ast.ServiceSource{}
		s.Properties = p.serviceClauses(s.Service, nil)
		p.requireService(s.Service)
		return s
	}
	s.Properties = p.properties()
	return s
}

// serviceClauses reads the clauses of a service in any order, properties between them.
func (p *parser) serviceClauses(s *ast.ServiceSource, job **ast.Name) []ast.Property {
	var all []ast.Property
	for p.err == nil {
		switch {
		case s.Pool == nil && p.take("IN", "COMPUTE", "POOL"):
			s.Pool = p.name(catalog.KindComputePool)
		case s.Spec == "" && s.Stage == nil && p.take("FROM"):
			p.specification(s)
		case job != nil && *job == nil && p.isWords("NAME") && p.peek(1).text == "=":
			p.at += 2
			*job = p.name(catalog.KindService)
		default:
			p.take("WITH")
			x, ok := p.property()
			if !ok {
				return all
			}
			all = append(all, x)
		}
		p.takeOp(",")
	}
	return nil
}

// specification reads what follows FROM.
func (p *parser) specification(s *ast.ServiceSource) {
	if p.isWords("SPECIFICATION_TEMPLATE") || p.isWords("SPECIFICATION_TEMPLATE_FILE") {
		p.unsupported(p.tok().word)
		return
	}
	if p.take("SPECIFICATION") {
		if s.Spec = p.expectString(); s.Spec == "" {
			p.refuse(errs.Invalid, 1003, "42000", "the specification is empty")
		}
		return
	}
	s.Stage = p.stage()
	p.expect("SPECIFICATION_FILE")
	p.expectOp("=")
	s.File = p.expectString()
}

// requireService tells which clause is missing.
func (p *parser) requireService(s *ast.ServiceSource) {
	switch {
	case s.Pool == nil:
		p.unexpected("IN COMPUTE POOL <name>")
	case s.Spec == "" && s.Stage == nil:
		p.unexpected("FROM SPECIFICATION $$ <text> $$ or FROM @<stage> SPECIFICATION_FILE = '<path>'")
	}
}

func (p *parser) alter() ast.Statement {
	if p.take("SESSION") {
		return p.alterSession()
	}
	s := &ast.Alter{}
	if p.take("ACCOUNT") {
		s.Kind = catalog.KindAccount
		p.setOrUnset(s)
		return s
	}
	s.Kind = p.kind("ALTER")
	s.IfExists = p.take("IF", "EXISTS")
	ownUser := s.Kind == catalog.KindUser && (p.isWords("SET") || p.isWords("UNSET") || p.isTokenAction())
	if !ownUser {
		s.Name = p.name(s.Kind)
	}
	switch {
	case s.Kind == catalog.KindRuntimeEnvironment:
		p.setOrUnset(s)
		if len(s.Unset) > 0 {
			p.unsupported("ALTER CUSTOM RUNTIME ENVIRONMENT ... UNSET")
		}
	case p.take("RENAME", "TO"):
		s.RenameTo = p.name(s.Kind)
	case s.Kind == catalog.KindService && p.take("FROM"):
		s.Service = &ast.ServiceSource{}
		p.specification(s.Service)
	case s.Kind == catalog.KindUser && p.isTokenAction():
		p.tokenAction(s)
	default:
		if s.Action = p.action(s.Kind); s.Action == "" {
			p.setOrUnset(s)
		}
	}
	return s
}

// action reads the bare words that the kind allows.
func (p *parser) action(kind catalog.Kind) string {
	switch {
	case kind == catalog.KindStage:
		return p.takeAny("REFRESH")
	case kind == catalog.KindWarehouse && p.take("RESUME", "IF", "SUSPENDED"):
		return "RESUME IF SUSPENDED"
	case kind == catalog.KindWarehouse && p.take("ABORT", "ALL", "QUERIES"):
		return "ABORT ALL QUERIES"
	case kind == catalog.KindComputePool && p.take("STOP", "ALL"):
		return "STOP ALL"
	case kind == catalog.KindWarehouse, kind == catalog.KindComputePool, kind == catalog.KindService:
		return p.takeAny("SUSPEND", "RESUME")
	}
	return ""
}

const tokenWords = "PROGRAMMATIC ACCESS TOKEN"

// isTokenAction tells whether ADD, MODIFY, REMOVE or ROTATE PROGRAMMATIC ACCESS TOKEN (or PAT) begins here.
func (p *parser) isTokenAction() bool {
	return p.isAny("ADD", "MODIFY", "REMOVE", "ROTATE") && (p.peek(1).word == "PROGRAMMATIC" || p.peek(1).word == "PAT")
}

func (p *parser) tokenAction(s *ast.Alter) {
	s.Action = p.advance().word + " " + tokenWords
	if !p.take("PAT") {
		p.expect("PROGRAMMATIC", "ACCESS", "TOKEN")
	}
	s.Token = p.ident()
	p.take("SET")
	s.Set = p.properties()
}

// setOrUnset reads SET properties or UNSET names.
func (p *parser) setOrUnset(s *ast.Alter) { s.Set, s.Unset = p.setUnset() }

func (p *parser) setUnset() (set []ast.Property, unset []string) {
	switch {
	case p.take("SET"):
		if set = p.properties(); len(set) == 0 {
			p.unexpected("<name> = <value>")
		}
	case p.take("UNSET"):
		for p.err == nil {
			if !p.is(wordToken) {
				p.unexpected("a name")
				break
			}
			unset = append(unset, p.advance().word)
			if !p.takeOp(",") {
				break
			}
		}
	default:
		p.unexpected("SET or UNSET")
	}
	return set, unset
}

func (p *parser) drop() ast.Statement {
	s := &ast.Drop{Kind: p.kind("DROP")}
	s.IfExists = p.take("IF", "EXISTS")
	s.Name = p.name(s.Kind)
	s.Option = p.takeAny("CASCADE", "RESTRICT", "FORCE")
	return s
}

// describe reads DESCRIBE <kind> <name>, DESCRIBE {TABLE | VIEW} <name> and DESCRIBE <name>.
func (p *parser) describe() ast.Statement {
	s := &ast.Describe{Kind: ast.KindTable}
	next := p.peek(1)
	single := p.isIdent() && (next.kind == endToken || next.kind == opToken && (next.text == ";" || next.text == "." || next.text == "->>"))
	if !single && !p.take("TABLE") && !p.take("VIEW") {
		s.Kind = p.kind("DESCRIBE")
	}
	s.Name = p.name(s.Kind)
	return s
}
