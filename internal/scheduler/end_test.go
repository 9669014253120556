// SPDX-License-Identifier: Apache-2.0

package scheduler_test

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/stage"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		setup func(*room)
		steps []string
		ready func(*room, catalog.ID) bool // when to cancel
	}{
		{"waiting", func(r *room) { r.engine.Total.CPU, r.engine.Total.Memory = 0.5, 1 }, []string{"hang"}, func(r *room, id catalog.ID) bool { return r.row(id).Message != "" }},
		{"pulling", func(r *room) { r.engine.PullDelay = time.Hour }, []string{"hang"}, func(r *room, id catalog.ID) bool {
			_, all := r.tokens.count()
			return all > 0
		}},
		{"running", func(*room) {}, []string{"hang"}, func(r *room, id catalog.ID) bool { return r.row(id).State == catalog.JobRunning }},
		{"deaf", func(*room) {}, []string{"deaf", "write /mnt/r/x content", "hang"}, func(r *room, id catalog.ID) bool {
			return r.row(id).State == catalog.JobRunning && r.content()["out/x"] != ""
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := setup(t)
			tt.setup(r)
			r.run(r.options)
			j := job(tt.steps...)
			j.Plan.Mounts = []catalog.Mount{{Stage: r.files, Path: "out", Target: "/mnt/r"}}
			id := r.submit(j)
			r.eventually("time to cancel", func() bool { return tt.ready(r, id) })
			begun := time.Now()
			r.cancel(id)
			r.await(id, catalog.JobCancelled)
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("cancelled after %v", took)
			}
			r.clean()
		})
	}
}

func TestDropOfARunningJob(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(r.options)
	id := r.submit(job("echo x", "hang"))
	r.await(id, catalog.JobRunning)
	r.update(func(tx catalog.Tx) error {
		return tx.TransitionJob(id, catalog.JobRunning, catalog.JobRunning, func(j *catalog.Job) { j.Deleted = tx.Now() })
	})
	r.await(id, catalog.JobCancelled)
	r.clean()
}

// flaky fails every second Put.
type flaky struct {
	blob.Store
	calls atomic.Int32
}

func (f *flaky) Put(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
	if f.calls.Add(1)%2 == 1 {
		return blob.Info{}, errs.New(errs.Unavailable, "blob store does not answer")
	}
	return f.Store.Put(ctx, key, r)
}

func TestNothingIsFinalBeforeItIsSaved(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.blobs = &flaky{Store: r.blobs}
	r.stage = stage.New(r.catalog, r.blobs)
	r.options = r.standard()
	r.run(r.options)
	j := job("echo said", "write /mnt/r/a 1", "write /mnt/r/b 2")
	j.Plan.Mounts = []catalog.Mount{{Stage: r.files, Path: "out", Target: "/mnt/r"}}
	id := r.submit(j)
	r.await(id, catalog.JobDone)
	if c := r.content(); c["out/a"] != "1\n" || c["out/b"] != "2\n" {
		t.Errorf("stage %q", c)
	}
	if log := r.log(id, 0, 0, time.Time{}, false); log != "said\n" {
		t.Errorf("log %q", log)
	}
}

func TestStageIsDroppedMeanwhile(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(r.options)
	j := job("echo said", "sleep 300ms", "write /mnt/r/a 1")
	j.Plan.Mounts = []catalog.Mount{{Stage: r.files, Path: "out", Target: "/mnt/r"}}
	id := r.submit(j)
	r.await(id, catalog.JobRunning)
	r.update(func(tx catalog.Tx) error { return tx.DropObject(r.files) })
	if got := r.await(id, catalog.JobDone); !strings.Contains(got.Message, "was dropped") {
		t.Errorf("message %q", got.Message)
	}
	if log := r.log(id, 0, 0, time.Time{}, false); log != "said\n" {
		t.Errorf("log %q", log)
	}
	r.clean()
}

func TestEngineIsAway(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.engine.Down(true)
	r.run(r.options)
	id := r.submit(job("sleep 1500ms", "exit 4"))
	r.eventually("the row says why it waits", func() bool { return strings.Contains(r.row(id).Message, "engine is down") })
	r.engine.Down(false)
	if got := r.await(id, catalog.JobRunning); got.Message != "" {
		t.Errorf("message of the running job %q", got.Message)
	}
	r.engine.Down(true)
	r.eventually("the program has ended", func() bool { return time.Since(r.row(id).Started) > 1700*time.Millisecond })
	r.engine.Down(false)
	if got := r.await(id, catalog.JobFailed); got.ExitCode != 4 {
		t.Errorf("code %d", got.ExitCode)
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.engine.PullDelay = 300 * time.Millisecond
	r.run(r.options)
	id := r.submit(job("echo early", "sleep 100ms", "lines 5", "sleep 200ms"))
	_, err := r.current.Logs(t.Context(), r.row(id), 0, 0, time.Time{}, false)
	if !errs.Is(err, errs.NotFound) || !strings.Contains(errs.MessageOf(err), "Container Status: PENDING") {
		t.Errorf("log before the start: %v", err)
	}
	if _, err := r.current.Logs(t.Context(), r.row(id), 1, 0, time.Time{}, false); !errs.Is(err, errs.NotFound) {
		t.Errorf("log of an instance that is not: %v", err)
	}
	r.await(id, catalog.JobRunning)
	r.eventually("all is printed", func() bool { return strings.Contains(r.log(id, 0, 0, time.Time{}, false), "line 5") })
	look := func(when string) {
		t.Helper()
		all := "early\nline 1\nline 2\nline 3\nline 4\nline 5\n"
		if got := r.log(id, 0, 0, time.Time{}, false); got != all {
			t.Errorf("%s: log %q", when, got)
		}
		if got := r.log(id, 0, 2, time.Time{}, false); got != "line 4\nline 5\n" {
			t.Errorf("%s: last lines %q", when, got)
		}
		if got := r.log(id, 0, 99, time.Time{}, false); got != all {
			t.Errorf("%s: more lines than there are %q", when, got)
		}
		stamped := strings.Split(strings.TrimSuffix(r.log(id, 0, 0, time.Time{}, true), "\n"), "\n")
		if len(stamped) != 6 {
			t.Fatalf("%s: %d lines", when, len(stamped))
		}
		stamp, rest, _ := strings.Cut(stamped[1], " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil || rest != "line 1" {
			t.Fatalf("%s: line %q, %v", when, stamped[1], err)
		}
		if got := r.log(id, 0, 0, at, false); got != all[len("early\n"):] {
			t.Errorf("%s: lines since %v: %q", when, at, got)
		}
	}
	look("while it runs")
	r.await(id, catalog.JobDone)
	r.clean()
	look("from the archive")
}

func TestLogsGoWithTheJob(t *testing.T) {
	t.Parallel()
	r := setup(t)
	kill := r.run(r.options)
	kept, dropped := r.submit(job("echo kept")), r.submit(job("echo dropped"))
	r.await(kept, catalog.JobDone)
	r.await(dropped, catalog.JobDone)
	r.update(func(tx catalog.Tx) error {
		return tx.TransitionJob(dropped, catalog.JobDone, catalog.JobDone, func(j *catalog.Job) { j.Deleted = tx.Now() })
	})
	kill()
	r.run(r.options)
	r.eventually("the log of the dropped job is gone", func() bool {
		_, err := r.current.Logs(t.Context(), r.row(dropped), 0, 0, time.Time{}, false)
		return errs.Is(err, errs.NotFound)
	})
	if log := r.log(kept, 0, 0, time.Time{}, false); log != "kept\n" {
		t.Errorf("log of the other job %q", log)
	}
}
