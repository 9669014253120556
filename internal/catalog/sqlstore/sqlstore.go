// SPDX-License-Identifier: Apache-2.0

// Package sqlstore implements catalog.Store on SQLite and on PostgreSQL: one implementation, one SQL text for both.
//
// Read in this order: this file (Open, View, Update), tx.go (how a method of the transaction reaches the database), then
// one file per noun of the contract. What the two databases do differently is in dialect.go; how each of them runs a
// transaction is in sqlite.go with writer.go (group commit), and in postgres.go. The schema is in migrations.
//
// It knows no privilege, no SQL of users and no protocol. cmd/firnd opens it; everybody else sees catalog.Store only.
package sqlstore

import (
	"context"
	"crypto/rand"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Options is what a Store takes from outside. The zero value is ready to use.
type Options struct {
	Now    func() time.Time // the clock; nil: time.Now
	Random io.Reader        // for ids, read by one goroutine at a time; nil: crypto/rand
}

// Store is a catalog.Store.
type Store struct {
	engine engine
	gate   gate
	now    func() time.Time
	random *source
	access atomic.Int64 // see AccessVersion
}

var _ catalog.Store = (*Store)(nil)

// engine runs transactions on one kind of database.
type engine interface {
	// view runs fn in a read-only snapshot.
	view(ctx context.Context, fn body) error
	// update runs fn in a transaction, again after a conflict, and keeps what it did when it returns nil.
	update(ctx context.Context, fn body) error
	close() error
}

// body is one attempt at a transaction whose statements go to the runner. It tells apart what the caller's function said
// from what the database said: an attempt is kept only when both are nil.
type body func(r runner) (said, failed error)

// Open opens the catalog, creates it when it is missing, and brings its schema up to date. The data source is one of
//
//	sqlite:PATH        a file; its folder exists
//	sqlite::memory:    a catalog of its own that ends with Close, for tests
//	postgres://...     a PostgreSQL database, as in https://www.postgresql.org/docs/current/libpq-connect.html
//
// Errors: Invalid for another data source; Unavailable when the file or server cannot be reached; Corrupt for a file that
// is no catalog; Unsupported for a catalog written by a newer program.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	s := &Store{now: o.Now, random: &source{reader: o.Random}}
	s.gate.init()
	var err error
	scheme, rest, _ := strings.Cut(dsn, ":")
	switch {
	case scheme == "sqlite" && rest == ":memory:":
		s.engine, err = openPrivateSQLite(ctx)
	case scheme == "sqlite" && rest != "":
		s.engine, err = openSQLite(ctx, rest)
	case scheme == "postgres" || scheme == "postgresql":
		s.engine, err = openPostgres(ctx, dsn, s.random)
	default:
		// The data source may hold a password, so it is not repeated.
		return nil, errs.New(errs.Invalid, "the catalog's data source is none of sqlite:PATH, sqlite::memory: and postgres://...")
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// View implements catalog.Store.
func (s *Store) View(ctx context.Context, fn func(catalog.Tx) error) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	return s.engine.view(ctx, s.body(ctx, true, fn, nil))
}

// Update implements catalog.Store.
func (s *Store) Update(ctx context.Context, fn func(catalog.Tx) error) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	takesAccess := false
	defer func() {
		if takesAccess { // also when it is not certain that it was committed
			s.access.Add(1)
		}
	}()
	return s.engine.update(ctx, s.body(ctx, false, fn, &takesAccess))
}

// body makes the transaction that fn sees out of a runner. However fn is left, the transaction is dead afterwards. It sets takesAccess
// when it has changed what AccessVersion tells of.
func (s *Store) body(ctx context.Context, readOnly bool, fn func(catalog.Tx) error, takesAccess *bool) body {
	return func(r runner) (said, failed error) {
		t := &tx{
			runner: r, ctx: ctx, readOnly: readOnly,
			now: s.now().UTC().Truncate(time.Microsecond), random: s.random, takesAccess: takesAccess,
		}
		defer t.end()
		said = fn(t)
		return said, t.failed
	}
}

// Close implements catalog.Store. Later calls are Unavailable.
func (s *Store) Close() error {
	if !s.gate.close() {
		return nil
	}
	return s.engine.close()
}
