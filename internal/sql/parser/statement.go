// SPDX-License-Identifier: Apache-2.0

package parser

import "firn.dev/firn/internal/sql/ast"

// Synopsis is the syntax of one statement, for the reference that is made from it.
type Synopsis struct {
	Family  string // heading: "Custom runtime environments", "Stages", ...
	Syntax  string
	Notes   string // one or two sentences, "" for none
	Example string // a statement that parses
}

// Synopses lists the syntax of every statement that Parse reads, by family, in the order of the reference.
func Synopses() []Synopsis {
	var all []Synopsis
	for _, family := range [][]Synopsis{
		objectSynopses(), showSynopses(), grantSynopses(), sessionSynopses(), stageSynopses(), callSynopses(), querySynopses(),
	} {
		all = append(all, family...)
	}
	return all
}

// statement reads one statement with the steps that ->> joins to it.
func (p *parser) statement() ast.Statement {
	first := p.step()
	if !p.isOp("->>") {
		return first
	}
	pipe := &ast.Pipe{Steps: []ast.Statement{first}}
	for p.takeOp("->>") && p.chain(len(pipe.Steps)) {
		pipe.Steps = append(pipe.Steps, p.step())
	}
	return pipe
}

func (p *parser) step() ast.Statement {
	if p.isOp("(") || p.isAny("SELECT", "WITH", "VALUES") {
		return p.query()
	}
	if !p.is(wordToken) {
		p.unexpected("")
		return nil
	}
	start := p.at
	switch p.advance().word {
	case "CREATE":
		return p.create()
	case "ALTER":
		return p.alter()
	case "DROP":
		return p.drop()
	case "DESCRIBE", "DESC":
		return p.describe()
	case "SHOW":
		return p.show()
	case "GRANT":
		return p.grant(false)
	case "REVOKE":
		return p.grant(true)
	case "CALL":
		return p.call()
	case "EXECUTE":
		return p.execute()
	case "PUT":
		return p.put()
	case "GET":
		return p.get()
	case "LIST", "LS":
		return p.list()
	case "REMOVE", "RM":
		return p.remove()
	case "USE":
		return p.use()
	case "SET":
		return p.setVariables()
	case "UNSET":
		return p.unsetVariables()
	}
	p.at = start
	return p.otherStep()
}

// otherStep reads transactions, and names what Firn does not have.
func (p *parser) otherStep() ast.Statement {
	word := p.advance().word
	switch word {
	case "COPY":
		if p.take("FILES") {
			return p.copyFiles()
		}
		p.unsupported("COPY INTO")
	case "BEGIN", "START", "COMMIT", "ROLLBACK":
		return p.transaction(word)
	case "INSERT", "UPDATE", "DELETE", "MERGE", "EXPLAIN", "DECLARE", "LET", "RETURN":
		p.unsupported(word)
	case "TRUNCATE":
		p.unsupported("TRUNCATE TABLE")
	case "COMMENT":
		p.unsupported("COMMENT ON")
	case "UNDROP":
		p.unsupported("UNDROP")
	default:
		p.at--
		p.unexpected("")
	}
	return nil
}
