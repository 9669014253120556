// SPDX-License-Identifier: Apache-2.0

package python

import (
	"path"

	"firn.dev/firn/internal/imagecheck/layer"
)

// archives is the file system of the image as Python imports from it: a zip archive, such as an egg, is a directory too. Of what is in an
// archive it has only the metadata directories.
type archives struct {
	tree *layer.Tree
	open map[string]*layer.Tree // by the real path of the archive
}

// inside gives the archive that p is or leads into, the path in it and the archive's layer; nil when there is none.
func (a *archives) inside(p string) (tree *layer.Tree, rest string, in int) {
	for dir := path.Clean("/" + p); dir != "/"; dir = path.Dir(dir) {
		real, n, err := a.tree.Resolve(dir)
		if err != nil {
			continue
		}
		if n.Type != layer.File || !n.Has(layer.Archive) {
			return nil, "", 0
		}
		if _, known := a.open[real]; !known {
			a.open[real], _ = n.Inside()
		}
		return a.open[real], path.Clean("/" + p)[len(dir):], n.Layer
	}
	return nil, "", 0
}

// resolve gives the node of a path, links followed; false when there is nothing.
func (a *archives) resolve(p string) (layer.Node, bool) {
	if tree, rest, in := a.inside(p); tree != nil {
		_, n, err := tree.Resolve(rest)
		n.Layer = in
		return n, err == nil
	}
	_, n, err := a.tree.Resolve(p)
	return n, err == nil
}

// importable tells whether Python would import from p. An archive that is too large to be looked into is one.
func (a *archives) importable(p string) bool {
	n, ok := a.resolve(p)
	return ok && (n.Type == layer.Dir || n.Has(layer.Archive))
}

func (a *archives) children(p string) []string {
	if tree, rest, _ := a.inside(p); tree != nil {
		return tree.Children(rest)
	}
	return a.tree.Children(p)
}

func (a *archives) body(p string) ([]byte, bool) {
	n, ok := a.resolve(p)
	if !ok || n.Type != layer.File || !n.Has(layer.HasBody) {
		return nil, false
	}
	return n.Body, true
}
