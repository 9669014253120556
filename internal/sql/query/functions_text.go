// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"

	"firn.dev/firn/internal/sql/rowset"
)

// https://docs.snowflake.com/en/sql-reference/functions-string
func textFunctions() map[string]builder {
	t1, t2, t3 := []rowset.Column{text}, []rowset.Column{text, text}, []rowset.Column{text, text, text}
	length := sure(count18, 1, t1, func(a []any) any { return big.NewInt(int64(utf8.RuneCountInString(a[0].(string)))) })
	find := sure(count18, 2, []rowset.Column{text, text, number}, findText)
	substr := sure(text, 2, []rowset.Column{text, number, number}, substring)
	char := simple(text, 1, []rowset.Column{number}, func(a []any) (any, error) {
		n := a[0].(*big.Int)
		if !n.IsInt64() || n.Int64() < 0 || n.Int64() > unicode.MaxRune {
			return nil, errArgument("CHR", n.String())
		}
		return string(rune(n.Int64())), nil
	})
	return map[string]builder{
		"LENGTH": measured(length), "LEN": measured(length), "CHAR_LENGTH": length, "CHARACTER_LENGTH": length,
		"OCTET_LENGTH": sure(count18, 1, t1, func(a []any) any { return big.NewInt(int64(len(a[0].(string)))) }),
		"UPPER":        sameText(strings.ToUpper), "LOWER": sameText(strings.ToLower), "REVERSE": sameText(reverse), "INITCAP": sameText(initcap),
		"TRIM":  sure(text, 1, t2, func(a []any) any { return strings.Trim(a[0].(string), cutset(a)) }),
		"LTRIM": sure(text, 1, t2, func(a []any) any { return strings.TrimLeft(a[0].(string), cutset(a)) }),
		"RTRIM": sure(text, 1, t2, func(a []any) any { return strings.TrimRight(a[0].(string), cutset(a)) }),
		"LPAD":  sure(text, 2, []rowset.Column{text, number, text}, func(a []any) any { return pad(a, true) }),
		"RPAD":  sure(text, 2, []rowset.Column{text, number, text}, func(a []any) any { return pad(a, false) }),
		"LEFT": sure(text, 2, []rowset.Column{text, number}, func(a []any) any {
			r := []rune(a[0].(string))
			return string(r[:clamp(a[1], len(r))])
		}),
		"RIGHT": sure(text, 2, []rowset.Column{text, number}, func(a []any) any {
			r := []rune(a[0].(string))
			return string(r[len(r)-clamp(a[1], len(r)):])
		}),
		"SUBSTR": substr, "SUBSTRING": substr,
		"CONCAT": concatAll, "CONCAT_WS": concatWith,
		"REPLACE":   sure(text, 2, t3, replaceAll),
		"REPEAT":    simple(text, 2, []rowset.Column{text, number}, func(a []any) (any, error) { return repeat(a[0].(string), a[1].(*big.Int)) }),
		"SPACE":     simple(text, 1, []rowset.Column{number}, func(a []any) (any, error) { return repeat(" ", a[0].(*big.Int)) }),
		"CHARINDEX": find, "POSITION": find,
		"CONTAINS":   sure(boolean, 2, t2, func(a []any) any { return strings.Contains(a[0].(string), a[1].(string)) }),
		"STARTSWITH": sure(boolean, 2, t2, func(a []any) any { return strings.HasPrefix(a[0].(string), a[1].(string)) }),
		"ENDSWITH":   sure(boolean, 2, t2, func(a []any) any { return strings.HasSuffix(a[0].(string), a[1].(string)) }),
		"SPLIT":      sure(list, 2, t2, func(a []any) any { return variant{splitText(a[0].(string), a[1].(string))} }),
		"SPLIT_PART": sure(text, 3, []rowset.Column{text, text, number}, splitPart),
		"STRTOK":     maybe(text, 1, []rowset.Column{text, text, number}, strtok),
		"TRANSLATE":  sure(text, 3, t3, func(a []any) any { return translate(a[0].(string), a[1].(string), a[2].(string)) }),
		"ASCII":      sure(count18, 1, t1, firstRune), "UNICODE": sure(count18, 1, t1, firstRune),
		"CHR": char, "CHAR": char,
		"INSERT": sure(text, 4, []rowset.Column{text, number, number, text}, func(a []any) any {
			r := []rune(a[0].(string))
			from := clamp(new(big.Int).Sub(a[1].(*big.Int), bigOne), len(r))
			to := from + clamp(a[2], len(r)-from)
			return string(r[:from]) + a[3].(string) + string(r[to:])
		}),
		"EDITDISTANCE": sure(count18, 2, t2, func(a []any) any { return big.NewInt(editDistance([]rune(a[0].(string)), []rune(a[1].(string)))) }),
		"COLLATE":      sure(text, 2, t2, func(a []any) any { return a[0] }),
	}
}

func replaceAll(a []any) any {
	with := ""
	if len(a) > 2 {
		with = a[2].(string)
	}
	if a[1].(string) == "" {
		return a[0]
	}
	return strings.ReplaceAll(a[0].(string), a[1].(string), with)
}

// measured is LENGTH, which counts bytes of a binary.
func measured(ofText builder) builder {
	ofBinary := sure(count18, 1, []rowset.Column{blob}, func(a []any) any { return big.NewInt(int64(len(a[0].([]byte)))) })
	return func(c *compiler, name string, args []*node) (*node, error) {
		if len(args) == 1 && args[0].col.Type == rowset.Binary {
			return ofBinary(c, name, args)
		}
		return ofText(c, name, args)
	}
}

// sameText keeps the length of the argument's type.
func sameText(f func(string) string) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), 1, 1); err != nil {
			return nil, err
		}
		n := c.convert(args[0], textFor(args[0]))
		return strict(n.col, func(a []any) (any, error) { return f(a[0].(string)), nil }, n), nil
	}
}

func reverse(s string) string {
	r := []rune(s)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return string(r)
}

func initcap(s string) string {
	inside := false
	return strings.Map(func(r rune) rune {
		was := inside
		inside = unicode.IsLetter(r) || unicode.IsDigit(r)
		if was {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

func cutset(a []any) string {
	if len(a) > 1 {
		return a[1].(string)
	}
	return " "
}

// clamp gives a number between 0 and most.
func clamp(n any, most int) int {
	b := n.(*big.Int)
	if b.Sign() <= 0 {
		return 0
	}
	if !b.IsInt64() || b.Int64() > int64(most) {
		return most
	}
	return int(b.Int64())
}

func pad(a []any, left bool) string {
	r := []rune(a[0].(string))
	width := clamp(a[1], rowset.MaxText)
	with := []rune(" ")
	if len(a) > 2 {
		with = []rune(a[2].(string))
	}
	if width <= len(r) {
		return string(r[:width])
	}
	if len(with) == 0 {
		return string(r)
	}
	fill := make([]rune, width-len(r))
	for i := range fill {
		fill[i] = with[i%len(with)]
	}
	if left {
		return string(fill) + string(r)
	}
	return string(r) + string(fill)
}

// substring counts from 1, or from the end when start is negative.
func substring(a []any) any {
	r := []rune(a[0].(string))
	start := a[1].(*big.Int)
	from := clamp(new(big.Int).Sub(start, bigOne), len(r))
	if start.Sign() < 0 {
		back := clamp(new(big.Int).Neg(start), len(r)+1)
		if back > len(r) {
			return ""
		}
		from = len(r) - back
	}
	if len(a) > 2 {
		return string(r[from : from+clamp(a[2], len(r)-from)])
	}
	return string(r[from:])
}

func findText(a []any) any {
	r := []rune(a[1].(string))
	from := 0
	if len(a) > 2 {
		from = clamp(new(big.Int).Sub(a[2].(*big.Int), bigOne), len(r))
	}
	rest := string(r[from:])
	i := strings.Index(rest, a[0].(string))
	if i < 0 {
		return new(big.Int)
	}
	return big.NewInt(int64(from + utf8.RuneCountInString(rest[:i]) + 1))
}

func repeat(s string, n *big.Int) (any, error) {
	times := clamp(n, rowset.MaxText+1)
	if times*max(len(s), 1) > 4*rowset.MaxText {
		return nil, errArgument("REPEAT", "the result is too long")
	}
	return strings.Repeat(s, times), nil
}

func splitText(s, by string) []any {
	parts := []string{s}
	if by != "" {
		parts = strings.Split(s, by)
	}
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return out
}

func splitPart(a []any) any {
	parts := splitText(a[0].(string), a[1].(string))
	n := a[2].(*big.Int)
	if !n.IsInt64() {
		return ""
	}
	i := n.Int64()
	switch {
	case i == 0:
		i = 1
	case i < 0:
		i += int64(len(parts)) + 1
	}
	if i < 1 || i > int64(len(parts)) {
		return ""
	}
	return parts[i-1]
}

func strtok(a []any) (any, error) {
	by, place := " ", int64(1)
	if len(a) > 1 {
		by = a[1].(string)
	}
	if len(a) > 2 && a[2].(*big.Int).IsInt64() {
		place = a[2].(*big.Int).Int64()
	}
	parts := strings.FieldsFunc(a[0].(string), func(r rune) bool { return strings.ContainsRune(by, r) })
	if place < 1 || place > int64(len(parts)) {
		return nil, nil
	}
	return parts[place-1], nil
}

func translate(s, from, to string) string {
	target := []rune(to)
	source := []rune(from)
	return strings.Map(func(r rune) rune {
		for i, f := range source {
			if f == r {
				if i < len(target) {
					return target[i]
				}
				return -1
			}
		}
		return r
	}, s)
}

func firstRune(a []any) any {
	for _, r := range a[0].(string) {
		return big.NewInt(int64(r))
	}
	return new(big.Int)
}

func editDistance(a, b []rune) int64 {
	row := make([]int64, len(b)+1)
	for j := range row {
		row[j] = int64(j)
	}
	for i := range a {
		diagonal := row[0]
		row[0] = int64(i + 1)
		for j := range b {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func concatAll(c *compiler, name string, args []*node) (*node, error) {
	if len(args) == 0 {
		return nil, errArguments(name, "not enough arguments")
	}
	n := c.convert(args[0], textFor(args[0]))
	for _, a := range args[1:] {
		n = c.concat(n, a)
	}
	return n, nil
}

func concatWith(c *compiler, name string, args []*node) (*node, error) {
	if len(args) < 2 {
		return nil, errArguments(name, "not enough arguments")
	}
	col := text
	col.NotNull = true
	for i, a := range args {
		args[i] = c.convert(a, text)
		col.NotNull = col.NotNull && a.col.NotNull
	}
	return strict(col, func(a []any) (any, error) {
		parts := make([]string, len(a)-1)
		for i, p := range a[1:] {
			parts[i] = p.(string)
		}
		return strings.Join(parts, a[0].(string)), nil
	}, args...), nil
}
