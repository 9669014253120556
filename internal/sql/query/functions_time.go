// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"
	"strings"
	"time"

	"firn.dev/firn/internal/sql/rowset"
)

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

func monthsBetween(a []any) any {
	t, s := a[0].(time.Time), a[1].(time.Time)
	whole := float64((t.Year()-s.Year())*12 + int(t.Month()) - int(s.Month()))
	lastDays := t.AddDate(0, 0, 1).Day() == 1 && s.AddDate(0, 0, 1).Day() == 1
	if t.Day() == s.Day() || lastDays {
		return whole
	}
	return whole + float64(t.Day()-s.Day())/31
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
