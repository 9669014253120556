// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"fmt"
	"sync"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// leaseChecks are about which worker holds a job.
func leaseChecks() []Check {
	return []Check{
		{"the oldest pending job without a live lease is claimed", checkClaim},
		{"many workers claim each job once", checkClaimRace},
		{"a lease is renewed by who holds it", checkRenew},
		{"a passed lease is taken over", checkTake},
		{"jobs whose lease passed are listed", checkExpiredJobs},
	}
}

// submit adds jobs of the given ids, each a second older than the one after it.
func submit(t T, s catalog.Store, ids ...catalog.ID) {
	t.Helper()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	update(t, s, func(tx catalog.Tx) error {
		for i, id := range ids {
			if err := tx.SubmitJob(&catalog.Job{ID: id, Created: at.Add(time.Duration(i) * time.Second)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// claim claims a job for an hour, or until an hour ago: such a lease has passed.
func claim(t T, s catalog.Store, worker string, length time.Duration) (j *catalog.Job, err error) {
	err = s.Update(t.Context(), func(tx catalog.Tx) (err error) {
		j, err = tx.ClaimJob(worker, tx.Now().Add(length))
		return err
	})
	return j, err
}

func checkClaim(t T, s catalog.Store) {
	_, err := claim(t, s, "w", time.Hour)
	wantCode(t, "claim of nothing", err, errs.NotFound)
	submit(t, s, "c", "b", "a", "running", "done")
	wantCode(t, "move", move(t, s, "running", catalog.JobPending, catalog.JobRunning, nil), "")
	wantCode(t, "move", move(t, s, "done", catalog.JobPending, catalog.JobDone, nil), "")
	j := must(claim(t, s, "w1", time.Hour))(t)
	if j.ID != "c" || j.State != catalog.JobPending || j.Worker != "w1" || !j.LeaseUntil.After(time.Now()) {
		t.Errorf("claim gives job %s, %s, of %q until %v; want the oldest, PENDING, with the lease", j.ID, j.State, j.Worker, j.LeaseUntil)
	}
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "claimed job", must(tx.Job("c"))(t), j)
		return nil
	})
	wantEqual(t, "second claim", must(claim(t, s, "w2", -time.Hour))(t).ID, catalog.ID("b"))
	wantEqual(t, "claim of a passed lease", must(claim(t, s, "w3", time.Hour))(t).ID, catalog.ID("b"))
	wantEqual(t, "claim of the last", must(claim(t, s, "w3", time.Hour))(t).ID, catalog.ID("a"))
	_, err = claim(t, s, "w", time.Hour)
	wantCode(t, "claim when all have live leases", err, errs.NotFound)
}

func checkClaimRace(t T, s catalog.Store) {
	const workers, jobs = 16, 200
	var ids []catalog.ID
	for i := range jobs {
		ids = append(ids, catalog.ID(fmt.Sprintf("%03d", i)))
	}
	submit(t, s, ids...)
	var mu sync.Mutex
	claims := map[catalog.ID]int{}
	for _, err := range together(workers, func(i int) error {
		for {
			j, err := claim(t, s, fmt.Sprint("w", i), time.Hour)
			if errs.Is(err, errs.NotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			claims[j.ID]++
			mu.Unlock()
		}
	}) {
		wantCode(t, "worker", err, "")
	}
	for _, id := range ids {
		if claims[id] != 1 {
			t.Errorf("job %s was claimed %d times", id, claims[id])
		}
	}
}

func checkRenew(t T, s catalog.Store) {
	submit(t, s, "a", "free")
	must(claim(t, s, "w1", -time.Hour))(t)
	renew := func(id catalog.ID, worker string, length time.Duration) error {
		return s.Update(t.Context(), func(tx catalog.Tx) error { return tx.RenewJob(id, worker, tx.Now().Add(length)) })
	}
	wantCode(t, "renewal of a lease that passed", renew("a", "w1", time.Minute), "")
	wantCode(t, "renewal by another", renew("a", "w2", time.Hour), errs.Conflict)
	wantCode(t, "renewal of a job that nobody holds", renew("free", "w1", time.Hour), errs.Conflict)
	wantCode(t, "renewal by nobody", renew("free", "", time.Hour), errs.Conflict)
	view(t, s, func(tx catalog.Tx) error {
		j := must(tx.Job("a"))(t)
		if left := j.LeaseUntil.Sub(tx.Now()); j.Worker != "w1" || left <= 0 || left > time.Minute {
			t.Errorf("job is held by %q for %v, want w1 and up to a minute", j.Worker, left)
		}
		return nil
	})
	wantCode(t, "end", move(t, s, "a", catalog.JobPending, catalog.JobDone, nil), "")
	wantCode(t, "renewal after the end", renew("a", "w1", time.Hour), errs.Conflict)
}

func checkTake(t T, s catalog.Store) {
	submit(t, s, "a", "live", "done")
	must(claim(t, s, "w1", -time.Hour))(t)
	take := func(id catalog.ID, worker string) (j *catalog.Job, err error) {
		err = s.Update(t.Context(), func(tx catalog.Tx) (err error) {
			j, err = tx.TakeJob(id, worker, tx.Now().Add(time.Hour))
			return err
		})
		return j, err
	}
	wantCode(t, "move", move(t, s, "a", catalog.JobPending, catalog.JobRunning, nil), "")
	wantCode(t, "move", move(t, s, "done", catalog.JobPending, catalog.JobDone, nil), "")
	_, err := take("live", "w1")
	wantCode(t, "take of a job that nobody holds", err, "")
	_, err = take("live", "w2")
	wantCode(t, "take of a live lease", err, errs.Conflict)
	_, err = take("done", "w2")
	wantCode(t, "take of an ended job", err, errs.Conflict)
	_, err = take("none", "w2")
	wantCode(t, "take of an unknown job", err, errs.NotFound)
	wantOneWinner(t, "take", together(8, func(i int) error { _, err := take("a", fmt.Sprint("w", 2+i)); return err }), errs.Conflict)
	view(t, s, func(tx catalog.Tx) error {
		j := must(tx.Job("a"))(t)
		if j.Worker == "w1" || !j.LeaseUntil.After(tx.Now()) || j.State != catalog.JobRunning {
			t.Errorf("job is %s, held by %q until %v; want RUNNING, another worker and a live lease", j.State, j.Worker, j.LeaseUntil)
		}
		return nil
	})
	wantCode(t, "renewal by who lost it", s.Update(t.Context(), func(tx catalog.Tx) error {
		return tx.RenewJob("a", "w1", tx.Now().Add(time.Hour))
	}), errs.Conflict)
}

func checkExpiredJobs(t T, s catalog.Store) {
	submit(t, s, "live", "short", "long", "done", "free")
	var now time.Time
	update(t, s, func(tx catalog.Tx) error {
		now = tx.Now()
		for id, until := range map[catalog.ID]time.Duration{"live": 0, "short": -time.Minute, "long": -time.Hour, "done": -time.Hour} {
			if _, err := tx.TakeJob(id, "w", now.Add(until)); err != nil {
				return err
			}
		}
		return tx.TransitionJob("done", catalog.JobPending, catalog.JobDone, nil)
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "jobs whose lease passed", jobIDs(all(t, tx.ExpiredJobs(now))), []catalog.ID{"long", "short"})
		wantEqual(t, "jobs whose lease passed long ago", jobIDs(all(t, tx.ExpiredJobs(now.Add(-30*time.Minute)))), []catalog.ID{"long"})
		return nil
	})
}
