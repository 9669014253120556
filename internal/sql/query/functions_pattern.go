// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"
	"regexp"
	"strings"
	"unicode/utf8"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// patterns remembers the last pattern that was compiled: a query uses mostly one at each place.
type patterns struct {
	source   string
	compiled *regexp.Regexp
}

func (p *patterns) get(source string) (*regexp.Regexp, error) {
	if p.compiled != nil && p.source == source {
		return p.compiled, nil
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, errArgument("REGEXP", "invalid regular expression "+source)
	}
	p.source, p.compiled = source, re
	return re, nil
}

// like compiles LIKE, ILIKE and RLIKE with their modes.
func (c *compiler) like(x *ast.Like, sc *scope) (*node, error) {
	subject, err := c.expr(x.X, sc)
	if err != nil {
		return nil, err
	}
	escape := literal(text, "")
	if x.Escape != nil {
		if escape, err = c.expr(x.Escape, sc); err != nil {
			return nil, err
		}
		escape = c.convert(escape, text)
	}
	subject = c.convert(subject, text)
	var result *node
	for _, e := range x.Patterns {
		pattern, err := c.expr(e, sc)
		if err != nil {
			return nil, err
		}
		test := matching(x.Op, subject, c.convert(pattern, text), escape)
		switch {
		case result == nil:
			result = test
		case x.Mode == "ALL":
			result = logical("AND", result, test)
		default:
			result = logical("OR", result, test)
		}
	}
	if !x.Not {
		return result, nil
	}
	return derived(result.col, func(f *frame) (any, error) {
		v, err := result.eval(f)
		if v == nil || err != nil {
			return nil, err
		}
		return !v.(bool), nil
	}, result), nil
}

func matching(op string, subject, pattern, escape *node) *node {
	cache := &patterns{}
	col := rowset.Column{Type: rowset.Boolean, NotNull: subject.col.NotNull && pattern.col.NotNull}
	return strict(col, func(a []any) (any, error) {
		source := "^(?:" + a[1].(string) + ")$"
		if op != "RLIKE" {
			var err error
			if source, err = likeSource(a[1].(string), a[2].(string), op == "ILIKE"); err != nil {
				return nil, err
			}
		}
		re, err := cache.get(source)
		if err != nil {
			return nil, err
		}
		return re.MatchString(a[0].(string)), nil
	}, subject, pattern, escape)
}

// likeSource is the regular expression of a LIKE pattern.
func likeSource(pattern, escape string, fold bool) (string, error) {
	if utf8.RuneCountInString(escape) > 1 {
		return "", errArgument("LIKE", "the escape is more than one character")
	}
	var b strings.Builder
	b.WriteString("(?s)^")
	if fold {
		b.WriteString("(?i)")
	}
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			b.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case escape != "" && string(r) == escape:
			escaped = true
		case r == '%':
			b.WriteString(".*")
		case r == '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	if escaped {
		return "", errArgument("LIKE", "the pattern ends with its escape character")
	}
	b.WriteString("$")
	return b.String(), nil
}

// https://docs.snowflake.com/en/sql-reference/functions-regexp
func patternFunctions() map[string]builder {
	like := func(op string) builder {
		return func(c *compiler, name string, args []*node) (*node, error) {
			if err := arity(name, len(args), 2, 3); err != nil {
				return nil, err
			}
			for i, n := range args {
				args[i] = c.convert(n, text)
			}
			escape := literal(text, "")
			if len(args) > 2 && op != "RLIKE" {
				escape = args[2]
			}
			return matching(op, args[0], args[1], escape), nil
		}
	}
	return map[string]builder{
		"LIKE": like("LIKE"), "ILIKE": like("ILIKE"),
		"RLIKE": regexpLike, "REGEXP_LIKE": regexpLike,
		"REGEXP_REPLACE": withPattern(text, 2, []rowset.Column{text, text, text, number, number, text}, regexpReplace),
		"REGEXP_SUBSTR":  withPattern(text, 2, []rowset.Column{text, text, number, number, text, number}, regexpSubstr),
		"REGEXP_COUNT": withPattern(count18, 2, []rowset.Column{text, text, number, text}, func(re *regexp.Regexp, a []any) any {
			s := a[0].(string)
			return big.NewInt(int64(len(re.FindAllStringIndex(after(s, a, 2), -1))))
		}),
		"REGEXP_INSTR": withPattern(count18, 2, []rowset.Column{text, text, number, number}, func(re *regexp.Regexp, a []any) any {
			s := a[0].(string)
			rest := after(s, a, 2)
			found := re.FindAllStringIndex(rest, -1)
			nth := int(ordinal(a, 3))
			if nth < 1 || nth > len(found) {
				return new(big.Int)
			}
			at := utf8.RuneCountInString(s[:len(s)-len(rest)]) + utf8.RuneCountInString(rest[:found[nth-1][0]])
			return big.NewInt(int64(at + 1))
		}),
	}
}

// regexpLike matches the whole subject; its flags are those of Go that Snowflake has too.
func regexpLike(c *compiler, name string, args []*node) (*node, error) {
	cache := &patterns{}
	return simple(boolean, 2, []rowset.Column{text, text, text}, func(a []any) (any, error) {
		re, err := cache.get(flags(a, 2) + "^(?:" + a[1].(string) + ")$")
		if err != nil {
			return nil, err
		}
		return re.MatchString(a[0].(string)), nil
	})(c, name, args)
}

// flags reads the parameters of a regular expression: c, i, m, s; others are ignored.
func flags(a []any, place int) string {
	if place >= len(a) {
		return ""
	}
	out := ""
	for _, r := range a[place].(string) {
		if strings.ContainsRune("ims", r) && !strings.ContainsRune(out, r) {
			out += string(r)
		}
	}
	if out == "" {
		return ""
	}
	return "(?" + out + ")"
}

// withPattern is a function whose second argument is a regular expression and whose last text argument holds flags.
func withPattern(out rowset.Column, required int, params []rowset.Column, f func(re *regexp.Regexp, a []any) any) builder {
	place := 0
	for i, p := range params {
		if p.Type == rowset.Text && i > 2 {
			place = i
		}
	}
	return func(c *compiler, name string, args []*node) (*node, error) {
		cache := &patterns{}
		return maybe(out, required, params, func(a []any) (any, error) {
			source := a[1].(string)
			if place > 0 {
				source = flags(a, place) + source
			}
			re, err := cache.get(source)
			if err != nil {
				return nil, err
			}
			return f(re, a), nil
		})(c, name, args)
	}
}

// after is the subject from the position that an argument gives.
func after(s string, a []any, place int) string {
	if place >= len(a) {
		return s
	}
	r := []rune(s)
	return string(r[clamp(new(big.Int).Sub(a[place].(*big.Int), bigOne), len(r)):])
}

// ordinal is a number argument, 1 when absent.
func ordinal(a []any, place int) int64 {
	if place >= len(a) || !a[place].(*big.Int).IsInt64() {
		return 1
	}
	return a[place].(*big.Int).Int64()
}

func regexpSubstr(re *regexp.Regexp, a []any) any {
	found := re.FindAllStringSubmatch(after(a[0].(string), a, 2), -1)
	nth := ordinal(a, 3)
	group := 0
	if len(a) > 5 {
		group = clamp(a[5], 99)
	} else if strings.Contains(flagText(a, 4), "e") {
		group = 1
	}
	if nth < 1 || nth > int64(len(found)) || group >= len(found[nth-1]) {
		return nil
	}
	return found[nth-1][group]
}

func flagText(a []any, place int) string {
	if place < len(a) {
		return a[place].(string)
	}
	return ""
}

func regexpReplace(re *regexp.Regexp, a []any) any {
	with := ""
	if len(a) > 2 {
		with = a[2].(string)
	}
	s := a[0].(string)
	rest := after(s, a, 3)
	template := groupReference().ReplaceAllString(strings.ReplaceAll(with, "$", "$$"), "$${${1}}")
	nth, n := int64(0), int64(0)
	if len(a) > 4 {
		nth = ordinal(a, 4)
	}
	var b strings.Builder
	b.WriteString(s[:len(s)-len(rest)])
	at := 0
	for _, m := range re.FindAllStringSubmatchIndex(rest, -1) {
		if n++; nth > 0 && n != nth {
			continue
		}
		b.WriteString(rest[at:m[0]])
		b.Write(re.ExpandString(nil, template, rest, m))
		at = m[1]
	}
	b.WriteString(rest[at:])
	return b.String()
}

// groupReference is \1 in a replacement.
func groupReference() *regexp.Regexp { return regexp.MustCompile(`\\(\d)`) }
