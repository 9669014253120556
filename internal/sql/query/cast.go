// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"firn.dev/firn/internal/sql/rowset"
)

// caster turns datums of one type into another, as the session's zone and formats say. The zero caster has the default
// formats and UTC.
type caster struct {
	zone    *time.Location
	formats map[string]string // session parameters *_INPUT_FORMAT and *_OUTPUT_FORMAT
}

func (c *caster) location() *time.Location {
	if c.zone == nil {
		return time.UTC
	}
	return c.zone
}

// outputFormat is the format in which values of the type are shown.
func (c *caster) outputFormat(t rowset.Type) string {
	get := func(name, standard string) string {
		if f := c.formats[name+"_OUTPUT_FORMAT"]; f != "" {
			return f
		}
		return standard
	}
	const zoned = "YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM"
	switch t {
	case rowset.Date:
		return get("DATE", "YYYY-MM-DD")
	case rowset.Time:
		return get("TIME", "HH24:MI:SS")
	case rowset.TimestampNTZ:
		return get("TIMESTAMP_NTZ", "YYYY-MM-DD HH24:MI:SS.FF3")
	case rowset.TimestampTZ:
		return get("TIMESTAMP_TZ", get("TIMESTAMP", zoned))
	}
	return get("TIMESTAMP_LTZ", get("TIMESTAMP", zoned))
}

// inputFormat is the format in which texts are read, "" for automatic detection.
func (c *caster) inputFormat(t rowset.Type) string {
	name := "TIMESTAMP"
	switch t {
	case rowset.Date:
		name = "DATE"
	case rowset.Time:
		name = "TIME"
	}
	if f := c.formats[name+"_INPUT_FORMAT"]; !strings.EqualFold(f, "AUTO") {
		return f
	}
	return ""
}

// cast gives the datum d of type from in the type to; nil stays nil.
//
// Errors: Invalid, with the number that belongs to what was not recognized.
func (c *caster) cast(d any, from, to rowset.Column) (any, error) {
	if d == nil {
		return nil, nil
	}
	if v, ok := d.(variant); ok && to.Type != rowset.Text {
		return c.fromVariant(v, from, to)
	}
	switch to.Type {
	case rowset.Fixed:
		return c.toFixed(d, from, to)
	case rowset.Real:
		return c.toReal(d, from)
	case rowset.Boolean:
		return c.toBoolean(d, from)
	case rowset.Date:
		return c.toDate(d, from)
	case rowset.Time:
		return c.toTime(d, from, to)
	case rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
		return c.toTimestamp(d, from, to)
	case rowset.Variant, rowset.Array, rowset.Object:
		return c.toVariant(d, from, to), nil
	case rowset.Binary:
		if b, ok := d.([]byte); ok {
			return b, nil
		}
		if s, ok := d.(string); ok {
			if b, ok := parseHex(s); ok {
				return b, nil
			}
			return nil, errBinary(s)
		}
	case rowset.Text:
		s := c.text(d, from)
		if to.Length > 0 && len(s) > to.Length && utf8.RuneCountInString(s) > to.Length {
			return nil, errTooLong(s)
		}
		return s, nil
	}
	return nil, errConversion(from, to)
}

func errConversion(from, to rowset.Column) error {
	return errCompile("invalid type [CAST(%s AS %s)] for parameter 'TO_%s'", typeName(from), typeName(to), typeName(to))
}

// text writes a datum as VARCHAR.
func (c *caster) text(d any, from rowset.Column) string {
	switch from.Type {
	case rowset.Fixed:
		return decimalText(d.(*big.Int), from.Scale)
	case rowset.Real:
		return floatText(d.(float64))
	case rowset.Boolean:
		return strconv.FormatBool(d.(bool))
	case rowset.Date, rowset.Time, rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
		return c.format(d, from, c.outputFormat(from.Type))
	case rowset.Variant, rowset.Object, rowset.Array:
		return d.(variant).scalarText()
	case rowset.Binary:
		return strings.ToUpper(hexText(d.([]byte)))
	}
	return d.(string)
}

// format writes a date, time or timestamp.
func (c *caster) format(d any, from rowset.Column, format string) string {
	switch from.Type {
	case rowset.Date:
		return formatTime(dateOf(d.(int64)), format, false)
	case rowset.Time:
		n := d.(int64)
		return formatTime(time.Unix(n/1e9, n%1e9).UTC(), format, false)
	case rowset.TimestampLTZ:
		return formatTime(d.(time.Time).In(c.location()), format, true)
	}
	return formatTime(d.(time.Time), format, from.Type == rowset.TimestampTZ)
}

func (c *caster) toFixed(d any, from, to rowset.Column) (any, error) {
	var n *big.Int
	switch x := d.(type) {
	case *big.Int:
		n = rescale(x, from.Scale, to.Scale)
	case float64:
		var ok bool
		if n, ok = fromFloat(x, to.Scale); !ok {
			return nil, errNumeric(floatText(x))
		}
	case bool:
		n = rescale(big.NewInt(boolInt(x)), 0, to.Scale)
	case string:
		parsed, scale, ok := parseDecimal(x)
		if !ok {
			return nil, errNumeric(x)
		}
		n = rescale(parsed, scale, to.Scale)
	default:
		return nil, errConversion(from, to)
	}
	if !fits(n, to.Precision) {
		return nil, errRange(c.text(d, from))
	}
	return n, nil
}

func (c *caster) toReal(d any, from rowset.Column) (any, error) {
	switch x := d.(type) {
	case *big.Int:
		return toFloat(x, from.Scale), nil
	case float64:
		return x, nil
	case bool:
		return float64(boolInt(x)), nil
	case string:
		if f, ok := parseFloat(x); ok {
			return f, nil
		}
		return nil, errNumeric(x)
	}
	return nil, errConversion(from, rowset.Column{Type: rowset.Real})
}

func (c *caster) toBoolean(d any, from rowset.Column) (any, error) {
	switch x := d.(type) {
	case bool:
		return x, nil
	case *big.Int:
		return x.Sign() != 0, nil
	case float64:
		return x != 0, nil
	case string:
		switch strings.ToLower(strings.TrimSpace(x)) {
		case "true", "t", "yes", "y", "on", "1":
			return true, nil
		case "false", "f", "no", "n", "off", "0":
			return false, nil
		}
		return nil, errBoolean(x)
	}
	return nil, errConversion(from, rowset.Column{Type: rowset.Boolean})
}

func (c *caster) toDate(d any, from rowset.Column) (any, error) {
	switch from.Type {
	case rowset.Date:
		return d, nil
	case rowset.TimestampLTZ:
		return daysOf(d.(time.Time).In(c.location())), nil
	case rowset.TimestampNTZ, rowset.TimestampTZ:
		return daysOf(d.(time.Time)), nil
	case rowset.Text:
		return c.parseDate(d.(string), c.inputFormat(rowset.Date))
	case rowset.Fixed:
		return daysOf(epochTime(d.(*big.Int), from.Scale)), nil
	}
	return nil, errConversion(from, rowset.Column{Type: rowset.Date})
}

// parseDate reads a date in a format, "" for automatic detection.
func (c *caster) parseDate(s, format string) (any, error) {
	if format != "" && !strings.EqualFold(format, "AUTO") {
		if k, ok := parseTime(s, format); ok {
			return k.days(), nil
		}
		return nil, errDate(s)
	}
	if k, ok := detectTime(s, true); ok {
		k.zone = nil
		return k.days(), nil
	}
	if n, scale, ok := parseDecimal(s); ok && scale == 0 {
		return daysOf(epochTime(n, 0)), nil
	}
	return nil, errDate(s)
}

func (c *caster) toTime(d any, from, to rowset.Column) (any, error) {
	cut := func(nano int64) int64 {
		unit := pow10(9 - to.Scale).Int64()
		return nano / unit * unit
	}
	ofDay := func(t time.Time) (any, error) {
		h, m, s := t.Clock()
		return cut(int64(h*3600+m*60+s)*1e9 + int64(t.Nanosecond())), nil
	}
	switch from.Type {
	case rowset.Time:
		return cut(d.(int64)), nil
	case rowset.TimestampLTZ:
		return ofDay(d.(time.Time).In(c.location()))
	case rowset.TimestampNTZ, rowset.TimestampTZ:
		return ofDay(d.(time.Time))
	case rowset.Text:
		n, err := c.parseTimeOfDay(d.(string), c.inputFormat(rowset.Time))
		return cut(n), err
	case rowset.Fixed:
		return ofDay(epochTime(d.(*big.Int), from.Scale))
	}
	return nil, errConversion(from, to)
}

func (c *caster) parseTimeOfDay(s, format string) (int64, error) {
	if format != "" && !strings.EqualFold(format, "AUTO") {
		if k, ok := parseTime(s, format); ok {
			return k.nanoOfDay(), nil
		}
		return 0, errTime(s)
	}
	if k, ok := detectTime(s, false); ok {
		return k.nanoOfDay(), nil
	}
	if k, ok := detectTime(s, true); ok {
		return k.nanoOfDay(), nil
	}
	if n, scale, ok := parseDecimal(s); ok && scale == 0 {
		t := epochTime(n, 0)
		return (t.Unix()%86400+86400)%86400*1e9 + int64(t.Nanosecond()), nil
	}
	return 0, errTime(s)
}

func (c *caster) toTimestamp(d any, from, to rowset.Column) (any, error) {
	switch from.Type {
	case rowset.Date:
		return c.zoned(dateOf(d.(int64)), rowset.TimestampNTZ, to), nil
	case rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
		return c.zoned(d.(time.Time), from.Type, to), nil
	case rowset.Text:
		return c.parseTimestamp(d.(string), c.inputFormat(rowset.TimestampLTZ), to)
	case rowset.Fixed:
		return c.fromEpoch(epochTime(d.(*big.Int), from.Scale), to), nil
	case rowset.Real:
		n, ok := fromFloat(d.(float64), 9)
		if !ok {
			return nil, errTimestamp(floatText(d.(float64)))
		}
		return c.fromEpoch(epochTime(n, 9), to), nil
	}
	return nil, errConversion(from, to)
}

// fromEpoch is an instant that came as a number: NTZ shows it in UTC.
func (c *caster) fromEpoch(t time.Time, to rowset.Column) time.Time {
	if to.Type == rowset.TimestampNTZ {
		return cutTime(t.UTC(), to.Scale)
	}
	return c.zoned(t, rowset.TimestampLTZ, to)
}

// parseTimestamp reads a timestamp in a format, "" for automatic detection.
func (c *caster) parseTimestamp(s, format string, to rowset.Column) (any, error) {
	var k clock
	ok := false
	if format != "" && !strings.EqualFold(format, "AUTO") {
		if k, ok = parseTime(s, format); !ok {
			return nil, errTimestamp(s)
		}
	} else if k, ok = detectTime(s, true); !ok {
		if n, scale, isNumber := parseDecimal(s); isNumber {
			return c.fromEpoch(epochTime(n, scale), to), nil
		}
		return nil, errTimestamp(s)
	}
	if to.Type == rowset.TimestampNTZ {
		return cutTime(wall(k.in(time.UTC)), to.Scale), nil
	}
	return c.zoned(k.in(c.location()), rowset.TimestampTZ, to), nil
}

// zoned moves a timestamp between the three kinds.
func (c *caster) zoned(t time.Time, from rowset.Type, to rowset.Column) time.Time {
	if from == rowset.TimestampNTZ && to.Type != rowset.TimestampNTZ {
		y, m, d := t.Date()
		h, mi, s := t.Clock()
		t = time.Date(y, m, d, h, mi, s, t.Nanosecond(), c.location())
	}
	switch to.Type {
	case rowset.TimestampNTZ:
		if from == rowset.TimestampLTZ {
			t = t.In(c.location())
		}
		t = wall(t)
	case rowset.TimestampTZ:
		if from != rowset.TimestampTZ {
			t = t.In(c.location())
		}
		_, offset := t.Zone()
		t = t.In(time.FixedZone("", offset))
	}
	return cutTime(t, to.Scale)
}

// cutTime drops the digits beyond scale.
func cutTime(t time.Time, scale int) time.Time {
	unit := int(pow10(9 - scale).Int64())
	return t.Add(-time.Duration(t.Nanosecond() % unit))
}

// epochTime reads a number as seconds, or, when it is too large for that, as milli-, micro- or nanoseconds since 1970.
// https://docs.snowflake.com/en/sql-reference/functions/to_timestamp
func epochTime(n *big.Int, scale int) time.Time {
	unit := 9
	if scale == 0 {
		switch abs := new(big.Int).Abs(n); {
		case abs.Cmp(big.NewInt(31536000000)) < 0:
		case abs.Cmp(big.NewInt(31536000000000)) < 0:
			unit = 6
		case abs.Cmp(big.NewInt(31536000000000000)) < 0:
			unit = 3
		default:
			unit = 0
		}
	}
	nanos := rescale(n, scale, unit)
	sec, nano := new(big.Int).DivMod(nanos, pow10(9), new(big.Int))
	return time.Unix(sec.Int64(), nano.Int64()).UTC()
}
