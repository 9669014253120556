// SPDX-License-Identifier: Apache-2.0

package query

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The elements of date and time formats, longest first where one begins another.
// https://docs.snowflake.com/en/sql-reference/date-time-input-output#date-and-time-formats
func formatElements() []string {
	return []string{
		"TZH:TZM", "TZHTZM", "TZH", "TZM", "TZD", "YYYY", "YY", "MMMM", "MON", "MM", "DD", "DY",
		"HH24", "HH12", "HH", "AM", "PM", "MI", "SS", "FF",
	}
}

// nextElement cuts the first element, or the first literal text, off a format.
func nextElement(format string) (element, literal, rest string) {
	if format[0] == '"' {
		if end := strings.IndexByte(format[1:], '"'); end >= 0 {
			return "", format[1 : end+1], format[end+2:]
		}
	}
	upper := strings.ToUpper(format[:min(len(format), 7)])
	for _, e := range formatElements() {
		if !strings.HasPrefix(upper, e) {
			continue
		}
		n := len(e)
		if e == "FF" && len(format) > n && format[n] >= '0' && format[n] <= '9' {
			n++
		}
		return strings.ToUpper(format[:n]), "", format[n:]
	}
	return "", format[:1], format[1:]
}

// formatTime writes t as the format says. zoned is false for what has no zone: its zone elements print nothing.
func formatTime(t time.Time, format string, zoned bool) string {
	var b strings.Builder
	for format != "" {
		var element, literal string
		element, literal, format = nextElement(format)
		if element == "" {
			b.WriteString(literal)
			continue
		}
		writeElement(&b, t, element, zoned)
	}
	if zoned {
		return b.String()
	}
	return strings.TrimRight(b.String(), " ")
}

func writeElement(b *strings.Builder, t time.Time, element string, zoned bool) {
	switch element {
	case "YYYY":
		fmt.Fprintf(b, "%04d", t.Year())
	case "YY":
		fmt.Fprintf(b, "%02d", t.Year()%100)
	case "MMMM":
		b.WriteString(t.Month().String())
	case "MON":
		b.WriteString(t.Month().String()[:3])
	case "MM":
		fmt.Fprintf(b, "%02d", int(t.Month()))
	case "DD":
		fmt.Fprintf(b, "%02d", t.Day())
	case "DY":
		b.WriteString(t.Weekday().String()[:3])
	case "HH24", "HH":
		fmt.Fprintf(b, "%02d", t.Hour())
	case "HH12":
		fmt.Fprintf(b, "%02d", (t.Hour()+11)%12+1)
	case "AM", "PM":
		b.WriteString([]string{"AM", "PM"}[t.Hour()/12])
	case "MI":
		fmt.Fprintf(b, "%02d", t.Minute())
	case "SS":
		fmt.Fprintf(b, "%02d", t.Second())
	case "TZH:TZM", "TZHTZM", "TZH", "TZM", "TZD":
		if zoned {
			writeZone(b, t, element)
		}
	default: // FF, FF0 to FF9
		digits := 9
		if len(element) == 3 {
			digits = int(element[2] - '0')
		}
		text := fmt.Sprintf("%09d", t.Nanosecond())[:digits]
		if digits == 0 {
			trimPoint(b)
			return
		}
		b.WriteString(text)
	}
}

// trimPoint takes the point away that stands before a fraction of no digits.
func trimPoint(b *strings.Builder) {
	s := strings.TrimSuffix(b.String(), ".")
	b.Reset()
	b.WriteString(s)
}

func writeZone(b *strings.Builder, t time.Time, element string) {
	name, offset := t.Zone()
	sign := '+'
	if offset < 0 {
		sign, offset = '-', -offset
	}
	hours, minutes := offset/3600, offset/60%60
	switch element {
	case "TZHTZM":
		if offset == 0 && (t.Location() == time.UTC || name == "UTC") {
			b.WriteString("Z")
			return
		}
		fmt.Fprintf(b, "%c%02d%02d", sign, hours, minutes)
	case "TZH:TZM":
		fmt.Fprintf(b, "%c%02d:%02d", sign, hours, minutes)
	case "TZH":
		fmt.Fprintf(b, "%c%02d", sign, hours)
	case "TZM":
		fmt.Fprintf(b, "%02d", minutes)
	default:
		b.WriteString(name)
	}
}

// clock collects what a format or the automatic detection read.
type clock struct {
	year, month, day     int
	hour, minute, second int
	nano                 int
	pm, half             bool // PM; 12-hour clock
	zone                 *time.Location
	dated, timed         bool
}

// parseTime reads text as the format says; ok is false when it does not match.
func parseTime(text, format string) (c clock, ok bool) {
	c = clock{year: 1970, month: 1, day: 1}
	text = strings.TrimSpace(text)
	for format != "" {
		var element, literal string
		element, literal, format = nextElement(format)
		if element == "" {
			if strings.TrimSpace(literal) == "" {
				text = strings.TrimLeft(text, " ")
				continue
			}
			if len(text) < len(literal) || !strings.EqualFold(text[:len(literal)], literal) {
				// An absent fraction takes its point along.
				if literal == "." && strings.HasPrefix(strings.ToUpper(format), "FF") {
					_, _, format = nextElement(format)
					continue
				}
				return c, false
			}
			text = text[len(literal):]
			continue
		}
		if text, ok = c.readElement(element, text); !ok {
			return c, false
		}
	}
	return c, strings.TrimSpace(text) == "" && c.valid()
}

// readElement reads one element off text.
func (c *clock) readElement(element, text string) (rest string, ok bool) {
	number := func(to *int, width int) (string, bool) {
		n := 0
		for n < len(text) && n < width && text[n] >= '0' && text[n] <= '9' {
			n++
		}
		v, err := strconv.Atoi(text[:n])
		*to = v
		return text[n:], err == nil
	}
	switch element {
	case "YYYY":
		c.dated = true
		return number(&c.year, 4)
	case "YY":
		c.dated = true
		rest, ok = number(&c.year, 2)
		if c.year += 2000; c.year > 2069 {
			c.year -= 100
		}
		return rest, ok
	case "MM":
		c.dated = true
		return number(&c.month, 2)
	case "MON", "MMMM":
		return c.readMonth(text, element == "MMMM")
	case "DD":
		c.dated = true
		return number(&c.day, 2)
	case "DY":
		if len(text) < 3 {
			return text, false
		}
		return text[3:], true
	case "HH24", "HH", "HH12":
		c.timed, c.half = true, element == "HH12"
		return number(&c.hour, 2)
	case "AM", "PM":
		if len(text) < 2 {
			return text, false
		}
		c.half, c.pm = true, strings.EqualFold(text[:2], "PM")
		return text[2:], c.pm || strings.EqualFold(text[:2], "AM")
	case "MI":
		return number(&c.minute, 2)
	case "SS":
		return number(&c.second, 2)
	case "TZH:TZM", "TZHTZM", "TZH", "TZM", "TZD":
		return c.readZone(text)
	}
	return c.readFraction(text)
}

func (c *clock) readFraction(text string) (string, bool) {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	if n == 0 {
		return text, false
	}
	digits := (text[:n] + "000000000")[:9]
	c.nano, _ = strconv.Atoi(digits)
	return text[n:], true
}

func (c *clock) readMonth(text string, long bool) (string, bool) {
	for m := time.January; m <= time.December; m++ {
		name := m.String()
		if !long {
			name = name[:3]
		}
		if len(text) >= len(name) && strings.EqualFold(text[:len(name)], name) {
			c.month, c.dated = int(m), true
			return text[len(name):], true
		}
	}
	return text, false
}

// readZone reads Z, +hh, +hhmm or +hh:mm.
func (c *clock) readZone(text string) (string, bool) {
	if text == "" {
		return text, false
	}
	if text[0] == 'Z' || text[0] == 'z' {
		c.zone = time.UTC
		return text[1:], true
	}
	sign := 1
	switch text[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return text, false
	}
	digits, i := "", 1
	for i < len(text) && len(digits) < 4 && (text[i] >= '0' && text[i] <= '9' || text[i] == ':') {
		if text[i] != ':' {
			digits += text[i : i+1]
		}
		i++
	}
	if len(digits) == 1 || len(digits) == 3 {
		digits = "0" + digits
	}
	n, err := strconv.Atoi((digits + "00")[:min(len(digits)+2, 4)])
	if err != nil || digits == "" || n/100 > 23 || n%100 > 59 {
		return text, false
	}
	c.zone = time.FixedZone("", sign*(n/100*3600+n%100*60))
	return text[i:], true
}

func (c *clock) valid() bool {
	if c.half && (c.hour < 1 || c.hour > 12) || c.hour > 23 || c.minute > 59 || c.second > 59 {
		return false
	}
	if c.month < 1 || c.month > 12 || c.day < 1 {
		return false
	}
	return time.Date(c.year, time.Month(c.month), c.day, 0, 0, 0, 0, time.UTC).Day() == c.day
}

func (c *clock) hour24() int {
	if !c.half {
		return c.hour
	}
	hour := c.hour % 12
	if c.pm {
		hour += 12
	}
	return hour
}

// in is the instant, with the zone that was read or else the given one.
func (c *clock) in(zone *time.Location) time.Time {
	if c.zone != nil {
		zone = c.zone
	}
	return time.Date(c.year, time.Month(c.month), c.day, c.hour24(), c.minute, c.second, c.nano, zone)
}

// nanoOfDay is the time of day in nanoseconds.
func (c *clock) nanoOfDay() int64 {
	return int64(c.hour24()*3600+c.minute*60+c.second)*1e9 + int64(c.nano)
}

// days is the date as days since 1970.
func (c *clock) days() int64 { return daysOf(c.in(time.UTC)) }

// detectTime reads text in one of the forms that are recognised without a format.
// https://docs.snowflake.com/en/sql-reference/date-time-input-output#supported-formats-for-auto-detection
func detectTime(text string, needDate bool) (clock, bool) {
	text = strings.TrimSpace(text)
	dates := []string{"YYYY-MM-DD", "DD-MON-YYYY", "MM/DD/YYYY"}
	times := []string{
		"HH24:MI:SS.FF", "HH24:MI:SS", "HH24:MI", "HH12:MI:SS.FF AM", "HH12:MI:SS AM", "HH12:MI AM", "HH24",
	}
	if !needDate {
		for _, f := range times[:6] {
			if c, ok := parseTime(text, f); ok {
				return c, true
			}
		}
		return clock{}, false
	}
	for _, d := range dates {
		if c, ok := parseTime(text, d); ok {
			return c, true
		}
		for _, between := range []string{" ", "T"} {
			if between == "T" && !strings.ContainsAny(text, "Tt") {
				continue
			}
			for _, t := range times {
				format := d + " " + t
				if between == "T" {
					format = d + `"T"` + t
				}
				if c, ok := parseTime(text, format); ok {
					return c, true
				}
				if c, ok := parseTime(text, format+" TZHTZM"); ok {
					return c, true
				}
			}
		}
	}
	for _, f := range []string{"DY, DD MON YYYY HH24:MI:SS TZHTZM", "DY, DD MON YYYY HH24:MI:SS", "DY MON DD HH24:MI:SS TZHTZM YYYY"} {
		if c, ok := parseTime(text, f); ok {
			return c, true
		}
	}
	return clock{}, false
}

// daysOf is the date of t's wall clock as days since 1970.
func daysOf(t time.Time) int64 {
	y, m, d := t.Date()
	sec := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix()
	if sec < 0 {
		return -((-sec + 86399) / 86400)
	}
	return sec / 86400
}

// dateOf is midnight UTC of a day.
func dateOf(days int64) time.Time { return time.Unix(days*86400, 0).UTC() }

// wall is t's wall clock read as UTC, the form of TIMESTAMP_NTZ.
func wall(t time.Time) time.Time {
	y, m, d := t.Date()
	h, mi, s := t.Clock()
	return time.Date(y, m, d, h, mi, s, t.Nanosecond(), time.UTC)
}
