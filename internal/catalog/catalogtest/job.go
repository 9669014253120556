// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"fmt"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func jobChecks() []Check {
	return []Check{
		{"jobs come back as they were stored", checkJobs},
		{"a job moves from one state to another", checkTransition},
		{"one of many moves of one job wins", checkTransitionRace},
		{"jobs are found by what was asked for, newest first", checkFindJobs},
	}
}

// fullJob is a job with everything set that a submission may set.
func fullJob() *catalog.Job {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	return &catalog.Job{
		Kind: "ML JOB", Database: "D", Schema: "S", Name: "J", Owner: "R", User: "U", Pool: "P", Query: "q", Comment: "ü", Environment: "E",
		Image: "/d/s/repo/img:v1", Digest: "sha256:aa",
		Plan: catalog.Plan{
			Command: []string{"/bin/sh"}, Args: []string{"-c", "echo 'ü'"}, Env: map[string]string{"A": "b"},
			Mounts: []catalog.Mount{{Stage: "st", Path: "dir", Target: "/mnt"}}, CPU: 1.5, Memory: 1 << 33, SharedMem: 1 << 20, GPUs: 1,
			Timeout: time.Minute, Session: catalog.SessionDefaults{Database: "D", Schema: "S", Warehouse: "W"}, Isolated: true,
		},
		Replicas: 3, MinInstances: 2, Parameters: map[string]any{"ASYNC": true, "REPLICAS": 3.0}, Message: "queued", ExitCode: 1,
		Instances: []catalog.Instance{{Index: 1, Status: "PENDING", IP: "10.0.0.1", ExitCode: 137, Message: "m", Started: at, Ended: at}},
		Timeline:  []catalog.Mark{{Phase: "submitted", At: at}},
	}
}

func checkJobs(t T, s catalog.Store) {
	full, bare := fullJob(), &catalog.Job{ID: "given", Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	bare.State, bare.Worker, bare.LeaseUntil = catalog.JobDone, "w", time.Now().Add(time.Hour)
	update(t, s, func(tx catalog.Tx) error {
		if err := tx.SubmitJob(full); err != nil {
			return err
		}
		if err := tx.SubmitJob(bare); err != nil {
			return err
		}
		wantCode(t, "second job of an id", tx.SubmitJob(&catalog.Job{ID: "given", Name: "X"}), errs.Exists)
		if full.ID == "" || full.State != catalog.JobPending || !full.Created.Equal(tx.Now()) {
			t.Errorf("job %q is %s since %v, want an id, PENDING, and %v", full.ID, full.State, full.Created, tx.Now())
		}
		return nil
	})
	want := &catalog.Job{ID: "given", State: catalog.JobPending, Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "job", must(tx.Job(full.ID))(t), full)
		wantEqual(t, "job with nothing set", must(tx.Job("given"))(t), want)
		_, err := tx.Job("none")
		wantCode(t, "unknown job", err, errs.NotFound)
		return nil
	})
}

// move makes a transition in an update of its own.
func move(t T, s catalog.Store, id catalog.ID, from, to catalog.JobState, change func(*catalog.Job)) error {
	return s.Update(t.Context(), func(tx catalog.Tx) error { return tx.TransitionJob(id, from, to, change) })
}

func checkTransition(t T, s catalog.Store) {
	j := fullJob()
	var claimed *catalog.Job
	update(t, s, func(tx catalog.Tx) (err error) {
		if err := tx.SubmitJob(j); err != nil {
			return err
		}
		claimed, err = tx.ClaimJob("w", tx.Now().Add(time.Hour))
		return err
	})
	var started, completed time.Time
	update(t, s, func(tx catalog.Tx) error {
		started = tx.Now()
		return tx.TransitionJob(j.ID, catalog.JobPending, catalog.JobRunning, func(j *catalog.Job) {
			j.ID, j.State, j.Created, j.Worker, j.LeaseUntil = "other", catalog.JobFailed, time.Time{}, "thief", time.Time{}
			j.Message, j.Timeline, j.Comment = "runs", append(j.Timeline, catalog.Mark{Phase: "started", At: started}), "new"
		})
	})
	want := *claimed
	want.State, want.Started, want.Message, want.Comment = catalog.JobRunning, started, "runs", "new"
	want.Timeline = append(j.Timeline, catalog.Mark{Phase: "started", At: started})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "running job", must(tx.Job(j.ID))(t), &want)
		return nil
	})
	wantCode(t, "move from another state", move(t, s, j.ID, catalog.JobPending, catalog.JobCancelled, nil), errs.Conflict)
	wantCode(t, "move of an unknown job", move(t, s, "none", catalog.JobPending, catalog.JobCancelled, nil), errs.NotFound)
	wantCode(t, "staying", move(t, s, j.ID, catalog.JobRunning, catalog.JobRunning, func(j *catalog.Job) { j.Message = "stays" }), "")
	update(t, s, func(tx catalog.Tx) error {
		completed = tx.Now()
		return tx.TransitionJob(j.ID, catalog.JobRunning, catalog.JobFailed, func(j *catalog.Job) { j.ExitCode = 3 })
	})
	deleted := completed.Add(time.Hour)
	wantCode(t, "staying ended", move(t, s, j.ID, catalog.JobFailed, catalog.JobFailed, func(j *catalog.Job) { j.Deleted = deleted }), "")
	want.State, want.Message, want.Completed, want.ExitCode, want.Deleted = catalog.JobFailed, "stays", completed, 3, deleted
	want.Worker, want.LeaseUntil = "", time.Time{}
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "ended job", must(tx.Job(j.ID))(t), &want)
		return nil
	})
}

func checkTransitionRace(t T, s catalog.Store) {
	j := fullJob()
	update(t, s, func(tx catalog.Tx) error { return tx.SubmitJob(j) })
	wantOneWinner(t, "move", together(8, func(i int) error {
		to := catalog.JobRunning
		if i%2 == 0 {
			to = catalog.JobCancelled
		}
		return move(t, s, j.ID, catalog.JobPending, to, nil)
	}), errs.Conflict)
}

func checkFindJobs(t T, s catalog.Store) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	states := []catalog.JobState{catalog.JobPending, catalog.JobRunning, catalog.JobDone}
	update(t, s, func(tx catalog.Tx) error {
		for i := range 24 {
			j := &catalog.Job{
				ID: catalog.ID(fmt.Sprintf("%02d", i)), Owner: fmt.Sprint("R", i%4), Pool: fmt.Sprint("P", i%2), Digest: fmt.Sprint("sha256:", i%5),
				Created: at.Add(time.Duration(i/2) * time.Second),
			}
			if err := tx.SubmitJob(j); err != nil {
				return err
			}
			if err := tx.TransitionJob(j.ID, catalog.JobPending, states[i%3], nil); err != nil {
				return err
			}
		}
		_, err := tx.TakeJob("01", "w", tx.Now().Add(time.Hour))
		return err
	})
	for what, c := range map[string]struct {
		filter catalog.JobFilter
		want   func(i int) bool
	}{
		"nothing":  {catalog.JobFilter{}, func(int) bool { return true }},
		"limit":    {catalog.JobFilter{Limit: 5}, func(i int) bool { return i >= 19 }},
		"owners":   {catalog.JobFilter{Owners: []string{"R1", "R3"}}, func(i int) bool { return i%2 == 1 }},
		"no owner": {catalog.JobFilter{Owners: []string{}}, func(int) bool { return false }},
		"pool":     {catalog.JobFilter{Pool: "P1"}, func(i int) bool { return i%2 == 1 }},
		"states":   {catalog.JobFilter{States: []catalog.JobState{catalog.JobRunning, catalog.JobDone}}, func(i int) bool { return i%3 != 0 }},
		"no state": {catalog.JobFilter{States: []catalog.JobState{}}, func(int) bool { return false }},
		"time":     {catalog.JobFilter{CreatedSince: at.Add(2 * time.Second), CreatedUntil: at.Add(5 * time.Second)}, func(i int) bool { return i >= 4 && i < 10 }},
		"worker":   {catalog.JobFilter{Worker: "w"}, func(i int) bool { return i == 1 }},
		"digest":   {catalog.JobFilter{Digest: "sha256:3"}, func(i int) bool { return i%5 == 3 }},
		"several":  {catalog.JobFilter{Pool: "P0", Owners: []string{"R2"}, Limit: 2}, func(i int) bool { return i == 22 || i == 18 }},
	} {
		var want []catalog.ID
		for i := 23; i >= 0; i-- {
			if c.want(i) {
				want = append(want, catalog.ID(fmt.Sprintf("%02d", i)))
			}
		}
		view(t, s, func(tx catalog.Tx) error {
			wantEqual(t, "jobs by "+what, jobIDs(all(t, tx.FindJobs(c.filter))), want)
			return nil
		})
	}
}

func jobIDs(jobs []*catalog.Job) []catalog.ID {
	var ids []catalog.ID
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids
}
