// SPDX-License-Identifier: Apache-2.0

package python

import (
	"maps"
	"slices"
	"strings"

	"firn.dev/firn/internal/imagecheck/pep440"
	"firn.dev/firn/internal/imagecheck/pep508"
)

// Fix is one command that cures every fixable problem of an environment.
type Fix struct {
	Command       *string       `json:"command"`
	Changes       []Change      `json:"changes"`
	Unsatisfiable []Unsatisfied `json:"unsatisfiable"`
}

// Change is one package to install or move.
type Change struct {
	Name string  `json:"name"`
	From *string `json:"from"` // installed version, null when missing
	To   string  `json:"to"`   // specifier that everything installed agrees on, "" for any version
}

// Unsatisfied is a dependency of which the installed packages ask for what no version can give.
type Unsatisfied struct {
	Dependency string     `json:"dependency"`
	Requirers  []Requirer `json:"requirers"`
}

// Requirer is one package and what it asks for.
type Requirer struct {
	Package     string `json:"package"`
	Version     string `json:"version"`
	Requirement string `json:"requirement"`
}

// propose finds, per broken dependency, the specifier that suits all installed packages, and marks what it cures. nil when there
// is nothing to propose.
func (e *Environment) propose(problems []finding) *Fix {
	broken := map[string]bool{}
	for _, p := range problems {
		switch p.Kind {
		case "missing", "conflict", "extra_missing":
			if p.IgnoredBy == nil {
				broken[value(p.Dependency)] = true
			}
		}
	}
	if len(broken) == 0 {
		return nil
	}
	fix := &Fix{Changes: []Change{}, Unsatisfiable: []Unsatisfied{}}
	all := e.demands(broken)
	for _, name := range slices.Sorted(maps.Keys(broken)) {
		set, requirers := all[name].set, all[name].requirers
		if len(set) > maxClauses {
			delete(broken, name)
			continue
		}
		if !satisfiable(set) {
			fix.Unsatisfiable = append(fix.Unsatisfiable, Unsatisfied{Dependency: name, Requirers: requirers})
			delete(broken, name)
			continue
		}
		change := Change{Name: name, To: set.String()}
		if d := e.byName[name]; d != nil {
			change.From = &d.pkg.Version
		}
		fix.Changes = append(fix.Changes, change)
	}
	for i := range problems {
		p := &problems[i]
		p.Fixable = p.IgnoredBy == nil && broken[value(p.Dependency)] && p.Kind != "undecidable"
	}
	fix.Command = e.command(fix.Changes)
	return fix
}

// maxClauses bounds what one dependency may be asked for; beyond it nothing is proposed.
const maxClauses = 1000

// demand is what the installed packages together ask of one dependency.
type demand struct {
	set       pep440.Set
	requirers []Requirer
}

// demands joins what every installed package asks of the broken dependencies.
func (e *Environment) demands(broken map[string]bool) map[string]*demand {
	all := make(map[string]*demand, len(broken))
	for name := range broken {
		all[name] = &demand{}
	}
	for _, p := range e.Packages {
		for _, one := range e.edges[p.Name] {
			if d := all[pep508.Canonical(one.req.Name)]; d != nil {
				d.set = append(d.set, one.req.Specifier...)
				d.requirers = append(d.requirers, Requirer{Package: p.Name, Version: p.Version, Requirement: one.req.String()})
			}
		}
	}
	return all
}

// satisfiable tries the versions next to every bound: if any version fits all clauses, one of these does.
func satisfiable(set pep440.Set) bool {
	candidates := []string{"0", "1", "99999999"}
	for _, s := range set {
		bound := strings.TrimSuffix(s.Operand, ".*")
		candidates = append(candidates, bound, bound+".0.1", bound+".1", bound+".post1", bound+".99999999", below(bound))
	}
	for _, text := range candidates {
		if v, err := pep440.Parse(text); err == nil && set.Contains(v.Normal(), pep440.RulesParsed) {
			return true
		}
	}
	return false
}

// below gives a version shortly before a release: "1.9999999" for "2.0".
func below(bound string) string {
	v, err := pep440.Parse(bound)
	if err != nil {
		return bound
	}
	return v.JustBelow()
}

// command writes the changes as one line of shell.
func (e *Environment) command(changes []Change) *string {
	if len(changes) == 0 {
		return nil
	}
	specs := make([]string, len(changes))
	for i, c := range changes {
		specs[i] = c.Name + c.To
	}
	line := e.InstallCommand(specs...)
	return &line
}

// InstallCommand gives the one line of shell that installs requirements into this environment, for a RUN line.
func (e *Environment) InstallCommand(requirements ...string) string {
	parts := []string{"pip install"}
	switch {
	case e.usesUV && e.Kind != "venv":
		parts = []string{"uv pip install --system"}
	case e.usesUV:
		parts = []string{"uv pip install --python " + e.Python}
	}
	if e.ExternallyManaged {
		parts = append(parts, "--break-system-packages")
	}
	for _, r := range requirements {
		parts = append(parts, "'"+r+"'")
	}
	return strings.Join(parts, " ")
}
