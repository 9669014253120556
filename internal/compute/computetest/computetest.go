// SPDX-License-Identifier: Apache-2.0

// Package computetest is the suite that every compute.Backend passes, and a fake backend that passes it too. It is for
// tests only: those of the backends call TestBackend, those of the scheduler and of everything above run their jobs on an
// Engine. It is not a simulation of containers: what a Program can do is all that the fake knows.
package computetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// Open opens the backend for an installation. Opening twice is what a restart of the server does.
type Open func(install string) (compute.Backend, error)

// Options says what the suite may use.
type Options struct {
	// Image is an image with /bin/sh and the usual small programs. Tasks of the fake need none.
	Image string
	// Missing is an image that does not exist; "" leaves that promise out.
	Missing string
}

// T is what a check needs of a test, so that the suite itself can be tested.
type T interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// TestBackend checks every promise in the comments of compute.Backend.
func TestBackend(t *testing.T, open Open, o Options) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, open, o)
		})
	}
}

// check is one promise.
type check struct {
	name string
	run  func(*room)
}

var checks = slices.Concat(runChecks, logChecks, endChecks)

// patience bounds every wait of the suite; a backend that is slower than this is broken.
const patience = 60 * time.Second

// check runs one promise in an installation of its own, and cleans up.
func (c check) check(t T, open Open, o Options) {
	r := &room{T: t, open: open, options: o, install: "t" + strings.ToLower(rand.Text()[:10])}
	r.ctx, r.stop = context.WithTimeout(t.Context(), patience)
	defer r.stop()
	r.backend = r.reopen()
	defer func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer stop()
		for s := range r.backend.List(ctx) {
			_ = r.backend.Remove(ctx, s.ID)
		}
		_ = r.backend.Close()
	}()
	c.run(r)
}

// room is what a check works in.
type room struct {
	T
	ctx     context.Context
	stop    context.CancelFunc
	open    Open
	options Options
	install string
	backend compute.Backend
}

// reopen gives another backend of the same installation.
func (r *room) reopen() compute.Backend {
	r.Helper()
	b, err := r.open(r.install)
	if err != nil {
		r.Fatalf("open: %v", err)
	}
	return b
}

// task makes a task of a program.
func (r *room) task(id compute.TaskID, steps ...string) compute.Task {
	return Steps(steps...).Task(id, r.options.Image)
}

// start starts a task of a program.
func (r *room) start(id compute.TaskID, steps ...string) {
	r.Helper()
	r.startTask(r.task(id, steps...))
}

func (r *room) startTask(t compute.Task) {
	r.Helper()
	if err := r.backend.Start(r.ctx, t, nil); err != nil {
		r.Fatalf("start of %s: %v", t.ID, err)
	}
}

// wait waits for a task and checks how it ended.
func (r *room) wait(b compute.Backend, id compute.TaskID, code int, reason compute.Reason) compute.Exit {
	r.Helper()
	e, err := b.Wait(r.ctx, id)
	if err != nil {
		r.Fatalf("wait for %s: %v", id, err)
	}
	if e.Code != code || e.Reason != reason {
		r.Errorf("%s ended with code %d, reason %q, %q, want %d, %q", id, e.Code, e.Reason, e.Detail, code, reason)
	}
	if e.At.IsZero() || time.Since(e.At) > time.Hour || time.Until(e.At) > time.Minute {
		r.Errorf("%s ended at %v", id, e.At)
	}
	return e
}

// log reads a log to its end.
func (r *room) log(b compute.Backend, id compute.TaskID, o compute.LogOptions) string {
	r.Helper()
	rc, err := b.Logs(r.ctx, id, o)
	if err != nil {
		r.Fatalf("log of %s: %v", id, err)
	}
	defer rc.Close()
	text, err := io.ReadAll(rc)
	if err != nil {
		r.Fatalf("log of %s: %v", id, err)
	}
	return string(text)
}

// status finds a task in the list.
func (r *room) status(b compute.Backend, id compute.TaskID) (compute.Status, bool) {
	r.Helper()
	for s, err := range b.List(r.ctx) {
		if err != nil {
			r.Fatalf("list: %v", err)
		}
		if s.ID == id {
			return s, true
		}
	}
	return compute.Status{}, false
}

// eventually polls until a condition holds.
func (r *room) eventually(what string, holds func() bool) {
	r.Helper()
	for !holds() {
		select {
		case <-r.ctx.Done():
			r.Fatalf("never: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// unknown checks that a call says that it does not know a task.
func (r *room) unknown(what string, err error) {
	r.Helper()
	if !errs.Is(err, errs.NotFound) {
		r.Errorf("%s of an unknown task gives %v, want code %s", what, err, errs.NotFound)
	}
}

// lines makes what Program's lines step prints.
func lines(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}
