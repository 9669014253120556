// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bytes"
	"encoding/binary"

	"firn.dev/firn/internal/errs"
)

// schema changes whenever a scan keeps other things or is written in another way; older cache entries are then ignored.
const schema = "firn.layer/4"

// encode writes a scan: paths relative to the one before, so that a directory's prefix is stored once.
func encode(s *Scan) []byte {
	w := &writer{}
	w.text(schema)
	w.text(s.DiffID)
	w.number(s.UnpackedSize)
	w.number(int64(len(s.Entries)))
	last := ""
	for i := range s.Entries {
		e := &s.Entries[i]
		shared := sharedPrefix(last, e.Path)
		w.number(int64(shared))
		w.text(e.Path[shared:])
		w.buf = append(w.buf, byte(e.Type), byte(e.Flag))
		w.text(e.Link)
		w.number(e.Size)
		w.number(int64(e.Mode))
		w.number(int64(e.UID))
		w.number(int64(e.GID))
		w.bytes(e.Body)
		last = e.Path
	}
	for _, list := range [][]string{s.Whiteouts, s.Opaque} {
		w.number(int64(len(list)))
		for _, p := range list {
			w.text(p)
		}
	}
	return w.buf
}

// decode is the reverse of encode.
//
// Errors: Corrupt for anything that encode did not write.
func decode(data []byte) (*Scan, error) {
	r := &reader{buf: data}
	if got := r.text(); got != schema {
		return nil, errs.New(errs.Corrupt, "cached layer has schema %.40q, want %q", got, schema)
	}
	s := &Scan{DiffID: r.text(), UnpackedSize: r.number()}
	s.Entries = make([]Entry, r.count())
	last := ""
	for i := range s.Entries {
		e := &s.Entries[i]
		e.Path = r.path(last)
		e.Type, e.Flag = Type(r.byte()), Flag(r.byte())
		e.Link, e.Size = r.text(), r.number()
		e.Mode, e.UID, e.GID = uint32(r.number()), int(r.number()), int(r.number())
		e.Body = r.bytes()
		last = e.Path
	}
	for _, list := range []*[]string{&s.Whiteouts, &s.Opaque} {
		*list = make([]string, r.count())
		for i := range *list {
			(*list)[i] = r.text()
		}
	}
	if r.bad || len(r.buf) > 0 {
		return nil, errs.New(errs.Corrupt, "cached layer %.80q is damaged", s.DiffID)
	}
	return s, nil
}

func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

type writer struct{ buf []byte }

func (w *writer) number(n int64) { w.buf = binary.AppendVarint(w.buf, n) }

func (w *writer) text(s string) {
	w.number(int64(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *writer) bytes(b []byte) {
	w.number(int64(len(b)))
	w.buf = append(w.buf, b...)
}

// reader remembers the first thing that did not fit and gives zero values from then on.
type reader struct {
	buf []byte
	bad bool
}

func (r *reader) fail() { r.bad, r.buf = true, nil }

func (r *reader) number() int64 {
	n, size := binary.Varint(r.buf)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.buf = r.buf[size:]
	return n
}

// count is a number of things of which each takes at least one byte.
func (r *reader) count() int {
	n := r.number()
	if n < 0 || n > int64(len(r.buf)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) take() []byte {
	n := r.count()
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) text() string { return string(r.take()) }

func (r *reader) bytes() []byte {
	if b := r.take(); len(b) > 0 {
		return bytes.Clone(b)
	}
	return nil
}

func (r *reader) byte() byte {
	if len(r.buf) == 0 {
		r.fail()
		return 0
	}
	b := r.buf[0]
	r.buf = r.buf[1:]
	return b
}

func (r *reader) path(last string) string {
	shared := r.number()
	if shared < 0 || shared > int64(len(last)) {
		r.fail()
		return ""
	}
	return last[:shared] + r.text()
}
