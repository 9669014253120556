// SPDX-License-Identifier: Apache-2.0

package computetest

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// Engine is a machine in memory that runs Programs as tasks. It outlives the backends that are opened on it, as a real
// engine outlives Firn. It is safe for concurrent use; the zero Engine is ready.
type Engine struct {
	// Total is what Capacity tells; the zero value means 8 cores and 32 GiB.
	Total compute.Capacity
	// PullDelay is how long Start takes to pull; it ends early with the context.
	PullDelay time.Duration

	mu    sync.Mutex
	tasks map[string]*fakeTask // by installation and id
	next  int                  // for addresses
	down  bool
}

// Open gives a backend for an installation.
func (e *Engine) Open(install string) *Fake { return &Fake{engine: e, install: install} }

// Down makes the engine refuse every call from now on, or serve again. Tasks go on.
func (e *Engine) Down(down bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = down
}

// Fake is a backend in memory: what Engine.Open gives. An image whose name contains "missing" does not exist.
type Fake struct {
	engine  *Engine
	install string
}

// The fake is a whole backend.
var (
	_ compute.Backend = (*Fake)(nil)
	_ compute.Dialer  = (*Fake)(nil)
)

func (f *Fake) key(id compute.TaskID) string { return f.install + "/" + string(id) }

// find gives a task of this installation. The caller holds the engine's lock.
func (f *Fake) find(id compute.TaskID) (*fakeTask, error) {
	if f.engine.down {
		return nil, errs.New(errs.Unavailable, "the fake engine is down")
	}
	t := f.engine.tasks[f.key(id)]
	if t == nil {
		return nil, errs.New(errs.NotFound, "task %s is not known", id)
	}
	return t, nil
}

// task is find for callers without the lock.
func (f *Fake) task(id compute.TaskID) (*fakeTask, error) {
	f.engine.mu.Lock()
	defer f.engine.mu.Unlock()
	return f.find(id)
}

// Start implements compute.Backend.
func (f *Fake) Start(ctx context.Context, t compute.Task, progress func(compute.Event)) error {
	if progress == nil {
		progress = func(compute.Event) {}
	}
	if _, err := f.task(t.ID); !errs.Is(err, errs.NotFound) {
		return err
	}
	if strings.Contains(t.Image, "missing") {
		return errs.New(errs.NotFound, "image %s is not in its registry", t.Image)
	}
	progress(compute.Event{Phase: "pulling", At: time.Now().UTC()})
	select {
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.Canceled, "image %s: given up", t.Image)
	case <-time.After(f.engine.PullDelay):
	}
	progress(compute.Event{Phase: "pulled", At: time.Now().UTC()})

	e := f.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := f.find(t.ID); !errs.Is(err, errs.NotFound) {
		return err
	}
	run := newFakeTask(t)
	if t.Network == "job" {
		e.next++
		run.ip = fmt.Sprintf("10.88.%d.%d", e.next/250, e.next%250+2)
	}
	if e.tasks == nil {
		e.tasks = map[string]*fakeTask{}
	}
	e.tasks[f.key(t.ID)] = run
	go run.run()
	now := time.Now().UTC()
	progress(compute.Event{Phase: "created", At: now})
	progress(compute.Event{Phase: "started", At: now})
	return nil
}

// Wait implements compute.Backend.
func (f *Fake) Wait(ctx context.Context, id compute.TaskID) (compute.Exit, error) {
	t, err := f.task(id)
	for errs.Is(err, errs.Unavailable) {
		select {
		case <-ctx.Done():
			return compute.Exit{}, errs.Wrap(ctx.Err(), errs.Canceled, "task %s: given up", id)
		case <-time.After(5 * time.Millisecond):
		}
		t, err = f.task(id)
	}
	if err != nil {
		return compute.Exit{}, err
	}
	select {
	case <-ctx.Done():
		return compute.Exit{}, errs.Wrap(ctx.Err(), errs.Canceled, "task %s: given up", id)
	case <-t.removed:
		return compute.Exit{}, errs.New(errs.NotFound, "task %s is not known", id)
	case <-t.done:
		return t.status().Exit, nil
	}
}

// Stop implements compute.Backend.
func (f *Fake) Stop(ctx context.Context, id compute.TaskID, grace time.Duration) error {
	t, err := f.task(id)
	if err != nil {
		return err
	}
	t.stop(compute.ReasonStopped, grace)
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.Canceled, "task %s: given up", id)
	}
}

// Remove implements compute.Backend.
func (f *Fake) Remove(_ context.Context, id compute.TaskID) error {
	f.engine.mu.Lock()
	defer f.engine.mu.Unlock()
	t, err := f.find(id)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	delete(f.engine.tasks, f.key(id))
	close(t.removed)
	t.kill()
	return nil
}

// List implements compute.Backend.
func (f *Fake) List(context.Context) iter.Seq2[compute.Status, error] {
	return func(yield func(compute.Status, error) bool) {
		f.engine.mu.Lock()
		down := f.engine.down
		var found []*fakeTask
		for _, key := range slices.Sorted(maps.Keys(f.engine.tasks)) {
			if strings.HasPrefix(key, f.install+"/") {
				found = append(found, f.engine.tasks[key])
			}
		}
		f.engine.mu.Unlock()
		if down {
			yield(compute.Status{}, errs.New(errs.Unavailable, "the fake engine is down"))
			return
		}
		for _, t := range found {
			if !yield(t.status(), nil) {
				return
			}
		}
	}
}

// Capacity implements compute.Backend.
func (f *Fake) Capacity(context.Context) (compute.Capacity, error) {
	f.engine.mu.Lock()
	defer f.engine.mu.Unlock()
	if f.engine.down {
		return compute.Capacity{}, errs.New(errs.Unavailable, "the fake engine is down")
	}
	if f.engine.Total == (compute.Capacity{}) {
		return compute.Capacity{CPU: 8, Memory: 32 << 30}, nil
	}
	return f.engine.Total, nil
}

// Dial implements compute.Dialer: nothing listens in a program.
func (f *Fake) Dial(_ context.Context, id compute.TaskID, port int) (net.Conn, error) {
	if _, err := f.task(id); err != nil {
		return nil, err
	}
	return nil, errs.New(errs.Unavailable, "port %d of task %s does not answer", port, id)
}

// Close implements compute.Backend.
func (f *Fake) Close() error { return nil }
