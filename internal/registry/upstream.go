// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry/upstream"
)

// A repository with an upstream gets its images from there when somebody pulls them. A tag is looked up there once in askRest; what it names is
// imported as a whole before the pull is answered, in the way a push takes (import.go). What is here is served whatever becomes of the upstream:
// by digest without asking it, by tag when it does not answer.

const (
	askRest  = time.Minute      // between two questions about a tag
	failRest = 10 * time.Second // after a failure, when nothing is here that could be served
	maxTold  = 4096             // answers that are remembered
)

// follows tells whether a repository has an upstream.
func follows(repository *catalog.Object) bool { return rulesOf(repository).Upstream != "" }

// takesPushes refuses pushes to a repository that has an upstream.
func takesPushes(repository *catalog.Object) error {
	if !follows(repository) {
		return nil
	}
	return statused(denied, http.StatusForbidden, errs.New(errs.Refused, "image repository %s takes no pushes, as its images come from %s: push to another "+
		"repository, or ask the owner for ALTER IMAGE REPOSITORY %s UNSET UPSTREAM", repository.Name, rulesOf(repository).Upstream, repository.Name))
}

// upstreams is what this process remembers of upstreams.
type upstreams struct {
	asking, importing singleflight.Group

	mu   sync.Mutex
	told map[tagThere]answerThere
}

// tagThere is a tag, or digest, of an image whose repository has an upstream.
type tagThere struct {
	repository       catalog.ID
	source           string
	image, reference string
}

// answerThere is what an upstream said about a tag, or a digest.
type answerThere struct {
	descriptor upstream.Descriptor
	referrers  []upstream.Descriptor // when the question was what is attached
	err        error
	at         time.Time
}

// followed is one image of a repository with an upstream, as somebody pulls it.
type followed struct {
	*Registry
	by         Identity // who pulls; zero for Firn itself
	repository *catalog.Object
	image      string
}

func (f *followed) tag(reference string) tagThere {
	return tagThere{f.repository.ID, rulesOf(f.repository).Upstream, f.image, reference}
}

// find gives the manifest that a tag or digest names, as far as possible at the upstream too. Without whole, what is not here is
// only described: the manifest has no body then. The size is that of the body in any case.
//
// Errors: NotFound; Denied by the upstream; Unavailable; those of a push that the repository's rules refuse; Canceled.
func (f *followed) find(ctx context.Context, reference string, whole bool) (m *catalog.Manifest, size int64, err error) {
	here, err := f.here(ctx, reference)
	if err != nil || here != nil && (isDigest(reference) || matches(rulesOf(f.repository).ImmutableTags, reference)) {
		return here, bodySize(here), err
	}
	now := upstream.Descriptor{Digest: reference}
	if !isDigest(reference) || !whole {
		now, err = f.ask(ctx, reference, here != nil)
	}
	if here != nil && (err != nil || now.Digest == here.Digest) {
		return here, bodySize(here), nil
	} else if err != nil {
		return nil, 0, err
	}
	if m, size, err = f.take(ctx, reference, now, whole); err != nil && here != nil && theirs(err) {
		return here, bodySize(here), nil
	}
	return m, size, err
}

func bodySize(m *catalog.Manifest) int64 {
	if m == nil {
		return 0
	}
	return int64(len(m.Body))
}

// theirs tells whether a failure is the upstream's, not one of Firn's own rules or stores.
func theirs(err error) bool {
	return errs.Is(err, errs.NotFound) || errs.Is(err, errs.Denied) || errs.Is(err, errs.Unavailable)
}

// here finds a manifest in the image that is not damaged, nil when there is none.
func (f *followed) here(ctx context.Context, reference string) (m *catalog.Manifest, err error) {
	err = f.Catalog.View(ctx, func(tx catalog.Tx) error {
		if m, err = findManifest(tx, f.repository.ID, f.image, reference); err != nil {
			m = nil
			return unlessMissing(err)
		}
		// What an index leads to is looked at when somebody asks for it.
		lacks := false
		if len(m.Children) == 0 {
			lacks, err = tx.LacksContent(f.repository.ID, f.image, m.Digest)
		}
		if lacks {
			m = nil
		}
		return err
	})
	return m, err
}

// take lets a tag name what the upstream says it names, or finds a digest; what is not here yet is imported, or with whole false only described.
func (f *followed) take(ctx context.Context, reference string, now upstream.Descriptor, whole bool) (*catalog.Manifest, int64, error) {
	m, err := f.here(ctx, now.Digest)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case m == nil && !whole:
		return &catalog.Manifest{Digest: now.Digest, MediaType: now.MediaType, Leased: f.Now()}, now.Size, nil
	case m == nil:
		if m, err = f.bring(ctx, now.Digest); err != nil {
			f.failed(reference, err)
			return nil, 0, err
		}
	}
	if !isDigest(reference) {
		err = f.point(ctx, m, reference)
	}
	return m, bodySize(m), err
}

// point lets a tag name a manifest that is here, if it does not yet.
func (f *followed) point(ctx context.Context, m *catalog.Manifest, tag string) error {
	done := false
	err := f.Catalog.View(ctx, func(tx catalog.Tx) error {
		there, err := tx.Tag(f.repository.ID, f.image, tag)
		done = err == nil && there.Digest == m.Digest
		return unlessMissing(err)
	})
	if err != nil || done {
		return err
	}
	return f.keep(ctx, m, []string{tag}, nil)
}

// ask gives what the upstream says that a tag or digest names. It answers from memory for a while.
//
// Errors: NotFound; Denied; Refused; Unavailable.
func (f *followed) ask(ctx context.Context, reference string, here bool) (upstream.Descriptor, error) {
	at := f.tag(reference)
	if known, ok := f.told(at, here); ok {
		return known.descriptor, known.err
	}
	answer, err := shared(ctx, &f.upstreams.asking, string(at.repository)+" "+at.source+" "+at.image+":"+at.reference, func(ctx context.Context) (any, error) {
		if known, ok := f.told(at, here); ok { // by who was faster
			return known.descriptor, known.err
		}
		d, err := f.resolve(ctx, reference)
		f.upstreams.put(at, answerThere{descriptor: d, err: err, at: f.Now()}, f.Now().Add(-askRest))
		if err != nil && here {
			f.Log.Warn("an upstream does not say what a tag names: what is here is served", "image", f.path(reference), "error", err)
		}
		return d, err
	})
	d, _ := answer.(upstream.Descriptor)
	return d, err
}

// told gives what the upstream said of a tag when that was not long ago.
func (f *followed) told(at tagThere, here bool) (answerThere, bool) {
	known, ok := f.upstreams.get(at)
	rest := askRest
	if known.err != nil && !here {
		rest = failRest
	}
	return known, ok && f.Now().Sub(known.at) < rest
}

func (f *followed) resolve(ctx context.Context, reference string) (upstream.Descriptor, error) {
	image, err := f.open(ctx)
	if err != nil {
		return upstream.Descriptor{}, err
	}
	d, err := image.Resolve(ctx, reference)
	if err == nil && checkDigest(d.Digest) != nil {
		err = errs.New(errs.Unavailable, "upstream image %s gives %s a digest that is none: pull by digest", image, reference)
	}
	return d, err
}

// failed remembers that what a tag names cannot be imported, so that each pull does not try it again.
func (f *followed) failed(reference string, err error) {
	if isDigest(reference) || !theirs(err) {
		return
	}
	f.Log.Warn("an image is not imported from its upstream", "image", f.path(reference), "error", err)
	f.upstreams.put(f.tag(reference), answerThere{err: err, at: f.Now()}, f.Now().Add(-askRest))
}

// path is the image as SQL writes it.
func (f *followed) path(reference string) string {
	p := Path{Repository: f.repository.Name, Image: f.image, Tag: reference}
	if isDigest(reference) {
		p.Tag, p.Digest = "", reference
	}
	return p.String()
}

// open gives the image at the upstream, with the login that the repository's secret has.
//
// Errors: Refused when the host is not approved any more or the secret is gone; Unavailable.
func (f *followed) open(ctx context.Context) (*upstream.Image, error) {
	rules := rulesOf(f.repository)
	var login upstream.Login
	if rules.UpstreamSecret != (catalog.Name{}) {
		err := f.Catalog.View(ctx, func(tx catalog.Tx) error {
			_, secret, err := catalog.Get[*catalog.SecretSpec](tx, rules.UpstreamSecret)
			if errs.Is(err, errs.NotFound) || err == nil && secret.Type != "PASSWORD" {
				return errs.New(errs.Refused, "secret %s, which logs in to the upstream of image repository %s, is gone: ask the owner for ALTER IMAGE REPOSITORY %s "+
					"SET UPSTREAM_SECRET = ...", rules.UpstreamSecret, f.repository.Name, f.repository.Name)
			} else if err != nil {
				return err
			}
			login = upstream.Login{User: secret.Username, Password: errs.Secret(secret.Value)}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return f.Upstream.Image(rules.Upstream, f.image, login)
}

func (u *upstreams) get(at tagThere) (answerThere, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	known, ok := u.told[at]
	return known, ok
}

// put remembers an answer, and forgets those from before a time when there are too many.
func (u *upstreams) put(at tagThere, answer answerThere, old time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.told) >= maxTold {
		for key, known := range u.told {
			if known.at.Before(old) {
				delete(u.told, key)
			}
		}
	}
	if u.told == nil || len(u.told) >= maxTold {
		u.told = map[tagThere]answerThere{}
	}
	u.told[at] = answer
}

// tags lists the tags of an image that the upstream said to name a digest, since a time.
func (u *upstreams) tags(of tagThere, since time.Time) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var tags []string
	for at, known := range u.told {
		digest := of.reference
		if of.reference = at.reference; at == of && known.err == nil && known.descriptor.Digest == digest && !isDigest(at.reference) && known.at.After(since) {
			tags = append(tags, at.reference)
		}
		of.reference = digest
	}
	return tags
}
