// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"testing"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/catalog/sqlstore"
)

// sources gives, for each database, a function that names an empty catalog.
func sources() map[string]func(tb testing.TB) string {
	all := catalogtest.Databases()
	all["sqlite-memory"] = func(testing.TB) string { return "sqlite::memory:" }
	return all
}

func open(tb testing.TB, source string) *sqlstore.Store {
	tb.Helper()
	s, err := sqlstore.Open(context.Background(), source, sqlstore.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	for name, source := range sources() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			catalogtest.TestStore(t, func(t *testing.T) catalog.Store { return open(t, source(t)) })
		})
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	for name, source := range sources() {
		if name == "sqlite-memory" {
			continue // it ends with Close
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			same := source(t)
			catalogtest.TestReopen(t, func(t *testing.T) catalog.Store { return open(t, same) })
		})
	}
}
