// SPDX-License-Identifier: Apache-2.0

// Package catalog is the contract of Firn's only truth: objects, grants, sessions, tokens, statements with their results,
// nodes, jobs, images, stage files and the audit trail. It holds nouns and promises, no behaviour.
//
// Everything that must survive a kill, or that a second replica must know, is here; what rooms keep in memory are caches
// that may be dropped at any moment. catalog/sqlstore implements Store on SQLite and PostgreSQL; catalog/catalogtest is the
// suite that every implementation passes. The rooms above (rbac, session, executor, registry, scheduler) work only through
// View and Update.
//
// Read this file first, then one file per noun: object.go, spec.go, privilege.go, grant.go, report.go, environment.go, session.go, statement.go,
// node.go, job.go, image.go, image_event.go, retention.go, file.go, garbage.go, audit.go.
package catalog

import (
	"context"
	"time"
)

// Store is the catalog. It is safe for concurrent use by many goroutines and, on PostgreSQL, many processes.
type Store interface {
	// View runs fn in one read-only snapshot. Writing inside it is an error.
	// fn calls neither View nor Update: they could wait for what fn itself holds.
	//
	// Errors: what fn returns; Unavailable when the database does not answer.
	View(ctx context.Context, fn func(Tx) error) error
	// Update runs fn in one transaction: all of it is durable when Update returns nil, none of it when Update returns an
	// error or fn panics. fn may run again after a conflict with another writer, so it has no side effect but on the Tx.
	// Like that of View, fn calls neither View nor Update; it does no network, container or file work.
	//
	// Errors: what fn returns; Conflict when retries did not help; Exhausted when the disk is full; Unavailable, where a
	// connection that broke during the commit leaves it open whether the transaction is durable.
	Update(ctx context.Context, fn func(Tx) error) error
	// Close ends the connections. Calls that run are waited for, later ones are Unavailable.
	Close() error
}

// Tx is one transaction. It is bound to the context of its View or Update, belongs to one goroutine, and is dead when fn
// returns. It is composed of one small interface per noun.
//
// An outcome that a method names (NotFound, Exists, ...) leaves the transaction usable. Any other error ends it: later calls
// repeat it and Update does not commit. Listings run their query when they are walked; a walk may be left early, and inside
// it all methods may be called, also those that write. Text is UTF-8 without zero bytes.
type Tx interface {
	// Now is the time of the transaction, the same for all its calls, UTC, in whole microseconds.
	Now() time.Time

	Objects
	Reports
	EnvironmentHistory
	Grants
	Sessions
	ProgramTokens
	Statements
	Nodes
	Jobs
	Images
	Files
	Garbage
	Contents
	Duties
	Audit
}

// ID identifies a row of the catalog: a UUIDv7 in its text form, so ids sort by the time they were made.
type ID string
