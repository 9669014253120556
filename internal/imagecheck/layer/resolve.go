// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"path"
	"strings"

	"firn.dev/firn/internal/errs"
)

// maxHops is how many symbolic links Linux follows in one path.
const maxHops = 40

// Lookup gives the node of a path without following any link in it.
func (t *Tree) Lookup(p string) (Node, bool) {
	n, ok := t.nodes[clean(p)]
	return n, ok
}

// Resolve follows every symbolic link in p inside the image and gives the final absolute path and its node.
//
// Errors: NotFound for a missing path or dangling link, Invalid for a loop of links or a file used as a directory. The message
// names the last path that was looked at.
func (t *Tree) Resolve(p string) (string, Node, error) {
	rest := strings.Split(path.Clean("/"+p), "/")
	at, hops := "", 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = clean(path.Dir("/" + at))
			continue
		}
		next := strings.TrimPrefix(at+"/"+part, "/")
		n, ok := t.nodes[next]
		switch {
		case !ok:
			return "", Node{}, errs.New(errs.NotFound, "/%s does not exist", next)
		case n.Type == Symlink:
			if hops++; hops > maxHops {
				return "", Node{}, errs.New(errs.Invalid, "/%s is one of more than %d symbolic links", next, maxHops)
			}
			if strings.HasPrefix(n.Link, "/") {
				at = ""
			}
			rest = append(strings.Split(n.Link, "/"), rest...)
			continue
		case n.Type != Dir && remains(rest):
			return "", Node{}, errs.New(errs.Invalid, "/%s is no directory", next)
		}
		at = next
	}
	return "/" + at, t.nodes[at], nil
}

func remains(rest []string) bool {
	for _, part := range rest {
		if part != "" {
			return true
		}
	}
	return false
}

// Children gives the names in a directory, links followed, in the order in which the layers name them; nil when it is none.
func (t *Tree) Children(dir string) []string {
	p, n, err := t.Resolve(dir)
	if err != nil || n.Type != Dir {
		return nil
	}
	return t.children[clean(p)]
}

// IsDir tells whether p is a directory, links followed.
func (t *Tree) IsDir(p string) bool {
	_, n, err := t.Resolve(p)
	return err == nil && n.Type == Dir
}

// Body gives the kept body of a file, links followed; false when there is no such file or its body was not kept.
func (t *Tree) Body(p string) ([]byte, bool) {
	_, n, err := t.Resolve(p)
	if err != nil || n.Type != File || !n.Has(HasBody) {
		return nil, false
	}
	return n.Body, true
}

// Walk calls visit for every path of the merged file system, in the order of the layers and their tars.
func (t *Tree) Walk(visit func(Node)) {
	for _, n := range t.list {
		visit(n)
	}
}
