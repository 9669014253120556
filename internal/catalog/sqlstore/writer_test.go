// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"modernc.org/sqlite"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// openFile opens a new catalog file.
func openFile(t *testing.T) (*Store, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "catalog.db")
	s, err := Open(t.Context(), "sqlite:"+file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, file
}

// onWriter runs fn on the connection that writes.
func onWriter(t *testing.T, s *Store, fn func(l *link) error) {
	t.Helper()
	if err := s.Update(t.Context(), func(tx catalog.Tx) error { return fn(txOf(tx).runner.(*link)) }); err != nil {
		t.Fatal(err)
	}
}

func txOf(t catalog.Tx) *tx { return t.(*tx) }

// atOnce runs n updates that stand in line while another one keeps the writer busy, and gives their errors.
func atOnce(t *testing.T, s *Store, n int, fn func(i int, tx catalog.Tx) error) []error {
	t.Helper()
	started, release := make(chan struct{}), make(chan struct{})
	var once sync.Once // a group that fails runs again
	var wg sync.WaitGroup
	wg.Go(func() {
		hold := func(catalog.Tx) error {
			once.Do(func() { close(started) })
			<-release
			return nil
		}
		if err := s.Update(context.Background(), hold); err != nil {
			t.Error(err)
		}
	})
	<-started
	failures := make([]error, n)
	for i := range n {
		wg.Go(func() { failures[i] = s.Update(context.Background(), func(tx catalog.Tx) error { return fn(i, tx) }) })
	}
	for inside := 0; inside < n+1; runtime.Gosched() {
		s.gate.mu.Lock()
		inside = s.gate.inside
		s.gate.mu.Unlock()
	}
	close(release)
	wg.Wait()
	return failures
}

func putToken(hash string) func(tx catalog.Tx) error {
	return func(tx catalog.Tx) error { return tx.PutToken(catalog.Token{Hash: hash}) }
}

func wantToken(t *testing.T, s *Store, hash string, want bool) {
	t.Helper()
	err := s.View(t.Context(), func(tx catalog.Tx) error { _, err := tx.Token(hash); return err })
	if found := err == nil; found != want || err != nil && !errs.Is(err, errs.NotFound) {
		t.Errorf("token %s: found %v (error %v), want %v", hash, found, err, want)
	}
}

func TestUpdatesInLineShareACommit(t *testing.T) {
	t.Parallel()
	s, _ := openFile(t)
	var commits atomic.Int64
	onWriter(t, s, func(l *link) error {
		return l.conn.Raw(func(c any) error {
			c.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 { commits.Add(1); return 0 })
			return nil
		})
	})
	commits.Store(0)
	const n = 40
	for i, err := range atOnce(t, s, n, func(i int, tx catalog.Tx) error { return putToken(fmt.Sprint(i))(tx) }) {
		if err != nil {
			t.Error(err)
		}
		wantToken(t, s, fmt.Sprint(i), true)
	}
	// Those that reached the line before the release share one commit; a straggler may need another.
	if got := commits.Load(); got == 0 || got > n/2 {
		t.Errorf("%d updates took %d commits", n, got)
	}
}

// limitPages makes the disk small, for the connection that writes and those that the writer opens after an error.
func limitPages(t *testing.T, s *Store, l *link, pages int) {
	t.Helper()
	if err := l.run(fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
		t.Fatal(err)
	}
	db, err := openPool(l.file, url.Values{"_pragma": {fmt.Sprintf("max_page_count(%d)", pages)}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s.engine.(*sqliteEngine).writer.db = db
}

func TestFullDiskFailsOnlyWhoNeedsSpace(t *testing.T) {
	t.Parallel()
	s, file := openFile(t)
	onWriter(t, s, func(l *link) error {
		var pages int
		if err := l.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
			return err
		}
		limitPages(t, s, l, pages+30)
		return nil
	})
	big := strings.Repeat("x", 1<<20)
	for i, err := range atOnce(t, s, 12, func(i int, tx catalog.Tx) error {
		if i%4 == 0 {
			_ = tx.PutToken(catalog.Token{Hash: fmt.Sprint(i), Name: big}) // an error of the database cannot be swallowed
			return nil
		}
		return putToken(fmt.Sprint(i))(tx)
	}) {
		if i%4 == 0 {
			if !errs.Is(err, errs.Exhausted) || !strings.Contains(err.Error(), file) {
				t.Errorf("big update: got error %v, want Exhausted with the name of the file", err)
			}
		} else if err != nil {
			t.Errorf("small update: %v", err)
		}
		wantToken(t, s, fmt.Sprint(i), i%4 != 0)
	}
	onWriter(t, s, func(l *link) error { limitPages(t, s, l, 1_000_000); return nil })
	if err := s.Update(t.Context(), func(tx catalog.Tx) error { return tx.PutToken(catalog.Token{Hash: "big", Name: big}) }); err != nil {
		t.Errorf("update after space was made: %v", err)
	}
}

// TestFailureAmongOthers: what fails after it has written leaves nothing, and takes nothing from those in the same commit; what they
// are told is true.
func TestFailureAmongOthers(t *testing.T) {
	t.Parallel()
	s, _ := openFile(t)
	failure := errors.New("no")
	const n = 30
	for i, err := range atOnce(t, s, n, func(i int, tx catalog.Tx) error {
		if i%10 == 3 {
			return failure // it has written nothing
		}
		if err := putToken(fmt.Sprint(i))(tx); err != nil {
			return err
		}
		if i%10 == 7 {
			return failure
		}
		return nil
	}) {
		failed := i%10 == 3 || i%10 == 7
		if errors.Is(err, failure) != failed || !failed && err != nil {
			t.Errorf("update %d: %v", i, err)
		}
		wantToken(t, s, fmt.Sprint(i), !failed)
	}
}

func TestGoexitLeavesNothing(t *testing.T) {
	t.Parallel()
	s, _ := openFile(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.Update(context.Background(), func(tx catalog.Tx) error {
			if err := putToken("gone")(tx); err != nil {
				t.Error(err)
			}
			runtime.Goexit()
			return nil
		})
	})
	wg.Wait()
	if err := s.Update(t.Context(), putToken("kept")); err != nil {
		t.Error(err)
	}
	wantToken(t, s, "gone", false)
	wantToken(t, s, "kept", true)
}

func TestLockedAndReadOnly(t *testing.T) {
	t.Parallel()
	s, file := openFile(t)
	other, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	onWriter(t, s, func(l *link) error { return l.run("PRAGMA busy_timeout = 20") })
	lock, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), putToken("a"))
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "locked") {
		t.Errorf("update of a locked file: got error %v, want Unavailable that says so", err)
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), putToken("a")); err != nil {
		t.Errorf("update after the lock: %v", err)
	}

	onWriter(t, s, func(l *link) error { return l.run("PRAGMA query_only = 1") })
	err = s.Update(t.Context(), putToken("b"))
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("update of a file that cannot be written: got error %v, want Unavailable that says so", err)
	}
}

func TestViewWaitsForAReader(t *testing.T) {
	t.Parallel()
	s, _ := openFile(t)
	readers := cap(s.engine.(*sqliteEngine).readers)
	release := make(chan struct{})
	var wg, inside sync.WaitGroup
	for range readers {
		inside.Add(1)
		wg.Go(func() {
			if err := s.View(context.Background(), func(catalog.Tx) error { inside.Done(); <-release; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	inside.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.View(ctx, func(catalog.Tx) error { return nil }); !errs.Is(err, errs.Timeout) {
		t.Errorf("view without a free reader: got error %v, want Timeout", err)
	}
	close(release)
	wg.Wait()
	if err := s.View(t.Context(), func(catalog.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestTemporaryCatalogIsRemoved(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), "sqlite::memory:", Options{})
	if err != nil {
		t.Fatal(err)
	}
	folder := s.engine.(*sqliteEngine).temporary
	if _, err := os.Stat(folder); err != nil {
		t.Errorf("folder of the temporary catalog: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("folder of the closed catalog: got error %v, want that it is gone", err)
	}
}
