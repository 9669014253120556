// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"slices"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// unfinished are the states of jobs that somebody must do something about.
var unfinished = []catalog.JobState{catalog.JobPending, catalog.JobRunning, catalog.JobCancelling}

// snapshot is what one look at the catalog gives.
type snapshot struct {
	jobs  []*catalog.Job // unfinished, oldest first
	pools map[string]*catalog.ComputePoolSpec
}

// tick looks at the rows once and does what they ask for.
func (s *Scheduler) tick(ctx context.Context) error {
	now := s.o.Now()
	snap, err := s.look(ctx)
	if err != nil {
		return err
	}
	seen := map[catalog.ID]bool{}
	renew := map[catalog.ID]bool{}
	claim := 0
	var take []catalog.ID
	for _, j := range snap.jobs {
		seen[j.ID] = true
		r := s.run(j.ID)
		switch {
		case r != nil:
			if doomed(j) {
				r.cancel()
			}
			renew[j.ID] = j.LeaseUntil.Sub(now) < s.o.Lease/2
		case j.Worker == s.o.Worker: // held by the process before this one
			take = append(take, j.ID)
		case j.LeaseUntil.After(now):
		case j.State == catalog.JobPending:
			claim++
		default:
			take = append(take, j.ID)
		}
	}
	for _, r := range s.runs() {
		if !seen[r.id] { // somebody moved it to a final state
			r.cancel()
		}
	}
	if err := s.renew(ctx, renew); err != nil {
		return err
	}
	for _, id := range take {
		if err := s.take(ctx, id); err != nil {
			return err
		}
	}
	for range claim {
		if err := s.claim(ctx); err != nil {
			return err
		}
	}
	return s.admit(ctx, snap)
}

// look reads the rows.
func (s *Scheduler) look(ctx context.Context) (snapshot, error) {
	var snap snapshot
	err := s.o.Catalog.View(ctx, func(tx catalog.Tx) error {
		snap = snapshot{pools: map[string]*catalog.ComputePoolSpec{}}
		for j, err := range tx.FindJobs(catalog.JobFilter{States: unfinished}) {
			if err != nil {
				return err
			}
			snap.jobs = append(snap.jobs, j)
		}
		for o, err := range tx.Objects(catalog.KindComputePool, catalog.Name{}) {
			if err != nil {
				return err
			}
			snap.pools[o.Name.Object] = o.Spec.(*catalog.ComputePoolSpec)
		}
		return nil
	})
	slices.Reverse(snap.jobs)
	return snap, err
}

// doomed tells whether a job is to end before its containers have.
func doomed(j *catalog.Job) bool { return j.State == catalog.JobCancelling || !j.Deleted.IsZero() }

// run gives the run of a job that this scheduler holds, or nil.
func (s *Scheduler) run(id catalog.ID) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[id]
}

// runs gives all that this scheduler holds, in the order in which the jobs were submitted.
func (s *Scheduler) runs() []*run {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*run, 0, len(s.held))
	for _, r := range s.held {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *run) int {
		if c := a.submitted.Compare(b.submitted); c != 0 {
			return c
		}
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return all
}

// hold remembers a job that this scheduler has a lease on.
func (s *Scheduler) hold(j *catalog.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[j.ID] != nil {
		return
	}
	r := newRun(s, j)
	if doomed(j) {
		r.cancel()
	}
	s.held[j.ID] = r
}

// release forgets a job.
func (s *Scheduler) release(id catalog.ID) {
	s.mu.Lock()
	delete(s.held, id)
	s.mu.Unlock()
	s.Wake() // there may be room for another
}

// renew extends leases. Jobs whose lease somebody else took meanwhile are left to them.
func (s *Scheduler) renew(ctx context.Context, due map[catalog.ID]bool) error {
	var ids, lost []catalog.ID
	for id, is := range due {
		if is {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	err := s.o.Catalog.Update(ctx, func(tx catalog.Tx) error {
		lost = lost[:0]
		until := tx.Now().Add(s.o.Lease)
		for _, id := range ids {
			err := tx.RenewJob(id, s.o.Worker, until)
			if errs.Is(err, errs.Conflict) || errs.Is(err, errs.NotFound) {
				lost = append(lost, id)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range lost {
		if r := s.run(id); r != nil {
			r.leave()
		}
	}
	return nil
}

// take goes on with a job that this worker's process before, or another worker, left.
func (s *Scheduler) take(ctx context.Context, id catalog.ID) error {
	var job *catalog.Job
	err := s.o.Catalog.Update(ctx, func(tx catalog.Tx) (err error) {
		until := tx.Now().Add(s.o.Lease)
		if err = tx.RenewJob(id, s.o.Worker, until); err == nil {
			job, err = tx.Job(id)
			return err
		}
		job, err = tx.TakeJob(id, s.o.Worker, until)
		return err
	})
	if errs.Is(err, errs.Conflict) || errs.Is(err, errs.NotFound) {
		return nil // somebody else was quicker, or it is final
	}
	if err != nil {
		return err
	}
	if !job.State.Final() {
		s.hold(job)
	}
	return nil
}

// claim takes the oldest job that nobody has.
func (s *Scheduler) claim(ctx context.Context) error {
	var job *catalog.Job
	err := s.o.Catalog.Update(ctx, func(tx catalog.Tx) (err error) {
		job, err = tx.ClaimJob(s.o.Worker, tx.Now().Add(s.o.Lease))
		return err
	})
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	s.hold(job)
	return nil
}
