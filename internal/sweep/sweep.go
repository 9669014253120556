// SPDX-License-Identifier: Apache-2.0

// Package sweep keeps the catalog's images and the blob store in step: Collect removes what nobody needs any more, Check reads
// everything and says where the two disagree. Both work beside running servers and never make a push or pull wait.
//
// What is needed is decided by the catalog (catalog.Garbage), one row after the other, in transactions of its own. This package
// knows in which order things go: manifests, links of images to blobs, rows of blobs, and only then bytes. So a kill at any
// moment leaves bytes without a row at worst, and those the next run finds. It knows no privilege and no protocol.
// cmd/firnd runs it, as a worker of the server and as the commands gc and check.
package sweep

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"strings"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Options is what a Sweeper works with. Catalog, Blobs, Log, Now and Holder must be set.
type Options struct {
	Catalog catalog.Store
	Blobs   blob.Store
	Log     *slog.Logger
	Now     func() time.Time
	Holder  string // who this is among the replicas
	// Prefixes begin the keys of those objects in the blob store that are garbage when no row leads to them. Other objects are
	// left alone.
	Prefixes []string
	// Grace is for how long something must not have been relied on before it goes: longer than any push. Zero means 24 hours.
	Grace time.Duration
	// Rest is how old an object without a row must be before it goes: longer than it takes from writing an object to
	// committing its row. Zero means Grace, at least an hour.
	Rest time.Duration
	// Interval is how often Run collects. Zero means an hour.
	Interval time.Duration
	// Done is told what each run of Collect did; nil: nobody is.
	Done func(Result, error)
}

// DefaultGrace is the Grace of Options that say none.
const DefaultGrace = 24 * time.Hour

// Sweeper collects and checks. It is safe for concurrent use.
type Sweeper struct{ Options }

// New makes a sweeper. It touches nothing.
func New(o Options) *Sweeper {
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.Rest == 0 {
		o.Rest = max(o.Grace, time.Hour)
	}
	if o.Interval == 0 {
		o.Interval = time.Hour
	}
	return &Sweeper{o}
}

// Run collects every interval until the context ends: one replica at a time, whichever comes first.
func (s *Sweeper) Run(ctx context.Context) error {
	for {
		wait := s.Interval
		if due, err := s.due(ctx); err == nil {
			wait = min(max(due.Sub(s.Now()), 0), s.Interval)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		r, err := s.collect(ctx, s.Now().Add(-s.Interval))
		switch {
		case ctx.Err() != nil:
			return nil
		case errs.Is(err, errs.Conflict):
			s.Log.Debug("garbage collection", "skipped", err)
		case err != nil:
			s.Log.Error("garbage collection failed", "err", err, "result", r)
		default:
			s.Log.Info("garbage collection", "result", r)
		}
	}
}

// due tells when the next run is to be.
func (s *Sweeper) due(ctx context.Context) (at time.Time, err error) {
	err = s.Catalog.View(ctx, func(tx catalog.Tx) error {
		d, err := tx.Duty(duty)
		if errs.Is(err, errs.NotFound) {
			return nil
		}
		at = d.Done.Add(s.Interval)
		if at.Before(d.Until) {
			at = d.Until
		}
		return err
	})
	return at, err
}

// duty is the name of garbage collection among the duties of the catalog.
const duty = "garbage collection"

// dutyLease is for how long a run may be silent before another replica takes its place.
const dutyLease = time.Minute

// hold takes the duty, or renews its lease.
func (s *Sweeper) hold(ctx context.Context, since time.Time) error {
	return s.Catalog.Update(ctx, func(tx catalog.Tx) error { return tx.TakeDuty(duty, s.Holder, tx.Now().Add(dutyLease), since) })
}

// marker is the key of the object that says to which catalog a blob store belongs.
const marker = "installation"

// belongs makes sure that the blob store is the one of this catalog: to another one all its objects would be garbage.
//
// Errors: Refused.
func (s *Sweeper) belongs(ctx context.Context) error {
	id, err := s.installation(ctx)
	if err != nil {
		return err
	}
	r, err := s.Blobs.Open(ctx, marker, 0, -1)
	if errs.Is(err, errs.NotFound) {
		return s.claim(ctx, id)
	} else if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, 1<<10))
	if err != nil {
		return errs.Wrap(err, errs.Unavailable, "the mark of the blob store cannot be read")
	}
	if string(text) != id {
		return errs.New(errs.Refused, "the blob store belongs to installation %.40q and the database to %q: give the database and the blobs of one installation", text, id)
	}
	return nil
}

// installation gives the id of the catalog, chosen when it is first needed.
func (s *Sweeper) installation(ctx context.Context) (id string, err error) {
	err = s.Catalog.Update(ctx, func(tx catalog.Tx) error {
		account, err := tx.ObjectByID(catalog.AccountID)
		if err != nil {
			return errs.Wrap(err, errs.Refused, "the database has no account yet: start firnd serve on it once")
		}
		spec := account.Spec.(*catalog.AccountSpec)
		if id = spec.Install; id != "" {
			return nil
		}
		id = strings.ToLower(rand.Text()[:12])
		spec.Install = id
		return tx.AlterObject(account)
	})
	return id, err
}

// sample is how many objects of an unmarked store are looked at.
const sample = 100

// claim marks a blob store as the one of this catalog, unless it has objects and the catalog knows none of them.
func (s *Sweeper) claim(ctx context.Context, id string) error {
	var keys []string
	for _, prefix := range s.Prefixes {
		for o, err := range s.Blobs.List(ctx, prefix) {
			if err != nil {
				return err
			}
			if keys = append(keys, o.Key); len(keys)%sample == 0 {
				break
			}
		}
	}
	known := len(keys) == 0
	err := s.Catalog.View(ctx, func(tx catalog.Tx) error {
		for _, key := range keys {
			named, err := tx.NamesKey(key)
			if err != nil {
				return err
			}
			known = known || named
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !known {
		return errs.New(errs.Refused, "the database knows none of the objects in the blob store: give the database and the blobs of one installation")
	}
	_, err = s.Blobs.Put(ctx, marker, strings.NewReader(id))
	return err
}
