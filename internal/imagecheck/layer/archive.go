// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/zip"
	"bytes"
	"io"
	"path"
	"strings"
)

const (
	archiveMax     = 32 << 20  // bytes of an archive that is looked into; it is held in memory as a whole, one at a time
	archiveSmall   = 256 << 10 // bytes of one that need not wait for its turn
	archiveMembers = 1 << 16   // entries of an archive that is looked into
	archiveUnpack  = 64 << 20  // bytes that its metadata may unpack to
)

// isArchive tells the files that Python can import from as if they were directories.
func isArchive(base string) bool {
	switch strings.ToLower(path.Ext(base)) {
	case ".egg", ".whl", ".zip":
		return true
	}
	return false
}

// keepArchive keeps what a scan would keep of the metadata directories in a zip archive, as a scan of its own. One that is too large is
// marked, anything else is treated as the file that it is.
func keepArchive(e *Entry, r io.Reader, budget *Budget) error {
	if e.Size > archiveMax {
		e.Flag |= Archive | TooLong
		return nil
	}
	if e.Size > archiveSmall {
		budget.archive.Lock()
		defer budget.archive.Unlock()
	}
	data := make([]byte, e.Size)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	inside, ok, whole := readArchive(data)
	switch {
	case ok:
		e.Flag |= Archive | HasBody
		e.Body = encode(&Scan{Entries: inside})
	case !whole:
		e.Flag |= Archive
	case e.Mode&0o111 != 0:
		e.Body = startOf(data[:min(len(data), headMax)])
	}
	if !whole {
		e.Flag |= TooLong
	}
	return nil
}

// readArchive lists the metadata directories of a zip archive and what is in them, in the order of its directory. ok is false for what
// is no archive, whole is false when some of it is left out for its size.
func readArchive(data []byte) (entries []Entry, ok, whole bool) {
	if bytes.Count(data, []byte("PK\x01\x02")) > archiveMembers {
		return nil, false, false
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, false, true
	}
	at, left := map[string]int{}, int64(archiveUnpack)
	add := func(e Entry) *Entry {
		i, seen := at[e.Path]
		if !seen {
			i = len(entries)
			at[e.Path], entries = i, append(entries, e)
		} else if e.Type == File {
			entries[i] = e // the last of equal names counts
		}
		return &entries[i]
	}
	for _, f := range z.File {
		top, rest, deep := strings.Cut(f.Name, "/")
		if !isMetadata(top) || clean(f.Name) != strings.TrimSuffix(f.Name, "/") {
			continue
		}
		if deep {
			add(Entry{Path: top, Type: Dir, Mode: 0o755})
		}
		if rest == "" && deep || strings.Contains(rest, "/") || isArchive(rest) {
			continue
		}
		e := add(Entry{Path: f.Name, Type: File, Mode: 0o644, Size: int64(min(f.UncompressedSize64, 1<<62))})
		if keepOf(e) == keepNothing {
			continue
		}
		if left -= keepMember(e, f, left); left <= 0 {
			return entries, true, false
		}
	}
	return entries, true, true
}

// keepMember keeps of a member what is kept of a file, and tells how many bytes it has unpacked. One that does not unpack is there
// without its content.
func keepMember(e *Entry, f *zip.File, left int64) int64 {
	body, err := f.Open()
	if err != nil {
		return 0
	}
	defer body.Close()
	limited := &io.LimitedReader{R: body, N: left}
	if err := keepBody(e, limited, nil); err != nil {
		e.Body, e.Flag = nil, 0
	}
	return left - limited.N
}

// isMetadata tells the names at the top of an archive that describe distributions.
func isMetadata(name string) bool {
	name = strings.ToLower(name)
	return name == "egg-info" || strings.HasSuffix(name, ".egg-info") || strings.HasSuffix(name, ".dist-info")
}

// Inside gives what is kept of an archive as a file system of its own; false for a file that is none, or too large to be looked into.
func (e *Entry) Inside() (*Tree, bool) {
	if !e.Has(Archive | HasBody) {
		return nil, false
	}
	s, err := decode(e.Body)
	if err != nil {
		return nil, false
	}
	return Merge([]*Scan{s}), true
}
