// SPDX-License-Identifier: Apache-2.0

package python

import (
	"path"
	"slices"
	"strings"

	"firn.dev/firn/internal/imagecheck/pep440"
	"firn.dev/firn/internal/imagecheck/pep508"
)

// pip looks at an environment through setuptools' pkg_resources when its Python is older than 3.11. This file says how that differs from
// importlib: it goes by the names of files, in another order, and compares names in another spelling.

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
