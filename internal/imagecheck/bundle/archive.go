// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/imagecheck/source"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Exported is what Export has written.
type Exported struct {
	Tags        []Tag
	Attachments int   // manifests, with the evidence
	Blobs       int   // all that is content-addressed, manifests too
	Bytes       int64 // of those
}

// Export writes what a place holds into an OCI archive. The file appears when it is whole; an older one of that name is replaced.
// opts say how the images of its Platform are judged; nil leaves the evidence out. The same images, judged alike, give the same bytes. Memory holds
// the manifests and one image's listing, never a layer.
func Export(ctx context.Context, place Place, file string, s source.Settings, opts *imagecheck.Options) (*Exported, error) {
	d, err := openDoor(place, s)
	if err != nil {
		return nil, err
	}
	platform := ""
	if opts != nil {
		platform = opts.Platform
	}
	g, err := gather(ctx, d, platform)
	if err != nil {
		return nil, err
	}
	if opts != nil {
		if err := g.judge(ctx, *opts); err != nil {
			return nil, err
		}
	}
	if err := g.save(ctx, file); err != nil {
		return nil, err
	}
	e := &Exported{Tags: g.tags, Attachments: len(g.attached), Blobs: len(g.contents)}
	for _, c := range g.contents {
		e.Bytes += c.size
	}
	return e, nil
}

// save writes aside and renames, so that no reader ever sees half an archive.
func (g *gathering) save(ctx context.Context, file string) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return unwritable(err, file)
	}
	err = g.write(ctx, f, file)
	if err == nil {
		err = unwritable(f.Sync(), file)
	}
	if closing := f.Close(); err == nil {
		err = unwritable(closing, file)
	}
	if err == nil {
		err = unwritable(os.Rename(f.Name(), file), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// unwritable says that the file is at fault. A nil err stays nil.
func unwritable(err error, file string) error {
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*os.PathError](err); ok {
		err = p.Err
	}
	return errs.Wrap(err, errs.Unavailable, "archive %s cannot be written: %v", file, err)
}

// write writes the archive: layout, index, then the blobs in the order of their digests.
func (g *gathering) write(ctx context.Context, f io.Writer, file string) error {
	slices.SortFunc(g.entries, func(a, b v1.Descriptor) int {
		named := func(d v1.Descriptor) int { return min(len(d.Annotations), 1) }
		return cmp.Or(named(b)-named(a), cmp.Compare(a.Annotations[refName], b.Annotations[refName]), cmp.Compare(a.Digest.String(), b.Digest.String()))
	})
	layout, err := json.Marshal(specs.ImageLayout{Version: specs.ImageLayoutVersion})
	if err != nil {
		return errs.Wrap(err, errs.Internal, "layout of archive %s", file)
	}
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: g.entries})
	if err != nil {
		return errs.Wrap(err, errs.Internal, "index of archive %s", file)
	}
	w := tar.NewWriter(f)
	if err := add(w, specs.ImageLayoutFile, int64(len(layout)), bytes.NewReader(layout)); err != nil {
		return unwritable(err, file)
	}
	if err := add(w, specs.ImageIndexFile, int64(len(index)), bytes.NewReader(index)); err != nil {
		return unwritable(err, file)
	}
	for _, hash := range sorted(g.contents) {
		if err := g.writeBlob(ctx, w, hash, file); err != nil {
			return err
		}
	}
	return unwritable(w.Close(), file)
}

func (g *gathering) writeBlob(ctx context.Context, w *tar.Writer, hash v1.Hash, file string) error {
	c := g.contents[hash]
	if c.body != nil {
		return unwritable(add(w, blobName(hash), c.size, bytes.NewReader(c.body)), file)
	}
	r, err := g.open(ctx, c)
	if err != nil {
		return err
	}
	defer r.Close()
	read := &watched{r: r}
	err = add(w, blobName(hash), c.size, read)
	switch {
	case read.err != nil:
		return g.failure(ctx, read.err, c.from.String())
	case read.n != c.size:
		return errs.New(errs.Corrupt, "%s has another size than the %d bytes that its manifest names", c.from, c.size)
	}
	return unwritable(err, file)
}

// watched remembers how reading went, to tell it from writing.
type watched struct {
	r   io.Reader
	n   int64
	err error
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if w.n += int64(n); err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func add(w *tar.Writer, name string, size int64, r io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(w, r)
	return err
}

func blobName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

// sorted gives digests in byte order.
func sorted(contents map[v1.Hash]content) []v1.Hash {
	var list []v1.Hash
	for h := range contents {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b v1.Hash) int { return cmp.Compare(a.String(), b.String()) })
	return list
}
