// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"errors"
	"path/filepath"
	"testing"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
)

// TestVersion: the number changes with every commit, also of another process, and with nothing else.
func TestVersion(t *testing.T) {
	t.Parallel()
	source := "sqlite:" + filepath.Join(t.TempDir(), "firn.db")
	var stores [2]*sqlstore.Store
	for i := range stores {
		s, err := sqlstore.Open(t.Context(), source, sqlstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		stores[i] = s
	}
	version := func() int64 {
		t.Helper()
		n, ok, err := stores[0].Version(t.Context())
		if err != nil || !ok {
			t.Fatalf("no version: %v, %v", ok, err)
		}
		return n
	}
	write := func(tx catalog.Tx) error { return tx.AddEvent(catalog.Event{Action: "test"}) }
	failure := errors.New("no")
	last := version()
	for _, step := range []struct {
		name    string
		do      func() error
		changes bool
	}{
		{"nothing", func() error { return nil }, false},
		{"commit", func() error { return stores[0].Update(t.Context(), write) }, true},
		{"commit elsewhere", func() error { return stores[1].Update(t.Context(), write) }, true},
		{"view", func() error {
			return stores[0].View(t.Context(), func(tx catalog.Tx) error {
				for _, err := range tx.RoleGrants() {
					return err
				}
				return nil
			})
		}, false},
		{"rollback", func() error {
			err := stores[0].Update(t.Context(), func(tx catalog.Tx) error { return errors.Join(write(tx), failure) })
			if errors.Is(err, failure) {
				return nil
			}
			return err
		}, false},
		{"second commit", func() error { return stores[0].Update(t.Context(), write) }, true},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		now := version()
		if (now != last) != step.changes {
			t.Errorf("after %s the version went from %d to %d", step.name, last, now)
		}
		last = now
	}
}
