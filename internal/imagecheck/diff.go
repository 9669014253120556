// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"firn.dev/firn/internal/errs"
)

// ImageDiff says how one image differs from another. Its JSON form is schema firn.image-diff/1: unknown values are null, lists are
// ordered by name.
type ImageDiff struct {
	Schema       string        `json:"schema"`
	A            DiffSide      `json:"a"`
	B            DiffSide      `json:"b"`
	Different    bool          `json:"different"`
	SharedLayers int           `json:"shared_layers"` // leading layers that both have
	Layers       []LayerChange `json:"layers"`        // the others: those of A from the bottom up, then those of B
	Config       []Change      `json:"config"`        // platform, python, user, workdir, entrypoint, cmd
	Env          []Change      `json:"env"`
	Labels       []Change      `json:"labels"`
	CUDA         []Change      `json:"cuda"`
	Packages     []Change      `json:"packages"` // of the first python on PATH
	Debs         []Change      `json:"debs"`
}

// DiffSide is one of the two images. UnpackedSize is bytes.
type DiffSide struct {
	Ref          string  `json:"ref"`
	ConfigDigest *string `json:"config_digest"`
	Layers       int     `json:"layers"`
	UnpackedSize int64   `json:"unpacked_size"`
	Packages     int     `json:"packages"`
	Debs         int     `json:"debs"`
}

// LayerChange is a layer that only one of the images has, or that stands above such a one.
type LayerChange struct {
	Image     string  `json:"image"` // a, b
	DiffID    string  `json:"diff_id"`
	Size      int64   `json:"size"` // unpacked bytes
	CreatedBy *string `json:"created_by"`
}

// Change is one thing that was added (From is null), removed (To is null) or changed.
type Change struct {
	Name string  `json:"name"`
	From *string `json:"from"`
	To   *string `json:"to"`
}

// Diff compares two images.
func Diff(a, b *Contents) *ImageDiff {
	d := &ImageDiff{
		Schema: "firn.image-diff/1", A: a.side(), B: b.side(), Layers: []LayerChange{},
		SharedLayers: sharedLayers(a.c.config.RootFS.DiffIDs, b.c.config.RootFS.DiffIDs),
		Config:       changes(a.settings(), b.settings()), Env: changes(a.environment(), b.environment()),
		Labels: changes(a.c.config.Config.Labels, b.c.config.Config.Labels), CUDA: changes(a.cuda(), b.cuda()),
		Packages: changes(a.pythonPackages(), b.pythonPackages()), Debs: changes(a.debianPackages(), b.debianPackages()),
	}
	d.Layers = append(a.layersFrom(d.SharedLayers, "a"), b.layersFrom(d.SharedLayers, "b")...)
	for _, group := range d.groups() {
		d.Different = d.Different || len(group.list) > 0
	}
	d.Different = d.Different || len(d.Layers) > 0
	return d
}

func (c *Contents) side() DiffSide {
	info := c.c.report.Image
	return DiffSide{
		Ref: info.Ref, ConfigDigest: info.ConfigDigest, Layers: len(info.Layers), UnpackedSize: c.c.unpackedSize(),
		Packages: len(c.pythonPackages()), Debs: len(c.debs),
	}
}

func (c *Contents) layersFrom(n int, image string) []LayerChange {
	list := []LayerChange{}
	for i, l := range c.c.report.Image.Layers[n:] {
		list = append(list, LayerChange{Image: image, DiffID: l.DiffID, Size: layerSize(c.c.tree.Scans[n+i]), CreatedBy: l.CreatedBy})
	}
	return list
}

// changes compares two maps, by name.
func changes(a, b map[string]string) []Change {
	list := []Change{}
	names := slices.Concat(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		from, inA := a[name]
		to, inB := b[name]
		one := Change{Name: name}
		if inA {
			one.From = &from
		}
		if inB {
			one.To = &to
		}
		if !inA || !inB || from != to {
			list = append(list, one)
		}
	}
	return list
}

type changeGroup struct {
	title, joint string
	list         []Change
}

func (d *ImageDiff) groups() []changeGroup {
	return []changeGroup{
		{"Configuration", ": ", d.Config}, {"Environment variables", "=", d.Env}, {"Labels", "=", d.Labels}, {"CUDA", ": ", d.CUDA},
		{"Debian packages", " ", d.Debs}, {"Python packages", " ", d.Packages},
	}
}

// Write writes the comparison as FormatText or FormatJSON.
//
// Errors: Invalid for another format, or what w gave.
func (d *ImageDiff) Write(w io.Writer, format string) error {
	switch format {
	case FormatJSON:
		return writeJSON(w, d)
	case FormatText:
		_, err := io.WriteString(w, d.text())
		return err
	}
	return errs.New(errs.Invalid, "format %q does not exist: there are text and json", format)
}

func (d *ImageDiff) text() string {
	var b strings.Builder
	for _, side := range []struct {
		name string
		DiffSide
	}{{"A", d.A}, {"B", d.B}} {
		fmt.Fprintf(&b, "%s  %s: %s unpacked, %d layers, %d Python packages, %d Debian packages\n", side.name, printable(side.Ref),
			sizeText(side.UnpackedSize), side.Layers, side.Packages, side.Debs)
	}
	if !d.Different {
		b.WriteString("No difference.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "\nLayers: the first %d are shared, B unpacks to %s\n", d.SharedLayers, difference(d.B.UnpackedSize-d.A.UnpackedSize))
	for _, l := range d.Layers {
		by := "unknown step"
		if l.CreatedBy != nil {
			by = fmt.Sprintf("%.100s", strings.Join(strings.Fields(*l.CreatedBy), " "))
		}
		fmt.Fprintf(&b, "  %s %s %s: %s\n", map[string]string{"a": "-", "b": "+"}[l.Image], l.DiffID[:min(len(l.DiffID), 19)], sizeText(l.Size), printable(by))
	}
	for _, group := range d.groups() {
		group.text(&b)
	}
	return b.String()
}

func (g changeGroup) text(b *strings.Builder) {
	if len(g.list) == 0 {
		return
	}
	added, removed, changed := 0, 0, 0
	var lines strings.Builder
	for _, c := range g.list {
		name := printable(c.Name)
		switch {
		case c.From == nil:
			added++
			fmt.Fprintf(&lines, "  + %s%s%s\n", name, g.joint, printable(*c.To))
		case c.To == nil:
			removed++
			fmt.Fprintf(&lines, "  - %s%s%s\n", name, g.joint, printable(*c.From))
		default:
			changed++
			fmt.Fprintf(&lines, "  ~ %s%s%s -> %s\n", name, g.joint, printable(*c.From), printable(*c.To))
		}
	}
	fmt.Fprintf(b, "\n%s: %d added, %d removed, %d changed\n%s", g.title, added, removed, changed, lines.String())
}

// difference writes how many bytes more or less.
func difference(n int64) string {
	switch {
	case n == 0:
		return "the same size"
	case n < 0:
		return sizeText(-n) + " less"
	}
	return sizeText(n) + " more"
}
