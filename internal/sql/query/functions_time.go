// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/rowset"
)

// unit is a unit of time.
type unit string

// unitOf reads a unit as written, with its abbreviations and plurals; "" when it is none.
// https://docs.snowflake.com/en/sql-reference/functions-date-time#supported-date-and-time-parts
func unitOf(word string) unit {
	w := strings.ToLower(strings.TrimSpace(word))
	for name, forms := range unitForms {
		for _, form := range strings.Fields(forms) {
			if form == w {
				return name
			}
		}
	}
	return ""
}

// unitForms is what each unit may be called.
var unitForms = map[unit]string{
	"year": "year years y yy yyy yyyy yr yrs", "quarter": "quarter quarters q qtr qtrs", "month": "month months mm mon mons",
	"week": "week weeks w wk weekofyear woy wy", "day": "day days d dd dayofmonth", "hour": "hour hours h hh hr hrs",
	"minute": "minute minutes m mi min mins", "second": "second seconds s sec secs",
	"millisecond": "millisecond milliseconds ms msec", "microsecond": "microsecond microseconds us usec",
	"nanosecond": "nanosecond nanoseconds ns nsec nanosec nanosecs nsecond nseconds",
	"dayofweek":  "dayofweek weekday dow dw", "dayofweekiso": "dayofweekiso weekday_iso dow_iso dw_iso dayofweek_iso",
	"dayofyear": "dayofyear yearday doy dy", "weekiso": "week_iso weekofyeariso weekofyear_iso weekiso",
	"yearofweek": "yearofweek", "yearofweekiso": "yearofweekiso",
	"epoch_second": "epoch_second epoch epoch_seconds", "epoch_millisecond": "epoch_millisecond epoch_milliseconds",
	"epoch_microsecond": "epoch_microsecond epoch_microseconds", "epoch_nanosecond": "epoch_nanosecond epoch_nanoseconds",
	"timezone_hour": "timezone_hour tzh", "timezone_minute": "timezone_minute tzm",
	"date": "date", "time": "time",
}

func isUnit(word string) bool { return unitOf(word) != "" }

// unitNode reads the unit argument of a function, which must be known while compiling.
func unitNode(name string, n *node) (unit, error) {
	if !n.plain {
		return "", errArguments(name, "the unit must be a constant")
	}
	u := unitOf(n.text)
	if u == "" {
		return "", errCompile("'%s' is not a valid date/time component for function %s.", n.text, name)
	}
	return u, nil
}

// https://docs.snowflake.com/en/sql-reference/functions-date-time
func timeFunctions() map[string]builder {
	add := func(c *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), 3, 3); err != nil {
			return nil, err
		}
		if _, err := unitNode(name, args[0]); err != nil {
			return nil, err
		}
		return c.addUnits(args[0].text, args[1], args[2])
	}
	now := func(col rowset.Column, cut func(c *compiler, scale int) any) builder {
		return func(c *compiler, name string, args []*node) (*node, error) {
			col := col
			col.NotNull = true
			if len(args) > 0 && args[0].plain && args[0].col.Type == rowset.Fixed {
				v, _ := args[0].eval(&frame{})
				col.Scale = clamp(v, 9)
			}
			n := literal(col, cut(c, col.Scale))
			n.plain = false
			return n, nil
		}
	}
	timestamp := now(ltz, func(c *compiler, scale int) any { return cutTime(c.env.Now, scale) })
	utc := now(ntz, func(c *compiler, scale int) any { return cutTime(c.env.Now.UTC(), scale) })
	today := now(date, func(c *compiler, _ int) any { return daysOf(c.env.Now.In(c.caster.location())) })
	clockNow := now(clockOf, func(c *compiler, scale int) any {
		t := c.env.Now.In(c.caster.location())
		unit := pow10(9 - scale).Int64()
		h, m, s := t.Clock()
		return (int64(h*3600+m*60+s)*1e9 + int64(t.Nanosecond())) / unit * unit
	})
	all := map[string]builder{
		"DATEADD": add, "TIMEADD": add, "TIMESTAMPADD": add,
		"DATEDIFF": dateDiff, "TIMEDIFF": dateDiff, "TIMESTAMPDIFF": dateDiff,
		"DATE_TRUNC": dateTrunc, "CONVERT_TIMEZONE": convertZone,
		"CURRENT_TIMESTAMP": timestamp, "LOCALTIMESTAMP": timestamp, "GETDATE": timestamp, "SYSTIMESTAMP": timestamp,
		"SYSDATE": utc, "CURRENT_DATE": today, "CURRENT_TIME": clockNow, "LOCALTIME": clockNow,
		"ADD_MONTHS": func(c *compiler, name string, args []*node) (*node, error) {
			if err := arity(name, len(args), 2, 2); err != nil {
				return nil, err
			}
			return c.addUnits("month", args[1], args[0])
		},
		"MONTHS_BETWEEN": sure(real, 2, []rowset.Column{ntz, ntz}, monthsBetween),
		"DATE_FROM_PARTS": sure(date, 3, []rowset.Column{number, number, number}, func(a []any) any {
			return daysOf(partsDate(a))
		}),
		"TIME_FROM_PARTS": sure(clockOf, 3, []rowset.Column{number, number, number, number}, func(a []any) any {
			return partsNano(a) % 86400e9
		}),
		"LAST_DAY": lastDay,
		"NEXT_DAY": simple(date, 2, []rowset.Column{date, text}, func(a []any) (any, error) { return nearDay(a, 1) }), "PREVIOUS_DAY": simple(date, 2, []rowset.Column{date, text}, func(a []any) (any, error) { return nearDay(a, -1) }),
	}
	all["DATEFROMPARTS"], all["TIMEFROMPARTS"] = all["DATE_FROM_PARTS"], all["TIME_FROM_PARTS"]
	for name, col := range map[string]rowset.Column{"TIMESTAMP": ntz, "TIMESTAMP_NTZ": ntz, "TIMESTAMP_LTZ": ltz, "TIMESTAMP_TZ": tz} {
		all[name+"_FROM_PARTS"] = fromParts(col)
		all[strings.ReplaceAll(name, "_", "")+"FROMPARTS"] = fromParts(col)
	}
	return all
}

// temporal gives a node as something that time functions can work on: texts are read as timestamps.
func (c *compiler) temporal(n *node) *node {
	switch {
	case n.col.Type == rowset.Date, n.col.Type == rowset.Time, isTimestamp(n.col.Type):
		return n
	}
	return c.convert(n, ntz)
}

// addUnits is DATEADD.
func (c *compiler) addUnits(word string, count, n *node) (*node, error) {
	u := unitOf(word)
	if u == "" {
		return nil, errCompile("'%s' is not a valid date/time component for function DATEADD.", word)
	}
	n = c.temporal(n)
	if n.col.Type == rowset.Date && subDay(u) {
		n = c.convert(n, ntz)
	}
	if n.col.Type == rowset.Time && !subDay(u) {
		return nil, errCompile("'%s' is not a valid date/time component for a TIME.", word)
	}
	col := n.col
	col.NotNull = n.col.NotNull && count.col.NotNull
	zone := c.caster.location()
	return strict(col, func(a []any) (any, error) {
		by := a[0].(*big.Int)
		if !by.IsInt64() {
			return nil, errRange(by.String())
		}
		switch col.Type {
		case rowset.Date:
			t, err := shift(dateOf(a[1].(int64)), u, by.Int64())
			return daysOf(t), err
		case rowset.Time:
			t, err := shift(time.Unix(0, a[1].(int64)).UTC(), u, by.Int64())
			h, m, s := t.Clock()
			return int64(h*3600+m*60+s)*1e9 + int64(t.Nanosecond()), err
		case rowset.TimestampLTZ:
			return shiftTime(a[1].(time.Time).In(zone), u, by.Int64())
		}
		return shiftTime(a[1].(time.Time), u, by.Int64())
	}, c.convert(count, number), n), nil
}

func shiftTime(t time.Time, u unit, n int64) (any, error) { return shift(t, u, n) }

func subDay(u unit) bool {
	switch u {
	case "hour", "minute", "second", "millisecond", "microsecond", "nanosecond":
		return true
	}
	return false
}

// shift moves t by n units; months keep the day or take the last one.
func shift(t time.Time, u unit, n int64) (time.Time, error) {
	if n > 1e13 || n < -1e13 {
		if u != "nanosecond" && u != "microsecond" {
			return t, errRange(big.NewInt(n).String())
		}
	}
	seconds := func(each int64) time.Time {
		return time.Unix(t.Unix()+n*each, int64(t.Nanosecond())).In(t.Location())
	}
	fraction := func(per int64) time.Time {
		return time.Unix(t.Unix()+n/per, int64(t.Nanosecond())+n%per*(1e9/per)).In(t.Location())
	}
	switch u {
	case "year":
		return addMonths(t, int(12*n)), nil
	case "quarter":
		return addMonths(t, int(3*n)), nil
	case "month":
		return addMonths(t, int(n)), nil
	case "week":
		return t.AddDate(0, 0, int(7*n)), nil
	case "day":
		return t.AddDate(0, 0, int(n)), nil
	case "hour":
		return seconds(3600), nil
	case "minute":
		return seconds(60), nil
	case "second":
		return seconds(1), nil
	case "millisecond":
		return fraction(1e3), nil
	case "microsecond":
		return fraction(1e6), nil
	case "nanosecond":
		return fraction(1e9), nil
	}
	return t, errs.New(errs.Invalid, "SQL compilation error:\n'%s' is not a valid date/time component for function DATEADD.", u).Numbered(2262, "42601")
}

func addMonths(t time.Time, n int) time.Time {
	y, m, d := t.Date()
	first := time.Date(y, m+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	hour, minute, second := t.Clock()
	return time.Date(first.Year(), first.Month(), min(d, last), hour, minute, second, t.Nanosecond(), t.Location())
}

// dateDiff counts the boundaries of a unit between two times.
func dateDiff(c *compiler, name string, args []*node) (*node, error) {
	if err := arity(name, len(args), 3, 3); err != nil {
		return nil, err
	}
	u, err := unitNode(name, args[0])
	if err != nil {
		return nil, err
	}
	from, to := c.temporal(args[1]), c.temporal(args[2])
	col := rowset.Column{Type: rowset.Fixed, Precision: 9, NotNull: from.col.NotNull && to.col.NotNull}
	if subDay(u) {
		col.Precision = 18
	}
	return strict(col, func(a []any) (any, error) {
		n, err := boundaries(u, c.caster.wallOf(a[0], from.col), c.caster.wallOf(a[1], to.col))
		return big.NewInt(n), err
	}, from, to), nil
}

// wallOf is the wall clock of a date, time or timestamp, as UTC.
func (c *caster) wallOf(d any, col rowset.Column) time.Time {
	switch col.Type {
	case rowset.Date:
		return dateOf(d.(int64))
	case rowset.Time:
		return time.Unix(0, d.(int64)).UTC()
	case rowset.TimestampLTZ:
		return wall(d.(time.Time).In(c.location()))
	}
	return wall(d.(time.Time))
}

func boundaries(u unit, from, to time.Time) (int64, error) {
	months := func(t time.Time) int64 { return int64(t.Year())*12 + int64(t.Month()) - 1 }
	floorOf := func(t time.Time, each int64) int64 {
		s := t.Unix()
		if s < 0 {
			s -= each - 1
		}
		return s / each
	}
	parts := func(per int64) int64 {
		return (to.Unix()-from.Unix())*per + int64(to.Nanosecond())/(1e9/per) - int64(from.Nanosecond())/(1e9/per)
	}
	switch u {
	case "year":
		return int64(to.Year() - from.Year()), nil
	case "quarter":
		return months(to)/3 - months(from)/3, nil
	case "month":
		return months(to) - months(from), nil
	case "week":
		// Weeks begin on Monday; day 0 of the epoch is a Thursday.
		return floorOf(to.AddDate(0, 0, 3), 7*86400) - floorOf(from.AddDate(0, 0, 3), 7*86400), nil
	case "day":
		return daysOf(to) - daysOf(from), nil
	case "hour":
		return floorOf(to, 3600) - floorOf(from, 3600), nil
	case "minute":
		return floorOf(to, 60) - floorOf(from, 60), nil
	case "second":
		return to.Unix() - from.Unix(), nil
	case "millisecond":
		return parts(1e3), nil
	case "microsecond":
		return parts(1e6), nil
	case "nanosecond":
		return parts(1e9), nil
	}
	return 0, errCompile("'%s' is not a valid date/time component for function DATEDIFF.", u)
}

func monthsBetween(a []any) any {
	t, s := a[0].(time.Time), a[1].(time.Time)
	whole := float64((t.Year()-s.Year())*12 + int(t.Month()) - int(s.Month()))
	lastDays := t.AddDate(0, 0, 1).Day() == 1 && s.AddDate(0, 0, 1).Day() == 1
	if t.Day() == s.Day() || lastDays {
		return whole
	}
	return whole + float64(t.Day()-s.Day())/31
}

func partsDate(a []any) time.Time {
	return time.Date(clampSigned(a[0], 20000), time.Month(clampSigned(a[1], 1e6)), clampSigned(a[2], 1e7), 0, 0, 0, 0, time.UTC)
}

func partsNano(a []any) int64 {
	total := new(big.Int)
	for i, each := range []int64{3600e9, 60e9, 1e9, 1} {
		if i < len(a) {
			total.Add(total, new(big.Int).Mul(a[i].(*big.Int), big.NewInt(each)))
		}
	}
	return new(big.Int).Mod(total, big.NewInt(86400e9)).Int64()
}

// fromParts is TIMESTAMP_FROM_PARTS(year, month, day, hour, minute, second [, nanosecond [, zone]]) or of a date and a time.
func fromParts(col rowset.Column) builder {
	parts := []rowset.Column{number, number, number, number, number, number, number, text}
	return func(c *compiler, name string, args []*node) (*node, error) {
		make := func(t time.Time, zone string) (any, error) {
			location := c.caster.location()
			if zone != "" {
				var err error
				if location, err = time.LoadLocation(zone); err != nil {
					return nil, errArgument(name, "unknown time zone '"+zone+"'")
				}
			}
			if col.Type == rowset.TimestampNTZ {
				return t, nil
			}
			y, m, d := t.Date()
			h, mi, s := t.Clock()
			return c.caster.zoned(time.Date(y, m, d, h, mi, s, t.Nanosecond(), location), rowset.TimestampTZ, col), nil
		}
		if len(args) == 2 {
			return simple(col, 2, []rowset.Column{date, clockOf}, func(a []any) (any, error) {
				return make(dateOf(a[0].(int64)).Add(time.Duration(a[1].(int64))), "")
			})(c, name, args)
		}
		return simple(col, 6, parts, func(a []any) (any, error) {
			zone := ""
			if len(a) > 7 {
				zone = a[7].(string)
			}
			t := partsDate(a)
			for i, each := range []time.Duration{time.Hour, time.Minute, time.Second, time.Nanosecond} {
				if 3+i < len(a) && 3+i < 7 {
					t = t.Add(time.Duration(clampSigned(a[3+i], 2e9)) * each)
				}
			}
			return make(t, zone)
		})(c, name, args)
	}
}

// convertZone is CONVERT_TIMEZONE(to, timestamp) and CONVERT_TIMEZONE(from, to, ntz).
func convertZone(c *compiler, name string, args []*node) (*node, error) {
	load := func(zone any) (*time.Location, error) {
		l, err := time.LoadLocation(zone.(string))
		if err != nil {
			return nil, errArgument(name, "unknown time zone '"+zone.(string)+"'")
		}
		return l, nil
	}
	if len(args) == 3 {
		return simple(ntz, 3, []rowset.Column{text, text, ntz}, func(a []any) (any, error) {
			from, err := load(a[0])
			if err != nil {
				return nil, err
			}
			to, err := load(a[1])
			if err != nil {
				return nil, err
			}
			return wall((&caster{zone: from}).zoned(a[2].(time.Time), rowset.TimestampNTZ, ltz).In(to)), nil
		})(c, name, args)
	}
	return simple(tz, 2, []rowset.Column{text, tz}, func(a []any) (any, error) {
		to, err := load(a[0])
		if err != nil {
			return nil, err
		}
		t := a[1].(time.Time).In(to)
		_, offset := t.Zone()
		return t.In(time.FixedZone("", offset)), nil
	})(c, name, args)
}
