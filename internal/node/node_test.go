// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/node"
)

func newStore(t *testing.T) catalog.Store {
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

func update(t *testing.T, s catalog.Store, fn func(tx catalog.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func options(s catalog.Store, worker string) node.Options {
	return node.Options{Catalog: s, Worker: worker, URL: "http://" + worker, Log: slog.New(slog.DiscardHandler), Beat: time.Millisecond}
}

func join(t *testing.T, o node.Options) *node.Node {
	t.Helper()
	n, err := node.Join(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// statements gives the state of each statement.
func statements(t *testing.T, s catalog.Store) map[string]catalog.StatementStatus {
	t.Helper()
	found := map[string]catalog.StatementStatus{}
	err := s.View(t.Context(), func(tx catalog.Tx) error {
		for st, err := range tx.History(catalog.StatementFilter{}) {
			if err != nil {
				return err
			}
			found[st.ID] = st.Status
			if st.Status == catalog.StatementFailed && !strings.Contains(st.Message, "before you run it again") {
				t.Errorf("the message does not say what to do: %s", st.Message)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// begin records a statement that a process runs, with the process's id.
func begin(t *testing.T, s catalog.Store, processes ...string) {
	t.Helper()
	update(t, s, func(tx catalog.Tx) error {
		for _, id := range processes {
			if err := tx.BeginStatement(&catalog.Statement{ID: id, Node: id}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Who joins ends what lost processes left, and only that.
func TestJoin(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	other := join(t, options(s, "other"))
	before := join(t, options(s, "mine"))
	update(t, s, func(tx catalog.Tx) error {
		return tx.AddNode(&catalog.Node{ID: "silent.1", Started: time.Unix(1, 0), Seen: time.Unix(2, 0)})
	})
	begin(t, s, other.ID(), before.ID(), "silent.1", "mine.unknown", "unknown.1")
	n := join(t, options(s, "mine"))
	begin(t, s, n.ID())
	again := join(t, options(s, "third"))
	want := map[string]catalog.StatementStatus{
		other.ID(): catalog.StatementRunning, n.ID(): catalog.StatementRunning, before.ID(): catalog.StatementFailed,
		"silent.1": catalog.StatementFailed, "mine.unknown": catalog.StatementFailed, "unknown.1": catalog.StatementFailed,
	}
	if got := statements(t, s); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	alive := map[string]string{}
	update(t, s, func(tx catalog.Tx) error {
		clear(alive)
		for m, err := range tx.ListNodes(0) {
			if err != nil {
				return err
			}
			alive[m.ID] = m.URL
		}
		return nil
	})
	if want := map[string]string{other.ID(): "http://other", n.ID(): "http://mine", again.ID(): "http://third"}; !maps.Equal(alive, want) {
		t.Errorf("%v, want %v", alive, want)
	}
	if err := other.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	join(t, options(s, "fourth"))
	if got := statements(t, s)[other.ID()]; got != catalog.StatementFailed {
		t.Errorf("what a process that left had begun is %s", got)
	}
}

// A process that runs is seen, gives up those that fall silent, and stops when it was given up itself.
func TestRun(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	n := join(t, options(s, "mine"))
	update(t, s, func(tx catalog.Tx) error {
		if err := tx.RemoveNode(n.ID()); err != nil {
			return err
		}
		return tx.AddNode(&catalog.Node{ID: n.ID(), Started: time.Unix(1, 0), Seen: time.Unix(2, 0)}) // stood still for long
	})
	ended := make(chan error, 1)
	go func() { ended <- n.Run(t.Context()) }()
	wait(t, "a sign of life", func(tx catalog.Tx) bool {
		for m, err := range tx.ListNodes(time.Hour) {
			return err == nil && m.ID == n.ID()
		}
		return false
	}, s)
	begin(t, s, "lost.1")
	wait(t, "the end of a lost statement", func(tx catalog.Tx) bool {
		st, err := tx.Statement("lost.1")
		return err == nil && st.Status == catalog.StatementFailed
	}, s)
	update(t, s, func(tx catalog.Tx) error { return tx.RemoveNode(n.ID()) })
	if err := <-ended; !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "start it again") {
		t.Errorf("a process that was given up: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := join(t, options(s, "mine")).Run(ctx); err != nil {
		t.Errorf("a process that stops: %v", err)
	}
}

func wait(t *testing.T, what string, done func(catalog.Tx) bool, s catalog.Store) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		is := false
		err := s.View(t.Context(), func(tx catalog.Tx) error {
			is = done(tx)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if is {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}
