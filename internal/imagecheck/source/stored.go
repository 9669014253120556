// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"

	"firn.dev/firn/internal/errs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	manifestMax = 4 << 20
	configMax   = 16 << 20
	refName     = "org.opencontainers.image.ref.name"
)

// storedImage is an image in files.
type storedImage struct {
	files            files
	config, manifest []byte
	layers           []string // names in files, bottom up
}

// RawConfigFile implements imagecheck.Image.
func (i *storedImage) RawConfigFile() ([]byte, error) { return i.config, nil }

// RawManifest implements imagecheck.Image.
func (i *storedImage) RawManifest() ([]byte, error) { return i.manifest, nil }

// Layers implements imagecheck.Image.
func (i *storedImage) Layers() ([]v1.Layer, error) {
	list := make([]v1.Layer, len(i.layers))
	for n, name := range i.layers {
		list[n] = storedLayer{i.files, name}
	}
	return list, nil
}

// storedLayer gives the bytes of one file; what else a v1.Layer has is read from the manifest by whoever wants it.
type storedLayer struct {
	files files
	name  string
}

// Compressed implements v1.Layer: the bytes as stored.
func (l storedLayer) Compressed() (io.ReadCloser, error) {
	r, err := l.files.open(l.name)
	return r, missingIsCorrupt(err)
}

// Uncompressed implements v1.Layer.
func (l storedLayer) Uncompressed() (io.ReadCloser, error) { return nil, l.unsupported() }

// Digest implements v1.Layer.
func (l storedLayer) Digest() (v1.Hash, error) { return v1.Hash{}, l.unsupported() }

// DiffID implements v1.Layer.
func (l storedLayer) DiffID() (v1.Hash, error) { return v1.Hash{}, l.unsupported() }

// Size implements v1.Layer.
func (l storedLayer) Size() (int64, error) {
	n, err := l.files.size(l.name)
	return n, missingIsCorrupt(err)
}

// MediaType implements v1.Layer.
func (l storedLayer) MediaType() (types.MediaType, error) { return "", l.unsupported() }

func (l storedLayer) unsupported() error {
	return errs.New(errs.Unsupported, "layer file %s gives its stored bytes only", l.name)
}

// splitFile cuts "FILE:SELECTOR" at the first colon after which no such file exists.
func splitFile(text string) (file, selector string) {
	if _, err := os.Stat(text); err == nil {
		return text, ""
	}
	for i, r := range text {
		if r != ':' {
			continue
		}
		if _, err := os.Stat(text[:i]); err == nil {
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

func openDockerArchive(ctx context.Context, text string, s Settings) (*Target, error) {
	file, selector := splitFile(text)
	f, err := openTarball(ctx, file, s)
	if err != nil {
		return nil, err
	}
	img, err := dockerImage(f, file, selector)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Target{Image: img, NoManifest: true, closer: f}, nil
}

// dockerImage finds the one image that the selector means in the output of `docker save`.
func dockerImage(f files, file, selector string) (*storedImage, error) {
	raw, err := readFile(f, "manifest.json", manifestMax)
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.Corrupt, "archive %s has no manifest.json: it is no output of docker save", file)
	} else if err != nil {
		return nil, err
	}
	var images []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(raw, &images); err != nil {
		return nil, errs.New(errs.Corrupt, "manifest.json of archive %s does not decode: %v", file, err)
	}
	var names []string
	chosen := -1
	for i, m := range images {
		names = append(names, m.RepoTags...)
		if selector != "" && slices.Contains(m.RepoTags, selector) || selector == "" && len(images) == 1 {
			chosen = i
		}
	}
	switch {
	case chosen < 0 && selector == "" && len(images) > 1:
		return nil, errs.New(errs.Conflict, "archive %s holds several images: %s", file, strings.Join(names, ", "))
	case chosen < 0:
		return nil, errs.New(errs.NotFound, "image %s is not in archive %s, which holds: %s", selector, file, strings.Join(names, ", "))
	}
	img := &storedImage{files: f, layers: images[chosen].Layers}
	if img.config, err = readFile(f, images[chosen].Config, configMax); err != nil {
		return nil, missingIsCorrupt(err)
	}
	return img, nil
}

// missingIsCorrupt is for files that another file of the same image names.
func missingIsCorrupt(err error) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New(errs.Corrupt, "%s", errs.MessageOf(err))
	}
	return err
}

func openLayoutDir(_ context.Context, text string, s Settings) (*Target, error) {
	dir, tag := splitFile(text)
	f, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	return openLayout(f, dir, tag, s)
}

func openLayoutArchive(ctx context.Context, text string, s Settings) (*Target, error) {
	file, tag := splitFile(text)
	f, err := openTarball(ctx, file, s)
	if err != nil {
		return nil, err
	}
	return openLayout(f, file, tag, s)
}

func openLayout(f files, at, tag string, s Settings) (*Target, error) {
	t, err := layoutImage(f, at, tag, s)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	t.closer = f
	return t, nil
}

func layoutImage(f files, at, tag string, s Settings) (*Target, error) {
	raw, err := readFile(f, "index.json", manifestMax)
	if err != nil {
		return nil, err
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, errs.New(errs.Corrupt, "index.json of %s does not decode: %v", at, err)
	}
	d, err := tagged(index.Manifests, at, tag)
	if err != nil {
		return nil, err
	}
	t := &Target{}
	for range indexDepth {
		body, err := readFile(f, blobName(d.Digest), manifestMax)
		if err != nil {
			return nil, missingIsCorrupt(err)
		}
		if !d.MediaType.IsIndex() {
			t.Digest = d.Digest.String()
			t.Image, err = layoutManifest(f, body, at)
			return t, err
		}
		if t.IndexDigest == "" {
			t.IndexDigest = d.Digest.String()
		}
		var inner v1.IndexManifest
		if err := json.Unmarshal(body, &inner); err != nil {
			return nil, errs.New(errs.Corrupt, "index %s of %s does not decode: %v", d.Digest, at, err)
		}
		if d, err = choose(inner.Manifests, s.Platform, at); err != nil {
			return nil, err
		}
	}
	return nil, errs.New(errs.Unsupported, "image %s: indexes nested deeper than %d", at, indexDepth)
}

// tagged finds the entry of index.json with the tag, or the only one that is no attachment of another.
func tagged(entries []v1.Descriptor, at, tag string) (v1.Descriptor, error) {
	var fits []v1.Descriptor
	var names []string
	for _, d := range entries {
		name := d.Annotations[refName]
		if name == "" && d.ArtifactType != "" {
			continue
		}
		names = append(names, name)
		if tag == "" || name == tag {
			fits = append(fits, d)
		}
	}
	switch {
	case len(fits) == 1:
		return fits[0], nil
	case len(fits) == 0:
		return v1.Descriptor{}, errs.New(errs.NotFound, "image %s is not in %s, which holds: %s", tag, at, strings.Join(names, ", "))
	}
	return v1.Descriptor{}, errs.New(errs.Conflict, "%s holds several images: %s", at, strings.Join(names, ", "))
}

func blobName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

func layoutManifest(f files, manifest []byte, at string) (*storedImage, error) {
	var m v1.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, errs.New(errs.Corrupt, "manifest of %s does not decode: %v", at, err)
	}
	img := &storedImage{files: f, manifest: manifest}
	for _, l := range m.Layers {
		img.layers = append(img.layers, blobName(l.Digest))
	}
	var err error
	if img.config, err = readFile(f, blobName(m.Config.Digest), configMax); err != nil {
		return nil, missingIsCorrupt(err)
	}
	return img, nil
}
