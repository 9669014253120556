// SPDX-License-Identifier: Apache-2.0

package computetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"sync"
	"testing"
	"time"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

func TestFake(t *testing.T) {
	t.Parallel()
	var engine Engine
	TestBackend(t, func(install string) (compute.Backend, error) { return engine.Open(install), nil }, Options{Missing: "missing"})
}

// recorder is a T that keeps failures instead of failing.
type recorder struct {
	ctx    context.Context
	mu     sync.Mutex
	failed []string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// TestWrongBackends shows that the suite sees what it is made to see: each backend breaks one promise.
func TestWrongBackends(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		check string
		wrap  func(*Fake) compute.Backend
	}{
		{"always code 0", "exit-code", func(f *Fake) compute.Backend { return &zeroCode{f} }},
		{"start runs again", "start-is-idempotent", func(f *Fake) compute.Backend { return &startsAgain{f} }},
		{"wait eats the exit", "wait-many-times", func(f *Fake) compute.Backend { return &waitsOnce{Fake: f} }},
		{"wait ignores its context", "cancel-ends-the-call-only", func(f *Fake) compute.Backend { return &waitsOn{f} }},
		{"cancelled wait ends the task", "cancel-ends-the-call-only", func(f *Fake) compute.Backend { return &waitKills{f} }},
		{"list shows others", "list", func(f *Fake) compute.Backend { return &listsAll{f} }},
		{"log without the tail option", "log-selects", func(f *Fake) compute.Backend { return &wholeLog{f} }},
		{"log loses bytes", "log-is-whole", func(f *Fake) compute.Backend { return &cutLog{f} }},
		{"stop kills at once", "stop-kills-after-the-grace", func(f *Fake) compute.Backend { return &stopsHard{f} }},
		{"stop forgets why", "stop-asks-first", func(f *Fake) compute.Backend { return &noReason{f} }},
		{"memory limit looks like an exit", "memory-limit", func(f *Fake) compute.Backend { return &noReason{f} }},
		{"no timeouts", "timeout", func(f *Fake) compute.Backend { return &noTimeout{f} }},
		{"remove of unknown tasks fails", "unknown-tasks", func(f *Fake) compute.Backend { return &strictRemove{f} }},
		{"remove leaves the task", "remove-forgets", func(f *Fake) compute.Backend { return &noRemove{f} }},
		{"no steps", "start-tells-its-steps", func(f *Fake) compute.Backend { return &silent{f} }},
		{"no files", "what-a-task-gets", func(f *Fake) compute.Backend { return &noFiles{f} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var engine Engine
			ctx, stop := context.WithTimeout(t.Context(), 4*time.Second)
			defer stop()
			r := &recorder{ctx: ctx}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for _, c := range checks {
					if c.name == tt.check {
						c.check(r, func(install string) (compute.Backend, error) { return tt.wrap(engine.Open(install)), nil }, Options{Missing: "missing"})
					}
				}
			}()
			<-done
			if len(r.failed) == 0 {
				t.Errorf("check %s did not notice", tt.check)
			}
		})
	}
}

type zeroCode struct{ *Fake }

func (b *zeroCode) Wait(ctx context.Context, id compute.TaskID) (compute.Exit, error) {
	e, err := b.Fake.Wait(ctx, id)
	e.Code = 0
	return e, err
}

type startsAgain struct{ *Fake }

func (b *startsAgain) Start(ctx context.Context, t compute.Task, p func(compute.Event)) error {
	if err := b.Remove(ctx, t.ID); err != nil {
		return err
	}
	return b.Fake.Start(ctx, t, p)
}

type waitsOnce struct {
	*Fake
	once sync.Once
}

func (b *waitsOnce) Wait(ctx context.Context, id compute.TaskID) (e compute.Exit, err error) {
	err = errs.New(errs.NotFound, "task %s was waited for", id)
	b.once.Do(func() { e, err = b.Fake.Wait(ctx, id) })
	return e, err
}

type waitsOn struct{ *Fake }

func (b *waitsOn) Wait(ctx context.Context, id compute.TaskID) (compute.Exit, error) {
	return b.Fake.Wait(context.WithoutCancel(ctx), id)
}

type waitKills struct{ *Fake }

func (b *waitKills) Wait(ctx context.Context, id compute.TaskID) (compute.Exit, error) {
	e, err := b.Fake.Wait(ctx, id)
	if err != nil {
		_ = b.Stop(context.WithoutCancel(ctx), id, 0)
	}
	return e, err
}

type listsAll struct{ *Fake }

func (b *listsAll) List(ctx context.Context) iter.Seq2[compute.Status, error] {
	return func(yield func(compute.Status, error) bool) {
		for _, install := range []string{b.install, b.install + "x"} {
			for s, err := range b.engine.Open(install).List(ctx) {
				if !yield(s, err) {
					return
				}
			}
		}
	}
}

type wholeLog struct{ *Fake }

func (b *wholeLog) Logs(ctx context.Context, id compute.TaskID, o compute.LogOptions) (io.ReadCloser, error) {
	o.Tail = 0
	return b.Fake.Logs(ctx, id, o)
}

type cutLog struct{ *Fake }

func (b *cutLog) Logs(ctx context.Context, id compute.TaskID, o compute.LogOptions) (io.ReadCloser, error) {
	rc, err := b.Fake.Logs(ctx, id, o)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(rc)
	return io.NopCloser(bytes.NewReader(text[:len(text)-min(1, len(text))])), err
}

type stopsHard struct{ *Fake }

func (b *stopsHard) Stop(ctx context.Context, id compute.TaskID, _ time.Duration) error {
	return b.Fake.Stop(ctx, id, 0)
}

type noReason struct{ *Fake }

func (b *noReason) Wait(ctx context.Context, id compute.TaskID) (compute.Exit, error) {
	e, err := b.Fake.Wait(ctx, id)
	e.Reason = compute.ReasonExit
	return e, err
}

type noTimeout struct{ *Fake }

func (b *noTimeout) Start(ctx context.Context, t compute.Task, p func(compute.Event)) error {
	t.Timeout = 0
	return b.Fake.Start(ctx, t, p)
}

type strictRemove struct{ *Fake }

func (b *strictRemove) Remove(ctx context.Context, id compute.TaskID) error {
	if _, err := b.task(id); err != nil {
		return err
	}
	return b.Fake.Remove(ctx, id)
}

type noRemove struct{ *Fake }

func (b *noRemove) Remove(context.Context, compute.TaskID) error { return nil }

type silent struct{ *Fake }

func (b *silent) Start(ctx context.Context, t compute.Task, _ func(compute.Event)) error {
	return b.Fake.Start(ctx, t, nil)
}

type noFiles struct{ *Fake }

func (b *noFiles) Start(ctx context.Context, t compute.Task, p func(compute.Event)) error {
	t.Files = nil
	return b.Fake.Start(ctx, t, p)
}
