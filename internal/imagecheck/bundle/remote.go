// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/source"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// door is a registry that is spoken to with one login.
type door struct {
	place Place
	opts  []remote.Option
	pull  *remote.Puller
	push  *remote.Pusher
	// clients are logged in to push, by the name of the image.
	clients  map[string]*http.Client
	settings source.Settings
}

func openDoor(place Place, s source.Settings) (*door, error) {
	opts := append(s.Remote(), remote.WithReferrersTagFallback(false))
	pull, err := remote.NewPuller(opts...)
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "registry %s", place.Host)
	}
	push, err := remote.NewPusher(opts...)
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "registry %s", place.Host)
	}
	return &door{place, append(opts, remote.Reuse(pull)), pull, push, map[string]*http.Client{}, s}, nil
}

// failure says what the registry answered, about one object. A nil err stays nil.
func (d *door) failure(ctx context.Context, err error, object string) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return errs.Wrap(ctx.Err(), errs.Canceled, "%s", object)
	}
	answer, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return errs.Wrap(err, errs.Unavailable, "%s: registry %s does not answer: %v", object, d.place.Host, err)
	}
	var said []string
	for _, e := range answer.Errors {
		said = append(said, e.Message)
	}
	reason := strings.Join(said, "; ")
	if reason == "" {
		reason = http.StatusText(answer.StatusCode)
	}
	switch answer.StatusCode {
	case http.StatusNotFound:
		return errs.Wrap(err, errs.NotFound, "%s: %s", object, reason)
	case http.StatusUnauthorized:
		return errs.Wrap(err, errs.Unauthenticated, "%s: %s: log in with docker login %s", object, reason, d.place.Host)
	case http.StatusForbidden:
		return errs.Wrap(err, errs.Denied, "%s: %s", object, reason)
	case http.StatusConflict:
		return errs.Wrap(err, errs.Refused, "%s: %s", object, reason)
	case http.StatusInsufficientStorage:
		return errs.Wrap(err, errs.Exhausted, "%s: %s", object, reason)
	case http.StatusBadRequest, http.StatusMethodNotAllowed:
		return errs.Wrap(err, errs.Unsupported, "%s: %s", object, reason)
	}
	return errs.Wrap(err, errs.Unavailable, "%s: registry %s answers with status %d: %s", object, d.place.Host, answer.StatusCode, reason)
}

// images lists the images that the place means, in byte order.
func (d *door) images(ctx context.Context) ([]string, error) {
	if d.place.Image != "" {
		return []string{d.place.Image}, nil
	}
	registry, err := name.NewRegistry(d.place.Host)
	if err != nil {
		return nil, errs.New(errs.Invalid, "%q is no host", d.place.Host)
	}
	all, err := d.pull.Catalog(ctx, registry)
	if err != nil {
		return nil, d.failure(ctx, err, "images of "+d.place.String())
	}
	var images []string
	for _, full := range all {
		if image, ok := strings.CutPrefix(full, d.place.Repository+"/"); ok {
			images = append(images, image)
		}
	}
	if len(images) == 0 {
		return nil, errs.New(errs.NotFound, "image repository %s has no image that this login may pull: docker login %s tells the server who you are",
			d.place, d.place.Host)
	}
	slices.Sort(images)
	return images, nil
}

// tags lists the tags of an image that the place means, in byte order.
func (d *door) tags(ctx context.Context, image name.Repository) ([]string, error) {
	if d.place.Tag != "" {
		return []string{d.place.Tag}, nil
	}
	tags, err := d.pull.List(ctx, image)
	slices.Sort(tags)
	return tags, d.failure(ctx, err, "tags of "+image.String())
}

// head gives the digest that a reference has, "" when there is none.
func (d *door) head(ctx context.Context, ref name.Reference) (string, error) {
	got, err := d.pull.Head(ctx, ref)
	if answer, ok := errors.AsType[*transport.Error](err); ok && answer.StatusCode == http.StatusNotFound {
		return "", nil
	}
	if err != nil {
		return "", d.failure(ctx, err, ref.String())
	}
	return got.Digest.String(), nil
}

// referrers lists what is attached to a manifest.
func (d *door) referrers(ctx context.Context, at name.Digest) ([]v1.Descriptor, error) {
	index, err := remote.Referrers(at, append(slices.Clone(d.opts), remote.WithContext(ctx))...)
	if err != nil {
		return nil, d.failure(ctx, err, "attachments of "+at.String())
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, errs.Wrap(err, errs.Corrupt, "attachments of %s: %v", at, err)
	}
	return list.Manifests, nil
}

// has tells whether an image holds a blob.
func (d *door) has(ctx context.Context, ref name.Digest) (bool, error) {
	l, err := d.pull.Layer(ctx, ref)
	if err != nil {
		return false, d.failure(ctx, err, ref.String())
	}
	exists, err := partial.Exists(l)
	return exists, d.failure(ctx, err, ref.String())
}

// mount asks the registry to take a blob from wherever on the server this login may pull it, and tells whether it did.
func (d *door) mount(ctx context.Context, ref name.Digest) (bool, error) {
	c, err := d.client(ctx, ref.Context())
	if err != nil {
		return false, d.failure(ctx, err, ref.String())
	}
	at := url.URL{Scheme: ref.Context().Scheme(), Host: ref.Context().RegistryStr(), Path: "/v2/" + ref.Context().RepositoryStr() + "/blobs/uploads/"}
	at.RawQuery = url.Values{"mount": {ref.DigestStr()}}.Encode()
	answer, err := send(ctx, c, http.MethodPost, at.String())
	if err == nil {
		defer answer.Body.Close()
		err = transport.CheckError(answer, http.StatusCreated, http.StatusAccepted)
	}
	if err != nil {
		return false, d.failure(ctx, err, ref.String())
	}
	if answer.StatusCode == http.StatusCreated {
		return true, nil
	}
	if begun, err := at.Parse(answer.Header.Get("Location")); err == nil { // an upload that nobody needs; left alone it expires
		if answer, err := send(ctx, c, http.MethodDelete, begun.String()); err == nil {
			_ = answer.Body.Close()
		}
	}
	return false, nil
}

// client is logged in to push to an image.
func (d *door) client(ctx context.Context, image name.Repository) (*http.Client, error) {
	if c, ok := d.clients[image.String()]; ok {
		return c, nil
	}
	login, err := authn.Resolve(ctx, d.settings.Keys(), image)
	if err != nil {
		return nil, err
	}
	t, err := transport.NewWithContext(ctx, image.Registry, login, d.settings.Transport(), []string{image.Scope(transport.PushScope)})
	if err != nil {
		return nil, err
	}
	d.clients[image.String()] = &http.Client{Transport: t}
	return d.clients[image.String()], nil
}

// send sends a request without a body and gives the answer, whose body is to be closed.
func send(ctx context.Context, c *http.Client, method, at string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, at, http.NoBody)
	if err != nil {
		return nil, err
	}
	return c.Do(r)
}
