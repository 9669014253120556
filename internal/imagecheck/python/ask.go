// SPDX-License-Identifier: Apache-2.0

package python

import (
	"cmp"
	"maps"
	"slices"

	"firn.dev/firn/internal/imagecheck/licence"
	"firn.dev/firn/internal/imagecheck/pep508"
)

// Licence gives the SPDX expression of an installed package, "" when its metadata names no licence that is known.
func (e *Environment) Licence(name string) string {
	d := e.byName[name]
	if d == nil {
		return ""
	}
	var classifiers []string
	for _, c := range d.meta.all("Classifier") {
		classifiers = append(classifiers, c.value)
	}
	return licence.Of(d.meta.first("License-Expression"), d.meta.first("License"), classifiers)
}

// Summary gives the one line that an installed package says of itself.
func (e *Environment) Summary(name string) string {
	if d := e.byName[name]; d != nil {
		return d.meta.first("Summary")
	}
	return ""
}

// Requirers lists the installed packages that ask for a package, by name, with what they ask.
func (e *Environment) Requirers(name string) []Requirer {
	return slices.CompactFunc(e.demands(map[string]bool{name: true})[name].requirers, func(a, b Requirer) bool { return a == b })
}

// Requires lists what an installed package asks for, in the order of its metadata: the extras that nobody asked for left out.
func (e *Environment) Requires(name string) []string {
	var list []string
	for _, one := range e.edges[name] {
		list = append(list, one.req.String())
	}
	return list
}

// Chains gives, for each installed package that asks for name and by that name, the shortest chain that ends in its requirement.
// Chains start at what nothing requires or at one of the canonical names in required.
func (e *Environment) Chains(name string, required []string) [][]Hop {
	parent := e.shortestPaths(required)
	chains := [][]Hop{}
	for _, p := range e.Packages {
		for _, one := range e.edges[p.Name] {
			if pep508.Canonical(one.req.Name) == name && p.Name != name {
				chains = append(chains, e.chainTo(p.Name, one.req.String(), parent))
				break
			}
		}
	}
	slices.SortStableFunc(chains, func(a, b []Hop) int { return cmp.Compare(len(a), len(b)) })
	return chains
}

// chainTo writes the way from a root to a requirement of a package.
func (e *Environment) chainTo(name, requires string, parent map[string]step) []Hop {
	chain := []Hop{{Package: name, Version: e.byName[name].pkg.Version, Requires: requires}}
	for at := name; parent[at].from != "" && len(chain) < maxHops; at = parent[at].from {
		up := parent[at]
		chain = append(chain, Hop{Package: up.from, Version: e.byName[up.from].pkg.Version, Requires: up.requires})
	}
	slices.Reverse(chain)
	return chain
}

// Libraries lists the shared libraries that an installed package says it owns, absolute, in the order of its RECORD.
func (e *Environment) Libraries(name string) []string {
	if d := e.byName[name]; d != nil {
		return d.libraries
	}
	return nil
}

// Overlap is one shared library that several installed packages say they own: the one installed last has overwritten the others.
type Overlap struct {
	Path     string
	Packages []string // canonical names, sorted
}

// Overlaps lists them by path.
func (e *Environment) Overlaps() []Overlap {
	owners := map[string][]string{}
	for _, p := range e.Packages {
		for _, file := range e.byName[p.Name].libraries {
			if !slices.Contains(owners[file], p.Name) {
				owners[file] = append(owners[file], p.Name)
			}
		}
	}
	var list []Overlap
	for _, file := range slices.Sorted(maps.Keys(owners)) {
		if len(owners[file]) > 1 {
			list = append(list, Overlap{Path: file, Packages: owners[file]})
		}
	}
	return list
}

// DependsOn lists, by name, the installed packages that an installed package asks for.
func (e *Environment) DependsOn(name string) []string {
	var list []string
	for _, one := range e.edges[name] {
		if dependency := pep508.Canonical(one.req.Name); e.byName[dependency] != nil && dependency != name {
			list = append(list, dependency)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
