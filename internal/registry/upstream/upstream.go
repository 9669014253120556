// SPDX-License-Identifier: Apache-2.0

// Package upstream reads images from the registries that the administrator has approved. The registry calls it when a repository has an
// upstream; cmd/firnd makes the Client. It stores nothing, knows no catalog and decides nothing but one thing: which hosts are asked.
//
// A login is sent to the host of the upstream and to the token server that it names, never to where the upstream redirects. No error has
// a login, a token or a signed URL in its text.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"firn.dev/firn/internal/errs"
)

// Fetch is a request that has ended, for metrics.
type Fetch struct {
	Host  string // of the upstream
	What  string // tag, manifest, referrers or blob
	OK    bool
	Bytes int64 // of content
}

// Options is what a Client is made of. The zero value approves nothing.
type Options struct {
	Approved []string      // HOST[:PORT], lower case
	Patience time.Duration // how long an upstream may be silent; zero means 30 seconds
	Observe  func(Fetch)   // nil: nobody counts
}

// Client reads from approved registries. It is safe for concurrent use.
type Client struct {
	Options
	transport *http.Transport
}

// New makes a client.
func New(o Options) *Client {
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.Observe == nil {
		o.Observe = func(Fetch) {}
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: o.Patience, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = o.Patience, o.Patience
	return &Client{o, t}
}

// Login opens an upstream. Without a user nobody logs in.
type Login struct {
	User     string
	Password errs.Secret
}

// place is where the images of an upstream are.
type place struct {
	scheme string
	host   string // HOST[:PORT]
	prefix string // "" or "team/project"
}

// String is the URL of the place.
func (p place) String() string {
	return strings.TrimSuffix(p.scheme+"://"+p.host+"/"+p.prefix, "/")
}

var prefixForm = regexp.MustCompile(`^[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*$`)

// parse reads https://HOST[:PORT][/PREFIX]. Plain http is for this machine.
//
// Errors: Invalid.
func parse(text string) (place, error) {
	invalid := func(reason string) (place, error) {
		return place{}, errs.New(errs.Invalid, "upstream '%.300s' %s: write 'https://HOST[:PORT][/PREFIX]'", text, reason)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return place{}, errs.New(errs.Invalid, "upstream is no URL of a registry: write 'https://HOST[:PORT][/PREFIX]'") // it may hold anything
	}
	if u.User != nil {
		return place{}, errs.New(errs.Invalid, "upstream '%s' has a login in its URL: leave it out, and set UPSTREAM_SECRET", u.Redacted())
	}
	p := place{u.Scheme, strings.ToLower(u.Host), strings.Trim(u.Path, "/")}
	switch {
	case u.RawQuery != "" || u.Fragment != "":
		return invalid("has more than a path")
	case p.prefix != "" && (!prefixForm.MatchString(p.prefix) || len(p.prefix) > 200):
		return invalid("has a path that begins no image name")
	case p.scheme == "http" && !loopback(u.Hostname()):
		return invalid("speaks plain HTTP, which is for this machine only")
	}
	return p, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// ParseHosts reads a list of hosts, separated by commas.
func ParseHosts(text string) ([]string, error) {
	var hosts []string
	for host := range strings.SplitSeq(text, ",") {
		if host = strings.ToLower(strings.TrimSpace(host)); host == "" {
			continue
		}
		if u, err := url.Parse("//" + host); err != nil || u.Host != host || u.Hostname() == "" {
			return nil, fmt.Errorf("upstreams: '%s' is no HOST[:PORT] such as registry.example.com", host)
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}

// Check reads the URL of an upstream and gives its canonical form.
//
// Errors: Invalid; Refused when its host is not approved.
func (c *Client) Check(text string) (string, error) {
	p, err := parse(text)
	if err != nil {
		return "", err
	}
	if !slices.Contains(c.Approved, p.host) {
		return "", errs.New(errs.Refused, "upstream registry %s is not approved: nothing is fetched from a host that the server was not told; ask the "+
			"administrator to start it with firnd serve --upstreams %s", p.host, strings.Join(append(slices.Clone(c.Approved), p.host), ","))
	}
	return p.String(), nil
}

// Image is one image of an upstream. It keeps the token that the upstream gave, so that one import logs in once. It is safe for concurrent use.
type Image struct {
	client *Client
	host   string
	name   string // for messages
	ref    name.Repository
	puller *remote.Puller
}

// Image gives the image of an upstream with a name below its prefix. Nothing is asked yet.
//
// Errors: those of Check.
func (c *Client) Image(source, image string, login Login) (*Image, error) {
	if _, err := c.Check(source); err != nil {
		return nil, err
	}
	p, err := parse(source)
	if err != nil {
		return nil, err
	}
	var options []name.Option
	if p.scheme == "http" {
		options = append(options, name.Insecure)
	}
	host, err := name.NewRegistry(p.host, options...)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "upstream registry %s", p.host)
	}
	auth := authn.Anonymous
	if login.User != "" {
		auth = authn.FromConfig(authn.AuthConfig{Username: login.User, Password: login.Password.Reveal()})
	}
	i := &Image{client: c, host: p.host, ref: host.Repo(p.prefix, image)}
	i.name = p.host + "/" + i.ref.RepositoryStr()
	// Who pulls asks again: one attempt is enough, and tells at once what is wrong.
	i.puller, err = remote.NewPuller(remote.WithAuth(auth), remote.WithUserAgent("firn"), remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryStatusCodes(), remote.WithTransport(&strict{c.transport, p.scheme, host.RegistryStr()}))
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "upstream registry %s", p.host)
	}
	return i, nil
}

// String names the image as docker would: registry.example.com/team/img.
func (i *Image) String() string { return i.name }

// strict speaks to the upstream in its scheme, and to others, where it redirects, by TLS; an upstream on this machine may redirect within it.
type strict struct {
	next   http.RoundTripper
	scheme string
	host   string
}

// RoundTrip implements http.RoundTripper.
func (s *strict) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case r.URL.Host == s.host && r.URL.Scheme != s.scheme: // the library tries both
		r = r.Clone(r.Context())
		r.URL.Scheme = s.scheme
	case r.URL.Host != s.host && r.URL.Scheme != "https" && (s.scheme != "http" || !loopback(r.URL.Hostname())):
		return nil, told("it redirects to " + r.URL.Host + " by plain HTTP")
	}
	return s.next.RoundTrip(r)
}

// Descriptor is what an upstream says of a manifest without giving it.
type Descriptor struct {
	Digest    string
	MediaType string
	Size      int64
	// What it is, when it is attached to another manifest.
	ArtifactType string
	Annotations  map[string]string
}

// Resolve asks what a tag or digest names now.
//
// Errors: NotFound; Denied; Unavailable.
func (i *Image) Resolve(ctx context.Context, reference string) (Descriptor, error) {
	ctx, cancel := context.WithTimeout(ctx, i.client.Patience)
	defer cancel()
	d, err := i.puller.Head(ctx, i.reference(reference))
	if err != nil && !answered(err) { // some registries leave out headers that HEAD should have
		got, getErr := i.puller.Get(ctx, i.reference(reference))
		if err = getErr; err == nil {
			d = &got.Descriptor
		}
	}
	i.observe("tag", err, 0)
	if err != nil {
		return Descriptor{}, i.failed(reference, err)
	}
	return Descriptor{Digest: d.Digest.String(), MediaType: string(d.MediaType), Size: d.Size}, nil
}

// Manifest reads a manifest, which has the digest.
//
// Errors: NotFound; Denied; Unavailable, also for content with another digest.
func (i *Image) Manifest(ctx context.Context, digest string) (body []byte, mediaType string, err error) {
	ctx, cancel := context.WithTimeout(ctx, i.client.Patience)
	defer cancel()
	got, err := i.puller.Get(ctx, i.ref.Digest(digest))
	if err != nil {
		i.observe("manifest", err, 0)
		return nil, "", i.failed(digest, err)
	}
	i.observe("manifest", nil, int64(len(got.Manifest)))
	return got.Manifest, string(got.MediaType), nil
}

// Referrers lists what is attached to a manifest: what the upstream's referrers API says, or the tag that stands in for it.
//
// Errors: Denied; Unavailable.
func (i *Image) Referrers(ctx context.Context, digest string) ([]Descriptor, error) {
	ctx, cancel := context.WithTimeout(ctx, i.client.Patience)
	defer cancel()
	var list *v1.IndexManifest
	index, err := remote.Referrers(i.ref.Digest(digest), remote.Reuse(i.puller), remote.WithContext(ctx))
	if err == nil {
		list, err = index.IndexManifest()
	}
	i.observe("referrers", err, 0)
	if err != nil {
		return nil, i.failed("the list of what is attached to "+digest, err)
	}
	all := make([]Descriptor, len(list.Manifests))
	for i, d := range list.Manifests {
		all[i] = Descriptor{d.Digest.String(), string(d.MediaType), d.Size, d.ArtifactType, d.Annotations}
	}
	return all, nil
}

// Blob reads a blob of a size. Reading fails when there is more or less of it, or when nothing comes for the time of patience; whether it has
// the digest the caller checks.
//
// Errors, of reading too: NotFound; Denied; Unavailable.
func (i *Image) Blob(ctx context.Context, digest string, size int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	b := &blob{image: i, digest: digest, size: size, cancel: cancel}
	b.silent = time.AfterFunc(i.client.Patience, func() { cancel(errSilent) })
	layer, err := i.puller.Layer(ctx, i.ref.Digest(digest))
	if err == nil {
		b.content, err = layer.Compressed()
	}
	if err != nil {
		err = i.failed(digest, because(ctx, err))
		b.failed = true
		_ = b.Close()
		return nil, err
	}
	b.ctx = ctx
	return b, nil
}

func (i *Image) reference(text string) name.Reference {
	if strings.Contains(text, ":") {
		return i.ref.Digest(text)
	}
	return i.ref.Tag(text)
}

func (i *Image) observe(what string, err error, bytes int64) {
	i.client.Observe(Fetch{i.host, what, err == nil, bytes})
}

// errSilent is why a blob whose upstream says nothing is given up.
var errSilent = errors.New("nothing came for too long")

// because gives the reason why a context was cancelled in the place of the failure that this led to.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// blob is the content of a blob on its way.
type blob struct {
	image   *Image
	digest  string
	size    int64 // that it must have
	read    int64
	content io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	silent  *time.Timer
	failed  bool
}

// Read implements io.Reader.
func (b *blob) Read(p []byte) (int, error) {
	n, err := b.content.Read(p)
	b.silent.Reset(b.image.client.Patience)
	b.read += int64(n)
	switch {
	case b.read > b.size, err == io.EOF && b.read < b.size:
		err = told(fmt.Sprintf("the manifest promises %d bytes, %d came", b.size, b.read))
	case err == nil || err == io.EOF:
		return n, err
	}
	b.failed = true
	return n, errs.New(errs.Unavailable, "upstream registry %s did not give %s of image %s whole: %s: pull again", b.image.host, b.digest, b.image, reason(because(b.ctx, err)))
}

// Close implements io.Closer.
func (b *blob) Close() (err error) {
	b.silent.Stop()
	if b.content != nil {
		err = b.content.Close()
	}
	b.cancel(context.Canceled)
	b.image.client.Observe(Fetch{b.image.host, "blob", !b.failed && b.read == b.size, b.read})
	return err
}
