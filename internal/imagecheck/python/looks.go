// SPDX-License-Identifier: Apache-2.0

package python

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// look is one distribution in the way in which pip looks at it. At some it looks twice.
type look struct {
	*dist
	rules pipRules
	again bool // replaces what was seen before under its name
	dir   int  // of sys.path
	rank  rank
}

// rank is what comes first in one directory of sys.path.
type rank int

const (
	rankMetadata rank = iota
	rankEgg
	rankLink
)

// looks gives what pip looks at, in its order.
func (r pipRules) looks(e *Environment) []look {
	var list []look
	for _, d := range e.dists {
		for _, l := range r.looksAt(d, e.SysPath) {
			if l.dist = d; l.dir >= 0 {
				list = append(list, l)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b look) int {
		order := cmp.Compare(a.dir, b.dir)
		switch {
		case order != 0:
			return order
		case r.importlib:
			return cmp.Compare(a.rank, b.rank)
		case r.from("23.1"):
			return cmp.Compare(a.entry, b.entry)
		}
		return -compareParts(a.entry, b.entry)
	})
	return list
}

// looksAt gives the looks at one distribution. Up to 25.0, a pip that looks through importlib leaves what is in an .egg or another archive
// to pkg_resources, after it has looked itself if the archive is in sys.path.
func (r pipRules) looksAt(d *dist, sysPath []string) []look {
	in, old := slices.Index(sysPath, d.dir), r
	old.importlib = false
	var list []look
	switch {
	case d.kind == "egg" && !d.hasMeta, d.zipped && d.kind != "egg" && (!r.importlib || d.inWheel):
	case d.kind == "egg":
		own := slices.Index(sysPath, path.Join(d.dir, d.entry))
		if d.onPath {
			list = append(list, look{rules: r, dir: own})
		}
		if r.importlib && !r.from("25.1") {
			list = append(list, look{rules: old, again: true, dir: in, rank: rankEgg})
			if d.onPath && d.zipped {
				list = append(list, look{rules: old, again: true, dir: own, rank: rankEgg})
			}
		}
	case d.kind == "egg-link" && !r.importlib: // the link itself is not followed
		list = append(list, look{rules: r, dir: slices.Index(sysPath, path.Dir(d.path))})
	case d.kind == "egg-link":
		list = append(list, look{rules: r, dir: in, rank: rankLink})
	default:
		list = append(list, look{rules: r, dir: in})
		if d.zipped && !r.from("25.1") && !strings.HasSuffix(d.dir, ".whl") && (d.kind == "dist-info" || r.from("23.1")) {
			list = append(list, look{rules: old, again: true, dir: in, rank: rankEgg})
		}
	}
	return list
}

// skipsEgg tells whether this pip does not look at an .egg that lies in a directory of sys.path and is not in sys.path itself.
func (r pipRules) skipsEgg(d *dist) bool {
	return !d.onPath && (!r.importlib || r.from("25.1"))
}
