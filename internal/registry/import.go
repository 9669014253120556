// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry/upstream"
)

// An import is a push that the registry makes itself: blobs first, each checked by its digest and durable before the image holds it, then the
// manifest with its tags in one transaction. So quotas, media types, immutable tags, drift and events are those of a push, and an import that
// breaks off leaves nothing that can be pulled; the next one goes on with the blobs that have come. Of an index only itself is imported: its
// manifests follow when somebody asks for them.

const (
	actionImport   = "import"  // of audit events
	importTime     = time.Hour // that an import may take
	importParallel = 3         // blobs of an image that are fetched at once
)

// shared does something once for all who ask for it at the same time. It goes on, for an hour at most, when who asked is gone.
func shared(ctx context.Context, group *singleflight.Group, key string, do func(context.Context) (any, error)) (any, error) {
	done := group.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), importTime)
		defer cancel()
		return do(ctx)
	})
	select {
	case <-ctx.Done():
		return nil, errs.Wrap(ctx.Err(), errs.Canceled, "the request was given up, what it asked an upstream for goes on")
	case r := <-done:
		return r.Val, r.Err
	}
}

// bring imports a manifest with all that it needs, and the tags that are known to name it.
func (f *followed) bring(ctx context.Context, digest string) (*catalog.Manifest, error) {
	at := f.tag(digest)
	imported, err := shared(ctx, &f.upstreams.importing, string(at.repository)+" "+at.source+" "+at.image+"@"+digest, func(ctx context.Context) (any, error) {
		if m, err := f.here(ctx, digest); m != nil || err != nil { // somebody was faster
			return m, err
		}
		// Who asks for the tag first (HEAD) asks for the digest then: the tag is meant.
		tags := f.upstreams.tags(at, f.Now().Add(-askRest))
		image, err := f.open(ctx)
		if err != nil {
			return nil, err
		}
		return f.copy(ctx, image, digest, tags)
	})
	m, _ := imported.(*catalog.Manifest)
	return m, err
}

// copy imports a manifest from an image.
func (f *followed) copy(ctx context.Context, image *upstream.Image, digest string, tags []string) (*catalog.Manifest, error) {
	body, mediaType, err := image.Manifest(ctx, digest)
	if err != nil {
		return nil, err
	}
	wrong := func(cause error) error {
		return errs.New(errs.Unavailable, "upstream image %s has no good manifest %s: %s: push it there again", image, digest, errs.MessageOf(cause))
	}
	h := newHash(digest)
	h.Write(body)
	if err := verify(h, digest); err != nil {
		return nil, wrong(err)
	}
	m, types, err := parseManifest(body, mediaType)
	if err != nil {
		return nil, wrong(err)
	}
	if len(body) > maxManifest {
		return nil, wrong(errs.New(errs.Invalid, "it has more than %d bytes", maxManifest))
	}
	if err := allowedTypes(f.repository, types); err != nil {
		return nil, err // before anything is fetched
	}
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, wrong(err)
	}
	m.Image, m.Digest, m.Leased = f.image, digest, f.Now()
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(importParallel)
	seen := map[string]bool{}
	for _, b := range d.blobs() {
		if !seen[b.Digest.String()] {
			seen[b.Digest.String()] = true
			group.Go(func() error { return f.copyBlob(within, image, b) })
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return m, f.keep(ctx, m, tags, types)
}

// origin is who pushed what comes from an upstream, in listings and events: "upstream registry.example.com".
func (f *followed) origin() string {
	_, rest, _ := strings.Cut(rulesOf(f.repository).Upstream, "://")
	host, _, _ := strings.Cut(rest, "/")
	return "upstream " + host
}

// keep commits a manifest, whose blobs the image holds, with its tags.
func (f *followed) keep(ctx context.Context, m *catalog.Manifest, tags, types []string) error {
	return f.Catalog.Update(ctx, func(tx catalog.Tx) error {
		at, err := placeByID(tx, f.repository.ID)
		if err != nil {
			return err
		}
		if rulesOf(at.repository).Upstream != rulesOf(f.repository).Upstream {
			return errs.New(errs.Conflict, "image repository %s has another upstream now: pull again", at.repository.Name)
		}
		row := *m // the transaction may run again
		row.PushedBy = f.origin()
		if err := keepManifest(tx, at, &row, tags, types); err != nil {
			return err
		}
		e := catalog.Event{
			User: f.by.User, Role: f.by.Role, Action: actionImport, Kind: catalog.KindImageRepository, Object: f.path(m.Digest), Digest: m.Digest, Allowed: true,
			Detail: "from upstream " + rulesOf(at.repository).Upstream,
		}
		if len(tags) > 0 {
			e.Object = f.path(tags[0])
		}
		if f.by.JobID != "" {
			e.Detail += " for job " + string(f.by.JobID)
		}
		return tx.AddEvent(e)
	})
}

// copyBlob lets the image hold a blob: one that is here and may be had, or that of the upstream.
func (f *followed) copyBlob(ctx context.Context, image *upstream.Image, d v1.Descriptor) error {
	digest := d.Digest.String()
	if d.Size < 0 {
		return errs.New(errs.Unavailable, "upstream image %s has a blob %s of %d bytes: push it there again", image, digest, d.Size)
	}
	if there, err := f.link(ctx, digest); there || err != nil {
		return err
	}
	var u *upload
	err := f.Catalog.View(ctx, func(tx catalog.Tx) error {
		at, err := placeOf(tx, f.repository)
		if err != nil {
			return err
		}
		if err := fits(tx, at, digest, "", d.Size); err != nil {
			return err
		}
		u, err = f.newUpload(at, f.image, f.origin())
		return err
	})
	if err != nil {
		return err
	}
	content, err := image.Blob(ctx, digest, d.Size)
	if err != nil {
		return err
	}
	defer content.Close()
	err = f.keepWhole(ctx, u, digest, content, d.Size)
	if errs.Is(err, errs.Invalid) {
		return errs.New(errs.Unavailable, "upstream image %s gave other content for a blob: %s: push it there again", image, errs.MessageOf(err))
	}
	return err
}

// link lets the image hold a blob that is here, when all who may pull the image may have it: it is in the repository, or public. What
// only the one may have who pulls is fetched: a manifest of the upstream must not open it to others.
func (f *followed) link(ctx context.Context, digest string) (linked bool, err error) {
	var b *catalog.Blob
	err = f.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
		b, err = tx.Blob(digest)
		return err
	})
	if err != nil {
		return false, unlessMissing(err)
	}
	if whole, err := f.whole(ctx, b); err != nil || !whole {
		return false, err
	}
	err = f.Catalog.Update(ctx, func(tx catalog.Tx) error {
		if linked, err = f.isOpen(tx, digest); err != nil || !linked {
			return err
		}
		at, err := placeByID(tx, f.repository.ID)
		if err != nil {
			return err
		}
		if err := fits(tx, at, digest, "", b.Size); err != nil {
			return err
		}
		return tx.LinkBlob(f.repository.ID, f.image, digest)
	})
	return linked, err
}

// isOpen tells whether all who may pull from the repository may have a blob.
func (f *followed) isOpen(tx catalog.Tx, digest string) (bool, error) {
	var in []catalog.ID
	for id, err := range tx.BlobRepositories(digest) {
		if err != nil {
			return false, err
		}
		in = append(in, id)
	}
	if slices.Contains(in, f.repository.ID) {
		return true, nil
	}
	for _, id := range in {
		o, err := tx.ObjectByID(id)
		if err != nil {
			return false, err
		}
		if public, err := f.mayPull(tx, anonymous(), o); public || err != nil {
			return public, err
		}
	}
	return false, nil
}
