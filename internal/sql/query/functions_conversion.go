// SPDX-License-Identifier: Apache-2.0

package query

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"

	"firn.dev/firn/internal/sql/rowset"
)

// https://docs.snowflake.com/en/sql-reference/functions-conversion
func conversionFunctions() map[string]builder {
	all := map[string]builder{}
	both := func(name string, b builder) {
		all[name] = b
		all["TRY_"+name] = trying(b)
	}
	for _, name := range []string{"TO_CHAR", "TO_VARCHAR"} {
		all[name] = toText
	}
	for _, name := range []string{"TO_NUMBER", "TO_DECIMAL", "TO_NUMERIC"} {
		both(name, toNumber)
	}
	both("TO_DOUBLE", to(real))
	both("TO_BOOLEAN", to(boolean))
	both("TO_DATE", withFormat(date))
	both("TO_TIME", withFormat(clockOf))
	all["DATE"], all["TIME"] = withFormat(date), withFormat(clockOf)
	both("TO_TIMESTAMP", withFormat(ntz))
	both("TO_TIMESTAMP_NTZ", withFormat(ntz))
	both("TO_TIMESTAMP_LTZ", withFormat(ltz))
	both("TO_TIMESTAMP_TZ", withFormat(tz))
	both("TO_BINARY", toBinary)
	all["TO_VARIANT"], all["TO_ARRAY"], all["TO_OBJECT"] = to(anyJSON), to(list), to(object)
	all["AS_ARRAY"], all["AS_OBJECT"] = asKind("ARRAY", list), asKind("OBJECT", object)
	all["AS_VARCHAR"], all["AS_CHAR"], all["AS_BOOLEAN"] = asKind("VARCHAR", text), asKind("VARCHAR", text), asKind("BOOLEAN", boolean)
	all["AS_INTEGER"], all["AS_NUMBER"] = asKind("INTEGER", number), asKind("INTEGER", number)
	all["AS_DOUBLE"], all["AS_REAL"] = asKind("DOUBLE DECIMAL INTEGER", real), asKind("DOUBLE DECIMAL INTEGER", real)
	all["AS_DECIMAL"] = asKind("DECIMAL INTEGER", number)
	return all
}

// to converts to a type.
func to(col rowset.Column) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), 1, 1); err != nil {
			return nil, err
		}
		n := c.convert(args[0], col)
		if isVariant(args[0].col.Type) && !isVariant(col.Type) {
			n.col.NotNull = false
		}
		return n, nil
	}
}

// trying gives NULL where the conversion fails.
func trying(b builder) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		n, err := b(c, name, args)
		if err != nil {
			return nil, err
		}
		return derived(nullable(n.col), func(f *frame) (any, error) {
			for _, a := range args {
				if _, err := a.eval(f); err != nil {
					return nil, err
				}
			}
			v, err := n.eval(f)
			if err != nil {
				return nil, nil
			}
			return v, nil
		}, args...), nil
	}
}

// withFormat converts to a date, time or timestamp, from a text perhaps in a given format, from a number perhaps with a scale.
func withFormat(col rowset.Column) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), 1, 2); err != nil {
			return nil, err
		}
		if len(args) == 1 {
			return to(col)(c, name, args)
		}
		col := col
		col.NotNull = args[0].col.NotNull && args[1].col.NotNull
		if args[0].col.Type == rowset.Fixed && args[1].col.Type == rowset.Fixed {
			scaled := strict(rowset.Column{Type: rowset.Fixed, Precision: maxPrecision, Scale: 9, NotNull: col.NotNull}, func(a []any) (any, error) {
				return rescale(a[0].(*big.Int), clamp(a[1], 9), 9), nil
			}, c.convert(args[0], number), c.convert(args[1], number))
			return c.convert(scaled, col), nil
		}
		return strict(col, func(a []any) (any, error) {
			switch s, format := a[0].(string), a[1].(string); col.Type {
			case rowset.Date:
				return c.caster.parseDate(s, format)
			case rowset.Time:
				return c.caster.parseTimeOfDay(s, format)
			default:
				return c.caster.parseTimestamp(s, format, col)
			}
		}, c.convert(args[0], text), c.convert(args[1], text)), nil
	}
}

// toText is TO_CHAR(x) and TO_CHAR(x, format).
func toText(c *compiler, name string, args []*node) (*node, error) {
	if err := arity(name, len(args), 1, 2); err != nil {
		return nil, err
	}
	if len(args) == 1 {
		return to(text)(c, name, args)
	}
	from := args[0].col
	col := text
	col.NotNull = from.NotNull && args[1].col.NotNull
	format := c.convert(args[1], text)
	switch {
	case from.Type == rowset.Date || from.Type == rowset.Time || isTimestamp(from.Type):
		return strict(col, func(a []any) (any, error) { return c.caster.format(a[0], from, a[1].(string)), nil }, args[0], format), nil
	case from.Type == rowset.Binary:
		return strict(col, func(a []any) (any, error) { return binaryText(a[0].([]byte), a[1].(string)) }, args[0], format), nil
	case from.Type == rowset.Text:
		return nil, errCompile("%s of a text takes no format", name)
	}
	n := c.numeric(args[0])
	if n.col.Type == rowset.Real {
		n = c.convert(n, rowset.Column{Type: rowset.Fixed, Precision: maxPrecision, Scale: 9})
	}
	scale := n.col.Scale
	return strict(col, func(a []any) (any, error) { return formatNumber(a[0].(*big.Int), scale, a[1].(string)) }, n, format), nil
}

// formatNumber writes a number with a format of 9, 0, a point, commas, $, S, MI and FM.
// https://docs.snowflake.com/en/sql-reference/sql-format-models
func formatNumber(n *big.Int, scale int, format string) (any, error) {
	upper := strings.ToUpper(format)
	if strings.Trim(upper, "90.,$SMIFDG ") != "" {
		return nil, errArgument("TO_CHAR", "unsupported number format '"+format+"'")
	}
	upper = strings.NewReplacer("D", ".", "G", ",").Replace(upper)
	trim := strings.HasPrefix(upper, "FM")
	upper = strings.TrimPrefix(upper, "FM")
	whole, fraction, point := strings.Cut(upper, ".")
	places := strings.Count(fraction, "9") + strings.Count(fraction, "0")
	digits := decimalText(new(big.Int).Abs(rescale(n, scale, places)), places)
	intPart, fracPart, _ := strings.Cut(digits, ".")
	room := strings.Count(whole, "9") + strings.Count(whole, "0")
	if len(intPart) > room {
		return strings.Repeat("#", len(format)), nil
	}
	var b strings.Builder
	started := false
	padded := strings.Repeat("0", room-len(intPart)) + intPart
	at := 0
	for _, r := range whole {
		switch r {
		case '9', '0':
			started = started || r == '0' || padded[at] != '0' || at == room-1 && places == 0
			b.WriteByte(" 0"[boolInt(started)])
			if started {
				s := b.String()
				b.Reset()
				b.WriteString(s[:len(s)-1] + padded[at:at+1])
			}
			at++
		case ',':
			b.WriteByte(" ,"[boolInt(started)])
		case '$':
			b.WriteByte('$')
		}
	}
	if point {
		b.WriteString("." + fracPart)
	}
	sign := " "
	if n.Sign() < 0 {
		sign = "-"
	}
	body := b.String()
	lead := len(body) - len(strings.TrimLeft(body, " "))
	body = body[:lead] + sign + body[lead:]
	if trim {
		return strings.TrimSpace(body), nil
	}
	return body, nil
}

// toNumber is TO_NUMBER(x [, precision [, scale]]); a format of digits only is read as plain.
func toNumber(c *compiler, name string, args []*node) (*node, error) {
	if err := arity(name, len(args), 1, 4); err != nil {
		return nil, err
	}
	n, rest := args[0], args[1:]
	if len(rest) > 0 && rest[0].col.Type == rowset.Text {
		n = strict(text, func(a []any) (any, error) {
			return strings.NewReplacer(",", "", "$", "", " ", "").Replace(a[0].(string)), nil
		}, c.convert(n, text))
		rest = rest[1:]
	}
	col := rowset.Column{Type: rowset.Fixed, Precision: maxPrecision}
	for i, a := range rest {
		v, err := a.eval(&frame{})
		size, ok := v.(*big.Int)
		if !a.plain || err != nil || !ok {
			return nil, errArguments(name, "precision and scale must be numbers")
		}
		if i == 0 {
			col.Precision = min(max(clamp(size, maxPrecision), 1), maxPrecision)
		} else {
			col.Scale = clamp(size, 37)
		}
	}
	return to(col)(c, name, []*node{n})
}

func toBinary(c *compiler, name string, args []*node) (*node, error) {
	if err := arity(name, len(args), 1, 2); err != nil {
		return nil, err
	}
	if args[0].col.Type == rowset.Binary || len(args) == 1 {
		return to(blob)(c, name, args[:1])
	}
	col := blob
	col.NotNull = args[0].col.NotNull && args[1].col.NotNull
	return strict(col, func(a []any) (any, error) {
		s := a[0].(string)
		switch strings.ToUpper(strings.ReplaceAll(a[1].(string), "-", "")) {
		case "HEX":
			if b, ok := parseHex(s); ok {
				return b, nil
			}
			return nil, errBinary(s)
		case "BASE64":
			if b, err := base64.StdEncoding.DecodeString(s); err == nil {
				return b, nil
			}
			return nil, errBinary(s)
		case "UTF8":
			return []byte(s), nil
		}
		return nil, errArgument(name, "unknown format '"+a[1].(string)+"'")
	}, c.convert(args[0], text), c.convert(args[1], text)), nil
}

func binaryText(b []byte, format string) (any, error) {
	switch strings.ToUpper(strings.ReplaceAll(format, "-", "")) {
	case "HEX":
		return strings.ToUpper(hexText(b)), nil
	case "BASE64":
		return base64.StdEncoding.EncodeToString(b), nil
	case "UTF8":
		return string(b), nil
	}
	return nil, errArgument("TO_CHAR", fmt.Sprintf("unknown format '%s'", format))
}

// asKind gives the value of a variant that holds one of the kinds, else NULL.
func asKind(kinds string, col rowset.Column) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), 1, 3); err != nil {
			return nil, err
		}
		return strict(nullable(col), func(a []any) (any, error) {
			v := a[0].(variant)
			if !strings.Contains(kinds, v.kind()) {
				return nil, nil
			}
			return c.caster.cast(v, anyJSON, col)
		}, c.convert(args[0], anyJSON)), nil
	}
}
