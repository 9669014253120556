// SPDX-License-Identifier: Apache-2.0

package ast

import (
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
)

// How tight an operator binds; brackets are printed around what binds looser than its place needs.
const (
	precOr = iota + 1
	precAnd
	precNot
	precCompare
	precAdd
	precMultiply
	precUnary
	precPrimary // casts and paths too: they follow their operand
)

func precedence(e Expr) int {
	switch e := e.(type) {
	case *Binary:
		switch e.Op {
		case "OR":
			return precOr
		case "AND":
			return precAnd
		case "+", "-", "||":
			return precAdd
		case "*", "/", "%":
			return precMultiply
		}
		return precCompare
	case *Unary:
		if e.Op == "NOT" {
			return precNot
		}
		return precUnary
	case *IsNull, *IsDistinct, *In, *Between, *Like:
		return precCompare
	}
	return precPrimary
}

func exprText(e Expr) string {
	var p printer
	p.expr(e, precOr)
	return p.String()
}

// expr writes e, in brackets when it binds looser than least.
func (p *printer) expr(e Expr, least int) {
	if precedence(e) < least {
		p.raw("(")
		p.expr(e, precOr)
		p.raw(")")
		return
	}
	switch e := e.(type) {
	case *Literal:
		p.literal(e)
	case *Bind:
		p.bind(e)
	case *Variable:
		p.raw("$" + e.Name)
	case *Column:
		p.column(e)
	case *Star:
		p.star(e)
	case *Cast:
		p.cast(e)
	case *Function:
		p.function(e)
	case *Method:
		p.rawName(e.Object)
		p.raw("!" + Ident{Text: e.Name, Quoted: catalog.Quote(e.Name) != e.Name}.String())
		p.arguments(e.Args)
	case *Subquery:
		p.subquery(e.Query)
	case *Exists:
		p.raw("EXISTS ")
		p.subquery(e.Query)
	case *Path:
		p.path(e)
	case *Array:
		p.raw("[")
		p.list(len(e.Items), func(i int) { p.expr(e.Items[i], precOr) })
		p.raw("]")
	case *ObjectLiteral:
		p.raw("{")
		p.list(len(e.Keys), func(i int) {
			p.raw(quoted(e.Keys[i]) + ": ")
			p.expr(e.Values[i], precOr)
		})
		p.raw("}")
	case *Interval:
		p.raw("INTERVAL " + quoted(e.Text))
	case *Tuple:
		p.brackets(len(e.Items), func(i int) { p.expr(e.Items[i], precOr) })
	case *Case:
		p.caseExpr(e)
	default:
		p.operator(e)
	}
}

// operator writes what has operands to its left and right.
func (p *printer) operator(e Expr) {
	switch e := e.(type) {
	case *Unary:
		p.raw(e.Op)
		if e.Op == "NOT" {
			p.raw(" ")
			p.expr(e.X, precNot)
			return
		}
		if inner, ok := e.X.(*Unary); ok && inner.Op != "NOT" {
			p.raw(" ") // "--" would begin a comment
		}
		p.expr(e.X, precUnary)
	case *Binary:
		prec := precedence(e)
		left := prec
		if prec == precCompare {
			left++
		}
		p.expr(e.L, left)
		p.raw(" " + e.Op + " ")
		p.expr(e.R, prec+1)
	case *IsNull:
		p.expr(e.X, precCompare+1)
		p.raw(" IS ")
		p.raw(not(e.Not) + "NULL")
	case *IsDistinct:
		p.expr(e.L, precCompare+1)
		p.raw(" IS " + not(e.Not) + "DISTINCT FROM ")
		p.expr(e.R, precCompare+1)
	case *In:
		p.expr(e.X, precCompare+1)
		p.raw(" " + not(e.Not) + "IN ")
		if e.Query != nil {
			p.subquery(e.Query)
			return
		}
		p.brackets(len(e.List), func(i int) { p.expr(e.List[i], precOr) })
	case *Between:
		p.expr(e.X, precCompare+1)
		p.raw(" " + not(e.Not) + "BETWEEN ")
		p.expr(e.Low, precCompare+1)
		p.raw(" AND ")
		p.expr(e.High, precCompare+1)
	case *Like:
		p.like(e)
	}
}

func not(on bool) string {
	if on {
		return "NOT "
	}
	return ""
}

func (p *printer) literal(e *Literal) {
	switch e.Kind {
	case NullLiteral:
		p.raw("NULL")
	case BoolLiteral:
		p.raw(strings.ToUpper(e.Text))
	case NumberLiteral:
		p.raw(e.Text)
	case StringLiteral:
		p.raw(quoted(e.Text))
	}
}

func (p *printer) column(e *Column) {
	p.raw(dotted(e.Parts))
	if e.Index > 0 {
		if len(e.Parts) > 0 {
			p.raw(".")
		}
		p.raw("$" + strconv.Itoa(e.Index))
	}
}

func (p *printer) star(e *Star) {
	if len(e.Qualifier) > 0 {
		p.raw(dotted(e.Qualifier) + ".")
	}
	p.raw("*")
	if len(e.Exclude) > 0 {
		p.raw(" EXCLUDE")
		p.idents(e.Exclude)
	}
}

func (p *printer) cast(e *Cast) {
	if e.Try {
		p.raw("TRY_CAST(")
		p.expr(e.X, precOr)
		p.raw(" AS " + e.Type.String() + ")")
		return
	}
	p.expr(e.X, precPrimary)
	p.raw("::" + e.Type.String())
}

func (p *printer) function(e *Function) {
	p.raw(dotted(e.Name) + "(")
	if e.Distinct {
		p.raw("DISTINCT ")
	}
	if e.Star {
		p.raw("*")
	}
	p.list(len(e.Args), func(i int) { p.argument(e.Args[i]) })
	p.raw(")")
	if len(e.Within) > 0 {
		p.raw(" WITHIN GROUP (ORDER BY ")
		p.orders(e.Within)
		p.raw(")")
	}
	if e.Over != nil {
		p.raw(" OVER (")
		p.window(e.Over.Partition, e.Over.Order)
		p.words(e.Over.Frame)
		p.raw(")")
	}
}

func (p *printer) window(partition []Expr, order []Order) {
	if len(partition) > 0 {
		p.words("PARTITION BY", "")
		p.word("")
		p.list(len(partition), func(i int) { p.expr(partition[i], precOr) })
	}
	if len(order) > 0 {
		p.word("ORDER BY ")
		p.orders(order)
	}
}

func (p *printer) path(e *Path) {
	p.expr(e.X, precPrimary)
	if e.Index != nil {
		p.raw("[")
		p.expr(e.Index, precOr)
		p.raw("]")
		return
	}
	p.raw(":" + Ident{Text: e.Key, Quoted: true}.String())
}

func (p *printer) like(e *Like) {
	p.expr(e.X, precCompare+1)
	p.raw(" " + not(e.Not) + e.Op + " ")
	if e.Mode == "" {
		p.expr(e.Patterns[0], precCompare+1)
	} else {
		p.raw(e.Mode + " ")
		p.brackets(len(e.Patterns), func(i int) { p.expr(e.Patterns[i], precOr) })
	}
	if e.Escape != nil {
		p.raw(" ESCAPE ")
		p.expr(e.Escape, precCompare+1)
	}
}

func (p *printer) caseExpr(e *Case) {
	p.raw("CASE ")
	if e.Operand != nil {
		p.expr(e.Operand, precOr)
		p.raw(" ")
	}
	for _, w := range e.Whens {
		p.raw("WHEN ")
		p.expr(w.If, precOr)
		p.raw(" THEN ")
		p.expr(w.Then, precOr)
		p.raw(" ")
	}
	if e.Else != nil {
		p.raw("ELSE ")
		p.expr(e.Else, precOr)
		p.raw(" ")
	}
	p.raw("END")
}
