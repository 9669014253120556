// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"fmt"
	"io"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/pep508"
	"firn.dev/firn/internal/imagecheck/python"
)

// Explanation says where a package of an image comes from. Its JSON form is schema firn.image-explain/1.
type Explanation struct {
	Schema  string            `json:"schema"`
	Image   string            `json:"image"`
	Package string            `json:"package"` // as asked for
	Python  []ExplainedPython `json:"python"`  // per environment that has it, the primary one first
	Debian  []ExplainedDebian `json:"debian"`
	Nearest []string          `json:"nearest"` // names that are installed and alike, when nothing was found
}

// ExplainedPython is the package in one environment.
type ExplainedPython struct {
	Environment string `json:"environment"` // prefix
	Primary     bool   `json:"primary"`
	python.Package
	Licence    *string           `json:"licence"` // SPDX
	Summary    *string           `json:"summary"`
	From       *Origin           `json:"from"`
	RequiredBy []python.Requirer `json:"required_by"`
	Chains     [][]python.Hop    `json:"chains"` // per package that needs it, the shortest way from one that nothing needs
	Requires   []string          `json:"requires"`
	Problems   []string          `json:"problems"`
}

// ExplainedDebian is the package as dpkg knows it.
type ExplainedDebian struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Arch    string  `json:"arch"`
	Source  string  `json:"source"`
	From    *Origin `json:"from"`
}

// Origin is the layer that provides something.
type Origin struct {
	Index     int     `json:"index"` // bottom up
	Layers    int     `json:"layers"`
	DiffID    string  `json:"diff_id"`
	CreatedBy *string `json:"created_by"`
}

// Found tells whether the image has the package at all.
func (e *Explanation) Found() bool { return len(e.Python)+len(e.Debian) > 0 }

// Explain says where a package comes from: a Python package in any spelling, or a Debian package.
func Explain(c *Contents, name string) *Explanation {
	e := &Explanation{
		Schema: "firn.image-explain/1", Image: c.c.opts.Ref, Package: name, Python: []ExplainedPython{}, Debian: []ExplainedDebian{}, Nearest: []string{},
	}
	canonical := pep508.Canonical(strings.TrimSpace(name))
	var known []string
	for _, env := range c.c.envs {
		for _, p := range env.Packages {
			known = append(known, p.Name)
		}
		if p, ok := env.Installed(canonical); ok {
			e.Python = append(e.Python, c.explainPython(env, p))
		}
	}
	for _, p := range c.debs {
		known = append(known, p.Name)
		if p.Name == name {
			e.Debian = append(e.Debian, ExplainedDebian{Name: p.Name, Version: p.Version, Arch: p.Arch, Source: p.Source, From: c.origin(p.Layer)})
		}
	}
	if near := errs.Nearest(canonical, known); !e.Found() && near != "" {
		e.Nearest = append(e.Nearest, near)
	}
	return e
}

func (c *Contents) explainPython(env *python.Environment, p python.Package) ExplainedPython {
	out := ExplainedPython{
		Environment: env.Prefix, Primary: env.Primary, Package: p, RequiredBy: env.Requirers(p.Name), Chains: env.Chains(p.Name, nil),
		Requires: env.Requires(p.Name), Problems: []string{},
	}
	if text := env.Licence(p.Name); text != "" {
		out.Licence = &text
	}
	if text := env.Summary(p.Name); text != "" {
		out.Summary = &text
	}
	if out.RequiredBy == nil {
		out.RequiredBy = []python.Requirer{}
	}
	if out.Requires == nil {
		out.Requires = []string{}
	}
	for i, id := range c.c.config.RootFS.DiffIDs {
		if id == p.Layer {
			out.From = c.origin(i)
		}
	}
	for _, problem := range env.Problems {
		if problem.Package == p.Name || problem.Dependency != nil && *problem.Dependency == p.Name {
			out.Problems = append(out.Problems, problemText(problem))
		}
	}
	return out
}

func (c *Contents) origin(layerIndex int) *Origin {
	layers := c.c.report.Image.Layers
	if layerIndex < 0 || layerIndex >= len(layers) {
		return nil
	}
	l := layers[layerIndex]
	return &Origin{Index: l.Index, Layers: len(layers), DiffID: l.DiffID, CreatedBy: l.CreatedBy}
}

// Write writes the explanation as FormatText or FormatJSON.
//
// Errors: Invalid for another format, or what w gave.
func (e *Explanation) Write(w io.Writer, format string) error {
	switch format {
	case FormatJSON:
		return writeJSON(w, e)
	case FormatText:
		_, err := io.WriteString(w, e.text())
		return err
	}
	return errs.New(errs.Invalid, "format %q does not exist: there are text and json", format)
}

func (e *Explanation) text() string {
	var b strings.Builder
	if !e.Found() {
		fmt.Fprintf(&b, "%s is not installed in %s", printable(e.Package), printable(e.Image))
		if len(e.Nearest) > 0 {
			fmt.Fprintf(&b, ": did you mean %s?", printable(e.Nearest[0]))
		}
		b.WriteByte('\n')
	}
	for _, p := range e.Python {
		p.text(&b)
	}
	for _, p := range e.Debian {
		fmt.Fprintf(&b, "%s %s (Debian package for %s, source %s)\n", printable(p.Name), printable(p.Version), printable(p.Arch), printable(p.Source))
		p.From.text(&b)
	}
	return b.String()
}

func (o *Origin) text(b *strings.Builder) {
	if o == nil {
		return
	}
	fmt.Fprintf(b, "  layer      %d of %d, %s\n", o.Index+1, o.Layers, o.DiffID)
	if o.CreatedBy != nil {
		fmt.Fprintf(b, "  built by   %.300s\n", printable(strings.Join(strings.Fields(*o.CreatedBy), " ")))
	}
}

// listMax bounds the lists of the text form; JSON has all.
const listMax = 20

func (p ExplainedPython) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s %s (Python package in %s)\n", printable(p.Name), printable(p.Version), printable(p.Environment))
	row := func(name string, value *string) {
		if value != nil {
			fmt.Fprintf(b, "  %-10s %s\n", name, printable(*value))
		}
	}
	row("is", p.Summary)
	row("licence", p.Licence)
	row("metadata", &p.Path)
	row("installer", p.Installer)
	row("owned by", p.Deb)
	p.From.text(b)
	if len(p.Chains) == 0 {
		b.WriteString("  needed by  nothing: it was asked for by itself\n")
	} else {
		fmt.Fprintf(b, "  needed by  %d packages\n", len(p.Chains))
	}
	for _, chain := range p.Chains[:min(len(p.Chains), listMax)] {
		b.WriteString("    ")
		for _, hop := range chain {
			fmt.Fprintf(b, "%s %s -> ", printable(hop.Package), printable(hop.Version))
		}
		fmt.Fprintf(b, "%s\n", printable(chain[len(chain)-1].Requires))
	}
	if more := len(p.Chains) - listMax; more > 0 {
		fmt.Fprintf(b, "    and %d more\n", more)
	}
	if len(p.Requires) > 0 {
		requires := strings.Join(p.Requires, ", ")
		row("needs", &requires)
	}
	for _, problem := range p.Problems {
		row("problem", &problem)
	}
}
