// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/catalog/sqlstore"
)

// sources gives, for each database that can be tested here, a function that names an empty catalog.
func sources() map[string]func(tb testing.TB) string {
	all := map[string]func(tb testing.TB) string{
		"sqlite-file":   func(tb testing.TB) string { return "sqlite:" + filepath.Join(tb.TempDir(), "catalog.db") },
		"sqlite-memory": func(testing.TB) string { return "sqlite::memory:" },
	}
	if server := os.Getenv("FIRN_TEST_POSTGRES"); server != "" {
		all["postgres"] = func(tb testing.TB) string { return newDatabase(tb, server) }
	}
	return all
}

// newDatabase makes a database on the server that lives as long as the test.
func newDatabase(tb testing.TB, server string) string {
	tb.Helper()
	name := "firn_test_" + uuid.New().String()
	run := func(text string) {
		c, err := pgx.Connect(context.Background(), server)
		if err != nil {
			tb.Fatal(err)
		}
		defer c.Close(context.Background())
		if _, err := c.Exec(context.Background(), text); err != nil {
			tb.Fatal(err)
		}
	}
	quoted := pgx.Identifier{name}.Sanitize()
	run("CREATE DATABASE " + quoted)
	tb.Cleanup(func() { run("DROP DATABASE " + quoted + " WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
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
