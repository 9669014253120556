// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

func grantSynopses() []Synopsis {
	return []Synopsis{
		{"Grants", "GRANT { <privilege> [ , ... ] | ALL [ PRIVILEGES ] } ON { ACCOUNT | <kind> <name> | ALL <kinds> IN { SCHEMA | DATABASE } <name> } TO [ ROLE ] <role> [ WITH GRANT OPTION ]",
			"Needs OWNERSHIP of the object, the privilege with grant option, or MANAGE GRANTS on the account. FUTURE grants are not supported.",
			"GRANT USAGE, MONITOR ON CUSTOM RUNTIME ENVIRONMENT my_cre TO ROLE data_scientist"},
		{"Grants", "GRANT OWNERSHIP ON <kind> <name> TO ROLE <role> [ { COPY | REVOKE } CURRENT GRANTS ]", "", "GRANT OWNERSHIP ON STAGE s TO ROLE r COPY CURRENT GRANTS"},
		{"Grants", "REVOKE [ GRANT OPTION FOR ] { <privilege> [ , ... ] | ALL [ PRIVILEGES ] } ON { ACCOUNT | <kind> <name> | ALL <kinds> IN { SCHEMA | DATABASE } <name> } FROM [ ROLE ] <role> [ CASCADE | RESTRICT ]",
			"", "REVOKE ALL ON COMPUTE POOL p FROM ROLE r"},
		{"Grants", "GRANT ROLE <role> TO { ROLE | USER } <name>", "", "GRANT ROLE data_scientist TO USER ann"},
		{"Grants", "REVOKE ROLE <role> FROM { ROLE | USER } <name>", "", "REVOKE ROLE data_scientist FROM ROLE sysadmin"},
	}
}

func (p *parser) grant(revoke bool) ast.Statement {
	s := &ast.Grant{Revoke: revoke}
	verb, to := "GRANT", "TO"
	if revoke {
		verb, to = "REVOKE", "FROM"
		s.GrantOption = p.take("GRANT", "OPTION", "FOR")
	}
	switch {
	case p.take("ROLE"):
		return p.grantRole(revoke, to)
	case p.isWords("DATABASE", "ROLE"), p.isWords("APPLICATION", "ROLE"):
		p.unsupported(verb + " " + p.join(2))
		return nil
	}
	p.privileges(s)
	p.expect("ON")
	p.grantTarget(s, verb)
	p.expect(to)
	if p.isWords("USER") || p.isWords("SHARE") || p.isWords("APPLICATION") || p.isWords("DATABASE", "ROLE") {
		p.unsupported(verb + " <privilege> " + to + " " + p.join(1))
		return nil
	}
	p.take("ROLE")
	s.Role = p.name(catalog.KindRole)
	p.grantTail(s)
	return s
}

func (p *parser) grantRole(revoke bool, to string) ast.Statement {
	s := &ast.GrantRole{Revoke: revoke, Role: p.name(catalog.KindRole)}
	p.expect(to)
	switch p.takeAny("ROLE", "USER") {
	case "ROLE":
		s.ToRole = p.name(catalog.KindRole)
	case "USER":
		s.ToUser = p.name(catalog.KindUser)
	default:
		p.unexpected("ROLE or USER")
	}
	return s
}

// privileges reads ALL [PRIVILEGES] or a list of privileges of one or more words.
func (p *parser) privileges(s *ast.Grant) {
	if p.take("ALL") {
		p.take("PRIVILEGES")
		s.All = true
		return
	}
	for p.err == nil {
		var words []string
		for p.is(wordToken) && !p.isWords("ON") {
			words = append(words, p.advance().word)
		}
		if len(words) == 0 {
			p.unexpected("a privilege")
			return
		}
		name := strings.Join(words, " ")
		if name == "CREATE EXTERNAL ACCESS INTEGRATION" {
			name = string(catalog.CreatePrivilege(catalog.KindIntegration))
		}
		s.Privileges = append(s.Privileges, catalog.Privilege(name))
		if !p.takeOp(",") {
			return
		}
	}
}

// grantTarget reads what follows ON.
func (p *parser) grantTarget(s *ast.Grant, verb string) {
	switch {
	case p.take("ACCOUNT"):
		s.Kind = catalog.KindAccount
	case p.isWords("FUTURE"), p.isWords("ALL"):
		future := p.advance().word == "FUTURE"
		words := p.phrase(func(words string) bool {
			_, known := kindsOf(words)
			return known
		})
		if s.Kind, _ = kindsOf(words); words == "" {
			p.unexpected("a kind of objects such as STAGES or IMAGE REPOSITORIES")
			return
		}
		if future {
			p.refuse(errs.Unsupported, 2, "0A000", "unsupported grant on future %s: grant on each object when it exists, or ON ALL %s IN SCHEMA <name>",
				strings.ToLower(words), words)
			return
		}
		if s.Kind == "" {
			p.unsupported(verb + " ON ALL " + words)
			return
		}
		p.expect("IN")
		holder := p.takeAny("SCHEMA", "DATABASE")
		if holder == "" {
			p.unexpected("SCHEMA or DATABASE")
			return
		}
		s.AllIn = p.name(catalog.Kind(holder))
	default:
		s.Kind = p.kind(verb + " ON")
		s.On = p.name(s.Kind)
	}
}

func (p *parser) grantTail(s *ast.Grant) {
	if s.Revoke {
		s.Option = p.takeAny("CASCADE", "RESTRICT")
		return
	}
	switch {
	case p.take("WITH", "GRANT", "OPTION"):
		s.GrantOption = true
	case p.take("COPY", "CURRENT", "GRANTS"):
		s.Current = "COPY"
	case p.take("REVOKE", "CURRENT", "GRANTS"):
		s.Current = "REVOKE"
	}
}
