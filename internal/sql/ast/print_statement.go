// SPDX-License-Identifier: Apache-2.0

package ast

import "firn.dev/firn/internal/catalog"

func (p *printer) statement(s Statement) {
	switch s := s.(type) {
	case *Create:
		p.create(s)
	case *Alter:
		p.alter(s)
	case *Drop:
		p.words("DROP", kindWords(s.Kind))
		p.when(s.IfExists, "IF EXISTS")
		p.name(s.Name)
		p.words(s.Option)
	case *Describe:
		p.words("DESCRIBE", kindWords(s.Kind))
		p.name(s.Name)
	case *Show:
		p.show(s)
	case *Grant:
		p.grant(s)
	case *GrantRole:
		p.grantRole(s)
	case *Call:
		p.words("CALL", "")
		if s.Object != nil {
			p.name(s.Object)
			p.raw("!" + s.Function)
		} else {
			p.word(s.Function)
		}
		p.arguments(s.Args)
	case *ExecuteJobService:
		p.executeJobService(s)
	case *ExecuteImmediate:
		p.executeImmediate(s)
	case *Pipe:
		for i, step := range s.Steps {
			p.when(i > 0, "->>")
			p.statement(step)
		}
	case *Query:
		p.query(s)
	default:
		p.sessionStatement(s)
	}
}

func (p *printer) sessionStatement(s Statement) {
	switch s := s.(type) {
	case *Use:
		p.words("USE", s.What)
		p.name(s.Name)
	case *UseSecondaryRoles:
		p.words("USE SECONDARY ROLES", s.Mode)
		p.name(s.Role)
	case *AlterSession:
		p.word("ALTER SESSION")
		p.setUnset(s.Set, s.Unset)
	case *SetVariables:
		p.word("SET")
		if len(s.Variables) == 1 {
			p.words(s.Variables[0].String(), "=", "")
			p.word("")
			p.expr(s.Values[0], precOr)
			return
		}
		p.idents(s.Variables)
		p.word("= (")
		p.list(len(s.Values), func(i int) { p.expr(s.Values[i], precOr) })
		p.raw(")")
	case *UnsetVariables:
		p.word("UNSET")
		if len(s.Variables) == 1 {
			p.word(s.Variables[0].String())
			return
		}
		p.idents(s.Variables)
	case *Transaction:
		p.word(s.Verb)
	default:
		p.stageStatement(s)
	}
}

func (p *printer) stageStatement(s Statement) {
	switch s := s.(type) {
	case *Put:
		p.word("PUT")
		p.local(s.Local, s.LocalArg)
		p.stage(s.Stage)
		p.properties(s.Options)
	case *Get:
		p.word("GET")
		p.stage(s.Stage)
		p.local(s.Local, s.LocalArg)
		p.properties(s.Options)
	case *List:
		p.word("LIST")
		p.stage(s.Stage)
		p.clause("PATTERN =", s.Pattern)
	case *Remove:
		p.word("REMOVE")
		p.stage(s.Stage)
		p.clause("PATTERN =", s.Pattern)
	case *CopyFiles:
		p.word("COPY FILES INTO")
		p.stage(s.Into)
		p.word("FROM")
		if s.Query != nil {
			p.word("(")
			p.query(s.Query)
			p.raw(")")
		} else {
			p.stage(s.From)
		}
		p.properties(s.Options)
	}
}

// clause writes the keyword and the expression when there is one.
func (p *printer) clause(keyword string, e Expr) {
	if e == nil {
		return
	}
	p.word(keyword)
	p.word("")
	p.expr(e, precOr)
}

func (p *printer) local(path string, arg Expr) {
	p.word("")
	if arg != nil {
		p.expr(arg, precPrimary)
		return
	}
	p.raw(quoted("file://" + path))
}

func (p *printer) setUnset(set []Property, unset []string) {
	if len(set) > 0 {
		p.words("SET", "")
		p.word("")
		p.list(len(set), func(i int) { p.property(set[i]) })
	}
	if len(unset) > 0 {
		p.words("UNSET", "")
		p.word("")
		p.list(len(unset), func(i int) { p.raw(unset[i]) })
	}
}

func (p *printer) create(s *Create) {
	p.word("CREATE")
	p.when(s.OrReplace, "OR REPLACE")
	p.when(s.Temporary, "TEMPORARY")
	p.word(kindWords(s.Kind))
	p.when(s.IfNotExists, "IF NOT EXISTS")
	p.name(s.Name)
	p.service(s.Service)
	p.properties(s.Properties)
}

func (p *printer) service(s *ServiceSource) {
	if s == nil {
		return
	}
	if s.Pool != nil {
		p.word("IN COMPUTE POOL")
		p.name(s.Pool)
	}
	if s.Stage != nil {
		p.word("FROM")
		p.stage(s.Stage)
		p.words("SPECIFICATION_FILE =", quoted(s.File))
		return
	}
	p.words("FROM SPECIFICATION", quoted(s.Spec))
}

func (p *printer) alter(s *Alter) {
	p.words("ALTER", kindWords(s.Kind))
	p.when(s.IfExists, "IF EXISTS")
	p.name(s.Name)
	if s.RenameTo != nil {
		p.word("RENAME TO")
		p.name(s.RenameTo)
		return
	}
	if s.Action != "" {
		p.word(s.Action)
		if s.Token.Text != "" {
			p.word(s.Token.String())
		}
		p.properties(s.Set)
		return
	}
	p.service(s.Service)
	p.setUnset(s.Set, s.Unset)
}

func (p *printer) show(s *Show) {
	p.word("SHOW")
	p.when(s.Terse, "TERSE")
	p.word(s.What)
	p.when(s.Exclude != "", "EXCLUDE "+s.Exclude)
	p.when(s.History, "HISTORY")
	p.clause("LIKE", s.Like)
	p.scope(s)
	p.clause("STARTS WITH", s.StartsWith)
	p.clause("LIMIT", s.Limit)
	p.clause("FROM", s.LimitFrom)
}

func (p *printer) scope(s *Show) {
	switch {
	case s.GrantsTo != nil:
		p.words("TO", string(s.GrantsTo.Kind))
		p.name(s.GrantsTo)
		return
	case s.GrantsOf != nil:
		p.words("OF", string(s.GrantsOf.Kind))
		p.name(s.GrantsOf)
		return
	case s.In == nil:
		return
	case s.What == "GRANTS":
		p.word("ON")
	case s.What == "USER PROGRAMMATIC ACCESS TOKENS":
		p.word("FOR")
	default:
		p.word("IN")
	}
	p.when(s.In.Session, "SESSION")
	p.words(string(s.In.Kind))
	p.name(s.In.Name)
}

func (p *printer) grant(s *Grant) {
	verb, to := "GRANT", "TO ROLE"
	if s.Revoke {
		verb, to = "REVOKE", "FROM ROLE"
	}
	p.word(verb)
	p.when(s.Revoke && s.GrantOption, "GRANT OPTION FOR")
	if s.All {
		p.word("ALL PRIVILEGES")
	}
	for i, x := range s.Privileges {
		if i > 0 {
			p.raw(",")
		}
		p.word(string(x))
	}
	p.word("ON")
	switch {
	case s.AllIn != nil:
		p.words("ALL", Plural(s.Kind), "IN", string(s.AllIn.Kind))
		p.name(s.AllIn)
	default:
		p.word(string(s.Kind))
		p.name(s.On)
	}
	p.word(to)
	p.name(s.Role)
	p.when(s.GrantOption && !s.Revoke, "WITH GRANT OPTION")
	p.when(s.Current != "", s.Current+" CURRENT GRANTS")
	p.words(s.Option)
}

func (p *printer) grantRole(s *GrantRole) {
	verb, to := "GRANT", "TO"
	if s.Revoke {
		verb, to = "REVOKE", "FROM"
	}
	p.words(verb, "ROLE")
	p.name(s.Role)
	p.word(to)
	if s.ToUser != nil {
		p.word("USER")
		p.name(s.ToUser)
		return
	}
	p.word("ROLE")
	p.name(s.ToRole)
}

func (p *printer) executeJobService(s *ExecuteJobService) {
	p.word("EXECUTE JOB SERVICE")
	p.service(&ServiceSource{Pool: s.Pool, Spec: s.Spec, Stage: s.Stage, File: s.File})
	if s.Job != nil {
		p.word("NAME =")
		p.name(s.Job)
	}
	p.properties(s.Properties)
}

func (p *printer) executeImmediate(s *ExecuteImmediate) {
	p.word("EXECUTE IMMEDIATE")
	if s.Stage != nil {
		p.word("FROM")
		p.stage(s.Stage)
		if len(s.Arguments) > 0 {
			p.word("USING (")
			p.list(len(s.Arguments), func(i int) { p.argument(s.Arguments[i]) })
			p.raw(")")
		}
		return
	}
	text, isLiteral := s.Text.(*Literal)
	if isLiteral && !p.secrets && hidesSecret(text.Text) {
		p.word("'***'")
	} else {
		p.clause("", s.Text)
	}
	if len(s.Using) > 0 {
		p.word("USING (")
		p.list(len(s.Using), func(i int) { p.expr(s.Using[i], precOr) })
		p.raw(")")
	}
}

// kindWords is the kind as CREATE, ALTER, DROP and DESCRIBE write it.
func kindWords(k catalog.Kind) string {
	if k == catalog.KindIntegration {
		return "EXTERNAL ACCESS INTEGRATION"
	}
	return string(k)
}

// Plural is the kind as SHOW and GRANT ... ON ALL write it.
func Plural(k catalog.Kind) string {
	switch k {
	case catalog.KindImageRepository:
		return "IMAGE REPOSITORIES"
	case catalog.KindIntegration:
		return "EXTERNAL ACCESS INTEGRATIONS"
	default:
		return string(k) + "S"
	}
}
