// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/catalog"
)

// Result is what a run removed, or would remove.
type Result struct {
	Manifests int           // manifests and indexes
	Links     int           // blobs taken out of an image that goes on
	Blobs     int           // blobs that no image holds any more
	Objects   int           // objects of the blob store without a row, but for those of Blobs
	Bytes     int64         // of Blobs and Objects
	Took      time.Duration // the whole run
	DryRun    bool          // nothing was removed
}

// LogValue implements slog.LogValuer.
func (r Result) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("manifests", r.Manifests), slog.Int("links", r.Links), slog.Int("blobs", r.Blobs), slog.Int("objects", r.Objects),
		slog.Int64("bytes", r.Bytes), slog.Duration("took", r.Took), slog.Bool("dry_run", r.DryRun))
}

// batch is how many rows go in one transaction: few, so that nobody waits for it.
const batch = 50

// Collect removes what nobody needs. With an error it gives what it had removed before; the next run goes on.
//
// Errors: Conflict when another replica collects at the moment; Refused when catalog and blob store do not belong together; Unavailable.
func (s *Sweeper) Collect(ctx context.Context) (Result, error) { return s.collect(ctx, time.Time{}) }

// collect collects unless it was done since.
func (s *Sweeper) collect(ctx context.Context, since time.Time) (r Result, err error) {
	if err := s.hold(ctx, since); err != nil {
		return r, err
	}
	began := s.Now()
	run := &run{Sweeper: s, before: began.Add(-s.Grace)}
	if err = s.belongs(ctx); err == nil {
		err = run.all(ctx)
	}
	run.result.Took = s.Now().Sub(began)
	err = errors.Join(err, s.record(context.WithoutCancel(ctx), run.result, err))
	if s.Done != nil {
		s.Done(run.result, err)
	}
	return run.result, err
}

// record gives the duty back and writes down what was done.
func (s *Sweeper) record(ctx context.Context, r Result, failed error) error {
	return s.Catalog.Update(ctx, func(tx catalog.Tx) error {
		if err := tx.EndDuty(duty, s.Holder, failed == nil); err != nil || r.Manifests+r.Links+r.Blobs+r.Objects == 0 {
			return err
		}
		return tx.AddEvent(catalog.Event{
			Action: "collect garbage", Allowed: true,
			Detail: fmt.Sprintf("%d manifests, %d links, %d blobs, %d objects, %d bytes", r.Manifests, r.Links, r.Blobs, r.Objects, r.Bytes),
		})
	})
}

// Preview tells what Collect would remove now. Manifests that go take their links along, which it counts under Links too.
//
// Errors: Refused; Unavailable.
func (s *Sweeper) Preview(ctx context.Context) (Result, error) {
	began := s.Now()
	run := &run{Sweeper: s, before: began.Add(-s.Grace), result: Result{DryRun: true}}
	err := s.belongs(ctx)
	if err == nil {
		err = run.all(ctx)
	}
	run.result.Took = s.Now().Sub(began)
	return run.result, err
}

// run is one run of Collect or Preview.
type run struct {
	*Sweeper
	before time.Time
	result Result
}

func (r *run) all(ctx context.Context) error {
	// The leases of what is held are renewed half a grace early, so that they have not ended when the holder lets go.
	renew := func(tx catalog.Tx) error { return tx.RenewHeld(r.before.Add(r.Grace / 2)) }
	if err := r.Catalog.Update(ctx, renew); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{r.manifests, r.links, r.blobs, r.objects} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// manifests removes unused manifests. An index goes before what it names, so there are as many rounds as indexes are nested.
func (r *run) manifests(ctx context.Context) error {
	var unused []catalog.Unused
	err := r.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
		unused, err = gather(tx.UnusedManifests(r.before))
		return err
	})
	if err != nil || r.result.DryRun {
		r.result.Manifests = len(unused)
		return err
	}
	for left := len(unused) + 1; len(unused) < left && len(unused) > 0; {
		left = len(unused)
		var stay []catalog.Unused
		for part := range slices.Chunk(unused, batch) {
			gone, err := r.transaction(ctx, len(part), func(tx catalog.Tx, i int) (bool, error) {
				if i == 0 {
					if err := tx.RenewHeld(r.before); err != nil {
						return false, err
					}
				}
				gone, err := tx.CollectManifest(part[i], r.before)
				return told(tx, part[i], catalog.ImageCollected, gone, err)
			})
			if err != nil {
				return err
			}
			for i, u := range part {
				if gone[i] {
					r.result.Manifests++
				} else {
					stay = append(stay, u)
				}
			}
		}
		unused = stay
	}
	return nil
}

// links takes blobs out of images whose manifests do not name them.
func (r *run) links(ctx context.Context) error {
	var unused []catalog.Unused
	err := r.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
		unused, err = gather(tx.UnusedLinks(r.before))
		return err
	})
	if err != nil || r.result.DryRun {
		r.result.Links = len(unused)
		return err
	}
	for part := range slices.Chunk(unused, batch) {
		gone, err := r.transaction(ctx, len(part), func(tx catalog.Tx, i int) (bool, error) {
			gone, err := tx.CollectLink(part[i], r.before)
			return told(tx, part[i], catalog.ImageBlobCollected, gone, err)
		})
		if err != nil {
			return err
		}
		for _, g := range gone {
			if g {
				r.result.Links++
			}
		}
	}
	return nil
}

// blobs removes the rows of unused blobs, and when that is durable their objects.
func (r *run) blobs(ctx context.Context) error {
	var unused []*catalog.Blob
	err := r.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
		unused, err = gather(tx.UnusedBlobs(r.before))
		return err
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(unused, batch) {
		gone := slices.Repeat([]bool{true}, len(part))
		if !r.result.DryRun {
			gone, err = r.transaction(ctx, len(part), func(tx catalog.Tx, i int) (bool, error) {
				gone, err := tx.CollectBlob(part[i].Digest, part[i].Key, r.before)
				return toldOfBlob(tx, part[i], gone, err)
			})
			if err != nil {
				return err
			}
		}
		for i, b := range part {
			if !gone[i] {
				continue
			}
			if b.Key != "" && !r.result.DryRun {
				if err := r.Blobs.Delete(ctx, b.Key); err != nil {
					return err // the object is found as one without a row next time
				}
			}
			r.result.Blobs++
			r.result.Bytes += b.Size
		}
	}
	return nil
}

// transaction decides about n things in one transaction and tells which of them went.
func (r *run) transaction(ctx context.Context, n int, collect func(tx catalog.Tx, i int) (bool, error)) ([]bool, error) {
	if err := r.hold(ctx, time.Time{}); err != nil {
		return nil, err
	}
	var gone []bool
	err := r.Catalog.Update(ctx, func(tx catalog.Tx) error {
		gone = make([]bool, n)
		for i := range n {
			var err error
			if gone[i], err = collect(tx, i); err != nil {
				return err
			}
		}
		return nil
	})
	return gone, err
}

// objects removes objects that no row leads to: what a kill left behind between the store and a commit.
func (r *run) objects(ctx context.Context) error {
	youngest := r.Now().Add(-r.Rest)
	for _, prefix := range r.Prefixes {
		var page []blob.Info
		for o, err := range r.Blobs.List(ctx, prefix) {
			if err != nil {
				return err
			}
			if !o.Modified.Before(youngest) {
				continue
			}
			if page = append(page, o); len(page) == sample {
				if err := r.orphans(ctx, page); err != nil {
					return err
				}
				page = page[:0]
			}
		}
		if err := r.orphans(ctx, page); err != nil {
			return err
		}
	}
	return nil
}

// orphans removes those of the objects that no row leads to. A row comes to name a key only soon after the object was written.
func (r *run) orphans(ctx context.Context, page []blob.Info) error {
	if len(page) == 0 {
		return nil
	}
	if !r.result.DryRun {
		if err := r.hold(ctx, time.Time{}); err != nil {
			return err
		}
	}
	var orphans []blob.Info
	err := r.Catalog.View(ctx, func(tx catalog.Tx) error {
		orphans = orphans[:0]
		for _, o := range page {
			named, err := tx.NamesKey(o.Key)
			if err != nil {
				return err
			}
			if !named {
				orphans = append(orphans, o)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, o := range orphans {
		if !r.result.DryRun {
			if err := r.Blobs.Delete(ctx, o.Key); err != nil {
				return err
			}
		}
		r.result.Objects++
		r.result.Bytes += o.Size
	}
	return nil
}

// gather reads a listing into memory.
func gather[V any](listing func(func(V, error) bool)) ([]V, error) {
	var all []V
	for v, err := range listing {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
