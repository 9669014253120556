// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/registry"
	"firn.dev/firn/internal/session"
	"firn.dev/firn/internal/sql/executor"
)

// The rooms say what they need of others in their own words; here those words meet.

// identities lets the registry ask auth who somebody is.
type identities struct{ auth *auth.Service }

func (i identities) Password(ctx context.Context, address, user string, password errs.Secret) (registry.Identity, error) {
	// docker has one field for a secret: a token may stand in it. It is looked for first, as it is no guess at a password.
	if by, err := i.auth.Token(ctx, password); err == nil && by.User == session.Canonical(user) {
		return registryIdentity(by), nil
	}
	id, err := i.auth.Password(ctx, address, user, password)
	return registryIdentity(id), err
}

func (i identities) Token(ctx context.Context, token errs.Secret) (registry.Identity, error) {
	id, err := i.auth.Token(ctx, token)
	return registryIdentity(id), err
}

func (i identities) IssueRegistryToken(ctx context.Context, id registry.Identity, ttl time.Duration) (errs.Secret, time.Time, error) {
	return i.auth.IssueRegistryToken(ctx, auth.Identity{User: id.User, Role: id.Role, Session: id.Session, JobID: id.JobID, Proof: id.Proof}, ttl)
}

func registryIdentity(id auth.Identity) registry.Identity {
	return registry.Identity{User: id.User, Role: id.Role, Session: id.Session, JobID: id.JobID, Proof: id.Proof}
}

// serverPulls is the identity of the server itself when its engine pulls an image. What may run was decided when the work was
// accepted; at that moment the digest was fixed.
const serverPulls = catalog.AccountID

// pulls gives the scheduler a login that reads every image. It keeps one for a while, so that a start costs no write.
type pulls struct {
	auth *auth.Service
	now  func() time.Time

	mu    sync.Mutex
	login compute.Login
	until time.Time
}

func (p *pulls) get(ctx context.Context) (compute.Login, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now().Before(p.until) {
		return p.login, nil
	}
	token, expires, err := p.auth.IssueRegistryToken(ctx, auth.Identity{JobID: serverPulls}, 2*time.Hour)
	if err != nil {
		return compute.Login{}, err
	}
	// A pull may take long: what is handed out is good for another hour at least.
	p.login, p.until = compute.Login{User: registry.TokenUser, Password: token}, expires.Add(-time.Hour)
	return p.login, nil
}

// rights lets the registry ask rbac what an identity may do. Without a role of its own it has all roles of its user.
type rights struct{}

func (rights) Allowed(tx catalog.Tx, id registry.Identity, p catalog.Privilege, repository *catalog.Object) (bool, error) {
	if id.JobID == serverPulls {
		return p == catalog.Read, nil
	}
	who := rbac.Who{User: id.User, Role: id.Role, Secondary: id.Role == ""}
	if id.JobID != "" {
		who.User = ""
	}
	guard := rbac.New(tx, who)
	allowed := guard.Holds(p, repository)
	return allowed, guard.Err()
}

// images lets the checker of images open them in the registry.
type images struct{ registry *registry.Registry }

func (i images) Resolve(ctx context.Context, path string) (executor.ImageRef, error) {
	r, err := i.registry.Resolve(ctx, path)
	if err != nil {
		return executor.ImageRef{}, err
	}
	ref := executor.ImageRef{
		Repository: r.Repository, Image: r.Image, Tag: r.Tag, Digest: r.Digest, TagDigest: r.TagDigest, Path: r.Path(),
	}
	img, err := i.registry.Image(ctx, r.Repository.ID, r.Image, r.Digest)
	if errs.Is(err, errs.Refused) { // something else than an image, which has no labels
		return ref, nil
	}
	if err != nil {
		return ref, err
	}
	config, err := img.ConfigFile()
	if err == nil && config != nil {
		ref.Labels = config.Config.Labels
	}
	return ref, err
}

func (i images) Image(ctx context.Context, repository catalog.ID, image, digest string) (v1.Image, error) {
	return i.registry.Image(ctx, repository, image, digest)
}
