// SPDX-License-Identifier: Apache-2.0

package python

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/imagecheck/pep440"
	"firn.dev/firn/internal/imagecheck/pep508"
)

// finding is a problem on its way into the report.
type finding struct {
	Problem
	line string // of pip check
	req  pep508.Requirement
}

// pipRules says how one pip on one Python reads metadata. The facts were measured with pips from 22.3 to 26.3.
type pipRules struct {
	packaging string
	specifier pep440.Rules
	version   pep440.Version
	importlib bool // else the pkg_resources backend
	starts    bool // pip before 23.1.2 needs a module that Python 3.12 removed
}

// newestPip stands for the pip of an environment that has none.
const newestPip = "26.3"

func (e *Environment) pipRules() pipRules {
	text := newestPip
	if e.Pip.Version != nil {
		text = *e.Pip.Version
	}
	r := pipRules{version: pep440.ParseLegacy(text), packaging: "26.3", specifier: pep440.RulesParsed}
	for _, step := range []struct {
		below, packaging string
		rules            pep440.Rules
	}{
		{"24.1.dev0", "21.3", pep440.RulesLegacy}, {"25.0.dev0", "24.1", pep440.RulesClassic},
		{"25.1.dev0", "24.2", pep440.RulesClassic}, {"26.0.dev0", "25.0", pep440.RulesClassic},
		{"26.1.dev0", "26.0", pep440.RulesWritten}, {"26.3.dev0", "26.2", pep440.RulesRanges},
	} {
		if !r.from(step.below) {
			r.packaging, r.specifier = step.packaging, step.rules
			break
		}
	}
	minor, _ := strconv.Atoi(e.minor[strings.IndexByte(e.minor, '.')+1:])
	r.starts = minor < 12 || r.from("23.1.2")
	r.importlib = minor >= 11 && r.from("22.3")
	return r
}

// from tells whether this pip is of a release or a later one.
func (r pipRules) from(release string) bool {
	bound, err := pep440.Parse(release)
	return err == nil && r.version.Compare(bound) >= 0
}

// fate is what pip makes of one distribution.
type fate int

const (
	installed fate = iota
	absent         // as if it were not there
	dropped        // not installed for the others, a warning and exit 1
	dies           // pip ends with a traceback
)

// pipDist is a distribution as pip sees it.
type pipDist struct {
	*dist
	rules   pipRules
	key     string // of two distributions with one key pip sees the first
	name    string // of two with one name, the last
	version pep440.Version
	// noVersion says that asking for the version fails.
	noVersion bool
	reqs      []pep508.Requirement
	// flaw and culprit say why pip drops it: the kind of problem and the requirement to blame, if any.
	flaw, culprit string
}

// pipResult is the pip column.
type pipResult struct {
	lines    []string
	exit     int
	problems []finding
}

// pipCheck answers as `pip check` of this environment does.
func (e *Environment) pipCheck() pipResult {
	rules := e.pipRules()
	e.Pip.Rules = rules.packaging
	env := e.markerEnvironment()
	var yielded []*pipDist
	byName := map[string]*pipDist{}
	seen := map[string]bool{}
	result := pipResult{lines: []string{}}
	if e.deadSite != "" {
		e.deadPip = e.deadSite
		return pipResult{lines: []string{}, exit: 2}
	}
	if pip, ok := e.Installed("pip"); ok && !rules.starts {
		e.deadPip = pip.Path
		return pipResult{lines: []string{}, exit: 2}
	}
	for _, look := range rules.looks(e) {
		p := &pipDist{dist: look.dist, rules: look.rules}
		what := look.rules.identify(p)
		if what == installed && (!seen[p.key] || look.again) {
			what = e.read(p, look.rules, env)
		} else if what == installed {
			what = absent
		}
		if what == absent {
			continue
		}
		seen[p.key] = seen[p.key] || !look.again
		yielded = append(yielded, p)
		switch what {
		case dies:
			e.deadPip = p.path
			return pipResult{lines: []string{}, exit: 2}
		case dropped:
			result.exit = 1
			result.problems = append(result.problems, droppedProblem(p))
		default:
			byName[p.name] = p
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if result.check(byName[name], byName, rules, env) == dies {
			e.deadPip = byName[name].path
			return pipResult{lines: []string{}, exit: 2}
		}
	}
	if rules.from("24.2") && result.platforms(yielded, e) == dies {
		return pipResult{lines: []string{}, exit: 2}
	}
	for _, f := range result.problems {
		if f.line != "" {
			result.lines, result.exit = append(result.lines, f.line), 1
		}
	}
	slices.Sort(result.lines)
	return result
}

func droppedProblem(p *pipDist) finding {
	kind := p.flaw
	if kind == "" {
		kind = "invalid_metadata"
	}
	return finding{Problem: Problem{
		Kind: kind, Columns: []string{columnPip}, Package: cmpName(p.dist), Version: optional(p.pkg.Version), Requirement: optional(p.culprit),
		Path: p.path, Why: []Hop{},
	}}
}

// cmpName gives the best name there is for a distribution that may not have one.
func cmpName(d *dist) string {
	if d.name != "" {
		return d.name
	}
	name, _ := d.nameVersion()
	return pep508.Canonical(name)
}

// read decides the fate of a distribution and fills name, version and requirements.
func (e *Environment) read(p *pipDist, r pipRules, env pep508.Environment) fate {
	d := p.dist
	text := r.versionText(d)
	p.version = pep440.ParseLegacy(text).Normal()
	p.noVersion = text == "" || p.version.IsLegacy() && r.from("24.1")
	if what := r.readable(d); what != installed {
		return what
	}
	if what := p.parse(r, env); what != installed {
		return what
	}
	p.flaw, p.culprit = "", ""
	switch {
	case !p.noVersion:
		return installed
	case text != "":
		p.flaw = "invalid_version"
		return dropped
	case !r.importlib, r.from("25.3"):
		return dropped
	}
	return dies
}

// versionText gives the version as it stands where this pip looks for it, "" when it is not there.
func (r pipRules) versionText(d *dist) string {
	if !r.importlib {
		return resourcesVersion(d)
	}
	_, text := d.nameVersion()
	if !r.from("24.2") || d.kind != "dist-info" || text == "" {
		text = d.meta.first("Version")
		if d.bom {
			text = ""
		}
	}
	return text
}

// identify finds the names under which pip knows a distribution: its directory's, its metadata's or both.
func (r pipRules) identify(p *pipDist) fate {
	d := p.dist
	dirName, _ := d.nameVersion()
	p.name = pep508.Canonical(dirName)
	if d.kind == "egg" || p.name == "" {
		p.name = d.name
	}
	p.key = p.name
	switch {
	case r.undecodable(d):
		return dies
	case !r.importlib:
		return identifyResource(p)
	case d.kind == "egg" && d.notUTF8:
		return dies
	case d.kind == "egg":
		if d.name == "" || d.bom {
			return absent
		}
	case !r.from("24.2"):
		if p.key = d.name; d.notUTF8 {
			return dies
		}
	case d.kind == "dist-info" && !strings.Contains(strings.TrimSuffix(d.entry, ".dist-info"), "-"):
		p.name, p.key = d.name, d.name
		if d.notUTF8 {
			return dies
		}
		if d.name == "" || d.bom {
			return absent
		}
	}
	return installed
}

// readable decides by the state of the metadata alone.
func (r pipRules) readable(d *dist) fate {
	flatDistInfo := d.isFile && d.kind == "dist-info"
	switch {
	case !r.importlib && d.isFile && d.kind == "egg-info":
		return installed
	case !r.importlib && d.kind == "egg" && !r.from("24.2"):
		return installed // its header is not asked
	case r.importlib && d.notUTF8, !r.importlib && d.notUTF8 && !r.from("24.2"):
		return dropped
	case d.notUTF8:
		return dies
	case r.importlib && (!d.hasMeta || d.bom):
		if r.from("24.2") {
			return installed
		}
		return absent
	case flatDistInfo && !r.from("23.0.2"):
		return dies
	case !d.hasMeta && (r.importlib || d.isFile || d.empty):
		return absent
	case !d.hasMeta && d.kind == "dist-info":
		return dropped
	case r.importlib && !r.from("24.2") && d.meta.first("Name") == "":
		return absent
	}
	return installed
}

// parse reads the requirements that hold without an extra.
func (p *pipDist) parse(r pipRules, env pep508.Environment) fate {
	read, requires := pep508.Parse, p.requires
	switch {
	case !r.importlib && p.kind != "dist-info":
		return p.parseSections(r, env)
	case p.bom:
		return installed // the mark hides every header line, requirements too
	case !r.importlib:
		read, requires = resourcesRequirement, lines(requires)
	}
	for _, one := range requires {
		text := strings.TrimSpace(one.value)
		p.flaw, p.culprit = "invalid_requirement", unfold(text)
		if one.folded() && !r.from("24.1") {
			text = unfold(text)
		}
		req, err := read(text, r.specifier)
		if err != nil {
			return dropped
		}
		if req.Marker != nil {
			truth, err := req.Marker.Evaluate(env, "")
			if err != nil {
				return dropped
			}
			if truth == pep508.False {
				continue
			}
		}
		p.reqs = append(p.reqs, req)
	}
	return installed
}

// check compares the requirements of one distribution with what is installed.
func (r *pipResult) check(p *pipDist, byName map[string]*pipDist, rules pipRules, env pep508.Environment) fate {
	told := map[string]bool{}
	for _, req := range p.reqs {
		key := p.rules.key(req)
		if key != "" && told[key] {
			continue
		}
		told[key] = true
		dependency := pep508.Canonical(req.Name)
		text, version := req.String(), p.version.String()
		problem := Problem{
			Columns: []string{columnPip}, Package: p.name, Version: &version, Requirement: &text, Dependency: &dependency, Path: p.path, Why: []Hop{},
		}
		other := byName[dependency]
		if other == nil && !rules.from("23.0") && req.Marker != nil && req.Marker.AsksExtra() {
			return dies
		}
		if other == nil && req.Marker != nil {
			if truth, err := req.Marker.Evaluate(env, ""); err == nil && truth == pep508.False {
				continue // of a requires.txt: nobody has asked the marker before
			}
		}
		if other == nil {
			problem.Kind = "missing"
			line := fmt.Sprintf("%s %s requires %s, which is not installed.", p.name, version, dependency)
			r.problems = append(r.problems, finding{Problem: problem, line: line, req: req})
			continue
		}
		if !req.Specifier.Contains(other.version, rules.specifier) {
			have := other.version.String()
			problem.Kind, problem.Installed = "conflict", &have
			line := fmt.Sprintf("%s %s has requirement %s, but you have %s %s.", p.name, version, text, dependency, have)
			r.problems = append(r.problems, finding{Problem: problem, line: line, req: req})
		}
	}
	return installed
}

// platforms reports wheels that do not fit the interpreter. To print one, pip asks for its name and version once more.
func (r *pipResult) platforms(yielded []*pipDist, e *Environment) fate {
	for _, p := range yielded {
		if !p.wheel || e.supportsAny(p.tags) {
			continue
		}
		if p.noVersion || p.notUTF8 {
			e.deadPip = p.path
			return dies
		}
		version, name := p.version.String(), p.pkg.RawName
		if name == "" || p.bom {
			name = p.name
		}
		r.problems = append(r.problems, finding{
			Problem: Problem{Kind: "unsupported_tag", Columns: []string{columnPip}, Package: p.name, Version: &version, Path: p.path, Why: []Hop{}},
			line:    fmt.Sprintf("%s %s is not supported on this platform", name, version),
		})
	}
	return installed
}

// unfold joins the lines of a wrapped value.
func unfold(text string) string { return strings.Join(strings.Fields(text), " ") }
