// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"strings"

	"firn.dev/firn/internal/errs"
)

const (
	whiteoutPrefix = ".wh."
	opaqueMark     = ".wh..wh..opq"
	metaPrefix     = ".wh..wh." // directories of aufs itself
)

// pathMax is what no path and no link may exceed on Linux, bytes: a layer with a longer one cannot be unpacked.
const pathMax = 4095

// Read scans one layer from its stored bytes and verifies that they unpack to diffID. With diffID "" it computes it.
// It reads stored to its end and does not close it.
//
// Errors: Corrupt for bytes that do not decode or give another diffID, Exhausted for a limit, else what stored or ctx gave.
func Read(ctx context.Context, diffID string, stored io.Reader, limits Limits) (*Scan, error) {
	s, _, err := ReadBlob(ctx, diffID, "", stored, limits)
	return s, err
}

// Blob describes the stored bytes of a layer.
type Blob struct {
	Digest string
	Size   int64 // bytes
}

// ReadBlob is Read that also describes the stored bytes. It hashes them with the algorithm of blobDigest, which may be "".
//
// Errors: as Read.
func ReadBlob(ctx context.Context, diffID, blobDigest string, stored io.Reader, limits Limits) (*Scan, Blob, error) {
	limits = limits.orDefaults()
	stream := newTarStream(ctx, diffID, blobDigest, stored, limits)
	defer stream.Close()
	b := newBuilder(diffID, limits.Budget)
	err := b.readTar(tar.NewReader(stream))
	if err == nil {
		_, err = io.Copy(io.Discard, stream)
	}
	if err != nil {
		return nil, Blob{}, readError(ctx, err, diffID, stream.offset)
	}
	if got := stream.digest(); diffID == "" {
		b.scan.DiffID = got
	} else if got != diffID {
		return nil, Blob{}, notTheDiffID(diffID, got)
	}
	b.scan.UnpackedSize = stream.offset
	return b.finish(), stream.blob(), nil
}

func notTheDiffID(diffID, got string) error {
	return &Failure{DiffID: diffID, Err: errs.New(errs.Corrupt, "layer %s unpacks to %s", diffID, got)}
}

// readError keeps errors that already say what is wrong and gives the others their place.
func readError(ctx context.Context, err error, diffID string, offset int64) error {
	if ctx.Err() != nil {
		return errs.Wrap(ctx.Err(), errs.Canceled, "layer %s", diffID)
	}
	if known, ok := errors.AsType[*errs.Error](err); ok {
		return &Failure{DiffID: diffID, Err: known}
	}
	if network, ok := errors.AsType[net.Error](err); ok {
		return &Failure{DiffID: diffID, Err: errs.Wrap(network, errs.Unavailable, "layer %s: the connection broke at byte %d of its unpacked stream", diffID, offset)}
	}
	return &Failure{DiffID: diffID, Err: errs.New(errs.Corrupt, "layer %s does not decode at byte %d of its unpacked stream: %v", diffID, offset, err)}
}

// builder collects the entries of one layer.
type builder struct {
	scan   Scan
	budget *Budget
	at     map[string]int
	marks  map[string]bool
}

func newBuilder(diffID string, budget *Budget) *builder {
	return &builder{scan: Scan{DiffID: diffID}, budget: budget, at: map[string]int{}, marks: map[string]bool{}}
}

func (b *builder) readTar(r *tar.Reader) error {
	for {
		h, err := r.Next()
		if err == io.EOF {
			return b.settle()
		}
		if err != nil {
			return err
		}
		if err := b.addHeader(h, r); err != nil {
			return err
		}
	}
}

func (b *builder) addHeader(h *tar.Header, body io.Reader) error {
	if n := max(len(h.Name), len(h.Linkname)); n > pathMax {
		return fmt.Errorf("a name of %d bytes, Linux has at most %d", n, pathMax)
	}
	name := clean(h.Name)
	if dir, base := path.Split(name); strings.HasPrefix(base, whiteoutPrefix) {
		return b.addMark(dir, base)
	}
	e := Entry{Path: name, Size: h.Size, Mode: uint32(h.Mode) & 0o7777, UID: h.Uid, GID: h.Gid}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeRegA, tar.TypeGNUSparse, tar.TypeCont: //nolint:staticcheck // old archives carry TypeRegA
		e.Type = File
	case tar.TypeDir:
		e.Type, e.Size = Dir, 0
	case tar.TypeSymlink:
		e.Type, e.Link, e.Size = Symlink, h.Linkname, 0
	case tar.TypeLink:
		e.Type, e.Link, e.Size = HardLink, clean(h.Linkname), 0
	case tar.TypeXGlobalHeader:
		return nil
	default:
		e.Type = Other
	}
	if err := keepBody(&e, body, b.budget); err != nil {
		return err
	}
	return b.add(e)
}

// addMark books a whiteout or an opaque mark.
func (b *builder) addMark(dir, base string) error {
	list, hidden := &b.scan.Whiteouts, dir+strings.TrimPrefix(base, whiteoutPrefix)
	switch {
	case base == opaqueMark:
		list, hidden = &b.scan.Opaque, strings.TrimSuffix(dir, "/")
	case strings.HasPrefix(base, metaPrefix), base == whiteoutPrefix:
		return nil
	}
	// The mark's own spelling tells a whiteout of a path from an opaque mark of it.
	if key := dir + base; !b.marks[key] {
		b.marks[key] = true
		*list = append(*list, hidden)
		return b.budget.take(b.scan.DiffID, &Entry{Path: hidden})
	}
	return nil
}

func (b *builder) add(e Entry) error {
	if err := b.budget.take(b.scan.DiffID, &e); err != nil {
		return err
	}
	if i, ok := b.at[e.Path]; ok {
		b.scan.Entries[i] = e
		return nil
	}
	b.at[e.Path] = len(b.scan.Entries)
	b.scan.Entries = append(b.scan.Entries, e)
	return nil
}

// finish resolves the hard links whose target lies in this layer. All names of a file share its mode and owner: engines give it
// those of the last link.
func (b *builder) finish() *Scan {
	var links, targets []*Entry
	follow := b.settler()
	for i := range b.scan.Entries {
		e := &b.scan.Entries[i]
		if e.Type != HardLink {
			continue
		}
		if target := b.linkTarget(e, follow); target != nil {
			links, targets = append(links, e), append(targets, target)
			target.Mode, target.UID, target.GID = e.Mode, e.UID, e.GID
		}
	}
	for i, e := range links {
		e.become(targets[i])
	}
	s := b.scan // a copy, so that the maps of the builder do not live as long as the scan
	return &s
}

// linkTarget follows hard links of hard links, 40 at most.
func (b *builder) linkTarget(e *Entry, follow *settler) *Entry {
	for range maxHops {
		i, ok := b.at[e.Link]
		if !ok {
			if i, ok = b.at[follow.real(e.Link)]; !ok {
				return nil
			}
		}
		if e = &b.scan.Entries[i]; e.Type != HardLink {
			return e
		}
	}
	return nil
}

// become makes a hard link what its target is.
func (e *Entry) become(target *Entry) {
	name := e.Path
	*e = *target
	e.Path = name
}
