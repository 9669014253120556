// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"io"
	"maps"
	"slices"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/source"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Imported is what Import has done, or with a dry run would do.
type Imported struct {
	Tags      []Tag
	Verified  int   // blobs of the archive whose digest was compared, without manifests
	Blobs     int   // that the images did not hold
	Uploaded  int   // of those, had to be sent: the others were on the server; 0 in a dry run
	Bytes     int64 // of those that were sent; in a dry run of all that the images do not hold
	Manifests int   // that the images did not have
	LeftOut   []string
}

// Import puts the images of an OCI archive into a place, with their tags and all that is attached. Before anything is sent, every
// digest of the archive is compared with its content. What is there is not sent again; tags come last, so that none leads to half an
// image. A dry run sends nothing.
func Import(ctx context.Context, file string, place Place, s source.Settings, dry bool) (*Imported, error) {
	archive, err := source.OpenArchive(ctx, file, s)
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	r, err := readLayout(archive, file, place)
	if err != nil {
		return nil, err
	}
	d, err := openDoor(place, s)
	if err != nil {
		return nil, err
	}
	p := &pushing{door: d, reading: r, dry: dry, done: &Imported{LeftOut: r.leftOut}}
	if p.done.Verified, err = r.verify(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(r.loads, func(a, b *load) int {
		if a.image < b.image {
			return -1
		}
		return 1
	})
	for _, l := range r.loads {
		if err := p.load(ctx, l); err != nil {
			return nil, err
		}
	}
	return p.done, nil
}

// pushing is an import on its way.
type pushing struct {
	*door
	*reading
	dry  bool
	done *Imported
}

func (p *pushing) load(ctx context.Context, l *load) error {
	at, err := p.place.image(l.image)
	if err != nil {
		return err
	}
	for _, b := range l.blobs {
		if err := p.blob(ctx, at, b); err != nil {
			return err
		}
	}
	for _, h := range l.manifests {
		if err := p.manifest(ctx, at, h); err != nil {
			return err
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(l.tags)) {
		if err := p.tag(ctx, at, l, tag); err != nil {
			return err
		}
	}
	return nil
}

func (p *pushing) blob(ctx context.Context, at name.Repository, b v1.Descriptor) error {
	ref := at.Digest(b.Digest.String())
	there, err := p.has(ctx, ref)
	if err != nil {
		return err
	}
	if there {
		return nil
	}
	p.done.Blobs++
	if p.dry {
		p.done.Bytes += b.Size
		return nil
	}
	if mounted, err := p.mount(ctx, ref); err != nil || mounted {
		return err
	}
	p.done.Uploaded++
	p.done.Bytes += b.Size
	return p.failure(ctx, p.push.Upload(ctx, at, &blob{reading: p.reading, descriptor: b}), ref.String())
}

func (p *pushing) manifest(ctx context.Context, at name.Repository, h v1.Hash) error {
	ref := at.Digest(h.String())
	there, err := p.head(ctx, ref)
	if err != nil || there != "" {
		return err
	}
	if p.done.Manifests++; p.dry {
		return nil
	}
	return p.failure(ctx, p.push.Put(ctx, ref, p.bodies[h]), ref.String())
}

func (p *pushing) tag(ctx context.Context, at name.Repository, l *load, tag string) error {
	ref, digest := at.Tag(tag), l.tags[tag]
	before, err := p.head(ctx, ref)
	if err != nil {
		return err
	}
	if before != digest.String() && !p.dry {
		if err := p.push.Put(ctx, ref, p.bodies[digest]); err != nil {
			return p.failure(ctx, err, ref.String())
		}
	}
	p.done.Tags = append(p.done.Tags, Tag{Image: l.image, Tag: tag, Digest: digest.String(), Before: before})
	return nil
}

// blob is a file of the archive as v1.Layer: its stored bytes only.
type blob struct {
	reading    *reading
	descriptor v1.Descriptor
}

// Digest implements v1.Layer.
func (b *blob) Digest() (v1.Hash, error) { return b.descriptor.Digest, nil }

// Size implements v1.Layer.
func (b *blob) Size() (int64, error) { return b.descriptor.Size, nil }

// MediaType implements v1.Layer.
func (b *blob) MediaType() (types.MediaType, error) { return b.descriptor.MediaType, nil }

// Compressed implements v1.Layer.
func (b *blob) Compressed() (io.ReadCloser, error) {
	return b.reading.archive.Open(blobName(b.descriptor.Digest))
}

// Uncompressed implements v1.Layer.
func (b *blob) Uncompressed() (io.ReadCloser, error) { return nil, b.unsupported() }

// DiffID implements v1.Layer.
func (b *blob) DiffID() (v1.Hash, error) { return v1.Hash{}, b.unsupported() }

func (b *blob) unsupported() error {
	return errs.New(errs.Unsupported, "blob %s gives its stored bytes only", b.descriptor.Digest)
}
