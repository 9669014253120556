// SPDX-License-Identifier: Apache-2.0

package computetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// runChecks are the promises about starting, waiting and listing.
var runChecks = []check{
	{"exit-code", func(r *room) {
		r.start("good", "exit 0")
		r.start("bad", "exit 7")
		r.wait(r.backend, "good", 0, compute.ReasonExit)
		r.wait(r.backend, "bad", 7, compute.ReasonExit)
	}},
	{"start-is-idempotent", func(r *room) {
		t := r.task("once", "echo here", "sleep 500ms", "exit 3")
		var running sync.WaitGroup
		failures := make([]error, 4)
		for i := range failures {
			running.Go(func() { failures[i] = r.backend.Start(r.ctx, t, nil) })
		}
		running.Wait()
		if err := errors.Join(failures...); err != nil {
			r.Fatalf("starting at once: %v", err)
		}
		first, _ := r.status(r.backend, "once")
		r.startTask(t)
		r.wait(r.backend, "once", 3, compute.ReasonExit)
		r.startTask(t)
		after, found := r.status(r.backend, "once")
		if !found || after.Phase != compute.Exited || !after.Started.Equal(first.Started) {
			r.Errorf("a started task was not left alone: %+v, then %+v", first, after)
		}
		if got := r.log(r.backend, "once", compute.LogOptions{}); got != "here\n" {
			r.Errorf("log %q, want one line of one run", got)
		}
	}},
	{"start-tells-its-steps", func(r *room) {
		var steps []string
		err := r.backend.Start(r.ctx, r.task("steps", "exit 0"), func(e compute.Event) { steps = append(steps, e.Phase) })
		if err != nil {
			r.Fatalf("start: %v", err)
		}
		steps = slices.DeleteFunc(steps, func(s string) bool { return s == "pulling" || s == "pulled" })
		if !slices.Equal(steps, []string{"created", "started"}) {
			r.Errorf("steps %q, want created and started at the end", steps)
		}
	}},
	{"missing-image", func(r *room) {
		if r.options.Missing == "" {
			return
		}
		t := r.task("none", "exit 0")
		t.Image = r.options.Missing
		if err := r.backend.Start(r.ctx, t, nil); !errs.Is(err, errs.NotFound) {
			r.Errorf("a missing image gives %v, want code %s", err, errs.NotFound)
		}
		if _, found := r.status(r.backend, "none"); found {
			r.Errorf("a task without an image is listed")
		}
	}},
	{"wait-many-times", func(r *room) {
		r.start("w", "sleep 300ms", "exit 5")
		var running sync.WaitGroup
		for range 4 {
			running.Go(func() {
				if e, err := r.backend.Wait(r.ctx, "w"); err != nil || e.Code != 5 {
					r.Errorf("wait beside others: %+v, %v", e, err)
				}
			})
		}
		running.Wait()
		first := r.wait(r.backend, "w", 5, compute.ReasonExit)
		again := r.reopen()
		defer again.Close()
		if second := r.wait(again, "w", 5, compute.ReasonExit); !second.At.Equal(first.At) {
			r.Errorf("the end moved from %v to %v", first.At, second.At)
		}
	}},
	{"tasks-survive-their-process", func(r *room) {
		r.start("old", "echo before", "sleep 700ms", "echo after", "exit 4")
		if err := r.backend.Close(); err != nil {
			r.Errorf("close: %v", err)
		}
		r.backend = r.reopen()
		s, found := r.status(r.backend, "old")
		if !found || s.Phase != compute.Running {
			r.Errorf("after a restart the task is %+v, found %v", s, found)
		}
		if got := r.log(r.backend, "old", compute.LogOptions{Follow: true}); got != "before\nafter\n" {
			r.Errorf("log after a restart %q", got)
		}
		r.wait(r.backend, "old", 4, compute.ReasonExit)
	}},
	{"cancel-ends-the-call-only", func(r *room) {
		r.start("c", "hang")
		short, stop := context.WithCancel(r.ctx)
		ended := make(chan error, 1)
		go func() {
			_, err := r.backend.Wait(short, "c")
			ended <- err
		}()
		stop()
		select {
		case err := <-ended:
			if err == nil {
				r.Errorf("a cancelled wait gives no error")
			}
		case <-r.ctx.Done():
			r.Fatalf("a cancelled wait goes on")
		}
		if s, _ := r.status(r.backend, "c"); s.Phase != compute.Running {
			r.Errorf("a cancelled wait ended the task: %+v", s)
		}
	}},
	{"list", func(r *room) {
		other, err := r.open(r.install + "x")
		if err != nil {
			r.Fatalf("open: %v", err)
		}
		defer other.Close()
		defer func() { _ = other.Remove(r.ctx, "theirs") }()
		if err := other.Start(r.ctx, r.task("theirs", "hang"), nil); err != nil {
			r.Fatalf("start: %v", err)
		}
		running := r.task("running", "hang")
		running.Labels = map[string]string{"job": "7", "instance": "0"}
		running.Network = "job"
		r.startTask(running)
		r.start("ended", "exit 2")
		r.wait(r.backend, "ended", 2, compute.ReasonExit)
		seen := map[compute.TaskID]compute.Status{}
		for s, err := range r.backend.List(r.ctx) {
			if err != nil {
				r.Fatalf("list: %v", err)
			}
			seen[s.ID] = s
		}
		if len(seen) != 2 {
			r.Errorf("the list has %d tasks, want ours: %v", len(seen), seen)
		}
		if s := seen["running"]; s.Phase != compute.Running || s.IP == "" || s.Started.IsZero() ||
			len(s.Labels) != 2 || s.Labels["job"] != "7" {
			r.Errorf("running task listed as %+v", s)
		}
		if s := seen["ended"]; s.Phase != compute.Exited || s.Exit.Code != 2 || s.IP != "" {
			r.Errorf("ended task listed as %+v", s)
		}
	}},
	{"what-a-task-gets", func(r *room) {
		dir, err := os.MkdirTemp("", "computetest")
		if err != nil {
			r.Fatalf("%v", err)
		}
		defer os.RemoveAll(dir)
		if err := os.WriteFile(filepath.Join(dir, "in"), []byte("from the host\n"), 0o644); err != nil {
			r.Fatalf("%v", err)
		}
		t := r.task("gets", "env GREETING", "cat /run/secret/token", "cat /mnt/data/in", "write /mnt/data/sub/out from the task")
		t.Env["GREETING"] = "hello  world"
		t.Files = []compute.File{{Path: "/run/secret/token", Content: "s3cret\n"}}
		t.Mounts = []compute.Mount{{Source: dir, Target: "/mnt/data"}}
		r.startTask(t)
		r.wait(r.backend, "gets", 0, compute.ReasonExit)
		if got := r.log(r.backend, "gets", compute.LogOptions{}); got != "hello  world\ns3cret\nfrom the host\n" {
			r.Errorf("log %q", got)
		}
		out, err := os.ReadFile(filepath.Join(dir, "sub", "out"))
		if string(out) != "from the task\n" {
			r.Errorf("the task's file is %q, %v", out, err)
		}
	}},
	{"capacity", func(r *room) {
		c, err := r.backend.Capacity(r.ctx)
		if err != nil || c.CPU < 1 || c.Memory < 1<<28 {
			r.Errorf("capacity %+v, %v", c, err)
		}
	}},
	{"unknown-tasks", func(r *room) {
		_, err := r.backend.Wait(r.ctx, "nobody")
		r.unknown("wait", err)
		log, err := r.backend.Logs(r.ctx, "nobody", compute.LogOptions{})
		if err == nil {
			log.Close()
		}
		r.unknown("log", err)
		r.unknown("stop", r.backend.Stop(r.ctx, "nobody", 0))
		if err := r.backend.Remove(r.ctx, "nobody"); err != nil {
			r.Errorf("remove of an unknown task: %v", err)
		}
	}},
	{"many-at-once", func(r *room) {
		var running sync.WaitGroup
		for i := range 6 {
			id := compute.TaskID("m" + strings.Repeat("x", i))
			running.Go(func() {
				if err := r.backend.Start(r.ctx, r.task(id, "exit 6"), nil); err != nil {
					r.Errorf("start of %s: %v", id, err)
					return
				}
				if e, err := r.backend.Wait(r.ctx, id); err != nil || e.Code != 6 {
					r.Errorf("wait for %s: %+v, %v", id, e, err)
				}
			})
		}
		running.Wait()
	}},
}
