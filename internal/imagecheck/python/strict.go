// SPDX-License-Identifier: Apache-2.0

package python

import (
	"fmt"
	"slices"
	"strings"

	"firn.dev/firn/internal/imagecheck/pep440"
	"firn.dev/firn/internal/imagecheck/pep508"
)

// markerEnvironment gives the values of the marker variables for CPython of this environment on linux/amd64.
func (e *Environment) markerEnvironment() pep508.Environment {
	full := []string{e.PythonVersion}
	if !e.VersionExact {
		full = nil
		for patch := range 41 {
			full = append(full, fmt.Sprintf("%s.%d", e.minor, patch))
		}
	}
	return pep508.Environment{
		"implementation_name": {"cpython"}, "implementation_version": full, "os_name": {"posix"}, "platform_machine": {"x86_64"},
		"platform_python_implementation": {"CPython"}, "platform_release": nil, "platform_system": {"Linux"}, "platform_version": nil,
		"python_full_version": full, "python_version": {e.minor}, "sys_platform": {"linux"},
	}
}

// edge is one requirement of an installed distribution that applies.
type edge struct {
	req   pep508.Requirement
	extra string // of the requiring distribution that asks for it, "" for none
	rules pep440.Rules
}

// judge is the strict reading of one environment.
type strictJudge struct {
	e     *Environment
	env   pep508.Environment
	edges map[string][]edge // canonical name -> requirements without extra
	under map[string]map[string][]edge
	list  []finding
}

// strict reads the metadata as leniently as possible and the requirements as strictly as possible.
func (e *Environment) strict() []finding {
	j := &strictJudge{e: e, env: e.markerEnvironment(), edges: map[string][]edge{}, under: map[string]map[string][]edge{}}
	for _, d := range e.dists {
		j.shape(d)
	}
	for _, p := range e.Packages {
		j.read(e.byName[p.Name])
	}
	for _, p := range e.Packages {
		d := e.byName[p.Name]
		for _, one := range j.edges[p.Name] {
			j.check(d, one)
		}
	}
	for _, n := range e.NotCounted {
		switch n.Reason {
		case "orphan", "duplicate":
			name, _, _ := strings.Cut(strings.TrimPrefix(n.Path[strings.LastIndexByte(n.Path, '/')+1:], "~"), "-")
			j.report(Problem{Kind: n.Reason, Package: pep508.Canonical(name), Version: n.Version, Path: n.Path})
		}
	}
	j.activate()
	e.edges = j.edges
	return j.list
}

// activate adds what the extras asked for by installed packages require, so that chains and fixes know of it.
func (j *strictJudge) activate() {
	seen := map[string]bool{}
	var add func(name, extra string)
	add = func(name, extra string) {
		if key := name + "[" + extra; !seen[key] {
			seen[key] = true
			for _, one := range j.under[name][extra] {
				j.edges[name] = append(j.edges[name], one)
				for _, deeper := range one.req.Extras {
					add(pep508.Canonical(one.req.Name), pep508.Canonical(deeper))
				}
			}
		}
	}
	for _, p := range j.e.Packages {
		for _, one := range j.edges[p.Name] {
			for _, extra := range one.req.Extras {
				add(pep508.Canonical(one.req.Name), pep508.Canonical(extra))
			}
		}
	}
}

func (j *strictJudge) report(p Problem) {
	p.Columns, p.Why = []string{columnStrict}, []Hop{}
	j.list = append(j.list, finding{Problem: p})
}

func (j *strictJudge) about(d *dist, kind string) Problem {
	return Problem{Kind: kind, Package: cmpName(d), Version: optional(d.pkg.Version), Path: d.path}
}

// shape judges metadata by itself, of distributions that count and of those that do not.
func (j *strictJudge) shape(d *dist) {
	switch {
	case d.kind != "dist-info" && !d.hasMeta:
		return
	case !d.hasMeta || d.name == "" || d.pkg.Version == "" || d.tooLong:
		j.report(j.about(d, "invalid_metadata"))
		return
	}
	if j.e.byName[d.name] == d && d.version.IsLegacy() {
		j.report(j.about(d, "invalid_version"))
	}
}

// read sorts the requirements of a distribution by the extra under which they apply.
func (j *strictJudge) read(d *dist) {
	if d.wheel && !j.e.supportsAny(d.tags) {
		j.report(j.about(d, "unsupported_tag"))
	}
	j.requiresPython(d)
	j.under[d.name] = map[string][]edge{}
	for _, one := range d.requires {
		text := unfold(one.value)
		e := edge{rules: pep440.RulesParsed}
		var err error
		if e.req, err = pep508.Parse(text, e.rules); err != nil {
			p := j.about(d, "invalid_requirement")
			p.Requirement = &text
			j.report(p)
			e.rules = pep440.RulesLegacy
			if e.req, err = pep508.Parse(text, e.rules); err != nil {
				continue
			}
		}
		j.place(d, e)
	}
}

// place decides under which extras a requirement applies; "" means always.
func (j *strictJudge) place(d *dist, e edge) {
	if e.req.Marker == nil {
		j.edges[d.name] = append(j.edges[d.name], e)
		return
	}
	text := e.req.String()
	dependency := pep508.Canonical(e.req.Name)
	truth, err := e.req.Marker.Evaluate(j.env, "")
	switch {
	case err != nil:
		p := j.about(d, "invalid_requirement")
		p.Requirement, p.Dependency = &text, &dependency
		j.report(p)
		return
	case truth == pep508.Undecidable:
		p := j.about(d, "undecidable")
		p.Requirement, p.Dependency = &text, &dependency
		j.report(p)
	}
	if truth != pep508.False {
		j.edges[d.name] = append(j.edges[d.name], e)
		return
	}
	for _, extra := range d.extras {
		if truth, err := e.req.Marker.Evaluate(j.env, extra); err == nil && truth != pep508.False {
			e.extra = extra
			j.under[d.name][extra] = append(j.under[d.name][extra], e)
		}
	}
}

func (j *strictJudge) requiresPython(d *dist) {
	text := d.meta.first("Requires-Python")
	if text == "" {
		return
	}
	set, err := pep440.ParseSet(text)
	version, err2 := pep440.Parse(j.e.PythonVersion)
	if err == nil && err2 == nil && set.Contains(version, pep440.RulesParsed) {
		return
	}
	// With an unknown patch the report speaks only of what no patch could satisfy.
	if last, e := pep440.Parse(j.e.minor + ".99"); err == nil && e == nil && !j.e.VersionExact && set.Contains(last, pep440.RulesParsed) {
		return
	}
	p := j.about(d, "requires_python")
	p.Requirement, p.Installed = &text, &j.e.PythonVersion
	j.report(p)
}

// check compares one requirement with what is installed, and the extras it asks for.
func (j *strictJudge) check(d *dist, one edge) {
	if p, broken := j.broken(d, one); broken {
		j.report(p)
		return
	}
	dependency := pep508.Canonical(one.req.Name)
	for _, extra := range one.req.Extras {
		for _, unmet := range j.unmetExtra(dependency, pep508.Canonical(extra), map[string]bool{}) {
			text := one.req.String()
			p := j.about(d, "extra_missing")
			p.Requirement, p.Dependency, p.Installed = &text, unmet.Dependency, unmet.Installed
			j.report(p)
		}
	}
}

// broken gives the problem when a requirement is not met.
func (j *strictJudge) broken(d *dist, one edge) (Problem, bool) {
	dependency, text := pep508.Canonical(one.req.Name), one.req.String()
	p := j.about(d, "missing")
	p.Requirement, p.Dependency = &text, &dependency
	other := j.e.byName[dependency]
	if other == nil {
		return p, true
	}
	p.Kind, p.Installed = "conflict", &other.pkg.Version
	return p, !one.req.Specifier.Contains(other.version.Normal(), one.rules)
}

// unmetExtra lists what an extra of an installed distribution asks for and does not get, extras of extras included.
func (j *strictJudge) unmetExtra(name, extra string, seen map[string]bool) []Problem {
	key := name + "[" + extra
	if seen[key] {
		return nil
	}
	seen[key] = true
	var unmet []Problem
	for _, one := range j.under[name][extra] {
		if p, broken := j.broken(j.e.byName[name], one); broken {
			unmet = append(unmet, p)
			continue
		}
		for _, deeper := range one.req.Extras {
			unmet = append(unmet, j.unmetExtra(pep508.Canonical(one.req.Name), pep508.Canonical(deeper), seen)...)
		}
	}
	return unmet
}

// UnmetExtra lists, as requirement texts, what an extra of an installed package asks for and does not get. known is false when
// the package declares no such extra.
func (e *Environment) UnmetExtra(name, extra string) (unmet []string, known bool) {
	d := e.byName[name]
	if d == nil {
		return nil, false
	}
	j := &strictJudge{e: e, env: e.markerEnvironment(), edges: map[string][]edge{}, under: map[string]map[string][]edge{}}
	for _, p := range e.Packages {
		j.read(e.byName[p.Name])
	}
	for _, p := range j.unmetExtra(name, pep508.Canonical(extra), map[string]bool{}) {
		unmet = append(unmet, *p.Requirement)
	}
	return unmet, slices.Contains(d.extras, pep508.Canonical(extra))
}

// mergeColumns joins what both columns say of the same requirement.
func mergeColumns(strict, pip []finding) []finding {
	type key struct{ kind, pkg, requirement, dependency, path string }
	of := func(f finding) key {
		k := key{kind: f.Kind, pkg: f.Package, requirement: value(f.Requirement), dependency: value(f.Dependency)}
		if k.requirement == "" {
			k.path = f.Path
		}
		return k
	}
	at := map[key]int{}
	for i, f := range strict {
		at[of(f)] = i
	}
	for _, f := range pip {
		if i, ok := at[of(f)]; ok {
			strict[i].Columns = []string{columnPip, columnStrict}
			strict[i].line = f.line
			continue
		}
		strict = append(strict, f)
	}
	return strict
}
