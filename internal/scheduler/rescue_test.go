// SPDX-License-Identifier: Apache-2.0

package scheduler_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/compute/computetest"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/scheduler"
)

func TestNextProcessGoesOn(t *testing.T) {
	t.Parallel()
	for _, worker := range []string{"w1", "w2"} {
		t.Run(worker, func(t *testing.T) {
			t.Parallel()
			r := setup(t)
			r.options.Lease = 300 * time.Millisecond // what another worker waits for
			if worker == "w1" {
				r.options.Lease = time.Hour // the same one need not
			}
			kill := r.run(r.options)
			r.put("out/in", "old")
			j := job("echo before", "write /mnt/r/a 1", "sleep 400ms", "write /mnt/r/in new", "echo after", "exit 5")
			j.Plan.Mounts = []catalog.Mount{{Stage: r.files, Path: "out", Target: "/mnt/r"}}
			id := r.submit(j)
			r.await(id, catalog.JobRunning)
			kill()
			next := r.options
			next.Worker = worker
			r.run(next)
			if got := r.await(id, catalog.JobFailed); got.ExitCode != 5 {
				t.Errorf("code %d, %q", got.ExitCode, got.Message)
			}
			if log := r.log(id, 0, 0, time.Time{}, false); log != "before\nafter\n" {
				t.Errorf("log %q", log)
			}
			if c := r.content(); c["out/a"] != "1\n" || c["out/in"] != "new\n" {
				t.Errorf("stage %q", c)
			}
			r.clean()
		})
	}
}

func TestTwoWorkersShareTheJobs(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.engine.Total = compute.Capacity{CPU: 1000, Memory: 1 << 40}
	r.pool("BIG", 1000)
	other := r.options
	other.Worker, other.WorkDir = "w2", filepath.Join(t.TempDir(), "jobs")
	r.run(r.options)
	r.run(other)
	var ids []catalog.ID
	for i := range 30 {
		j := job("exit " + strconv.Itoa(i))
		j.Pool = "BIG"
		ids = append(ids, r.submit(j))
	}
	for i, id := range ids {
		state := catalog.JobFailed
		if i == 0 {
			state = catalog.JobDone
		}
		if got := r.await(id, state); got.ExitCode != i {
			t.Errorf("job %d: code %d", i, got.ExitCode)
		}
	}
	r.clean()
}

func TestLeftoversAreRemoved(t *testing.T) {
	t.Parallel()
	r := setup(t)
	kill := r.run(r.options)
	id := r.submit(job("exit 0"))
	r.await(id, catalog.JobDone)
	r.clean()
	kill()
	// What a process leaves that was killed after the final state was written, or whose catalog is gone.
	task := computetest.Steps("hang").Task(compute.TaskID(string(id)+"-0"), "image")
	task.Labels = map[string]string{"dev.firn.job": string(id)}
	if err := r.backend.Start(t.Context(), task, nil); err != nil {
		t.Fatal(err)
	}
	for i, labels := range []map[string]string{{"dev.firn.job": "no-such-job"}, nil} {
		task := computetest.Steps("hang").Task(compute.TaskID("stray"+strconv.Itoa(i)), "image")
		task.Labels = labels
		if err := r.backend.Start(t.Context(), task, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{string(id), "no-such-job"} {
		if err := os.MkdirAll(filepath.Join(r.options.WorkDir, name, "0", "0", "deep"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.tokens.JobToken(t.Context(), r.row(id)); err != nil {
		t.Fatal(err)
	}
	r.run(r.options)
	r.clean()
}

// running makes the row of a job that an earlier process has moved to RUNNING.
func (r *room) running(instance catalog.Instance, steps ...string) catalog.ID {
	r.t.Helper()
	j := job(steps...)
	r.update(func(tx catalog.Tx) error {
		if err := tx.SubmitJob(j); err != nil {
			return err
		}
		if _, err := tx.ClaimJob("w1", tx.Now().Add(time.Hour)); err != nil {
			return err
		}
		return tx.TransitionJob(j.ID, catalog.JobPending, catalog.JobRunning, func(j *catalog.Job) {
			j.Instances = []catalog.Instance{instance}
		})
	})
	return j.ID
}

func TestRowsWithoutContainers(t *testing.T) {
	t.Parallel()
	r := setup(t)
	gone := r.running(catalog.Instance{Status: "READY", Started: time.Now()}, "exit 0")
	never := r.running(catalog.Instance{Status: "PENDING"}, "exit 6")
	cancelling := r.running(catalog.Instance{Status: "READY"}, "hang")
	r.update(func(tx catalog.Tx) error {
		return tx.TransitionJob(cancelling, catalog.JobRunning, catalog.JobCancelling, nil)
	})
	r.run(r.options)
	if got := r.await(gone, catalog.JobInternalError); got.Message != "gone: the container of instance 0 vanished without telling how it ended" {
		t.Errorf("message %q", got.Message)
	}
	if got := r.await(never, catalog.JobFailed); got.ExitCode != 6 {
		t.Errorf("a container that was never made: code %d", got.ExitCode)
	}
	r.await(cancelling, catalog.JobCancelled)
	r.clean()
}

// The log of a job that runs on another server is there; who asks here is told where.
func TestLogOfAnotherServer(t *testing.T) {
	t.Parallel()
	r := setup(t)
	id := r.running(catalog.Instance{Status: "READY", Started: time.Now()}, "echo x", "exit 0")
	o := r.options
	o.Worker = "w2"
	ask := func(want string) {
		t.Helper()
		_, err := scheduler.New(o).Logs(t.Context(), r.row(id), 0, 0, time.Time{}, false)
		if !errs.Is(err, errs.Unavailable) || !strings.Contains(errs.MessageOf(err), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	ask("runs on another server: ask there for its log, or here when it has ended")
	r.update(func(tx catalog.Tx) error {
		if err := tx.AddNode(&catalog.Node{ID: "w10.1", URL: "http://w10"}); err != nil {
			return err
		}
		return tx.AddNode(&catalog.Node{ID: "w1.1", URL: "http://w1"})
	})
	ask("runs on http://w1: ask there")
}

func TestVanishedContainer(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(r.options)
	id := r.submit(job("hang"))
	r.await(id, catalog.JobRunning)
	if err := r.backend.Remove(t.Context(), compute.TaskID(string(id)+"-0")); err != nil {
		t.Fatal(err)
	}
	r.await(id, catalog.JobInternalError)
	r.clean()
}

// TestKillsAtAnyMoment ends the scheduler again and again while jobs run, and looks for any that is lost, run twice or
// badly reported.
func TestKillsAtAnyMoment(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.engine.PullDelay = 5 * time.Millisecond
	kill := r.run(r.options)
	rng := rand.New(rand.NewPCG(1, 2))
	ids := map[catalog.ID]int{}
	for i := range 40 {
		j := job("echo begin", "write /mnt/r/file "+strconv.Itoa(i), "sleep "+strconv.Itoa(rng.IntN(40))+"ms", "echo end", "exit "+strconv.Itoa(i%7))
		j.Plan.Mounts = []catalog.Mount{{Stage: r.files, Path: "out" + strconv.Itoa(i), Target: "/mnt/r"}}
		ids[r.submit(j)] = i
	}
	unfinished := func() int {
		n := 0
		for id := range ids {
			if !r.row(id).State.Final() {
				n++
			}
		}
		return n
	}
	for end := time.Now().Add(patience); unfinished() > 0; {
		if time.Now().After(end) {
			t.Fatalf("%d jobs never ended", unfinished())
		}
		time.Sleep(time.Duration(rng.IntN(60)+20) * time.Millisecond)
		kill()
		kill = r.run(r.options)
	}
	content := r.content()
	for id, i := range ids {
		j := r.row(id)
		state := catalog.JobFailed
		if i%7 == 0 {
			state = catalog.JobDone
		}
		if j.State != state || j.ExitCode != i%7 {
			t.Errorf("job %d is %s with code %d, %q", i, j.State, j.ExitCode, j.Message)
		}
		if log := r.log(id, 0, 0, time.Time{}, false); log != "begin\nend\n" {
			t.Errorf("job %d: log %q", i, log)
		}
		if got := content["out"+strconv.Itoa(i)+"/file"]; got != strconv.Itoa(i)+"\n" {
			t.Errorf("job %d: file %q", i, got)
		}
	}
	r.clean()
}
