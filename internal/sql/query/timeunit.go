// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
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

func shiftTime(t time.Time, u unit, n int64) (any, error) { return shift(t, u, n) }

func addMonths(t time.Time, n int) time.Time {
	y, m, d := t.Date()
	first := time.Date(y, m+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	hour, minute, second := t.Clock()
	return time.Date(first.Year(), first.Month(), min(d, last), hour, minute, second, t.Nanosecond(), t.Location())
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
