// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"io"

	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Image opens an image manifest in place: layers stream from the blob store, nothing is copied. The image reads with the context for as long as
// it is used. Digests and diffIDs are what manifest and config claim: the caller verifies what it reads.
//
// Errors: NotFound when the image or a blob of it is missing; Refused for an index; Corrupt; Unavailable.
func (g *Registry) Image(ctx context.Context, repository catalog.ID, image, digest string) (ggcr.Image, error) {
	s := &stored{ctx: ctx, registry: g, blobs: map[string]*catalog.Blob{}}
	err := g.Catalog.View(ctx, func(tx catalog.Tx) error {
		m, err := tx.Manifest(repository, image, digest)
		if err != nil {
			return err
		}
		s.manifest = m
		for _, d := range m.Blobs {
			if s.blobs[d], err = tx.LinkedBlob(repository, image, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(s.manifest.Children) > 0 || !types.MediaType(s.manifest.MediaType).IsImage() {
		return nil, errs.New(errs.Refused, "%s of image %s is no image manifest but %s", digest, image, s.manifest.MediaType)
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	i, err := partial.CompressedToImage(s)
	if err != nil {
		return nil, errs.Wrap(err, errs.Corrupt, "manifest %s of image %s is damaged", digest, image)
	}
	return i, nil
}

// stored is an image of the catalog, as partial.CompressedImageCore.
type stored struct {
	ctx       context.Context
	registry  *Registry
	manifest  *catalog.Manifest
	blobs     map[string]*catalog.Blob
	document  *ggcr.Manifest
	rawConfig []byte
	config    *ggcr.ConfigFile
}

// maxConfig bounds a config, which is read into memory.
const maxConfig = 8 << 20

// load reads manifest and config.
func (s *stored) load() error {
	damaged := func(what string, cause error) error {
		return errs.Wrap(cause, errs.Corrupt, "the %s of image %s, manifest %s, is damaged", what, s.manifest.Image, s.manifest.Digest)
	}
	var err error
	if s.document, err = ggcr.ParseManifest(bytes.NewReader(s.manifest.Body)); err != nil {
		return damaged("manifest", err)
	}
	content, err := s.open(s.document.Config)
	if err != nil {
		return err
	}
	defer content.Close()
	if s.rawConfig, err = io.ReadAll(io.LimitReader(content, maxConfig)); err != nil {
		return damaged("config", err)
	}
	if s.config, err = ggcr.ParseConfigFile(bytes.NewReader(s.rawConfig)); err != nil {
		return damaged("config", err)
	}
	return nil
}

// RawManifest implements partial.CompressedImageCore.
func (s *stored) RawManifest() ([]byte, error) { return s.manifest.Body, nil }

// Manifest implements partial.WithManifest.
func (s *stored) Manifest() (*ggcr.Manifest, error) { return s.document, nil }

// MediaType implements partial.CompressedImageCore.
func (s *stored) MediaType() (types.MediaType, error) {
	return types.MediaType(s.manifest.MediaType), nil
}

// RawConfigFile implements partial.CompressedImageCore.
func (s *stored) RawConfigFile() ([]byte, error) { return s.rawConfig, nil }

// ConfigFile implements partial.WithConfigFile.
func (s *stored) ConfigFile() (*ggcr.ConfigFile, error) { return s.config, nil }

// LayerByDigest implements partial.CompressedImageCore.
func (s *stored) LayerByDigest(h ggcr.Hash) (partial.CompressedLayer, error) {
	d, err := partial.BlobDescriptor(s, h)
	if err != nil {
		return nil, err
	}
	return &layer{s, *d}, nil
}

// open opens a blob of the image.
func (s *stored) open(d ggcr.Descriptor) (io.ReadCloser, error) {
	b, ok := s.blobs[d.Digest.String()]
	if !ok {
		return nil, errs.New(errs.NotFound, "image %s does not hold %s, a blob of type %s", s.manifest.Image, d.Digest, d.MediaType)
	}
	return s.registry.openBlob(s.ctx, b)
}

// layer is a layer of a stored image, as partial.CompressedLayer.
type layer struct {
	image      *stored
	descriptor ggcr.Descriptor
}

// Digest implements partial.CompressedLayer.
func (l *layer) Digest() (ggcr.Hash, error) { return l.descriptor.Digest, nil }

// Size implements partial.CompressedLayer.
func (l *layer) Size() (int64, error) { return l.descriptor.Size, nil }

// MediaType implements partial.CompressedLayer.
func (l *layer) MediaType() (types.MediaType, error) { return l.descriptor.MediaType, nil }

// Compressed implements partial.CompressedLayer.
func (l *layer) Compressed() (io.ReadCloser, error) { return l.image.open(l.descriptor) }

// DiffID is what the config claims, so that asking for it does not inflate the layer.
func (l *layer) DiffID() (ggcr.Hash, error) {
	return partial.BlobToDiffID(l.image, l.descriptor.Digest)
}
