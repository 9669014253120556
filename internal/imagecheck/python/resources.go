// SPDX-License-Identifier: Apache-2.0

package python

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"firn.dev/firn/internal/imagecheck/pep440"
	"firn.dev/firn/internal/imagecheck/pep508"
)

// pip looks at an environment through setuptools' pkg_resources when its Python is older than 3.11. This file says how that differs from
// importlib: it goes by the names of files, in another order, and compares names in another spelling.

// order gives the distributions in the order in which pip sees them.
func (r pipRules) order(e *Environment) []*dist {
	type place struct{ dir, rank int }
	places := map[*dist]place{}
	for _, d := range e.dists {
		p := place{dir: slices.Index(e.SysPath, d.dir), rank: slices.Index([]string{"", "egg", "egg-link"}, d.kind)}
		switch {
		case d.onPath && (!r.importlib || p.dir < 0 || r.from("25.1")):
			p = place{dir: slices.Index(e.SysPath, path.Join(d.dir, d.entry))}
		case d.kind == "egg-link" && !r.importlib:
			p.dir = slices.Index(e.SysPath, path.Dir(d.path)) // the link itself is not followed
		}
		places[d] = p
	}
	list := slices.DeleteFunc(slices.Clone(e.dists), func(d *dist) bool { return places[d].dir < 0 })
	slices.SortStableFunc(list, func(a, b *dist) int {
		order := cmp.Compare(places[a].dir, places[b].dir)
		switch {
		case order != 0:
			return order
		case r.importlib:
			return cmp.Compare(places[a].rank, places[b].rank)
		case r.from("23.1"):
			return cmp.Compare(a.entry, b.entry)
		}
		return -compareParts(a.entry, b.entry)
	})
	return list
}

// look is one distribution in the way in which pip looks at it.
type look struct {
	*dist
	rules pipRules
	again bool // another look at what was seen, which replaces it
}

// looks gives what pip looks at, in its order. Up to 25.0 it looks at what is in an archive twice: the second time through pkg_resources.
func (r pipRules) looks(e *Environment) []look {
	var list, second []look
	old := r
	old.importlib = false
	flush := func() { list, second = append(list, second...), nil }
	at := ""
	for _, d := range r.order(e) {
		if !r.sees(d) {
			continue
		}
		if in := d.archive(); in != at {
			flush()
			at = in
		}
		list = append(list, look{dist: d, rules: r})
		if d.zipped && d.hasMeta && r.importlib && !r.from("25.1") && (d.kind != "egg" || d.onPath) {
			second = append(second, look{dist: d, rules: old, again: true})
		}
	}
	flush()
	return list
}

// sees tells whether this pip takes notice of a distribution at all: never in a wheel that is itself in sys.path, and through
// pkg_resources of nothing but eggs in an archive.
func (r pipRules) sees(d *dist) bool {
	switch {
	case d.kind == "egg":
		return d.hasMeta
	case d.zipped:
		return r.importlib && !d.inWheel
	}
	return true
}

// compareParts compares two file names part by part, each as a version.
func compareParts(a, b string) int {
	parts := func(name string) []pep440.Version {
		extension := path.Ext(name)
		var list []pep440.Version
		for part := range strings.SplitSeq(strings.TrimSuffix(name, extension)+"-"+extension, "-") {
			list = append(list, pep440.ParseLegacy(part))
		}
		return list
	}
	return slices.CompareFunc(parts(a), parts(b), pep440.Version.Compare)
}

// key is equal for requirements of one distribution of which pip names only the first, "" when it names all.
func (r pipRules) key(req pep508.Requirement) string {
	switch {
	case !r.importlib:
		return req.Key(r.specifier, pep508.SafeName, pep508.SafeExtra)
	case r.from("26.3"):
		return req.Key(r.specifier, pep508.Canonical, pep508.Canonical)
	case r.from("24.1"):
		req.Name = pep508.Canonical(req.Name)
		return req.String()
	}
	return ""
}

// resourceName splits the name of a file: "x-1.0-1.dist-info" is x and 1.0.
func resourceName(d *dist) (name, version string) {
	name, rest, _ := strings.Cut(strings.TrimSuffix(d.entry, path.Ext(d.entry)), "-")
	version, _, _ = strings.Cut(rest, "-")
	return name, version
}

// resourcesVersion gives the version that the name of the file says; an .egg-info is asked itself first.
func resourcesVersion(d *dist) string {
	_, text := resourceName(d)
	if inside := d.meta.first("Version"); text == "" || inside != "" && (d.kind == "egg-info" || d.kind == "egg-link") {
		text = inside
	}
	return strings.ReplaceAll(text, "_", "-")
}

// identifyResource finds the names of a distribution.
func identifyResource(p *pipDist) fate {
	name, _ := resourceName(p.dist)
	if p.name, p.key = pep508.Canonical(name), pep508.SafeName(name); p.name == "" {
		return absent
	}
	return installed
}

// undecodable tells whether pip ends before it has begun: up to 25.0 it loads pkg_resources in any case, which reads every .egg-info.
func (r pipRules) undecodable(d *dist) bool {
	return (!r.importlib || !r.from("25.1")) && d.kind == "egg-info" && !d.isFile && d.notUTF8
}

// parseSections reads requires.txt: what stands above every heading, or under one that is a marker which holds. A marker that a line
// has itself is not asked here.
func (p *pipDist) parseSections(r pipRules, env pep508.Environment) fate {
	for _, one := range p.requiresTxt {
		p.flaw, p.culprit = "invalid_requirement", one.line
		req, err := resourcesRequirement(one.line, r.specifier)
		if err != nil {
			return dropped
		}
		extra, marker, _ := strings.Cut(one.section, ":")
		if extra != "" || marker != "" && !holds(marker, r, env) {
			continue
		}
		p.reqs = append(p.reqs, req)
	}
	return installed
}

// lines gives every line of wrapped values as a value of its own: to pkg_resources each is a requirement.
func lines(wrapped []field) []field {
	var list []field
	for _, one := range wrapped {
		for line := range strings.SplitSeq(one.value, "\n") {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
			if line != "" && line[0] != '#' {
				list = append(list, field{key: one.key, value: line})
			}
		}
	}
	return list
}

// holds evaluates the marker of a heading; one that makes no sense does not hold.
func holds(marker string, r pipRules, env pep508.Environment) bool {
	req, err := pep508.Parse("x; "+marker, r.specifier)
	if err != nil || req.Marker == nil {
		return false
	}
	truth, err := req.Marker.Evaluate(env, "")
	return err == nil && truth != pep508.False
}

// resourcesRequirement reads a requirement as pkg_resources does, which respells the extras.
func resourcesRequirement(text string, rules pep440.Rules) (pep508.Requirement, error) {
	req, err := pep508.Parse(text, rules)
	for i, extra := range req.Extras {
		req.Extras[i] = pep508.SafeExtra(extra)
	}
	return req, err
}
