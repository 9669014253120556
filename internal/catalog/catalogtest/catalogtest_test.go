// SPDX-License-Identifier: Apache-2.0

package catalogtest_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/catalog/sqlstore"
)

// recorder is a T that remembers what a check complained about.
type recorder struct {
	ctx        context.Context
	mu         sync.Mutex
	complaints []string
}

func (r *recorder) Helper() {}

func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complaints = append(r.complaints, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// run gives what a check complains about.
func run(ctx context.Context, c catalogtest.Check, s catalog.Store) []string {
	r := &recorder{ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(r, s)
	}()
	<-done
	return r.complaints
}

func open(t *testing.T) catalog.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestChecksNotice breaks one promise after the other and expects the check of that promise to notice. A check without a
// broken implementation in the table is an error, so is one that complains about a right one.
func TestChecksNotice(t *testing.T) {
	t.Parallel()
	broken := brokenStores()
	known := map[string]bool{}
	for _, c := range catalogtest.Checks() {
		if known[c.Name] {
			t.Errorf("two checks have the name %q", c.Name)
		}
		known[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if complaints := run(t.Context(), c, open(t)); len(complaints) > 0 {
				t.Fatalf("the check complains about a right implementation: %q", complaints)
			}
			if broken[c.Name] == nil {
				t.Fatal("no implementation in broken_test.go breaks what this check promises")
			}
			if len(run(t.Context(), c, broken[c.Name](open(t)))) == 0 {
				t.Error("the check does not notice a broken promise")
			}
		})
	}
	for name := range broken {
		if !known[name] {
			t.Errorf("broken_test.go names the unknown check %q", name)
		}
	}
}
