// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/ast"
)

func callSynopses() []Synopsis {
	return []Synopsis{
		{"Calls", "CALL <function> ( [ <expression> | <name> => <expression> ] [ , ... ] )", "SELECT <function>(...) gives the same.",
			"CALL SYSTEM$GET_SERVICE_LOGS('job', '0', 'main', 500, False, '', False)"},
		{"Calls", "CALL <service>!<method> ( [ <argument> [ , ... ] ] )", "Also in SELECT, and as TABLE(<service>!<method>(...)).",
			`CALL "DB".public.job!SPCS_WAIT_FOR('DONE', 30)`},
		{"Calls", "EXECUTE JOB SERVICE IN COMPUTE POOL <pool> FROM { SPECIFICATION $$ <yaml or json> $$ | @<stage> SPECIFICATION_FILE = '<path>' } [ NAME = <name> ] [ ASYNC = { TRUE | FALSE } ] [ REPLICAS = <n> ] [ QUERY_WAREHOUSE = <warehouse> ] [ EXTERNAL_ACCESS_INTEGRATIONS = ( <name> [ , ... ] ) ] [ COMMENT = '<text>' ]",
			"Clauses may come in any order.", "EXECUTE JOB SERVICE\nIN COMPUTE POOL p\nFROM SPECIFICATION $$\n{\"spec\": {}}\n$$\nNAME = j\nASYNC = TRUE"},
		{"Calls", "EXECUTE IMMEDIATE { '<text>' | $$ <text> $$ | $<variable> | ? } [ USING ( <expression> [ , ... ] ) ]", "",
			"EXECUTE IMMEDIATE 'select ?' USING (1)"},
		{"Calls", "EXECUTE IMMEDIATE FROM <location> [ USING ( <name> => <expression> [ , ... ] ) ]",
			"Runs every statement of the file and gives the result of the last.", "EXECUTE IMMEDIATE FROM @scripts/setup.sql USING (env => 'dev')"},
	}
}

func (p *parser) call() ast.Statement {
	s := &ast.Call{}
	pos := p.offset()
	parts := p.dotted(3)
	if p.takeOp("!") {
		s.Object = &ast.Name{Kind: catalog.KindService, Parts: parts, Pos: pos}
		parts = []ast.Ident{p.ident()}
	}
	canonical := make([]string, len(parts))
	for i, part := range parts {
		canonical[i] = catalog.Quote(part.Canonical())
	}
	s.Function = strings.Join(canonical, ".")
	p.expectOp("(")
	s.Args = p.argumentList()
	p.expectOp(")")
	return s
}

// argumentList reads arguments up to the closing bracket.
func (p *parser) argumentList() []ast.Argument {
	if p.isOp(")") {
		return nil
	}
	all := []ast.Argument{p.argument()}
	for p.takeOp(",") {
		all = append(all, p.argument())
	}
	return all
}

func (p *parser) argument() ast.Argument {
	next := p.peek(1)
	if p.is(wordToken) && next.kind == opToken && (next.text == "=>" || next.text == ":=") {
		name := p.advance().word
		p.advance()
		return ast.Argument{Name: name, Value: p.expr()}
	}
	return ast.Argument{Value: p.expr()}
}

func (p *parser) execute() ast.Statement {
	switch {
	case p.take("JOB", "SERVICE"):
		return p.executeJobService()
	case p.take("IMMEDIATE"):
		return p.executeImmediate()
	case p.isWords("NOTEBOOK", "PROJECT"), p.isWords("CODE", "BUNDLE"), p.isWords("MANAGED", "TASK"), p.isWords("DBT", "PROJECT"):
		p.unsupported("EXECUTE " + p.join(2))
	case p.isAny("NOTEBOOK", "TASK", "ALERT", "SERVICE"):
		p.unsupported("EXECUTE " + p.join(1))
	default:
		p.unexpected("JOB SERVICE or IMMEDIATE")
	}
	return nil
}

func (p *parser) executeJobService() ast.Statement {
	s := &ast.ExecuteJobService{}
	var source ast.ServiceSource
	s.Properties = p.serviceClauses(&source, &s.Job)
	p.requireService(&source)
	s.Pool, s.Spec, s.Stage, s.File = source.Pool, source.Spec, source.Stage, source.File
	return s
}

func (p *parser) executeImmediate() ast.Statement {
	s := &ast.ExecuteImmediate{}
	if p.take("FROM") {
		s.Stage = p.stage()
		if p.take("USING") {
			p.expectOp("(")
			s.Arguments = p.argumentList()
			p.expectOp(")")
		}
		return s
	}
	s.Text = p.scalar()
	if p.take("USING") {
		p.expectOp("(")
		s.Using = p.exprs()
		p.expectOp(")")
	}
	return s
}
