// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"cmp"
	"context"
	"encoding/json"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Reference is what an image path names at one moment.
type Reference struct {
	Repository *catalog.Object
	Image      string
	Tag        string // "" when the path gave only a digest
	Digest     string // of the linux/amd64 image manifest
	TagDigest  string // what the tag, or the digest of the path, names: Digest, or an index that holds it
}

// Path writes the reference as a path: by tag when there is one, else by digest.
func (r Reference) Path() string {
	p := Path{Repository: r.Repository.Name, Image: r.Image, Tag: r.Tag}
	if r.Tag == "" {
		p.Digest = r.TagDigest
	}
	return p.String()
}

// Resolve finds what an image path names; of an index it chooses the image for linux/amd64. It asks nobody's privileges: the
// caller does, on Reference.Repository, and before it calls: of a repository with an upstream the image is imported, which may take minutes.
//
// Errors: Invalid for a malformed path; NotFound for a repository, image, tag or digest that is missing; Refused when the path has both a tag and
// a digest and the tag names something else now, or the index has no image for linux/amd64;
// Denied, Unavailable, Exhausted, Refused and Canceled when it cannot be imported. Messages name the path and the next step.
func (g *Registry) Resolve(ctx context.Context, path string) (Reference, error) {
	p, err := ParsePath(path)
	if err != nil {
		return Reference{}, err
	}
	if err := g.fetchPath(ctx, p); err != nil {
		return Reference{}, errs.Wrap(err, errs.CodeOf(err), "image path %s: %s", p, errs.MessageOf(err))
	}
	var found Reference
	err = g.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
		found, err = resolve(tx, p)
		return err
	})
	return found, err
}

// fetchPath imports what a path names, and the linux/amd64 image of an index, when the repository has an upstream.
func (g *Registry) fetchPath(ctx context.Context, p Path) error {
	var repository *catalog.Object
	err := g.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
		repository, err = tx.Object(catalog.KindImageRepository, p.Repository)
		return unlessMissing(err)
	})
	if err != nil || repository == nil || !follows(repository) {
		return err
	}
	f := &followed{Registry: g, repository: repository, image: p.Image}
	reference := cmp.Or(p.Tag, p.Digest)
	for range maxNesting {
		m, _, err := f.find(ctx, reference, true)
		if err != nil || len(m.Children) == 0 {
			return err
		}
		var index v1.Index
		if err := json.Unmarshal(m.Body, &index); err != nil {
			return errs.Wrap(err, errs.Corrupt, "index %s is damaged", m.Digest)
		}
		if reference = choose(index.Manifests); reference == "" {
			return nil
		}
	}
	return nil
}

// resolve finds what a path names.
func resolve(tx catalog.Tx, p Path) (Reference, error) {
	repository, err := tx.Object(catalog.KindImageRepository, p.Repository)
	if errs.Is(err, errs.NotFound) {
		return Reference{}, errs.New(errs.NotFound, "image path %s: image repository %s does not exist or not authorized", p, p.Repository)
	} else if err != nil {
		return Reference{}, err
	}
	r := Reference{Repository: repository, Image: p.Image, Tag: p.Tag, TagDigest: p.Digest}
	if p.Tag != "" {
		t, err := tx.Tag(repository.ID, p.Image, p.Tag)
		if errs.Is(err, errs.NotFound) {
			return Reference{}, missing(tx, repository, p)
		} else if err != nil {
			return Reference{}, err
		}
		r.TagDigest = t.Digest
	}
	m, err := tx.Manifest(repository.ID, p.Image, r.TagDigest)
	if errs.Is(err, errs.NotFound) {
		return Reference{}, missing(tx, repository, p)
	} else if err != nil {
		return Reference{}, err
	}
	image, err := platformImage(tx, m, p)
	if err != nil {
		return Reference{}, err
	}
	r.Digest = image.Digest
	if p.Tag != "" && p.Digest != "" && p.Digest != r.TagDigest && p.Digest != r.Digest {
		return Reference{}, errs.New(errs.Refused, "image path %s: the tag names %s now: leave out the tag or the digest", p, r.TagDigest)
	}
	return r, nil
}

// missing says what of a path is not there, and what to do.
func missing(tx catalog.Tx, repository *catalog.Object, p Path) error {
	for name, err := range tx.ImageNames(repository.ID) {
		if err != nil {
			return err
		}
		if name == p.Image {
			what := "tag " + p.Tag
			if p.Tag == "" {
				what = "digest " + p.Digest
			}
			return errs.New(errs.NotFound, "image path %s: image %s in repository %s has no %s: push it first with docker push <registry host>%s",
				p, p.Image, repository.Name, what, Path{p.Repository, p.Image, p.Tag, ""})
		}
	}
	return errs.New(errs.NotFound, "image path %s: repository %s has no image %s: push it first with docker push <registry host>%s",
		p, repository.Name, p.Image, Path{p.Repository, p.Image, p.Tag, ""})
}

// maxNesting bounds indexes inside indexes.
const maxNesting = 4

// platformImage gives the image manifest for linux/amd64: the manifest itself, or the one that an index names. Entries of an index
// without a platform count only when nothing else fits; attestations never do.
func platformImage(tx catalog.Tx, m *catalog.Manifest, p Path) (*catalog.Manifest, error) {
	for range maxNesting {
		if m.MediaType != v1.MediaTypeImageIndex && m.MediaType != dockerList {
			return m, nil
		}
		var index v1.Index
		if err := json.Unmarshal(m.Body, &index); err != nil {
			return nil, errs.Wrap(err, errs.Corrupt, "image path %s: index %s is damaged", p, m.Digest)
		}
		digest := choose(index.Manifests)
		if digest == "" {
			return nil, errs.New(errs.Refused, "image path %s: index %s has no image for linux/amd64: build it with docker build --platform linux/amd64", p, m.Digest)
		}
		var err error
		if m, err = tx.Manifest(m.Repository, m.Image, digest); err != nil {
			return nil, err
		}
	}
	return nil, errs.New(errs.Refused, "image path %s: its indexes are nested deeper than %d", p, maxNesting)
}

// choose gives the digest of the entry for linux/amd64, "" when there is none.
func choose(entries []v1.Descriptor) string {
	unknown := ""
	for _, e := range entries {
		switch {
		case e.Annotations["vnd.docker.reference.type"] == "attestation-manifest":
		case e.Platform == nil && unknown == "":
			unknown = e.Digest.String()
		case e.Platform != nil && e.Platform.OS == "linux" && e.Platform.Architecture == "amd64":
			return e.Digest.String()
		}
	}
	return unknown
}
