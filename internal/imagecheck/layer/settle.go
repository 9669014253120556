// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"strings"

	"firn.dev/firn/internal/errs"
)

// settler puts the entries of one layer where an engine puts them that writes them one after the other into an empty directory: an
// entry below a link of the same layer goes where the link leads, and a file or link removes what the layer had below it.
type settler struct {
	b     *builder
	known map[string]bool // directories without a link or file above them
	steps int             // names looked at in links
}

// maxSteps bounds the names of links that are followed in one layer.
const maxSteps = 20_000_000

func (b *builder) settler() *settler { return &settler{b: b, known: map[string]bool{"": true}} }

// settle changes the scan of b only when something in it is below what is no directory, which hardly any layer has.
//
// Errors: Exhausted.
func (b *builder) settle() error {
	s := b.settler()
	last, odd := "", false
	for i := range b.scan.Entries {
		if dir := dirOf(b.scan.Entries[i].Path); dir != last {
			last, odd = dir, odd || !s.plain(dir)
		}
	}
	for _, list := range [][]string{b.scan.Whiteouts, b.scan.Opaque} {
		for _, p := range list {
			odd = odd || !s.plain(dirOf(p))
		}
	}
	for i := range b.scan.Opaque {
		odd = odd || !s.plain(b.scan.Opaque[i])
	}
	if odd {
		s.move()
	}
	if s.steps > maxSteps {
		return errs.New(errs.Exhausted, "layer %s has entries below too many symbolic links", b.scan.DiffID)
	}
	return nil
}

func dirOf(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// plain tells whether nothing in this layer makes dir or what is above it other than a directory.
func (s *settler) plain(dir string) bool {
	if plain, ok := s.known[dir]; ok {
		return plain
	}
	i, named := s.b.at[dir]
	plain := (!named || s.b.scan.Entries[i].Type == Dir) && s.plain(dirOf(dir))
	s.known[dir] = plain
	return plain
}

// move writes the entries anew, in their order.
func (s *settler) move() {
	old := s.b.scan.Entries
	s.b.scan.Entries, s.b.at = make([]Entry, 0, len(old)), make(map[string]int, len(old))
	gone := s.removed(old)
	for i := range old {
		if gone[i] {
			continue
		}
		e := old[i]
		e.Path = s.real(e.Path)
		if at, ok := s.b.at[e.Path]; ok {
			s.b.scan.Entries[at] = e
			continue
		}
		s.b.at[e.Path] = len(s.b.scan.Entries)
		s.b.scan.Entries = append(s.b.scan.Entries, e)
	}
	for i, p := range s.b.scan.Whiteouts {
		s.b.scan.Whiteouts[i] = s.real(p)
	}
	for i, p := range s.b.scan.Opaque {
		s.b.scan.Opaque[i] = dirOf(s.real(p + "/x"))
	}
}

// removed marks the entries over which a file or link was written later.
func (s *settler) removed(entries []Entry) []bool {
	over := map[string]int{} // file or link -> where it stands
	for i := range entries {
		if e := &entries[i]; e.Type != Dir {
			over[e.Path] = i
		}
	}
	gone := make([]bool, len(entries))
	for i := range entries {
		for dir := dirOf(entries[i].Path); dir != "" && !gone[i]; dir = dirOf(dir) {
			at, ok := over[dir]
			gone[i] = ok && (at > i || entries[at].Type != Symlink)
		}
	}
	return gone
}

// real follows the links of this layer, as far as it has been written, in everything above the last name of p.
func (s *settler) real(p string) string {
	if s.plain(dirOf(p)) {
		return p
	}
	rest, at := strings.Split(p, "/"), ""
	for hops := 0; len(rest) > 1 && s.steps <= maxSteps; {
		part := rest[0]
		rest = rest[1:]
		s.steps++
		switch part {
		case "", ".":
			continue
		case "..":
			at = dirOf(at)
			continue
		}
		next := strings.TrimPrefix(at+"/"+part, "/")
		if i, ok := s.b.at[next]; ok && s.b.scan.Entries[i].Type == Symlink {
			if hops++; hops > maxHops {
				return p
			}
			link := s.b.scan.Entries[i].Link
			if strings.HasPrefix(link, "/") {
				at = ""
			}
			rest = append(strings.Split(link, "/"), rest...)
			continue
		}
		at = next
	}
	return clean(at + "/" + rest[0])
}
