// SPDX-License-Identifier: Apache-2.0

package ast

import "strconv"

func (p *printer) subquery(q *Query) {
	p.raw("(")
	p.query(q)
	p.raw(")")
}

func (p *printer) query(q *Query) {
	for i, c := range q.With {
		if i == 0 {
			p.word("WITH")
			p.when(c.Recursive, "RECURSIVE")
		} else {
			p.raw(",")
		}
		p.word(c.Name.String())
		if len(c.Columns) > 0 {
			p.idents(c.Columns)
		}
		p.word("AS ")
		p.subquery(c.Query)
	}
	p.body(q.Body)
	if len(q.OrderBy) > 0 {
		p.word("ORDER BY ")
		p.orders(q.OrderBy)
	}
	p.clause("LIMIT", q.Limit)
	p.clause("OFFSET", q.Offset)
}

func (p *printer) body(b Body) {
	switch b := b.(type) {
	case *Select:
		p.selectBody(b)
	case *SetOperation:
		p.body(b.Left)
		p.word(b.Op)
		p.when(b.All, "ALL")
		p.body(b.Right)
	case *Values:
		p.word("VALUES ")
		p.list(len(b.Rows), func(i int) {
			row := b.Rows[i]
			p.brackets(len(row), func(j int) { p.expr(row[j], precOr) })
		})
	case *Query:
		p.word("")
		p.subquery(b)
	}
}

func (p *printer) selectBody(s *Select) {
	p.word("SELECT")
	p.when(s.Distinct, "DISTINCT")
	p.word("")
	p.list(len(s.Items), func(i int) {
		p.expr(s.Items[i].Expr, precOr)
		if a := s.Items[i].Alias; a != nil {
			p.words("AS", a.String())
		}
	})
	if len(s.From) > 0 {
		p.word("FROM ")
		p.list(len(s.From), func(i int) { p.table(s.From[i]) })
	}
	p.clause("WHERE", s.Where)
	if len(s.GroupBy) > 0 {
		p.word("GROUP BY ")
		p.list(len(s.GroupBy), func(i int) { p.expr(s.GroupBy[i], precOr) })
	}
	p.clause("HAVING", s.Having)
	p.clause("QUALIFY", s.Qualify)
}

func (p *printer) orders(all []Order) {
	p.list(len(all), func(i int) {
		p.expr(all[i].Expr, precOr)
		p.when(all[i].Desc, "DESC")
		if first := all[i].NullsFirst; first != nil {
			p.when(*first, "NULLS FIRST")
			p.when(!*first, "NULLS LAST")
		}
	})
}

func (p *printer) table(t Table) {
	switch t := t.(type) {
	case *TableName:
		if t.Pipe > 0 {
			p.raw("$" + strconv.Itoa(t.Pipe))
		} else {
			p.rawName(t.Name)
		}
		p.alias(t.Alias)
	case *TableFunction:
		p.tableFunction(t)
	case *Derived:
		if t.Lateral {
			p.raw("LATERAL ")
		}
		p.subquery(t.Query)
		p.alias(t.Alias)
	case *Join:
		p.join(t)
	}
}

func (p *printer) alias(a Alias) {
	if a.Name.Text == "" && !a.Name.Quoted {
		return
	}
	p.words("AS", a.Name.String())
	if len(a.Columns) > 0 {
		p.idents(a.Columns)
	}
}

func (p *printer) tableFunction(t *TableFunction) {
	if t.Stage != nil {
		p.raw("DIRECTORY(")
		p.stage(t.Stage)
		p.raw(")")
		p.alias(t.Alias)
		return
	}
	open := "TABLE("
	if t.Lateral {
		open = "LATERAL "
	}
	p.raw(open)
	if t.Object != nil {
		p.rawName(t.Object)
		p.raw("!")
	}
	p.raw(dotted(t.Function))
	p.arguments(t.Args)
	if len(t.Partition) > 0 || len(t.Order) > 0 {
		p.raw(" OVER (")
		p.window(t.Partition, t.Order)
		p.raw(")")
	}
	if !t.Lateral {
		p.raw(")")
	}
	p.alias(t.Alias)
}

func (p *printer) join(j *Join) {
	p.table(j.Left)
	p.when(j.Natural, "NATURAL")
	p.words(j.Kind, "JOIN", "")
	p.word("")
	if _, nested := j.Right.(*Join); nested {
		p.raw("(")
		p.table(j.Right)
		p.raw(")")
	} else {
		p.table(j.Right)
	}
	p.clause("ON", j.On)
	if len(j.Using) > 0 {
		p.word("USING")
		p.idents(j.Using)
	}
}
