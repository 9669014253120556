// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"
	"strings"
	"time"

	"firn.dev/firn/internal/sql/rowset"
)

// timePartFunctions gives parts of dates and times, and cuts them down to a unit.
func timePartFunctions() map[string]builder {
	part := func(c *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), 2, 2); err != nil {
			return nil, err
		}
		u, err := unitNode(name, args[0])
		if err != nil {
			return nil, err
		}
		return c.part(u, args[1]), nil
	}
	all := map[string]builder{"DATE_PART": part, "EXTRACT": part}
	for name, u := range map[string]unit{
		"YEAR": "year", "QUARTER": "quarter", "MONTH": "month", "WEEK": "week", "WEEKOFYEAR": "week", "WEEKISO": "weekiso",
		"DAY": "day", "DAYOFMONTH": "day", "DAYOFWEEK": "dayofweek", "DAYOFWEEKISO": "dayofweekiso", "DAYOFYEAR": "dayofyear",
		"YEAROFWEEK": "yearofweek", "YEAROFWEEKISO": "yearofweekiso", "HOUR": "hour", "MINUTE": "minute", "SECOND": "second",
	} {
		all[name] = func(c *compiler, name string, args []*node) (*node, error) {
			if err := arity(name, len(args), 1, 1); err != nil {
				return nil, err
			}
			return c.part(u, args[0]), nil
		}
	}
	name := func(f func(t time.Time) string) builder {
		return func(c *compiler, name string, args []*node) (*node, error) {
			if err := arity(name, len(args), 1, 1); err != nil {
				return nil, err
			}
			n := c.temporal(args[0])
			col := rowset.Column{Type: rowset.Text, Length: 3, NotNull: n.col.NotNull}
			return strict(col, func(a []any) (any, error) { return f(c.caster.wallOf(a[0], n.col)), nil }, n), nil
		}
	}
	all["DAYNAME"] = name(func(t time.Time) string { return t.Weekday().String()[:3] })
	all["MONTHNAME"] = name(func(t time.Time) string { return t.Month().String()[:3] })
	return all
}

// part is DATE_PART.
func (c *compiler) part(u unit, n *node) *node {
	n = c.temporal(n)
	precision := 4
	if strings.HasPrefix(string(u), "epoch") || u == "nanosecond" {
		precision = 18
	}
	col := rowset.Column{Type: rowset.Fixed, Precision: precision, NotNull: n.col.NotNull}
	return strict(col, func(a []any) (any, error) {
		t := c.caster.wallOf(a[0], n.col)
		if instant, ok := a[0].(time.Time); ok && strings.HasPrefix(string(u), "epoch") {
			t = instant
		}
		if strings.HasPrefix(string(u), "timezone") {
			return big.NewInt(zonePart(u, a[0], c.caster.location())), nil
		}
		return partOf(u, t), nil
	}, n)
}

func zonePart(u unit, d any, zone *time.Location) int64 {
	t, ok := d.(time.Time)
	if !ok {
		return 0
	}
	if t.Location() == time.UTC {
		t = t.In(zone)
	}
	_, offset := t.Zone()
	if u == "timezone_hour" {
		return int64(offset / 3600)
	}
	return int64(offset / 60 % 60)
}

func partOf(u unit, t time.Time) *big.Int {
	isoYear, isoWeek := t.ISOWeek()
	n := 0
	switch u {
	case "year":
		n = t.Year()
	case "yearofweek", "yearofweekiso":
		n = isoYear
	case "quarter":
		n = (int(t.Month())-1)/3 + 1
	case "month":
		n = int(t.Month())
	case "week", "weekiso":
		n = isoWeek
	case "day":
		n = t.Day()
	case "dayofweek":
		n = int(t.Weekday())
	case "dayofweekiso":
		n = (int(t.Weekday())+6)%7 + 1
	case "dayofyear":
		n = t.YearDay()
	case "hour":
		n = t.Hour()
	case "minute":
		n = t.Minute()
	case "second":
		n = t.Second()
	case "millisecond":
		n = t.Nanosecond() / 1e6
	case "microsecond":
		n = t.Nanosecond() / 1e3
	case "nanosecond":
		n = t.Nanosecond()
	case "epoch_second":
		return big.NewInt(t.Unix())
	case "epoch_millisecond":
		return big.NewInt(t.UnixMilli())
	case "epoch_microsecond":
		return big.NewInt(t.UnixMicro())
	case "epoch_nanosecond":
		b := new(big.Int).Mul(big.NewInt(t.Unix()), pow10(9))
		return b.Add(b, big.NewInt(int64(t.Nanosecond())))
	}
	return big.NewInt(int64(n))
}

// dateTrunc is DATE_TRUNC(unit, x), also with its arguments the other way round.
func dateTrunc(c *compiler, name string, args []*node) (*node, error) {
	if err := arity(name, len(args), 2, 2); err != nil {
		return nil, err
	}
	if !args[0].plain || unitOf(args[0].text) == "" {
		args[0], args[1] = args[1], args[0]
	}
	u, err := unitNode(name, args[0])
	if err != nil {
		return nil, err
	}
	n := c.temporal(args[1])
	zone := c.caster.location()
	return strict(n.col, func(a []any) (any, error) {
		switch n.col.Type {
		case rowset.Date:
			return daysOf(truncated(u, dateOf(a[0].(int64)))), nil
		case rowset.Time:
			t := truncated(u, time.Unix(0, a[0].(int64)).UTC())
			h, m, s := t.Clock()
			return int64(h*3600+m*60+s)*1e9 + int64(t.Nanosecond()), nil
		case rowset.TimestampLTZ:
			return truncated(u, a[0].(time.Time).In(zone)), nil
		}
		return truncated(u, a[0].(time.Time)), nil
	}, n), nil
}

func truncated(u unit, t time.Time) time.Time {
	y, m, d := t.Date()
	h, mi, s := t.Clock()
	nano := t.Nanosecond()
	switch u {
	case "year":
		m, d, h, mi, s, nano = 1, 1, 0, 0, 0, 0
	case "quarter":
		m, d, h, mi, s, nano = (m-1)/3*3+1, 1, 0, 0, 0, 0
	case "month":
		d, h, mi, s, nano = 1, 0, 0, 0, 0
	case "week", "weekiso":
		d, h, mi, s, nano = d-(int(t.Weekday())+6)%7, 0, 0, 0, 0
	case "day":
		h, mi, s, nano = 0, 0, 0, 0
	case "hour":
		mi, s, nano = 0, 0, 0
	case "minute":
		s, nano = 0, 0
	case "second":
		nano = 0
	case "millisecond":
		nano -= nano % 1e6
	case "microsecond":
		nano -= nano % 1e3
	}
	return time.Date(y, m, d, h, mi, s, nano, t.Location())
}

// lastDay is LAST_DAY(x [, unit]).
func lastDay(c *compiler, name string, args []*node) (*node, error) {
	if err := arity(name, len(args), 1, 2); err != nil {
		return nil, err
	}
	u := unit("month")
	if len(args) > 1 {
		var err error
		if u, err = unitNode(name, args[1]); err != nil {
			return nil, err
		}
	}
	n := c.convert(args[0], date)
	return strict(n.col, func(a []any) (any, error) {
		end, err := shift(truncated(u, dateOf(a[0].(int64))), u, 1)
		return daysOf(end) - 1, err
	}, n), nil
}

// nearDay is the next or previous day of a name.
func nearDay(a []any, step int) (any, error) {
	want := strings.ToLower(strings.TrimSpace(a[1].(string)))
	if len(want) >= 2 {
		for t, i := dateOf(a[0].(int64)), 0; i < 7; i++ {
			t = t.AddDate(0, 0, step*(i+1))
			if strings.HasPrefix(strings.ToLower(t.Weekday().String()), want[:2]) {
				return daysOf(t), nil
			}
			t = dateOf(a[0].(int64))
		}
	}
	return nil, errArgument("NEXT_DAY", "unknown day '"+a[1].(string)+"'")
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
