// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry"
)

// people is an Authenticator and Authorizer of users whose password is "secret:" and their name, and whose rights are a table.
type people struct {
	rights map[string]map[string]catalog.Privilege // user -> dotted repository -> READ, WRITE or OWNERSHIP
	mu     sync.Mutex
	tokens map[string]registry.Identity
}

func (p *people) Password(_ context.Context, _, user string, password errs.Secret) (registry.Identity, error) {
	if _, ok := p.rights[user]; !ok || password.Reveal() != "secret:"+user {
		return registry.Identity{}, errs.New(errs.Unauthenticated, "user name or password is wrong")
	}
	return registry.Identity{User: user}, nil
}

func (p *people) Token(_ context.Context, token errs.Secret) (registry.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, ok := p.tokens[token.Reveal()]
	if !ok {
		return registry.Identity{}, errs.New(errs.Unauthenticated, "the token is unknown or has expired")
	}
	return id, nil
}

func (p *people) IssueRegistryToken(_ context.Context, id registry.Identity, ttl time.Duration) (errs.Secret, time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	token := rand.Text()
	p.tokens[token] = id
	return errs.Secret(token), time.Now().Add(ttl), nil
}

func (p *people) Allowed(_ catalog.Tx, id registry.Identity, privilege catalog.Privilege, repository *catalog.Object) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	has := p.rights[id.User][repository.Name.String()]
	return has == privilege || has == catalog.Ownership, nil
}

// The users of every test.
func newPeople() *people {
	return &people{
		rights: map[string]map[string]catalog.Privilege{
			"":        {"DB.S.OPEN": catalog.Read}, // who does not log in
			"owner":   {"DB.S.REPO": catalog.Ownership, "DB.S.OTHER": catalog.Ownership, "DB.S.OPEN": catalog.Ownership},
			"writer":  {"DB.S.REPO": catalog.Write},
			"reader":  {"DB.S.REPO": catalog.Read},
			"nobody":  {},
			"mounter": {"DB.S.REPO": catalog.Write, "DB.S.OTHER": catalog.Read},
		},
		tokens: map[string]registry.Identity{},
	}
}

// door is a registry that is served.
type door struct {
	*registry.Registry
	url    string // http://127.0.0.1:port
	host   string
	store  catalog.Store
	blobs  registry.Store
	people *people
}

// openRegistry opens catalog and blobs of a directory; an empty catalog gets the repositories DB.S.REPO, OTHER and OPEN.
func openRegistry(directory string, now func() time.Time) (*door, func() error, error) {
	return openAt("sqlite:"+filepath.Join(directory, "firn.db"), directory, now)
}

// openAt is openRegistry on a catalog elsewhere.
func openAt(source, directory string, now func() time.Time) (*door, func() error, error) {
	ctx := context.Background()
	store, err := sqlstore.Open(ctx, source, sqlstore.Options{Now: now})
	if err != nil {
		return nil, nil, err
	}
	blobs, err := openBlobs(ctx, directory)
	if err != nil {
		return nil, nil, err
	}
	d, err := open(store, blobs, now)
	closeAll := func() error {
		if err := store.Close(); err != nil {
			return err
		}
		return blobs.Close()
	}
	return d, closeAll, err
}

// open makes a registry of its stores.
func open(store catalog.Store, blobs registry.Store, now func() time.Time) (*door, error) {
	if err := store.Update(context.Background(), addRepositories); err != nil {
		return nil, err
	}
	p := newPeople()
	g := registry.New(registry.Options{
		Catalog: store, Blobs: blobs, Authenticator: p, Authorizer: p, Log: slog.New(slog.DiscardHandler), Now: now, Rand: rand.Reader,
	})
	return &door{Registry: g, store: store, blobs: blobs, people: p}, nil
}

func addRepositories(tx catalog.Tx) error {
	repository := &catalog.ImageRepositorySpec{Encryption: "SNOWFLAKE_SSE"}
	for _, o := range []*catalog.Object{
		{Kind: catalog.KindDatabase, Name: catalog.Name{Object: "DB"}, Spec: &catalog.DatabaseSpec{}},
		{Kind: catalog.KindSchema, Name: catalog.Name{Database: "DB", Object: "S"}, Spec: &catalog.SchemaSpec{}},
		{Kind: catalog.KindImageRepository, Name: catalog.Name{Database: "DB", Schema: "S", Object: "REPO"}, Spec: repository},
		{Kind: catalog.KindImageRepository, Name: catalog.Name{Database: "DB", Schema: "S", Object: "OTHER"}, Spec: repository},
		{Kind: catalog.KindImageRepository, Name: catalog.Name{Database: "DB", Schema: "S", Object: "OPEN"}, Spec: repository},
	} {
		if err := tx.CreateObject(o); err != nil && !errs.Is(err, errs.Exists) {
			return err
		}
	}
	return nil
}

// serve serves a fresh registry until the test ends.
func serve(t *testing.T) *door {
	t.Helper()
	return serveAt(t, time.Now)
}

func serveAt(t *testing.T, now func() time.Time) *door {
	t.Helper()
	directory := t.TempDir()
	return serveOn(t, "sqlite:"+filepath.Join(directory, "firn.db"), directory, now)
}

func serveOn(t *testing.T, source, directory string, now func() time.Time) *door {
	t.Helper()
	d, closeAll, err := openAt(source, directory, now)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(d)
	t.Cleanup(func() {
		server.Close()
		if err := closeAll(); err != nil {
			t.Error(err)
		}
	})
	d.url, d.host = server.URL, strings.TrimPrefix(server.URL, "http://")
	return d
}

// events lists the audit trail, oldest first, as "user action allowed object digest".
func (d *door) events(t *testing.T) []catalog.Event {
	t.Helper()
	var all []catalog.Event
	err := d.store.View(t.Context(), func(tx catalog.Tx) error {
		all = nil
		for e, err := range tx.Events(time.Time{}, 1000) {
			if err != nil {
				return err
			}
			all = append(all, e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

// identity is what a user's login gives.
func identity(user string) registry.Identity { return registry.Identity{User: user} }
