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
	children map[string][]string
}

// merger stacks layers from the top down, so that what is hidden is known before it is met.
type merger struct {
	tree    *Tree
	nodes   map[string]Node
	hidden  map[string]bool // path and everything below it is hidden
	opaque  map[string]bool // everything below the path is hidden
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
	m := &merger{tree: t, nodes: t.nodes, hidden: map[string]bool{}, opaque: map[string]bool{}}
	for i := len(scans) - 1; i >= 0; i-- {
		m.add(scans[i], i)
	}
	t.nodes[""] = Node{Entry: &Entry{Type: Dir, Mode: 0o755}, Layer: -1}
	t.resolveLinks()
	t.index(scans)
	return t
}

func (m *merger) add(s *Scan, layer int) {
	m.fresh = false
	// What this layer hides below itself takes effect only for the layers that follow.
	var hide, cut []string
	for i := range s.Entries {
		e := &s.Entries[i]
		if e.Path == "" || m.isHidden(e.Path) {
			continue
		}
		above, exists := m.nodes[e.Path]
		switch {
		case !exists:
			m.nodes[e.Path] = Node{Entry: e, Layer: layer}
		case above.Type == Dir && above.Layer < 0 && e.Type == Dir:
			m.nodes[e.Path] = Node{Entry: e, Layer: layer}
		}
		switch {
		case e.Type == Dir && exists && above.Type != Dir, e.Type != Dir && exists:
			cut = append(cut, e.Path)
		case e.Type != Dir:
			hide = append(hide, e.Path)
		}
		m.parents(e.Path)
	}
	m.marks(s)
	for _, p := range append(hide, s.Whiteouts...) {
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
	}
}

// isHidden tells whether a layer above hides the path, either itself or one of its parents.
func (m *merger) isHidden(p string) bool {
	if m.hidden[p] {
		return true
	}
	i := strings.LastIndexByte(p, '/')
	dir := ""
	if i >= 0 {
		dir = p[:i]
	}
	// Neighbours in a tar share their directory, so the answer for it is remembered.
	if !m.fresh || dir != m.lastDir {
		m.lastDir, m.lastHid, m.fresh = dir, m.dirHidden(dir), true
	}
	return m.lastHid
}

func (m *merger) dirHidden(dir string) bool {
	for {
		if m.opaque[dir] || m.hidden[dir] {
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
func (t *Tree) resolveLinks() {
	indexes := map[int]map[string]*Entry{}
	for p, n := range t.nodes {
		if n.Type != HardLink {
			continue
		}
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

// index lists the children of every directory: lower layers first, then in the order of their tar, directories that no layer names
// last.
func (t *Tree) index(scans []*Scan) {
	add := func(p string) {
		dir, base := "", p
		if i := strings.LastIndexByte(p, '/'); i >= 0 {
			dir, base = p[:i], p[i+1:]
		}
		t.children[dir] = append(t.children[dir], base)
	}
	for i, s := range scans {
		for j := range s.Entries {
			if n, ok := t.nodes[s.Entries[j].Path]; ok && n.Layer == i && n.Path != "" {
				add(n.Path)
			}
		}
	}
	var unnamed []string
	for p, n := range t.nodes {
		if n.Layer < 0 && p != "" {
			unnamed = append(unnamed, p)
		}
	}
	slices.Sort(unnamed)
	for _, p := range unnamed {
		add(p)
	}
}
