// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"encoding/json"
	"io"

	"firn.dev/firn/internal/errs"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// content is one blob of the archive: in memory, or in the registry.
type content struct {
	size int64
	body []byte // nil: from
	from name.Digest
}

// document is what manifests and indexes have in common with what leads on from them.
type document struct {
	MediaType types.MediaType `json:"mediaType"`
	Config    *v1.Descriptor  `json:"config"`
	Layers    []v1.Descriptor `json:"layers"`
	Manifests []v1.Descriptor `json:"manifests"`
	Subject   *v1.Descriptor  `json:"subject"`
}

// blobs are config and layers, without those that may not be handed on.
func (m *document) blobs() []v1.Descriptor {
	var list []v1.Descriptor
	if m.Config != nil {
		list = append(list, *m.Config)
	}
	for _, l := range m.Layers {
		if l.MediaType.IsDistributable() {
			list = append(list, l)
		}
	}
	return list
}

// runnable tells whether it is an image that can be run and not, for instance, a signature.
func (m *document) runnable() bool {
	if m.Config == nil || !m.Config.MediaType.IsConfig() {
		return false
	}
	for _, l := range m.Layers {
		if !l.MediaType.IsLayer() {
			return false
		}
	}
	return true
}

func parseDocument(body []byte, what string) (*document, error) {
	var m document
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, errs.New(errs.Corrupt, "manifest %s does not decode: %v", what, err)
	}
	return &m, nil
}

// found is an image that can be judged.
type found struct {
	image    name.Repository
	document *document
}

// gathering is what an export has found.
type gathering struct {
	*door
	contents map[v1.Hash]content
	entries  []v1.Descriptor // of index.json
	seen     map[string]bool // image@digest that was walked
	attached map[v1.Hash]bool
	found    map[v1.Hash]found     // by digest of the manifest
	tags     []Tag                 // what was found of each
	judged   map[v1.Hash][]v1.Hash // tagged digest to the images to judge
	platform string
}

// gather reads every manifest that the place leads to. Images of the platform are those to judge.
func gather(ctx context.Context, d *door, platform string) (*gathering, error) {
	g := &gathering{
		door: d, contents: map[v1.Hash]content{}, seen: map[string]bool{}, attached: map[v1.Hash]bool{}, found: map[v1.Hash]found{},
		judged: map[v1.Hash][]v1.Hash{}, platform: platform,
	}
	images, err := d.images(ctx)
	if err != nil {
		return nil, err
	}
	for _, image := range images {
		at, err := d.place.image(image)
		if err != nil {
			return nil, err
		}
		tags, err := d.tags(ctx, at)
		if err != nil {
			return nil, err
		}
		for _, tag := range tags {
			if err := g.tag(ctx, at, image, tag); err != nil {
				return nil, err
			}
		}
	}
	if len(g.tags) == 0 {
		return nil, errs.New(errs.NotFound, "%s has no tag: an archive holds what has a tag", d.place)
	}
	return g, nil
}

func (g *gathering) tag(ctx context.Context, at name.Repository, image, tag string) error {
	got, err := g.pull.Get(ctx, at.Tag(tag))
	if err != nil {
		return g.failure(ctx, err, at.Tag(tag).String())
	}
	entry := v1.Descriptor{MediaType: got.MediaType, Digest: got.Digest, Size: got.Size}
	m, err := g.walk(ctx, at, entry, 0)
	if err != nil {
		return err
	}
	g.judged[got.Digest] = toJudge(m, got.Digest, g.platform)
	entry.Annotations = map[string]string{refName: image + ":" + tag}
	g.entries = append(g.entries, entry)
	g.tags = append(g.tags, Tag{Image: image, Tag: tag, Digest: got.Digest.String()})
	return nil
}

// toJudge lists which images of what a tag names are judged: itself, or those of an index that are for the platform.
func toJudge(m *document, self v1.Hash, platform string) []v1.Hash {
	if m.runnable() {
		return []v1.Hash{self}
	}
	var list []v1.Hash
	for _, d := range m.Manifests {
		if d.Platform != nil && d.Platform.OS+"/"+d.Platform.Architecture == platform {
			list = append(list, d.Digest)
		}
	}
	return list
}

// walk takes a manifest with all that it names and all that is attached to it.
func (g *gathering) walk(ctx context.Context, at name.Repository, d v1.Descriptor, depth int) (*document, error) {
	ref := at.Digest(d.Digest.String())
	if depth > depthMax {
		return nil, errs.New(errs.Unsupported, "%s: indexes or attachments nested deeper than %d", ref, depthMax)
	}
	body, err := g.manifest(ctx, ref, d.Digest)
	if err != nil {
		return nil, err
	}
	m, err := parseDocument(body, ref.String())
	if err != nil || g.seen[ref.String()] {
		return m, err
	}
	g.seen[ref.String()] = true
	if _, ok := g.found[d.Digest]; !ok && m.runnable() {
		g.found[d.Digest] = found{at, m}
	}
	for _, b := range m.blobs() {
		if old, ok := g.contents[b.Digest]; ok && old.size != b.Size {
			return nil, errs.New(errs.Corrupt, "manifest %s says that %s has %d bytes, another one that it has %d", ref, b.Digest, b.Size, old.size)
		} else if !ok {
			g.contents[b.Digest] = content{size: b.Size, from: at.Digest(b.Digest.String())}
		}
	}
	for _, child := range m.Manifests {
		if _, err := g.walk(ctx, at, child, depth+1); err != nil {
			return nil, err
		}
	}
	attachments, err := g.referrers(ctx, ref)
	if err != nil {
		return nil, err
	}
	for _, a := range attachments {
		if _, err := g.walk(ctx, at, a, depth+1); err != nil {
			return nil, err
		}
		g.attach(a)
	}
	return m, nil
}

// attach lists an attachment in index.json, once.
func (g *gathering) attach(a v1.Descriptor) {
	if !g.attached[a.Digest] {
		g.attached[a.Digest] = true
		g.entries = append(g.entries, v1.Descriptor{MediaType: a.MediaType, Digest: a.Digest, Size: a.Size, ArtifactType: a.ArtifactType})
	}
}

// manifest reads a manifest, once.
func (g *gathering) manifest(ctx context.Context, ref name.Digest, digest v1.Hash) ([]byte, error) {
	if c, ok := g.contents[digest]; ok && c.body != nil {
		return c.body, nil
	}
	got, err := g.pull.Get(ctx, ref)
	if err != nil {
		return nil, g.failure(ctx, err, ref.String())
	}
	g.contents[digest] = content{size: int64(len(got.Manifest)), body: got.Manifest}
	return got.Manifest, nil
}

// open reads a content; what comes from the registry is compared with its digest on the way.
func (g *gathering) open(ctx context.Context, c content) (io.ReadCloser, error) {
	l, err := g.pull.Layer(ctx, c.from)
	if err == nil {
		var r io.ReadCloser
		if r, err = l.Compressed(); err == nil {
			return r, nil
		}
	}
	return nil, g.failure(ctx, err, c.from.String())
}
