// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"fmt"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Checks of images are short and somebody waits for each: they do not queue behind jobs, but only so many run at once.
const (
	kindCheck = "CHECK"
	maxChecks = 2
)

// load is what runs now.
type load struct {
	instances int // of jobs
	checks    int
	pools     map[string]int // instances by pool
}

func (l *load) add(j *catalog.Job) {
	if j.Kind == kindCheck {
		l.checks++
		return
	}
	n := max(j.Replicas, 1)
	l.instances += n
	l.pools[j.Pool] += n
}

// admit starts the jobs that wait, oldest first, as far as there is room: each instance has one real CPU for itself, as
// distributed jobs fail without, and a pool runs at most MaxNodes instances. What an instance may use beyond its CPU is
// shared. A job that waits for the host lets no younger one pass; one that waits for its pool does.
func (s *Scheduler) admit(ctx context.Context, snap snapshot) error {
	var waiting []*run
	now := load{pools: map[string]int{}}
	for _, r := range s.runs() {
		if r.started() {
			now.add(r.row())
		} else {
			waiting = append(waiting, r)
		}
	}
	for _, j := range snap.jobs {
		if j.State != catalog.JobPending && s.run(j.ID) == nil { // of other schedulers
			now.add(j)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	capacity, err := s.o.Backend.Capacity(ctx)
	if err != nil {
		s.hint(ctx, waiting, errs.MessageOf(err))
		return err
	}
	s.capacity.Store(&capacity)
	full := false
	for _, r := range waiting {
		j := r.row()
		if r.begun() { // its containers run already, or it only needs to be cleaned up
			now.add(j)
			r.start(ctx)
			continue
		}
		why, host := s.obstacle(j, now, snap.pools[j.Pool], int(capacity.CPU))
		if why == "" && full && j.Kind != kindCheck {
			why = "waiting for jobs that were submitted earlier"
		}
		if why != "" {
			full = full || host
			s.hint(ctx, []*run{r}, why)
			continue
		}
		now.add(j)
		r.start(ctx)
	}
	return nil
}

// obstacle says why a job may not start now, "" when it may, and whether it is the host that is full for now.
func (s *Scheduler) obstacle(j *catalog.Job, now load, pool *catalog.ComputePoolSpec, cpus int) (why string, host bool) {
	n := max(j.Replicas, 1)
	switch {
	case j.Kind == kindCheck:
		if now.checks >= maxChecks {
			why = "waiting for other checks to end"
		}
	case pool != nil && pool.Suspended && !pool.AutoResume:
		why = fmt.Sprintf("compute pool %s is suspended: resume it", j.Pool)
	case pool != nil && n > pool.MaxNodes:
		why = fmt.Sprintf("compute pool %s has at most %d nodes, the job needs %d", j.Pool, pool.MaxNodes, n)
	case n > cpus:
		why = fmt.Sprintf("the job needs %d CPUs, one for each instance, and this installation has %d", n, cpus)
	case pool != nil && now.pools[j.Pool]+n > pool.MaxNodes:
		why = fmt.Sprintf("waiting for nodes of compute pool %s: %d of %d are in use", j.Pool, now.pools[j.Pool], pool.MaxNodes)
	case now.instances+n > cpus:
		why, host = fmt.Sprintf("waiting for CPUs: %d of %d are in use", now.instances, cpus), true
	}
	return why, host
}

// hint writes into the rows why jobs wait. It is for people, so failures do not matter.
func (s *Scheduler) hint(ctx context.Context, waiting []*run, why string) {
	for _, r := range waiting {
		if r.hinted == why {
			continue
		}
		err := s.o.Catalog.Update(ctx, func(tx catalog.Tx) error {
			return tx.TransitionJob(r.id, catalog.JobPending, catalog.JobPending, func(j *catalog.Job) { j.Message = why })
		})
		if err == nil {
			r.hinted = why
		}
	}
}
