// SPDX-License-Identifier: Apache-2.0

package computetest

import (
	"time"

	"firn.dev/firn/internal/compute"
)

// endChecks are the promises about stopping, limits and removing.
var endChecks = []check{
	{"stop-asks-first", func(r *room) {
		r.start("polite", "echo up", "hang")
		r.up("polite")
		begun := time.Now()
		if err := r.backend.Stop(r.ctx, "polite", 30*time.Second); err != nil {
			r.Fatalf("stop: %v", err)
		}
		if took := time.Since(begun); took > 20*time.Second {
			r.Errorf("a task that ends when asked took %v of its grace", took)
		}
		r.wait(r.backend, "polite", 143, compute.ReasonStopped)
	}},
	{"stop-kills-after-the-grace", func(r *room) {
		r.start("stubborn", "deaf", "echo up", "hang")
		r.up("stubborn")
		begun := time.Now()
		if err := r.backend.Stop(r.ctx, "stubborn", time.Second); err != nil {
			r.Fatalf("stop: %v", err)
		}
		r.wait(r.backend, "stubborn", 137, compute.ReasonStopped)
		if took := time.Since(begun); took < 900*time.Millisecond {
			r.Errorf("killed after %v, before its grace of 1s", took)
		}
	}},
	{"stop-of-an-ended-task", func(r *room) {
		r.start("over", "exit 9")
		r.wait(r.backend, "over", 9, compute.ReasonExit)
		if err := r.backend.Stop(r.ctx, "over", 0); err != nil {
			r.Errorf("stop of an ended task: %v", err)
		}
		r.wait(r.backend, "over", 9, compute.ReasonExit)
	}},
	{"memory-limit", func(r *room) {
		t := r.task("greedy", "eat")
		t.Memory = 32 << 20
		r.startTask(t)
		r.wait(r.backend, "greedy", 137, compute.ReasonMemory)
	}},
	{"timeout", func(r *room) {
		t := r.task("slow", "hang")
		t.Timeout = time.Second
		r.startTask(t)
		r.wait(r.backend, "slow", 143, compute.ReasonTimeout)
		quick := r.task("quick", "exit 0")
		quick.Timeout = time.Minute
		r.startTask(quick)
		r.wait(r.backend, "quick", 0, compute.ReasonExit)
	}},
	{"timeout-survives-a-restart", func(r *room) {
		t := r.task("slow", "hang")
		t.Timeout = 1500 * time.Millisecond
		r.startTask(t)
		if err := r.backend.Close(); err != nil {
			r.Errorf("close: %v", err)
		}
		r.backend = r.reopen()
		r.eventually("the task ends in time", func() bool {
			s, _ := r.status(r.backend, "slow")
			return s.Phase == compute.Exited
		})
		r.wait(r.backend, "slow", 143, compute.ReasonTimeout)
	}},
	{"remove-forgets", func(r *room) {
		r.start("gone", "echo first", "hang")
		if err := r.backend.Remove(r.ctx, "gone"); err != nil {
			r.Fatalf("remove: %v", err)
		}
		if s, found := r.status(r.backend, "gone"); found {
			r.Errorf("a removed task is listed: %+v", s)
		}
		_, err := r.backend.Wait(r.ctx, "gone")
		r.unknown("wait", err)
		if err := r.backend.Remove(r.ctx, "gone"); err != nil {
			r.Errorf("second remove: %v", err)
		}
		r.start("gone", "echo second", "exit 8")
		r.wait(r.backend, "gone", 8, compute.ReasonExit)
		if got := r.log(r.backend, "gone", compute.LogOptions{}); got != "second\n" {
			r.Errorf("log of the second life %q", got)
		}
	}},
	{"remove-ends-a-wait", func(r *room) {
		r.start("r", "hang")
		ended := make(chan error, 1)
		go func() {
			_, err := r.backend.Wait(r.ctx, "r")
			ended <- err
		}()
		if err := r.backend.Remove(r.ctx, "r"); err != nil {
			r.Fatalf("remove: %v", err)
		}
		select {
		case <-ended: // killed or unknown: both are true
		case <-r.ctx.Done():
			r.Fatalf("the wait for a removed task goes on")
		}
	}},
}

// up waits until a task has printed something, so that it has set up what it does on a signal.
func (r *room) up(id compute.TaskID) {
	r.Helper()
	r.eventually(string(id)+" is up", func() bool { return r.log(r.backend, id, compute.LogOptions{}) != "" })
}
