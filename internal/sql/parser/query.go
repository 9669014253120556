// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

func querySynopses() []Synopsis {
	return []Synopsis{
		{"Queries", "[ WITH [ RECURSIVE ] <name> [ ( <column> [ , ... ] ) ] AS ( <query> ) [ , ... ] ] <body> [ ORDER BY <expression> [ ASC | DESC ] [ NULLS { FIRST | LAST } ] [ , ... ] ] [ LIMIT <n> ] [ OFFSET <n> ]",
			"<body> is SELECT, VALUES, a query in brackets, or two of them joined by UNION [ALL], INTERSECT, EXCEPT or MINUS.",
			"WITH a AS (SELECT 1 AS x) SELECT x FROM a UNION ALL SELECT 2 ORDER BY 1 DESC NULLS LAST LIMIT 10"},
		{"Queries", "SELECT [ DISTINCT ] { * | <expression> [ [ AS ] <alias> ] } [ , ... ] [ FROM <table> [ , ... ] ] [ WHERE <expression> ] [ GROUP BY <expression> [ , ... ] ] [ HAVING <expression> ] [ QUALIFY <expression> ]",
			"A column without an alias is named after its text in upper case.", `SELECT "name", count(*) FROM t WHERE "name" LIKE 'a%' GROUP BY 1 HAVING count(*) > 1`},
		{"Queries", "VALUES ( <expression> [ , ... ] ) [ , ... ]", "Columns are COLUMN1, COLUMN2, ..., also $1, $2, ...", `SELECT $1 AS "A" FROM VALUES (1 :: INT), (?)`},
		{"Queries", "<table>: { <name> | ( <query> ) | VALUES ... | TABLE( <function>( ... ) ) | TABLE( <service>!<method>( ... ) ) | DIRECTORY( @<stage> ) | LATERAL { <function>( ... ) | ( <query> ) } | $1 } [ [ AS ] <alias> [ ( <column> [ , ... ] ) ] ]",
			"Joined by commas or [ INNER | LEFT | RIGHT | FULL ] JOIN ... { ON | USING }, CROSS JOIN, NATURAL JOIN.",
			"SELECT * FROM TABLE(RESULT_SCAN('01b2c3d4-0000-0000-0000-000000000001')) t LEFT JOIN (SELECT 1 AS id) s ON t.id = s.id"},
		{"Queries", "<statement> ->> <statement> [ ->> ... ]", "Each step reads the result of the one before as FROM $1, of the one before that as $2.",
			`SHOW DATABASES LIKE 'D%' ->> SELECT "name" FROM $1 WHERE "owner" = 'SYSADMIN'`},
	}
}

// query reads WITH ... and everything after it.
func (p *parser) query() *ast.Query {
	if !p.nest() {
		return nil
	}
	defer p.unnest()
	var with []ast.CTE
	if p.take("WITH") {
		recursive := p.take("RECURSIVE")
		for p.err == nil {
			with = append(with, p.cte(recursive))
			if !p.takeOp(",") {
				break
			}
		}
	}
	return p.queryFrom(with, nil)
}

func (p *parser) cte(recursive bool) ast.CTE {
	c := ast.CTE{Name: p.ident(), Recursive: recursive}
	if p.isOp("(") {
		c.Columns = p.identList()
	}
	p.expect("AS")
	p.expectOp("(")
	c.Query = p.query()
	p.expectOp(")")
	return c
}

// continuesQuery tells whether a query in brackets goes on here.
func (p *parser) continuesQuery() bool {
	return p.isAny("UNION", "INTERSECT", "EXCEPT", "MINUS", "ORDER", "LIMIT", "OFFSET", "FETCH")
}

// queryFrom reads the rest of a query of which the first body, a query in brackets, may have been read.
func (p *parser) queryFrom(with []ast.CTE, inBrackets *ast.Query) *ast.Query {
	q := &ast.Query{With: with}
	if inBrackets != nil {
		q.Body = p.unions(p.intersections(inBrackets))
	} else {
		q.Body = p.unions(p.intersection())
	}
	if p.take("ORDER", "BY") {
		q.OrderBy = p.orders()
	}
	p.limits(q)
	p.unwrapTop(q)
	return q
}

// unwrapTop makes the TOP of a lone SELECT the limit of its query, which comes after ORDER BY. In a set operation it stays inside.
func (p *parser) unwrapTop(q *ast.Query) {
	inner, ok := q.Body.(*ast.Query)
	if !ok || inner != p.topped || inner == nil {
		return
	}
	if q.Limit != nil {
		p.refuse(errs.Syntax, 1003, "42000", "a query has either TOP or LIMIT")
		return
	}
	q.Body, q.Limit = inner.Body, inner.Limit
}

// unions reads UNION, EXCEPT and MINUS after the first body.
func (p *parser) unions(left ast.Body) ast.Body {
	for n := 1; p.chain(n); n++ {
		op := p.takeAny("UNION", "EXCEPT", "MINUS")
		switch op {
		case "":
			return left
		case "MINUS":
			op = "EXCEPT"
		}
		s := &ast.SetOperation{Op: op, Left: left, All: p.take("ALL")}
		p.take("DISTINCT")
		s.Right = p.intersection()
		left = s
	}
	return left
}

func (p *parser) intersection() ast.Body { return p.intersections(p.body()) }

// intersections reads INTERSECT, which binds tighter than the others.
func (p *parser) intersections(left ast.Body) ast.Body {
	for n := 1; p.chain(n) && p.take("INTERSECT"); n++ {
		s := &ast.SetOperation{Op: "INTERSECT", Left: left, All: p.take("ALL")}
		p.take("DISTINCT")
		s.Right = p.body()
		left = s
	}
	return left
}

func (p *parser) body() ast.Body {
	switch {
	case p.take("SELECT"):
		return p.selectBody()
	case p.take("VALUES"):
		return p.values()
	case p.takeOp("("):
		q := p.query()
		p.expectOp(")")
		return q
	}
	p.unexpected("SELECT")
	return nil
}

func (p *parser) values() ast.Body {
	v := &ast.Values{}
	for p.err == nil {
		p.expectOp("(")
		v.Rows = append(v.Rows, p.exprs())
		p.expectOp(")")
		if n := len(v.Rows); p.err == nil && len(v.Rows[n-1]) != len(v.Rows[0]) {
			p.refuse(errs.Syntax, 1003, "42000", "row %d of VALUES has %d columns, the first has %d", n, len(v.Rows[n-1]), len(v.Rows[0]))
		}
		if !p.takeOp(",") {
			break
		}
	}
	return v
}

func (p *parser) selectBody() ast.Body {
	s := &ast.Select{Distinct: p.take("DISTINCT")}
	if !s.Distinct {
		p.take("ALL")
	}
	var top ast.Expr
	if p.isWords("TOP") && p.peek(1).kind == numberToken {
		p.advance()
		top = p.scalar()
	}
	s.Items = append(s.Items, p.item())
	for p.takeOp(",") {
		s.Items = append(s.Items, p.item())
	}
	if p.take("FROM") {
		s.From = p.tables()
	}
	if p.take("WHERE") {
		s.Where = p.expr()
	}
	if p.take("GROUP", "BY") {
		s.GroupBy = p.exprs()
	}
	if p.take("HAVING") {
		s.Having = p.expr()
	}
	if p.take("QUALIFY") {
		s.Qualify = p.expr()
	}
	if top != nil {
		p.topped = &ast.Query{Body: s, Limit: top}
		return p.topped
	}
	return s
}

func (p *parser) item() ast.Item {
	from := int(p.tok().pos)
	var item ast.Item
	if p.takeOp("*") {
		item.Expr = p.exclude(&ast.Star{})
	} else {
		item.Expr = p.expr()
	}
	if p.err != nil {
		return item
	}
	item.Text = p.source(from)
	if a, ok := p.aliasName(); ok {
		item.Alias = &a
	}
	return item
}

// aliasName reads [AS] name; after AS every word is one.
func (p *parser) aliasName() (ast.Ident, bool) {
	if p.take("AS") {
		return p.ident(), true
	}
	if p.is(quotedToken) || p.is(wordToken) && !reserved(p.tok().word) {
		return p.ident(), true
	}
	return ast.Ident{}, false
}

func (p *parser) orders() []ast.Order {
	all := []ast.Order{p.order()}
	for p.takeOp(",") {
		all = append(all, p.order())
	}
	return all
}

func (p *parser) order() ast.Order {
	o := ast.Order{Expr: p.expr()}
	o.Desc = p.takeAny("ASC", "DESC") == "DESC"
	if p.take("NULLS") {
		first := p.isWords("FIRST")
		if p.takeAny("FIRST", "LAST") == "" {
			p.unexpected("FIRST or LAST")
		}
		o.NullsFirst = &first
	}
	return o
}

// limits reads LIMIT n [OFFSET m] and [OFFSET m [ROWS]] [FETCH [FIRST | NEXT] n [ROWS] [ONLY]].
func (p *parser) limits(q *ast.Query) {
	if p.take("LIMIT") {
		q.Limit = p.scalar()
	}
	if p.take("OFFSET") {
		q.Offset = p.scalar()
		p.takeAny("ROW", "ROWS")
	}
	if q.Limit == nil && p.take("FETCH") {
		p.takeAny("FIRST", "NEXT")
		q.Limit = p.scalar()
		p.takeAny("ROW", "ROWS")
		p.take("ONLY")
	}
}
