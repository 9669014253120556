// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"net"
	"net/http"

	"firn.dev/firn/internal/errs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

func openRegistry(ctx context.Context, text string, s Settings) (*Target, error) {
	ref, err := name.ParseReference(text)
	if err != nil {
		return nil, usage("image name %q: %v", text, err)
	}
	get, err := remote.Get(ref, append(s.Remote(), remote.WithContext(ctx))...)
	if err != nil {
		return nil, registryError(err, text)
	}
	if !get.MediaType.IsIndex() {
		img, err := get.Image()
		if err != nil {
			return nil, registryError(err, text)
		}
		return &Target{Image: img, Digest: get.Digest.String()}, nil
	}
	index, err := get.ImageIndex()
	if err != nil {
		return nil, registryError(err, text)
	}
	img, digest, err := chooseFromIndex(index, s.Platform, text, 0)
	if err != nil {
		return nil, err
	}
	return &Target{Image: img, Digest: digest, IndexDigest: get.Digest.String()}, nil
}

// Keys are the logins to use: those of docker login unless Keychain says otherwise.
func (s Settings) Keys() authn.Keychain {
	if s.Keychain == nil {
		return authn.DefaultKeychain
	}
	return s.Keychain
}

// Transport is how registries are reached: in plain HTTP on this machine only.
func (s Settings) Transport() http.RoundTripper { return tlsOnly{remote.DefaultTransport} }

// Remote is both as options of package remote.
func (s Settings) Remote() []remote.Option {
	return []remote.Option{remote.WithAuthFromKeychain(s.Keys()), remote.WithTransport(s.Transport())}
}

// indexDepth bounds indexes of indexes.
const indexDepth = 5

func chooseFromIndex(index v1.ImageIndex, platform, text string, depth int) (v1.Image, string, error) {
	m, err := index.IndexManifest()
	if err != nil {
		return nil, "", registryError(err, text)
	}
	d, err := choose(m.Manifests, platform, text)
	if err != nil {
		return nil, "", err
	}
	if !d.MediaType.IsIndex() {
		img, err := index.Image(d.Digest)
		if err != nil {
			return nil, "", registryError(err, text)
		}
		return img, d.Digest.String(), nil
	}
	if depth >= indexDepth {
		return nil, "", errs.New(errs.Unsupported, "image %s: indexes nested deeper than %d", text, indexDepth)
	}
	inner, err := index.ImageIndex(d.Digest)
	if err != nil {
		return nil, "", registryError(err, text)
	}
	return chooseFromIndex(inner, platform, text, depth+1)
}

// choose takes the entry for the platform, else the first image at all: then the platform check says what is wrong. Entries of
// platform unknown/unknown are attestations, never images.
func choose(entries []v1.Descriptor, platform, text string) (v1.Descriptor, error) {
	var first *v1.Descriptor
	for i := range entries {
		d := &entries[i]
		if d.Platform != nil && d.Platform.OS == "unknown" || !d.MediaType.IsImage() && !d.MediaType.IsIndex() {
			continue
		}
		if d.Platform != nil && d.Platform.OS+"/"+d.Platform.Architecture == platform {
			return *d, nil
		}
		if first == nil || first.Platform != nil && d.Platform == nil {
			first = d
		}
	}
	if first == nil {
		return v1.Descriptor{}, errs.New(errs.NotFound, "index of image %s has no image in it", text)
	}
	return *first, nil
}

func registryError(err error, text string) error {
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		switch answer.StatusCode {
		case http.StatusNotFound:
			return errs.Wrap(err, errs.NotFound, "image %s does not exist in the registry", text)
		case http.StatusUnauthorized, http.StatusForbidden:
			return errs.Wrap(err, errs.Unauthenticated, "registry refuses access to image %s", text)
		}
	}
	return errs.Wrap(err, errs.Unavailable, "registry of image %s does not answer: %v", text, err)
}

// tlsOnly refuses plain HTTP to any host but this one.
type tlsOnly struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t tlsOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	host := r.URL.Hostname()
	if ip := net.ParseIP(host); r.URL.Scheme == "http" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, errs.New(errs.Unavailable, "registry %s speaks no TLS; plain HTTP is only for this machine", host)
	}
	return t.next.RoundTrip(r)
}
