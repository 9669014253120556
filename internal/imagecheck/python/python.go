// SPDX-License-Identifier: Apache-2.0

// Package python finds the Python environments of an image and what is wrong in them without running anything of the image:
// interpreters, sys.path, installed distributions, what `pip check` of that very pip would print (the "pip" column) and what a
// stricter reading of the same metadata finds (the "strict" column).
//
// It reads a merged layer.Tree and knows no policy: the caller says what to ignore. Package imagecheck calls Inspect.
package python

import (
	"cmp"
	"slices"

	"firn.dev/firn/internal/imagecheck/layer"
)

// Input is what the image's configuration adds to its files.
type Input struct {
	Env  map[string]string // of the image; the last of equal names
	Path []string          // directories of PATH
	Home string            // of the image's user, when Env has no HOME
	Work string            // working directory
	// Ignore says whether the policy excuses a problem, by the name of the rule, "" for no. line is the line of pip check that
	// reports it, "" when there is none. nil excuses nothing.
	Ignore func(pkg, dependency, line string) string
	// Required are canonical names that the policy asks for; chains of Problem.Why may start there.
	Required []string
	// LayerOf names a layer by its index: diffID and owner ("base", "user", "unknown").
	LayerOf func(index int) (diffID, owner string)
}

// Environment is one interpreter with everything it can import. The JSON form is part of schema firn.validate/1.
type Environment struct {
	Prefix            string       `json:"prefix"`
	Kind              string       `json:"kind"` // system, debian, venv, conda
	Python            string       `json:"python"`
	PythonVersion     string       `json:"python_version"` // X.Y.Z
	VersionExact      bool         `json:"version_exact"`  // false: Z is unknown and written as 0
	Primary           bool         `json:"primary"`
	SysPath           []string     `json:"sys_path"`
	ExternallyManaged bool         `json:"externally_managed"`
	Packages          []Package    `json:"packages"`
	NotCounted        []NotCounted `json:"not_counted"`
	Pip               Pip          `json:"pip"`
	Problems          []Problem    `json:"problems"`
	ProblemsTotal     int          `json:"problems_total"`
	Fix               *Fix         `json:"fix"`

	minor   string // X.Y
	usesUV  bool
	dists   []*dist
	byName  map[string]*dist
	edges   map[string][]edge // canonical name -> requirements that apply
	deadPip string            // metadata on which pip check dies, "" when it does not
	// deadSite is the .pth file at which the interpreter ends when it starts, "" when it does not.
	deadSite string
	musl     bool
}

// Package is one installed distribution that counts.
type Package struct {
	Name      string  `json:"name"`
	RawName   string  `json:"raw_name"`
	Version   string  `json:"version"`
	Path      string  `json:"path"`
	Layer     string  `json:"layer"`
	Owner     string  `json:"owner"`
	Type      string  `json:"type"` // dist-info, egg-info, egg-link, egg
	Installer *string `json:"installer"`
	Editable  bool    `json:"editable"`
	Deb       *string `json:"deb"`
}

// NotCounted is a distribution that Python does not see, and why: shadowed, duplicate, orphan, invalid.
type NotCounted struct {
	Path    string  `json:"path"`
	Name    *string `json:"name"`
	Version *string `json:"version"`
	Reason  string  `json:"reason"`
}

// Pip is what `pip check` of this environment prints.
type Pip struct {
	Version *string  `json:"version"`
	Rules   string   `json:"rules"` // version of packaging whose specifier rules apply
	Exit    int      `json:"exit"`  // 0, 1, or 2 when that pip dies
	Lines   []string `json:"lines"`
	Ignored []string `json:"ignored"` // those of Lines that the policy excuses
}

// Problem is one finding of the pip column, the strict column or both.
type Problem struct {
	Kind        string   `json:"kind"`
	Columns     []string `json:"columns"`
	Package     string   `json:"package"`
	Version     *string  `json:"version"`
	Requirement *string  `json:"requirement"`
	Dependency  *string  `json:"dependency"`
	Installed   *string  `json:"installed"`
	Path        string   `json:"path"`
	IgnoredBy   *string  `json:"ignored_by"`
	Why         []Hop    `json:"why"`
	Fixable     bool     `json:"fixable"`
}

// Hop is one step of the chain from a package that somebody asked for to a broken requirement.
type Hop struct {
	Package  string `json:"package"`
	Version  string `json:"version"`
	Requires string `json:"requires"`
}

// maxProblems bounds Environment.Problems; ProblemsTotal counts all.
const maxProblems = 10_000

// InPip tells whether the pip column has the problem.
func (p Problem) InPip() bool { return slices.Contains(p.Columns, columnPip) }

const (
	columnPip    = "pip"
	columnStrict = "strict"
)

// Inspect finds every environment, the primary one first, then by prefix.
func Inspect(t *layer.Tree, in Input) []*Environment {
	f := newFinder(t, in)
	var list []*Environment
	for _, id := range f.interpreters() {
		list = append(list, f.environment(id))
	}
	for _, e := range list {
		f.inventory(e)
		e.judge(in)
	}
	slices.SortStableFunc(list, func(a, b *Environment) int {
		if a.Primary != b.Primary {
			if a.Primary {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Prefix, b.Prefix)
	})
	return list
}

// Dies gives the .pth file at which the interpreter ends with a traceback whenever it is started, "" when it does not. It does when it
// cannot decode one.
func (e *Environment) Dies() string { return e.deadSite }

// PipDies gives the metadata on which this environment's pip check ends with a traceback, "" when it does not.
func (e *Environment) PipDies() string { return e.deadPip }

// judge fills both columns, the chains and the fix.
func (e *Environment) judge(in Input) {
	pip := e.pipCheck()
	e.Pip.Lines, e.Pip.Exit = pip.lines, pip.exit
	e.Pip.Ignored = []string{}
	problems := e.strict()
	problems = mergeColumns(problems, pip.problems)
	if in.Ignore != nil {
		for i := range problems {
			p := &problems[i].Problem
			if by := in.Ignore(p.Package, value(p.Dependency), problems[i].line); by != "" {
				p.IgnoredBy = &by
			}
		}
		for _, f := range pip.problems {
			if in.Ignore(f.Package, value(f.Dependency), f.line) != "" {
				e.Pip.Ignored = append(e.Pip.Ignored, f.line)
			}
		}
		slices.Sort(e.Pip.Ignored)
	}
	slices.SortStableFunc(problems, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(value(a.Dependency), value(b.Dependency)),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(value(a.Requirement), value(b.Requirement)), cmp.Compare(a.Path, b.Path))
	})
	e.ProblemsTotal = len(problems)
	if len(problems) > maxProblems {
		problems = problems[:maxProblems]
	}
	e.explain(problems, in.Required)
	e.Fix = e.propose(problems)
	e.Problems = make([]Problem, len(problems))
	for i := range problems {
		e.Problems[i] = problems[i].Problem
	}
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Installed gives the package that counts under a canonical name.
func (e *Environment) Installed(name string) (Package, bool) {
	i, ok := slices.BinarySearchFunc(e.Packages, name, func(p Package, n string) int { return cmp.Compare(p.Name, n) })
	if !ok {
		return Package{}, false
	}
	return e.Packages[i], true
}
