// SPDX-License-Identifier: Apache-2.0

package imagetest

import (
	"archive/tar"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
)

// Random makes the layers of an image out of a seed: files, directories and links that replace each other, are deleted and come
// back, with odd names and modes. An engine accepts every layer, so what it makes of them can be compared with Firn.
func Random(seed uint64) [][]Entry {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 20261123)), below: map[string]byte{}}
	var layers [][]Entry
	for range 1 + g.rng.IntN(5) {
		layers = append(layers, g.layer())
	}
	return layers
}

// randomNames are few, so that paths meet each other, and odd.
var randomNames = []string{
	"a", "b", "c", "dir", "ünï☃", "with space", "-rf", "back\\slash", "line\nbreak", "..dots", ".hidden", "tab\t", "\u202eevil", "100%",
	strings.Repeat("long", 30), "d.dist-info", "METADATA", "x.pth", "run.sh",
}

var randomModes = []int64{0o644, 0o755, 0o600, 0o4755, 0o2755, 0o1777, 0, 0o111, 0o444, 0o6711}

// generator knows what is where, as far as it has to: below are the types of what the layers so far leave, own those of this layer.
type generator struct {
	rng    *rand.Rand
	below  map[string]byte
	own    map[string]byte
	opaque map[string]bool
	done   []Entry
}

func (g *generator) layer() []Entry {
	g.own, g.opaque, g.done = map[string]byte{}, map[string]bool{}, nil
	for range 3 + g.rng.IntN(25) {
		g.entry()
	}
	for p, kind := range g.own {
		if kind == 0 {
			g.forget(g.below, p)
			continue
		}
		if kind != tar.TypeDir {
			g.forget(g.below, p)
		}
		g.below[p] = kind
	}
	return g.done
}

// forget removes a path and what is in it.
func (g *generator) forget(from map[string]byte, p string) {
	for other := range from {
		if other == p || strings.HasPrefix(other, p+"/") {
			delete(from, other)
		}
	}
}

// place is a path whose parents may be directories in this layer: no link and no file of this layer is above it.
func (g *generator) place() string {
	for {
		p := g.name()
		for g.rng.IntN(3) > 0 && len(p) < 400 {
			p += "/" + g.name()
		}
		if g.fits(p) {
			return p
		}
	}
}

func (g *generator) fits(p string) bool {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if kind, ok := g.own[dir]; ok && kind != tar.TypeDir {
			return false
		}
	}
	return true
}

func (g *generator) name() string { return randomNames[g.rng.IntN(len(randomNames))] }

// paths gives what a map has of a type, 0 for all, in a fixed order.
func (g *generator) paths(from map[string]byte, kind byte) []string {
	var list []string
	for p, k := range from {
		if kind == 0 && k != 0 || kind != 0 && k == kind {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

func (g *generator) pick(list []string) string { return list[g.rng.IntN(len(list))] }

func (g *generator) entry() {
	below := g.paths(g.below, 0)
	switch n := g.rng.IntN(100); {
	case n < 15 && len(below) > 0: // a path of lower layers comes again, as something else perhaps
		if p := g.pick(below); g.fits(p) {
			g.make(p)
		}
	case n < 30 && len(below) > 0:
		if p := g.pick(below); g.fits(p) && !g.has(p) {
			g.parents(p)
			g.own[p] = 0
			g.done = append(g.done, Whiteout(p))
		}
	case n < 36:
		if dirs := g.paths(g.own, tar.TypeDir); len(dirs) > 0 {
			dir := g.pick(dirs)
			if g.opaque[dir] {
				return
			}
			g.opaque[dir] = true
			g.done = append(g.done, Opaque(dir))
			g.forget(g.below, dir)
			g.below[dir] = tar.TypeDir
		}
	default:
		g.make(g.place())
	}
}

// has tells whether this layer has the path or something in it.
func (g *generator) has(p string) bool {
	for other := range g.own {
		if other == p || strings.HasPrefix(other, p+"/") {
			return true
		}
	}
	return false
}

// parents writes the directories above a path; builders do, mostly.
func (g *generator) parents(p string) {
	if dir := path.Dir(p); dir != "." && g.own[dir] != tar.TypeDir {
		g.parents(dir)
		g.own[dir] = tar.TypeDir
		g.done = append(g.done, Entry{Name: dir + "/", Mode: 0o700 + int64(g.rng.IntN(0o100)), Type: tar.TypeDir, UID: g.rng.IntN(3)})
	}
}

// make writes something at a path; engines refuse a layer that names a path twice.
func (g *generator) make(p string) {
	if g.has(p) {
		return
	}
	g.parents(p)
	e := Entry{Name: p, Mode: randomModes[g.rng.IntN(len(randomModes))], UID: g.rng.IntN(3) * 1000, GID: g.rng.IntN(70000)}
	files := g.paths(g.own, tar.TypeReg)
	switch n := g.rng.IntN(100); {
	case n < 45:
		e.Type, e.Body = 0, strings.Repeat("Name: x\n", g.rng.IntN(300))
	case n < 70:
		e.Type, e.Name, e.Mode = tar.TypeDir, p+"/", e.Mode|0o700
	case n < 85:
		e.Type, e.Link, e.Mode = tar.TypeSymlink, g.target(), 0o777
	case n < 92 && len(files) > 0:
		e.Type, e.Link = tar.TypeLink, g.pick(files)
	case n < 96:
		e.Type = tar.TypeFifo
	default:
		e.Type = tar.TypeReg
	}
	if g.own[p] = e.Type; e.Type == 0 || e.Type == tar.TypeLink {
		g.own[p] = tar.TypeReg
	}
	if g.rng.IntN(8) == 0 && e.Type != tar.TypeLink {
		e.Name = "./" + e.Name
	}
	g.done = append(g.done, e)
}

func (g *generator) target() string {
	return []string{"a", "../b", "/dir/a", "../../../../a", "no/where", "a/../c", ".", "/", "ünï☃"}[g.rng.IntN(9)]
}
