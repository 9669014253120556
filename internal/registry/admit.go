// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/sha256"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// A push of one image is a dozen requests of the same client to the same repository. Who it is and what it may do there is looked up
// in the catalog once and remembered until this process changes users, roles, grants, tokens or objects, and for a second at most: so
// much later another replica's change is seen here, and the end of a token.

// watched is a catalog that tells when this process has changed what decides who somebody is and what he may do.
type watched interface {
	// AccessVersion gives a number that is another one after each Update of this process that changed such a thing has returned.
	AccessVersion() int64
}

// accessVersion is the AccessVersion of the catalog, when it is watched: without, nothing is remembered.
func (g *Registry) accessVersion() (version int64, ok bool) {
	w, ok := g.Catalog.(watched)
	if !ok {
		return 0, false
	}
	return w.AccessVersion(), true
}

// claim is what somebody asks to be admitted to.
type claim struct {
	id         Identity
	repository catalog.Name
	privilege  catalog.Privilege
}

// place is a repository with the database that it is in, as they were read. Many requests share it: it is not changed.
type place struct {
	repository *catalog.Object
	database   *catalog.Object
}

// placeOf gives the place of a repository.
func placeOf(tx catalog.Tx, repository *catalog.Object) (*place, error) {
	database, err := tx.Object(catalog.KindDatabase, catalog.Name{Object: repository.Name.Database})
	return &place{repository, database}, err
}

// placeByID reads a repository whose id is known.
//
// Errors: NotFound.
func placeByID(tx catalog.Tx, repository catalog.ID) (*place, error) {
	o, err := tx.ObjectByID(repository)
	if err != nil {
		return nil, coded(nameUnknown, err)
	}
	return placeOf(tx, o)
}

// now gives the place as it is in a transaction.
//
// Errors: NotFound.
func (p *place) now(tx catalog.Tx) (*place, error) {
	if same, err := tx.Unchanged(p.repository, p.database); err != nil || same {
		return p, err
	}
	return placeByID(tx, p.repository.ID)
}

// shared gives what the repository has in common with others of its database.
func (p *place) shared() *catalog.DatabaseSpec { return p.database.Spec.(*catalog.DatabaseSpec) }

// limited tells whether what is pushed counts against a quota.
func (p *place) limited() bool {
	return rulesOf(p.repository).Quota > 0 || p.shared().ImageQuota > 0
}

// admit finds the repository of a request and checks that the identity may use it, as Registry.repository does.
func (g *Registry) admit(r *request, p catalog.Privilege) (*place, error) {
	asked := claim{r.id, r.route.repository, p}
	version, watched := g.accessVersion()
	now := g.Now()
	if at, ok := g.admissions.get(version, now, asked); ok {
		return at, nil
	}
	var at *place
	err := g.Catalog.View(r.Context(), func(tx catalog.Tx) error {
		repository, err := g.repository(tx, r.id, r.route.repository, p)
		if err != nil {
			return err
		}
		at, err = placeOf(tx, repository)
		return err
	})
	if err != nil {
		return nil, err
	}
	if watched {
		g.admissions.put(version, now, asked, at)
	}
	return at, nil
}

// bearer tells who showed a token.
func (g *Registry) bearer(ctx context.Context, token string) (Identity, error) {
	q := sha256.Sum256([]byte(token))
	version, watched := g.accessVersion()
	now := g.Now()
	if id, ok := g.bearers.get(version, now, q); ok {
		return id, nil
	}
	id, err := g.Authenticator.Token(ctx, errs.Secret(token))
	if err == nil && watched && id.Session == 0 { // a session may take another role with each of its statements
		g.bearers.put(version, now, q, id)
	}
	return id, err
}
