// SPDX-License-Identifier: Apache-2.0

package vulndb

import (
	"slices"
)

// event is one turning point of a range: a letter for its kind, then the version.
type event string

// The kinds of events.
const (
	introduced   = 'i'
	fixed        = 'f'
	lastAffected = 'l'
	limit        = 'm'
)

func (e event) kind() byte      { return e[0] }
func (e event) version() string { return string(e[1:]) }

// isStart tells the event that every version comes after.
func (e event) isStart() bool { return e == "i0" }

// entry is one vulnerability of one package, as the file stores it.
type entry struct {
	ID       string    `json:"i"`
	Aliases  []string  `json:"a,omitempty"`
	Covers   []string  `json:"c,omitempty"` // vulnerabilities that an advisory about several of them names
	Severity Severity  `json:"s,omitempty"`
	Score    float64   `json:"p,omitempty"`
	Ranges   [][]event `json:"r,omitempty"` // each sorted by sortEvents
	Versions []string  `json:"v,omitempty"` // order.same of those that no range has, sorted
}

func (e entry) match(version string, o order) Match {
	m := Match{ID: e.ID, Aliases: e.Aliases, Severity: e.Severity, Fixed: e.fixedAfter(version, o)}
	if m.Aliases == nil {
		m.Aliases = []string{}
	}
	if m.Severity == "" {
		m.Severity = Unknown
	}
	if e.Score > 0 {
		m.Score = &e.Score
	}
	return m
}

// affects tells whether a version is listed or in a range. raw is the version as installed, version what is to be compared of it.
func (e entry) affects(raw, version string, o order) bool {
	for _, text := range []string{o.same(raw), o.same(version)} {
		if _, ok := slices.BinarySearch(e.Versions, text); ok {
			return true
		}
	}
	return slices.ContainsFunc(e.Ranges, func(r []event) bool { return inRange(version, r, o) })
}

// inRange walks over sorted events. One whose version cannot be compared is passed over, so that a flaw is rather reported than
// missed.
func inRange(version string, events []event, o order) bool {
	inside, limited, below := false, false, false
	for _, e := range events {
		c, ok := 1, true
		if !e.isStart() && e != "m*" {
			c, ok = o.compare(version, e.version())
		}
		if !ok {
			continue
		}
		switch e.kind() {
		case introduced:
			inside = inside || c >= 0
		case fixed:
			inside = inside && c < 0
		case lastAffected:
			inside = inside && c <= 0
		case limit:
			limited = true
			below = below || e == "m*" || c < 0
		}
	}
	return inside && (!limited || below)
}

// sortEvents orders the events of a range by version; equal ones stay as they were.
func sortEvents(events []event, o order) {
	slices.SortStableFunc(events, func(a, b event) int {
		switch {
		case a.isStart() || b.isStart():
			return boolInt(b.isStart()) - boolInt(a.isStart())
		case a == "m*" || b == "m*":
			return boolInt(a == "m*") - boolInt(b == "m*")
		}
		c, _ := o.compare(a.version(), b.version())
		return c
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// fixedAfter gives the first repair above the version, of every range that it is in; of all ranges when it is only listed.
func (e entry) fixedAfter(version string, o order) []string {
	list := []string{}
	ranges := slices.DeleteFunc(slices.Clone(e.Ranges), func(r []event) bool { return !inRange(version, r, o) })
	if len(ranges) == 0 {
		ranges = e.Ranges
	}
	for _, r := range ranges {
		for _, ev := range r {
			if ev.kind() != fixed {
				continue
			}
			if c, ok := o.compare(version, ev.version()); ok && c < 0 {
				list = append(list, ev.version())
				break
			}
		}
	}
	slices.SortFunc(list, func(a, b string) int {
		c, _ := o.compare(a, b)
		return c
	})
	return slices.Compact(list)
}
