// SPDX-License-Identifier: Apache-2.0

package query

import (
	"cmp"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/rowset"
)

// Value is one typed value: a session variable, an argument of a call, the result of a function. The zero Value is NULL
// without a type. Values are immutable.
type Value struct {
	// Column is the value's type; its Name is "" unless whoever made the value set it.
	Column rowset.Column

	// data is nil for NULL, else by Column.Type:
	// Fixed *big.Int (scaled by Column.Scale), Real float64, Text string, Boolean bool, Date int64 (days), Time int64
	// (nanoseconds of the day), TimestampNTZ time.Time in UTC, TimestampLTZ time.Time, TimestampTZ time.Time in a fixed zone,
	// Variant, Object, Array variant, Binary []byte.
	data any
}

// NullValue is NULL, of the type of col.
func NullValue(col rowset.Column) Value {
	col.NotNull = false
	return Value{Column: col}
}

// TextValue is a text.
func TextValue(s string) Value {
	return Value{Column: rowset.Column{Type: rowset.Text, Length: rowset.MaxText, NotNull: true}, data: s}
}

// NumberValue is a NUMBER(38,0).
func NumberValue(n int64) Value {
	return Value{Column: rowset.Column{Type: rowset.Fixed, Precision: maxPrecision, NotNull: true}, data: big.NewInt(n)}
}

// BoolValue is a BOOLEAN.
func BoolValue(b bool) Value {
	return Value{Column: rowset.Column{Type: rowset.Boolean, NotNull: true}, data: b}
}

// TimestampValue is a TIMESTAMP_LTZ(9).
func TimestampValue(t time.Time) Value {
	return Value{Column: rowset.Column{Type: rowset.TimestampLTZ, Scale: 9, NotNull: true}, data: t}
}

// CellValue reads a protocol cell of the column; nil is NULL.
//
// Errors: Corrupt when the cell is not one of its type.
func CellValue(col rowset.Column, cell *string) (Value, error) {
	data, err := fromCell(col, cell)
	return Value{Column: col, data: data}, err
}

// IsNull tells whether the value is NULL.
func (v Value) IsNull() bool { return v.data == nil }

// Cell is the value as a protocol cell of its type; nil for NULL.
func (v Value) Cell() *string {
	if v.data == nil {
		return nil
	}
	s := toCell(v.Column, v.data)
	return &s
}

// Text is the value as a cast to VARCHAR shows it with default formats and in UTC; "" for NULL.
func (v Value) Text() string {
	if v.data == nil {
		return ""
	}
	return (&caster{}).text(v.data, v.Column)
}

// Int is the value as a whole number: of numbers, and of texts that hold one. ok is false for NULL and everything else.
func (v Value) Int() (n int64, ok bool) {
	if v.data == nil {
		return 0, false
	}
	d, err := (&caster{}).cast(v.data, v.Column, rowset.NumberColumn(""))
	if err != nil || d == nil || !d.(*big.Int).IsInt64() {
		return 0, false
	}
	return d.(*big.Int).Int64(), true
}

// Bool is the value as a boolean; ok is false for NULL and for what is none.
func (v Value) Bool() (b, ok bool) {
	if v.data == nil {
		return false, false
	}
	d, err := (&caster{}).cast(v.data, v.Column, rowset.Column{Type: rowset.Boolean})
	if err != nil || d == nil {
		return false, false
	}
	return d.(bool), true
}

// Time is the instant of a timestamp or date, wall clocks read as UTC, or of a text that holds one; ok is false for
// everything else.
func (v Value) Time() (t time.Time, ok bool) {
	if v.data == nil {
		return time.Time{}, false
	}
	d, err := (&caster{}).cast(v.data, v.Column, rowset.Column{Type: rowset.TimestampLTZ, Scale: 9})
	if err != nil || d == nil {
		return time.Time{}, false
	}
	return d.(time.Time), true
}

// toCell writes a datum, not nil, as a cell.
func toCell(col rowset.Column, d any) string {
	switch col.Type {
	case rowset.Fixed:
		return decimalText(d.(*big.Int), col.Scale)
	case rowset.Real:
		return floatText(d.(float64))
	case rowset.Boolean:
		if d.(bool) {
			return "1"
		}
		return "0"
	case rowset.Date:
		return strconv.FormatInt(d.(int64), 10)
	case rowset.Time:
		n := d.(int64)
		return epochText(n/1e9, int(n%1e9), col.Scale)
	case rowset.TimestampNTZ, rowset.TimestampLTZ:
		t := d.(time.Time)
		return epochText(t.Unix(), t.Nanosecond(), col.Scale)
	case rowset.TimestampTZ:
		t := d.(time.Time)
		_, offset := t.Zone()
		return epochText(t.Unix(), t.Nanosecond(), col.Scale) + " " + strconv.Itoa(offset/60+1440)
	case rowset.Variant, rowset.Object, rowset.Array:
		return d.(variant).pretty()
	case rowset.Binary:
		return strings.ToUpper(hexText(d.([]byte)))
	}
	return d.(string)
}

// epochText writes seconds and nanoseconds with exactly scale fraction digits, cutting the rest off.
func epochText(sec int64, nano, scale int) string {
	if scale == 0 {
		return strconv.FormatInt(sec, 10)
	}
	// nano is not negative, so the digits that are cut off make instants before 1970 earlier too, and order is kept.
	fraction := int64(nano) / pow10(9-scale).Int64()
	if sec >= 0 {
		b := strconv.AppendInt(make([]byte, 0, 24), sec, 10)
		b = append(b, '.')
		for unit := pow10(scale - 1).Int64(); unit > 0; unit /= 10 {
			b = append(b, byte('0'+fraction/unit%10))
		}
		return string(b)
	}
	n := new(big.Int).Mul(big.NewInt(sec), pow10(scale))
	return decimalText(n.Add(n, big.NewInt(fraction)), scale)
}

// fromCell reads a cell; nil gives nil.
func fromCell(col rowset.Column, cell *string) (any, error) {
	if cell == nil {
		return nil, nil
	}
	s := *cell
	bad := func() (any, error) {
		return nil, errs.New(errs.Corrupt, "column %s holds %q, which is no %s", col.Name, s, col.Type)
	}
	switch col.Type {
	case rowset.Fixed:
		n, scale, ok := parseDecimal(s)
		if !ok {
			return bad()
		}
		return rescale(n, scale, col.Scale), nil
	case rowset.Real:
		f, ok := parseFloat(s)
		if !ok {
			return bad()
		}
		return f, nil
	case rowset.Boolean:
		return s == "1" || strings.EqualFold(s, "true"), nil
	case rowset.Date:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return bad()
		}
		return n, nil
	case rowset.Time, rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
		return timeFromCell(col, s)
	case rowset.Variant, rowset.Object, rowset.Array:
		v, err := parseJSON(s)
		if err != nil {
			return bad()
		}
		return v, nil
	case rowset.Binary:
		b, ok := parseHex(s)
		if !ok {
			return bad()
		}
		return b, nil
	}
	return s, nil
}

func timeFromCell(col rowset.Column, s string) (any, error) {
	number, zone, _ := strings.Cut(s, " ")
	if small, scale, ok := parseSmall(number); ok && small >= 0 && scale <= 9 && col.Type != rowset.Time && col.Type != rowset.TimestampTZ {
		unit := pow10(scale).Int64()
		return time.Unix(small/unit, small%unit*pow10(9-scale).Int64()).UTC(), nil
	}
	n, scale, ok := parseDecimal(number)
	if !ok {
		return nil, errs.New(errs.Corrupt, "column %s holds %q, which is no %s", col.Name, s, col.Type)
	}
	n = rescale(n, scale, 9)
	if col.Type == rowset.Time {
		return n.Int64(), nil
	}
	sec, nano := new(big.Int).DivMod(n, pow10(9), new(big.Int))
	t := time.Unix(sec.Int64(), nano.Int64()).UTC()
	if col.Type == rowset.TimestampTZ {
		if minutes, err := strconv.Atoi(zone); err == nil {
			t = t.In(time.FixedZone("", (minutes-1440)*60))
		}
	}
	return t, nil
}

// compare orders two datums, neither nil, of the same type.
func compare(t rowset.Type, l, r any) int {
	switch t {
	case rowset.Fixed:
		return l.(*big.Int).Cmp(r.(*big.Int))
	case rowset.Real:
		return compareFloat(l.(float64), r.(float64))
	case rowset.Boolean:
		return cmp.Compare(boolInt(l.(bool)), boolInt(r.(bool)))
	case rowset.Date, rowset.Time:
		return cmp.Compare(l.(int64), r.(int64))
	case rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
		return l.(time.Time).Compare(r.(time.Time))
	case rowset.Variant, rowset.Object, rowset.Array:
		return compareVariant(l.(variant), r.(variant))
	case rowset.Binary:
		return strings.Compare(string(l.([]byte)), string(r.([]byte)))
	}
	return strings.Compare(l.(string), r.(string))
}

// compareFloat orders floats with NaN equal to itself and above everything.
func compareFloat(l, r float64) int {
	ln, rn := math.IsNaN(l), math.IsNaN(r)
	switch {
	case ln && rn:
		return 0
	case ln:
		return 1
	case rn:
		return -1
	}
	return cmp.Compare(l, r)
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
