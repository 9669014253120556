// SPDX-License-Identifier: Apache-2.0

package sbom

import (
	"cmp"
	"maps"
	"net/mail"
	"slices"
	"strings"

	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/imagecheck/dpkg"
	"firn.dev/firn/internal/imagecheck/python"
)

// bill is everything that both formats say.
type bill struct {
	image   imagecheck.ImageInfo
	release dpkg.Release
	parts   []part // by kind, name, version and place
}

// layerNotes lists the layers of the image, bottom up.
func (b *bill) layerNotes() []note {
	var list []note
	for _, l := range b.image.Layers {
		value := l.DiffID
		if l.Owner != "unknown" {
			value += " " + l.Owner
		}
		list = append(list, note{"firn:layer", value})
	}
	return list
}

// part is one installed package.
type part struct {
	ref       string // unique in the bill
	kind      string // "deb", "python"
	name      string
	version   string
	purl      string
	summary   string
	supplier  string   // as Debian writes it: Name <address>; "" when unknown
	licence   string   // SPDX expression, "" when unknown
	path      string   // what tells that it is there
	notes     []note   // what neither format has a field for
	dependsOn []string // refs, sorted
}

type note struct{ name, value string }

// origin notes the layer, and who brought it in as far as that is known.
func origin(diffID, owner string) []note {
	var list []note
	if diffID != "" {
		list = append(list, note{"firn:layer", diffID})
	}
	if owner != "unknown" {
		list = append(list, note{"firn:owner", owner})
	}
	return list
}

// gather lists every package once, also one that several environments see. A Python distribution that an installed Debian package
// brought is that Debian package and nothing else.
func gather(inv *imagecheck.Inventory) *bill {
	b := &bill{image: inv.Image, release: inv.Release}
	refs := debianRefs(inv.Debian)
	for _, p := range inv.Debian {
		b.parts = append(b.parts, debianPart(p, inv.Release, refs))
	}
	byPath := map[string]*part{}
	for _, env := range inv.Environments {
		for _, p := range env.Packages {
			if (p.Deb == nil || refs[*p.Deb] == "") && byPath[p.Path] == nil {
				one := pythonPart(env, p)
				byPath[p.Path] = &one
			}
		}
	}
	for _, env := range inv.Environments {
		link(env, byPath, refs)
	}
	for _, place := range slices.Sorted(maps.Keys(byPath)) {
		b.parts = append(b.parts, *byPath[place])
	}
	slices.SortStableFunc(b.parts, func(x, y part) int {
		return cmp.Or(cmp.Compare(x.kind, y.kind), cmp.Compare(x.name, y.name), cmp.Compare(x.version, y.version), cmp.Compare(x.ref, y.ref))
	})
	return b
}

// link books what the packages of an environment ask for.
func link(env *python.Environment, byPath map[string]*part, debs map[string]string) {
	for _, p := range env.Packages {
		from := byPath[p.Path]
		if from == nil {
			continue
		}
		for _, name := range env.DependsOn(p.Name) {
			dependency, ok := env.Installed(name)
			if !ok {
				continue
			}
			ref := ""
			if to := byPath[dependency.Path]; to != nil {
				ref = to.ref
			} else if dependency.Deb != nil {
				ref = debs[*dependency.Deb]
			}
			from.needs(ref)
		}
	}
}

// needs books a dependency once; one on nothing or on itself is none.
func (p *part) needs(ref string) {
	if i, found := slices.BinarySearch(p.dependsOn, ref); !found && ref != "" && ref != p.ref {
		p.dependsOn = slices.Insert(p.dependsOn, i, ref)
	}
}

func pythonPart(env *python.Environment, p python.Package) part {
	one := part{
		ref: "python:" + p.Path, kind: "python", name: p.RawName, version: p.Version, purl: pypiURL(p.RawName, p.Version),
		summary: strings.TrimSpace(env.Summary(p.Name)), licence: normal(env.Licence(p.Name)), path: p.Path,
	}
	one.notes = append(origin(p.Layer, p.Owner), note{"firn:python:environment", env.Prefix}, note{"firn:python:type", p.Type})
	if p.Installer != nil {
		one.notes = append(one.notes, note{"firn:python:installer", *p.Installer})
	}
	if p.Editable {
		one.notes = append(one.notes, note{"firn:python:editable", "true"})
	}
	return one
}

func debianRef(p dpkg.Package) string { return "deb:" + p.Name + ":" + p.Arch }

// debianRefs finds installed packages by name, or else those that stand in for a name; of several the first.
func debianRefs(debs []imagecheck.InventoryDeb) map[string]string {
	refs := map[string]string{}
	note := func(name string, p imagecheck.InventoryDeb) {
		if refs[name] == "" {
			refs[name] = debianRef(p.Package)
		}
	}
	for _, p := range debs {
		note(p.Name, p)
	}
	for _, p := range debs {
		for _, name := range p.Provides {
			note(name, p)
		}
	}
	return refs
}

func debianPart(p imagecheck.InventoryDeb, release dpkg.Release, refs map[string]string) part {
	one := part{
		ref: debianRef(p.Package), kind: "deb", name: p.Name, version: p.Version, purl: debURL(p.Package, release),
		supplier: p.Maintainer, path: p.Path,
		notes: append(origin(p.DiffID, p.Owner), note{"firn:deb:source", p.Source}, note{"firn:deb:source-version", p.SourceVersion}),
	}
	for _, alternatives := range p.Depends {
		if i := slices.IndexFunc(alternatives, func(name string) bool { return refs[name] != "" }); i >= 0 {
			one.needs(refs[alternatives[i]])
		}
	}
	return one
}

// person splits "Name <address>". What is no address is left out.
func person(text string) (name, address string) {
	name, address, _ = strings.Cut(text, "<")
	address = strings.TrimSuffix(strings.TrimSpace(address), ">")
	if parsed, err := mail.ParseAddress(address); err != nil || parsed.Address != address {
		address = ""
	}
	return strings.TrimSpace(name), address
}
