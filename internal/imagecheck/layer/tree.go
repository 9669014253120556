// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"slices"
	"strings"
)

// Node is one path of the merged file system.
type Node struct {
	*Entry
	Layer int // index of the layer that provides it, bottom up; -1 for a directory that no layer names
}

// Tree is the merged file system of an image. It is immutable and may be used concurrently.
type Tree struct {
	Scans    []*Scan // bottom up
	nodes    map[string]Node
	list     []Node // of nodes, layer by layer
	children map[string][]string
}

// merger stacks layers from the top down, so that what is hidden is known before it is met.
type merger struct {
	nodes   map[string]Node
	hidden  map[string]bool // path and everything below it is hidden
	opaque  map[string]bool // everything below the path is hidden
	won     [][]int32       // by layer: entries that nothing above hides
	links   []string        // hard links into lower layers
	unnamed []string        // directories that were there before any layer named them
	layer   int
	lastDir string
	lastHid bool
	fresh   bool
}

// Merge stacks scans, given bottom up.
func Merge(scans []*Scan) *Tree {
	total := 0
	for _, s := range scans {
		total += len(s.Entries)
	}
	t := &Tree{Scans: scans, nodes: make(map[string]Node, total), children: map[string][]string{}}
	m := &merger{nodes: t.nodes, hidden: map[string]bool{}, opaque: map[string]bool{}, won: make([][]int32, len(scans))}
	for m.layer = len(scans) - 1; m.layer >= 0; m.layer-- {
		m.add(scans[m.layer])
	}
	t.nodes[""] = Node{Entry: &Entry{Type: Dir, Mode: 0o755}, Layer: -1}
	t.resolveLinks(m.links)
	t.index(m)
	return t
}

func (m *merger) add(s *Scan) {
	m.fresh = false
	// What this layer cuts off takes effect only for the layers that follow.
	var cut []string
	for i := range s.Entries {
		e := &s.Entries[i]
		if e.Path == "" {
			continue
		}
		above, exists := m.nodes[e.Path]
		if exists && above.Type != Dir || m.isHidden(e.Path) {
			continue
		}
		if !exists || above.Layer < 0 && e.Type == Dir {
			m.nodes[e.Path] = Node{Entry: e, Layer: m.layer}
			m.won[m.layer] = append(m.won[m.layer], int32(i))
			if e.Type == HardLink {
				m.links = append(m.links, e.Path)
			}
		}
		if exists && e.Type != Dir {
			cut = append(cut, e.Path)
		}
		m.parents(e.Path)
	}
	m.marks(s)
	for _, p := range s.Whiteouts {
		m.hidden[p] = true
	}
	for _, p := range append(cut, s.Opaque...) {
		m.opaque[p] = true
	}
	delete(m.opaque, "") // engines do not look at the mark of the root
}

// marks makes the directories in which a layer hides something: an engine cannot write the mark without them.
func (m *merger) marks(s *Scan) {
	m.fresh = false
	for _, p := range s.Whiteouts {
		if dir := dirOf(p); dir != "" && !m.isHidden(p) {
			m.parents(p)
		}
	}
	for _, p := range s.Opaque {
		if p != "" && !m.isHidden(p+"/x") {
			m.parents(p + "/x")
		}
	}
	m.fresh = false
}

// parents makes sure that the directories above a path exist; a layer need not name them.
func (m *merger) parents(p string) {
	for {
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			return
		}
		p = p[:i]
		if _, ok := m.nodes[p]; ok {
			return
		}
		m.nodes[p] = Node{Entry: &Entry{Path: p, Type: Dir, Mode: 0o755}, Layer: -1}
		m.unnamed = append(m.unnamed, p)
	}
}

// isHidden tells whether a layer above hides the path, either itself or one of its parents.
func (m *merger) isHidden(p string) bool {
	if m.hidden[p] || m.covered(p) {
		return true
	}
	dir := dirOf(p)
	// Neighbours in a tar share their directory, so the answer for it is remembered.
	if !m.fresh || dir != m.lastDir {
		m.lastDir, m.lastHid, m.fresh = dir, m.dirHidden(dir), true
	}
	return m.lastHid
}

// covered tells whether a layer above has something there that is no directory.
func (m *merger) covered(p string) bool {
	n, ok := m.nodes[p]
	return ok && n.Type != Dir && n.Layer > m.layer
}

func (m *merger) dirHidden(dir string) bool {
	for {
		if m.opaque[dir] || m.hidden[dir] || m.covered(dir) {
			return true
		}
		i := strings.LastIndexByte(dir, '/')
		if i < 0 {
			return false
		}
		dir = dir[:i]
	}
}

// resolveLinks gives hard links into lower layers what they link to.
func (t *Tree) resolveLinks(links []string) {
	indexes := map[int]map[string]*Entry{}
	for _, p := range links {
		n := t.nodes[p]
		for below := n.Layer - 1; below >= 0; below-- {
			if indexes[below] == nil {
				indexes[below] = entriesByPath(t.Scans[below])
			}
			if target := indexes[below][n.Link]; target != nil && target.Type != HardLink {
				resolved := *target
				resolved.Path, resolved.Mode, resolved.UID, resolved.GID = p, n.Mode, n.UID, n.GID
				t.nodes[p] = Node{Entry: &resolved, Layer: n.Layer}
				break
			}
		}
	}
}

func entriesByPath(s *Scan) map[string]*Entry {
	m := make(map[string]*Entry, len(s.Entries))
	for i := range s.Entries {
		m[s.Entries[i].Path] = &s.Entries[i]
	}
	return m
}

// index lists all nodes, and the children of every directory: lower layers first, then in the order of their tar, directories that
// no layer names last.
func (t *Tree) index(m *merger) {
	t.list = append(make([]Node, 0, len(t.nodes)), t.nodes[""])
	add := func(n Node) {
		dir, base := "", n.Path
		if i := strings.LastIndexByte(base, '/'); i >= 0 {
			dir, base = base[:i], base[i+1:]
		}
		t.list = append(t.list, n)
		t.children[dir] = append(t.children[dir], base)
	}
	for layer, won := range m.won {
		for _, i := range won {
			n := Node{Entry: &t.Scans[layer].Entries[i], Layer: layer}
			if n.Type == HardLink {
				n = t.nodes[n.Path] // what it links to
			}
			add(n)
		}
	}
	slices.Sort(m.unnamed)
	for _, p := range m.unnamed {
		if n := t.nodes[p]; n.Layer < 0 {
			add(n)
		}
	}
}
