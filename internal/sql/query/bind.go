// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// bind compiles ?, :1 and :name.
func (c *compiler) bind(x *ast.Bind) (*node, error) {
	key := x.Name
	if key == "" {
		key = strconv.Itoa(x.Index)
	}
	b, ok := c.env.Binds[key]
	if !ok || b.Array {
		if c.describe && !ok {
			return literal(rowset.Column{}, nil), nil
		}
		return nil, errBindMissing()
	}
	if len(b.Values) == 0 || b.Values[0] == nil {
		return literal(nullable(bindColumn(b.Type, "")), nil), nil
	}
	col := bindColumn(b.Type, *b.Values[0])
	v, err := bindDatum(c.caster, &col, *b.Values[0])
	return literal(col, v), err
}

// bindColumn is the type of a bind; a bind can always be NULL.
func bindColumn(kind, value string) rowset.Column {
	switch strings.ToUpper(kind) {
	case "FIXED":
		n, scale, _ := parseDecimal(value)
		if n == nil {
			return rowset.NumberColumn("")
		}
		return numberColumn(n, scale, false)
	case "REAL":
		return rowset.Column{Type: rowset.Real}
	case "BOOLEAN":
		return rowset.Column{Type: rowset.Boolean}
	case "DATE":
		return rowset.Column{Type: rowset.Date}
	case "TIME", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ":
		return rowset.Column{Type: rowset.Type(strings.ToLower(kind)), Scale: 9}
	case "BINARY":
		return rowset.Column{Type: rowset.Binary, Length: maxBinary}
	case "VARIANT", "OBJECT", "ARRAY":
		return rowset.Column{Type: rowset.Type(strings.ToLower(kind))}
	case "ANY":
		return rowset.Column{}
	}
	return rowset.TextColumn("")
}

// bindDatum reads a bind's text: dates in milliseconds, times in nanoseconds; a text that is no number is read as a date is.
func bindDatum(cast *caster, col *rowset.Column, text string) (any, error) {
	fromText := func() (any, error) { return cast.cast(text, rowset.TextColumn(""), *col) }
	switch col.Type {
	case "":
		*col = rowset.TextColumn("")
		return text, nil
	case rowset.Fixed:
		n, scale, ok := parseDecimal(text)
		if !ok {
			return nil, errNumeric(text)
		}
		return rescale(n, scale, col.Scale), nil
	case rowset.Date, rowset.Time, rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
		number, zone, _ := strings.Cut(text, " ")
		n, ok := new(big.Int).SetString(number, 10)
		if !ok {
			return fromText()
		}
		return bindTime(cast, *col, n, zone), nil
	}
	return fromText()
}

func bindTime(cast *caster, col rowset.Column, n *big.Int, zone string) any {
	switch col.Type {
	case rowset.Date:
		return new(big.Int).Div(n, big.NewInt(86400000)).Int64()
	case rowset.Time:
		return n.Int64()
	}
	sec, nano := new(big.Int).DivMod(n, pow10(9), new(big.Int))
	t := time.Unix(sec.Int64(), nano.Int64()).UTC()
	if col.Type == rowset.TimestampTZ {
		if minutes, err := strconv.Atoi(zone); err == nil {
			return t.In(time.FixedZone("", (minutes-1440)*60))
		}
		return cast.zoned(t, rowset.TimestampLTZ, col)
	}
	return t
}
