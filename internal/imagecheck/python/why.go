// SPDX-License-Identifier: Apache-2.0

package python

import (
	"maps"
	"slices"

	"firn.dev/firn/internal/imagecheck/pep508"
)

// maxHops is the longest chain that Problem.Why shows; the beginning of a longer one is cut.
const maxHops = 16

// explain fills Why: the shortest chain from a root to the broken requirement, ties by name. A root is what nothing requires or
// what the policy requires.
func (e *Environment) explain(problems []finding, required []string) {
	parent := e.shortestPaths(required)
	for i := range problems {
		p := &problems[i].Problem
		if p.Requirement == nil || e.byName[p.Package] == nil {
			continue
		}
		p.Why = e.chainTo(p.Package, *p.Requirement, parent)
	}
}

// step is how the search reached a package.
type step struct{ from, requires string }

func (e *Environment) shortestPaths(required []string) map[string]step {
	needed := map[string]bool{}
	for name, edges := range e.edges {
		for _, one := range edges {
			if to := pep508.Canonical(one.req.Name); to != name {
				needed[to] = true
			}
		}
	}
	parent := map[string]step{}
	var level []string
	for _, p := range e.Packages {
		if !needed[p.Name] || slices.Contains(required, p.Name) {
			level = append(level, p.Name)
			parent[p.Name] = step{}
		}
	}
	for len(level) > 0 {
		next := map[string]step{}
		for _, name := range level {
			for _, one := range e.edges[name] {
				to := pep508.Canonical(one.req.Name)
				_, known := parent[to]
				_, found := next[to]
				if !known && !found && e.byName[to] != nil {
					next[to] = step{from: name, requires: one.req.String()}
				}
			}
		}
		maps.Copy(parent, next)
		level = slices.Sorted(maps.Keys(next))
	}
	return parent
}
