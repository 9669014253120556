// SPDX-License-Identifier: Apache-2.0

package vulndb

import (
	"cmp"
	"slices"
	"strings"
)

// family joins names of one vulnerability: whatever shares a name is the same.
type family struct {
	number map[string]int // name -> its node
	parent []int
	names  []string
}

func (f *family) node(name string) int {
	n, ok := f.number[name]
	if !ok {
		n = len(f.parent)
		f.number[name] = n
		f.parent = append(f.parent, n)
		f.names = append(f.names, name)
	}
	return n
}

func (f *family) root(n int) int {
	for f.parent[n] != n {
		f.parent[n] = f.parent[f.parent[n]]
		n = f.parent[n]
	}
	return n
}

func (f *family) join(names []string) {
	first := f.root(f.node(names[0]))
	for _, name := range names[1:] {
		f.parent[f.root(f.node(name))] = first
	}
}

// vulnerability is what all records of one family say together.
type vulnerability struct {
	id      string
	aliases []string
	rating  rating
}

// current drops what must not match: older copies of a record, withdrawn records and lists of malicious packages.
func current(records []*record, stats *Stats) []*record {
	slices.SortFunc(records, func(a, b *record) int {
		return cmp.Or(cmp.Compare(a.id, b.id), b.modified.Compare(a.modified))
	})
	records = slices.CompactFunc(records, func(a, b *record) bool { return a.id == b.id })
	return slices.DeleteFunc(records, func(r *record) bool {
		switch {
		case strings.HasPrefix(r.id, "MAL-"):
			stats.Malicious++
		case r.withdrawn:
			stats.Withdrawn++
		case len(r.affected) == 0:
			// It may still say how bad the vulnerability of another record is.
			stats.Elsewhere++
			return false
		default:
			stats.Records++
			return false
		}
		return true
	})
}

// families finds the vulnerability of every record.
func families(records []*record) map[*record]*vulnerability {
	f := &family{number: map[string]int{}}
	for _, r := range records {
		f.join(r.same)
	}
	members := map[int][]string{}
	for n, name := range f.names {
		root := f.root(n)
		members[root] = append(members[root], name)
	}
	known := make(map[int]*vulnerability, len(members))
	of := make(map[*record]*vulnerability, len(records))
	for _, r := range records {
		root := f.root(f.number[r.id])
		v := known[root]
		if v == nil {
			v = named(members[root])
			known[root] = v
		}
		v.rating = v.rating.join(r.rating)
		of[r] = v
	}
	return of
}

// named picks the CVE, else the GHSA, else the first name.
func named(names []string) *vulnerability {
	slices.Sort(names)
	best := 0
	rank := func(name string) int {
		switch {
		case strings.HasPrefix(name, "CVE-"):
			return 2
		case strings.HasPrefix(name, "GHSA-"):
			return 1
		}
		return 0
	}
	for i, name := range names {
		if rank(name) > rank(names[best]) {
			best = i
		}
	}
	return &vulnerability{id: names[best], aliases: slices.Concat(names[:best], names[best+1:])}
}

// source is one package of one record.
type source struct {
	of       *vulnerability
	covers   []string
	affected *affected
}

// packages sorts what the records say by package.
func packages(records []*record, of map[*record]*vulnerability) map[string][]source {
	byKey := map[string][]source{}
	for _, r := range records {
		for i := range r.affected {
			a := &r.affected[i]
			key := keyOf(a.ecosystem, a.name)
			byKey[key] = append(byKey[key], source{of: of[r], covers: r.covers, affected: a})
		}
	}
	return byKey
}

// entriesOf makes one entry per vulnerability of a package.
func entriesOf(sources []source, o order) []entry {
	at := map[*vulnerability]int{}
	var list []entry
	for _, s := range sources {
		i, ok := at[s.of]
		if !ok {
			i = len(list)
			at[s.of] = i
			e := entry{ID: s.of.id, Aliases: s.of.aliases, Covers: s.covers}
			e.Severity, e.Score = s.of.rating.final()
			list = append(list, e)
		}
		list[i].extend(s.affected, o)
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// extend adds the ranges and the versions that another record has. A version that is in a range says nothing new.
func (e *entry) extend(a *affected, o order) {
	for _, r := range a.ranges {
		sortEvents(r, o)
		if !slices.ContainsFunc(e.Ranges, func(other []event) bool { return slices.Equal(other, r) }) {
			e.Ranges = append(e.Ranges, r)
		}
	}
	for _, v := range a.versions {
		inside := slices.ContainsFunc(e.Ranges, func(r []event) bool { return inRange(o.comparable(v), r, o) })
		if same := o.same(v); !inside && !slices.Contains(e.Versions, same) {
			e.Versions = append(e.Versions, same)
		}
	}
	slices.Sort(e.Versions)
}
