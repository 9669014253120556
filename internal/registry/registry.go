// SPDX-License-Identifier: Apache-2.0

// Package registry is the second door of Firn: docker and every other OCI client push and pull images through it, and
// other rooms open images in place through Resolve and Image.
//
// It serves the OCI distribution API v1.1 below /v2/, the token endpoints /token and /login, and nothing else. Names are
// /v2/<database>/<schema>/<repository>/<image path>. What exists is in the catalog, bytes are in the blob store; this
// package keeps nothing that a restart would lose. It decides no privilege and checks no password: an Authenticator and an
// Authorizer do. Only cmd/firnd builds it.
//
// Without a login a request may pull what a grant to PUBLIC opens. To pull, list and mount from, an identity needs READ or WRITE on the image repository; to push, tag, delete, or see an upload, WRITE; OWNERSHIP includes
// both. Who may not pull is told that the repository does not exist. Privileges are looked up where a request starts, and
// remembered for a second (admit.go).
//
// Read route.go for what is served, errors.go for how failures are told, upload.go for when a push is durable, upstream.go for repositories
// whose images come from another registry.
package registry

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry/upstream"
)

// KeyPrefix begins the key of every object that this package writes. A row leads to each of them: of an upload, then of a blob.
const KeyPrefix = "registry/"

// Store is what the registry needs of a blob store.
type Store interface {
	blob.Store
	blob.Appender
}

// Options is what a Registry is made of. Catalog, Blobs, Authenticator, Authorizer, Log, Now and Rand must be set. What a token and a
// privilege are good for depends on what Catalog has, and on the time: see admit.go and again.go.
type Options struct {
	Catalog       catalog.Store
	Blobs         Store
	Authenticator Authenticator
	Authorizer    Authorizer
	Log           *slog.Logger
	Now           func() time.Time
	Rand          io.Reader // of upload ids: unguessable
	// URL is where clients reach the registry, without a slash at the end: "https://firn.example.com". When empty it is taken
	// from the Host header of each request, which suits a loopback address.
	URL string
	// TokenTTL is how long a registry token opens the registry; a push is authorised where it starts, so a token may run
	// out in the middle. Zero means 6 hours.
	TokenTTL time.Duration
	// Redirect sends pulls of blobs to the store by a signed URL, when it is a blob.Presigner. Clients must reach the store.
	Redirect bool
	// UploadTTL is how long an upload may rest before it is removed. Zero means 24 hours.
	UploadTTL time.Duration
	// Writer names this process among those that serve the catalog, and Alive tells whether another one still runs: of an upload that
	// one process writes to, the others keep off. Nil and "" suit a catalog that one process serves.
	Writer string
	Alive  func(tx catalog.Tx, writer string) (bool, error)
	// Grace is for how long the collector of garbage leaves alone what somebody has relied on. Zero means 24 hours.
	Grace time.Duration
	// Upstream reads from the registries that repositories may have as their upstream. Nil approves none.
	Upstream *upstream.Client
}

// Registry serves images. It is safe for concurrent use.
type Registry struct {
	Options
	trail   trail
	busy    sync.Map  // ids of uploads that a request is writing to
	buffers sync.Pool // *[]byte of bufferSize, for hashing

	heads      memory[question, http.Header]       // at the version of the catalog
	bearers    memory[[sha256.Size]byte, Identity] // at the access version
	admissions memory[claim, *place]               // at the access version

	upstreams upstreams
}

// The defaults of Options.
const (
	defaultTokenTTL  = 6 * time.Hour
	defaultUploadTTL = 24 * time.Hour
	defaultGrace     = 24 * time.Hour
)

// expiryInterval is how often Run looks for what is to be removed.
const expiryInterval = 10 * time.Minute

// New makes a registry.
func New(o Options) *Registry {
	if o.TokenTTL == 0 {
		o.TokenTTL = defaultTokenTTL
	}
	if o.UploadTTL == 0 {
		o.UploadTTL = defaultUploadTTL
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.Upstream == nil {
		o.Upstream = upstream.New(upstream.Options{})
	}
	if o.Writer == "" {
		o.Writer = "only"
	}
	if o.Alive == nil {
		o.Alive = func(catalog.Tx, string) (bool, error) { return false, nil }
	}
	return &Registry{
		Options: o,
		trail:   trail{catalog: o.Catalog},
		buffers: sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }},
	}
}

// ServeHTTP serves /v2, /v2/..., /token and /login.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/token":
		g.serveToken(w, r)
	case "/login":
		g.serveLogin(w, r)
	default:
		if r.Method == http.MethodHead {
			g.serveHead(w, r)
			return
		}
		g.serveAPI(w, r)
	}
}

// Run removes expired uploads, tags that are not retained, and old image events, until the context ends. Several replicas may run it.
func (g *Registry) Run(ctx context.Context) error {
	for {
		for _, step := range []struct {
			what string
			do   func(context.Context) (int, error)
		}{{"expired uploads", g.ExpireUploads}, {"tags that are not retained", g.RetireTags}, {"old image events", g.purgeEvents}} {
			if n, err := step.do(ctx); err != nil && ctx.Err() == nil {
				g.Log.Warn(step.what+" stay", "error", err)
			} else if n > 0 {
				g.Log.Info(step.what+" are removed", "count", n)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(expiryInterval):
		}
	}
}

// repository finds the image repository of a name and checks that the identity may use it with the privilege: Read to pull, Write to
// push and delete. WRITE includes pulling.
//
// Errors: NotFound when it does not exist or the identity may not even pull; Denied; errNoLogin instead of both when nobody has logged in.
func (g *Registry) repository(tx catalog.Tx, id Identity, name catalog.Name, p catalog.Privilege) (*catalog.Object, error) {
	hidden := func(cause error) error {
		if id.anonymous() {
			return errNoLogin // whoever logs in may see more
		}
		return coded(nameUnknown, errs.Wrap(cause, errs.NotFound, "image repository %s does not exist or not authorized", name))
	}
	o, err := tx.Object(catalog.KindImageRepository, name)
	if errs.Is(err, errs.NotFound) {
		return nil, hidden(nil)
	} else if err != nil {
		return nil, err
	}
	if id.anonymous() && p == catalog.Write {
		return nil, hidden(nil)
	}
	allowed, err := g.Authorizer.Allowed(tx, id, p, o)
	if err != nil || allowed {
		return o, err
	}
	other := map[catalog.Privilege]catalog.Privilege{catalog.Read: catalog.Write, catalog.Write: catalog.Read}[p]
	visible, err := g.Authorizer.Allowed(tx, id, other, o)
	switch {
	case err != nil:
		return nil, err
	case !visible:
		return nil, hidden(errNotAuthorized)
	case p == catalog.Write:
		return nil, errs.Wrap(errNotAuthorized, errs.Denied, "%s lacks WRITE on image repository %s: ask its owner for GRANT WRITE ON IMAGE REPOSITORY %s TO ROLE ...", id, name, name)
	}
	return o, nil
}
