// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/ast"
)

func showSynopses() []Synopsis {
	const filter = " [ LIKE '<pattern>' ] [ IN <scope> ] [ STARTS WITH '<text>' ] [ LIMIT <n> [ FROM '<text>' ] ]"
	return []Synopsis{
		{"SHOW", "SHOW [ TERSE ] { CUSTOM RUNTIME ENVIRONMENTS | IMAGE REPOSITORIES | STAGES | COMPUTE POOLS | [ JOB ] SERVICES | WAREHOUSES | DATABASES | SCHEMAS | ROLES | USERS | SECRETS | NETWORK RULES | EXTERNAL ACCESS INTEGRATIONS | INTEGRATIONS }" + filter,
			"Lists what the current role may know of, ordered by name, at most 10,000 rows. <scope> is ACCOUNT, DATABASE [<name>], SCHEMA [<name>], COMPUTE POOL <name> (services) or a schema's name. Clauses may come in any order. Kinds that Firn does not have (tables, tasks, ...) give their columns and no rows.",
			"SHOW IMAGE REPOSITORIES LIKE 'MY\\\\_%' IN SCHEMA db.public LIMIT 10"},
		{"SHOW", "SHOW SERVICES EXCLUDE JOBS" + filter, "", "SHOW SERVICES EXCLUDE JOBS IN COMPUTE POOL p"},
		{"SHOW", "SHOW IMAGES [ LIKE '<pattern>' ] IN IMAGE REPOSITORY <name>", "", "SHOW IMAGES LIKE 'my%' IN IMAGE REPOSITORY db.s.r"},
		{"SHOW", "SHOW { SERVICE INSTANCES | SERVICE CONTAINERS | ENDPOINTS | ROLES } IN SERVICE <name>", "", "SHOW SERVICE INSTANCES IN SERVICE IDENTIFIER('db.s.job')"},
		{"SHOW", "SHOW COMPUTE POOL INSTANCE FAMILIES", "", "SHOW COMPUTE POOL INSTANCE FAMILIES"},
		{"SHOW", "SHOW PARAMETERS [ LIKE '<pattern>' ] [ { IN | FOR } { SESSION | ACCOUNT | USER <name> } ]", "", "SHOW PARAMETERS LIKE 'event_table' IN ACCOUNT"},
		{"SHOW", "SHOW { VARIABLES | REGIONS | TRANSACTIONS | LOCKS }", "", "SHOW REGIONS"},
		{"SHOW", "SHOW USER PROGRAMMATIC ACCESS TOKENS [ FOR USER <name> ]", "", "SHOW USER PATS FOR USER ann"},
		{"SHOW", "SHOW GRANTS [ ON { ACCOUNT | <kind> <name> } | TO { ROLE | USER } <name> | OF ROLE <name> ]", "", "SHOW GRANTS ON CUSTOM RUNTIME ENVIRONMENT my_cre"},
	}
}

// shows gives what SHOW calls the words, "" for what it does not list.
func shows(words string) string {
	switch words {
	case "IMAGES", "JOB SERVICES", "SERVICE INSTANCES", "SERVICE CONTAINERS", "SERVICE VOLUMES", "ENDPOINTS", "GRANTS", "FUTURE GRANTS",
		"PARAMETERS", "VARIABLES", "REGIONS", "LOCKS", "OBJECTS", "COLUMNS", "USER FUNCTIONS", "BUILTIN FUNCTIONS", "PRIMARY KEYS",
		"UNIQUE KEYS", "IMPORTED KEYS", "EXPORTED KEYS", "ACCOUNTS", "COMPUTE POOL INSTANCE FAMILIES", "USER PROGRAMMATIC ACCESS TOKENS",
		"DELEGATED AUTHORIZATIONS", "CLASSES", "MANAGED ACCOUNTS", "REPLICATION ACCOUNTS", "REPLICATION DATABASES", "USER PROCEDURES",
		"EXTERNAL FUNCTIONS":
		return words
	case "USER PATS":
		return "USER PROGRAMMATIC ACCESS TOKENS"
	}
	if _, known := kindsOf(words); known {
		return words
	}
	return ""
}

func (p *parser) show() ast.Statement {
	s := &ast.Show{Terse: p.take("TERSE")}
	words := p.phrase(func(words string) bool { return shows(words) != "" })
	if words == "" {
		p.unexpected("what to show, such as CUSTOM RUNTIME ENVIRONMENTS")
		return s
	}
	s.What = shows(words)
	if s.What == "GRANTS" || s.What == "FUTURE GRANTS" {
		p.showGrants(s)
	}
	if p.take("EXCLUDE", "JOBS") {
		s.Exclude = "JOBS"
	}
	s.History = p.take("HISTORY")
	for p.showClause(s) {
	}
	return s
}

// showClause reads one clause that the statement does not have yet.
func (p *parser) showClause(s *ast.Show) bool {
	switch {
	case s.Like == nil && p.take("LIKE"):
		s.Like = p.scalar()
	case s.In == nil && s.What != "GRANTS" && p.takeAny("IN", "FOR") != "":
		s.In = p.scope(s.What)
	case s.StartsWith == nil && p.take("STARTS", "WITH"):
		s.StartsWith = p.scalar()
	case s.Limit == nil && p.take("LIMIT"):
		s.Limit = p.scalar()
		if p.take("FROM") {
			s.LimitFrom = p.scalar()
		}
	default:
		return false
	}
	return p.err == nil
}

func (p *parser) scope(what string) *ast.Scope {
	switch {
	case p.take("ACCOUNT"):
		return &ast.Scope{Kind: catalog.KindAccount}
	case p.take("SESSION"):
		return &ast.Scope{Session: true}
	}
	kind, words := p.scopeKind()
	if words == "" {
		return &ast.Scope{Name: p.name(unnamedScope(what))}
	}
	if kind == "" {
		p.unsupported("SHOW " + what + " IN " + words)
		return nil
	}
	s := &ast.Scope{Kind: kind}
	if !p.atEnd() && !p.isAny("LIKE", "STARTS", "LIMIT") {
		s.Name = p.name(kind)
	}
	if s.Name == nil && kind != catalog.KindDatabase && kind != catalog.KindSchema {
		p.unexpected("a name")
	}
	return s
}

// scopeKind reads the kind of what holds the objects; words is "" when there is none, kind "" when Firn does not have it.
func (p *parser) scopeKind() (kind catalog.Kind, words string) {
	words = p.phrase(func(words string) bool {
		_, known := kindOf(words)
		return known && !p.isNameOf(words)
	})
	if words == "TABLE" || words == "VIEW" {
		return ast.KindTable, words
	}
	kind, _ = kindOf(words)
	return kind, words
}

// isNameOf tells whether a word that is a kind is used as a name: user.public, say.
func (p *parser) isNameOf(words string) bool {
	next := p.peek(1 + strings.Count(words, " "))
	return next.kind == opToken && next.text == "."
}

// unnamedScope is the kind that a bare name after IN has.
func unnamedScope(what string) catalog.Kind {
	switch what {
	case "SCHEMAS":
		return catalog.KindDatabase
	case "SERVICE INSTANCES", "SERVICE CONTAINERS", "SERVICE VOLUMES", "ENDPOINTS":
		return catalog.KindService
	case "IMAGES":
		return catalog.KindImageRepository
	case "COLUMNS", "PRIMARY KEYS", "UNIQUE KEYS", "IMPORTED KEYS", "EXPORTED KEYS":
		return ast.KindTable
	}
	return catalog.KindSchema
}

func (p *parser) showGrants(s *ast.Show) {
	switch {
	case p.take("ON", "ACCOUNT"):
		s.In = &ast.Scope{Kind: catalog.KindAccount}
	case p.take("ON"):
		kind := p.kind("SHOW GRANTS ON")
		s.In = &ast.Scope{Kind: kind, Name: p.name(kind)}
	case p.isWords("TO", "SHARE"), p.isWords("TO", "APPLICATION"), p.isWords("TO", "DATABASE", "ROLE"):
		p.unsupported("SHOW GRANTS " + p.join(2))
	case p.take("TO", "USER"):
		s.GrantsTo = p.name(catalog.KindUser)
	case p.take("TO"):
		p.take("ROLE")
		s.GrantsTo = p.name(catalog.KindRole)
	case p.take("OF", "ROLE"):
		s.GrantsOf = p.name(catalog.KindRole)
	}
}
