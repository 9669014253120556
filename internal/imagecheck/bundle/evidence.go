// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"slices"
	"sync"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/imagecheck/sbom"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	specversion "github.com/opencontainers/image-spec/specs-go"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

// judgedImage is an image of the registry, as imagecheck reads it.
type judgedImage struct {
	config, manifest []byte
	layers           []v1.Layer
	mu               sync.Mutex
	broken           error // how reading a layer from the registry failed: that says nothing of the image
}

// RawConfigFile implements imagecheck.Image.
func (i *judgedImage) RawConfigFile() ([]byte, error) { return i.config, nil }

// RawManifest implements imagecheck.Image.
func (i *judgedImage) RawManifest() ([]byte, error) { return i.manifest, nil }

// Layers implements imagecheck.Image.
func (i *judgedImage) Layers() ([]v1.Layer, error) { return i.layers, nil }

// judgedLayer is a layer that tells its image when the registry fails.
type judgedLayer struct {
	v1.Layer
	image *judgedImage
}

// Compressed implements v1.Layer.
func (l *judgedLayer) Compressed() (io.ReadCloser, error) {
	r, err := l.Layer.Compressed()
	if err != nil {
		l.image.fail(err)
		return nil, err
	}
	return &judgedReader{r, l.image}, nil
}

type judgedReader struct {
	io.ReadCloser
	image *judgedImage
}

// Read implements io.Reader.
func (r *judgedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		r.image.fail(err)
	}
	return n, err
}

func (i *judgedImage) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.broken = cmp.Or(i.broken, err)
}

// failed gives how the registry failed, if it did.
func (i *judgedImage) failed() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.broken
}

// configMax bounds a config, which is read into memory.
const configMax = 16 << 20

// judge attaches SBOM and report to every image that can run here. The same image gives the same bytes.
func (g *gathering) judge(ctx context.Context, opts imagecheck.Options) error {
	results := map[v1.Hash]string{}
	for i := range g.tags {
		tag := &g.tags[i]
		at, err := v1.NewHash(tag.Digest)
		if err != nil {
			return errs.Wrap(err, errs.Internal, "digest of tag %s", tag.Tag)
		}
		for _, h := range g.judged[at] {
			if _, done := results[h]; !done {
				if results[h], err = g.judgeOne(ctx, h, opts); err != nil {
					return err
				}
			}
			tag.Result = worse(tag.Result, results[h])
		}
	}
	return nil
}

// worse gives the result that counts when an index leads to several images.
func worse(a, b string) string {
	order := []string{"", "pass", "fail", "error"}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// judgeOne makes the evidence of one image and gives the verdict.
func (g *gathering) judgeOne(ctx context.Context, h v1.Hash, opts imagecheck.Options) (string, error) {
	f, ok := g.found[h]
	if !ok {
		return "", nil // no image: the index only says that it is for this platform
	}
	img, err := g.judgedImage(ctx, f, h)
	if err != nil {
		return "", err
	}
	opts.Ref, opts.Source, opts.Digest = f.image.RepositoryStr()+"@"+h.String(), "registry", h.String()
	opts.Now = nil // durations would make each archive another one
	contents, err := imagecheck.ReadContents(ctx, img, opts)
	if broken := img.failed(); broken != nil {
		return "", g.failure(ctx, broken, "layers of "+opts.Ref)
	}
	if errs.Is(err, errs.Canceled) || errs.Is(err, errs.Internal) {
		return "", err
	}
	subject := v1.Descriptor{MediaType: f.document.MediaType, Digest: h, Size: g.contents[h].size}
	if subject.MediaType == "" {
		subject.MediaType = types.OCIManifestSchema1
	}
	if err == nil { // of an image that cannot be read there is no SBOM, and the report says why
		var bill bytes.Buffer
		if err := sbom.Write(&bill, sbom.CycloneDX, contents.Inventory(), opts.Version); err != nil {
			return "", err
		}
		if err := g.evidence(subject, SBOMType, bill.Bytes()); err != nil {
			return "", err
		}
	}
	report, err := imagecheck.Check(ctx, img, opts)
	if err != nil {
		return "", err
	}
	if broken := img.failed(); broken != nil {
		return "", g.failure(ctx, broken, "layers of "+opts.Ref)
	}
	for i := range report.Image.Layers {
		report.Image.Layers[i].Cached = false // says something of this machine, not of the image
	}
	var text bytes.Buffer
	if err := report.WriteJSON(&text); err != nil {
		return "", errs.Wrap(err, errs.Internal, "report on %s", opts.Ref)
	}
	return report.Result, g.evidence(subject, ReportType, text.Bytes())
}

func (g *gathering) judgedImage(ctx context.Context, f found, h v1.Hash) (*judgedImage, error) {
	config := *f.document.Config
	r, err := g.open(ctx, content{size: config.Size, from: f.image.Digest(config.Digest.String())})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	img := &judgedImage{manifest: g.contents[h].body}
	if img.config, err = io.ReadAll(io.LimitReader(r, configMax)); err != nil {
		return nil, g.failure(ctx, err, "config of "+f.image.Digest(h.String()).String())
	}
	for _, d := range f.document.Layers {
		ref := f.image.Digest(d.Digest.String())
		l, err := g.pull.Layer(ctx, ref)
		if err != nil {
			return nil, g.failure(ctx, err, ref.String())
		}
		img.layers = append(img.layers, &judgedLayer{l, img})
	}
	return img, nil
}

// evidence attaches a document to an image.
func (g *gathering) evidence(subject v1.Descriptor, artifactType string, body []byte) error {
	hash, size, err := v1.SHA256(bytes.NewReader(body))
	if err != nil {
		return errs.Wrap(err, errs.Internal, "digest of evidence")
	}
	g.contents[hash] = content{size: size, body: body}
	empty := specs.DescriptorEmptyJSON
	emptyHash, _, err := v1.SHA256(bytes.NewReader(empty.Data))
	if err != nil {
		return errs.Wrap(err, errs.Internal, "digest of evidence")
	}
	g.contents[emptyHash] = content{size: empty.Size, body: empty.Data}
	manifest, err := json.Marshal(specs.Manifest{
		Versioned: specversion.Versioned{SchemaVersion: 2}, MediaType: specs.MediaTypeImageManifest, ArtifactType: artifactType,
		Config:  specs.Descriptor{MediaType: empty.MediaType, Digest: empty.Digest, Size: empty.Size},
		Layers:  []specs.Descriptor{{MediaType: artifactType, Digest: digest.Digest(hash.String()), Size: size}},
		Subject: &specs.Descriptor{MediaType: string(subject.MediaType), Digest: digest.Digest(subject.Digest.String()), Size: subject.Size},
	})
	if err != nil {
		return errs.Wrap(err, errs.Internal, "manifest of evidence")
	}
	hash, size, err = v1.SHA256(bytes.NewReader(manifest))
	if err != nil {
		return errs.Wrap(err, errs.Internal, "digest of evidence")
	}
	g.contents[hash] = content{size: size, body: manifest}
	g.attach(v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: hash, Size: size, ArtifactType: artifactType})
	return nil
}
