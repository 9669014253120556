// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Databases gives, for each kind of database that a catalog can be kept in, a function that makes an empty one for a test and names
// it, as the setting database does.
func Databases() map[string]func(tb testing.TB) string {
	return map[string]func(tb testing.TB) string{"sqlite": SQLite, "postgres": Postgres}
}

// SQLite names a new file in the test's own directory.
func SQLite(tb testing.TB) string {
	tb.Helper()
	return "sqlite:" + filepath.Join(tb.TempDir(), "firn.db")
}

// Postgres makes a database on the server whose URL is in FIRN_TEST_POSTGRES. It lives as long as the test.
//
// Where the variable is not set the test is skipped, so that one package can be tested without services. make test sets it, and
// takes a skipped test for a failed one.
func Postgres(tb testing.TB) string {
	tb.Helper()
	server := os.Getenv("FIRN_TEST_POSTGRES")
	if server == "" {
		tb.Skip("not tested with PostgreSQL: FIRN_TEST_POSTGRES names no server; make test starts one")
	}
	name := "firn_test_" + strings.ToLower(rand.Text())
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
	run("CREATE DATABASE " + name)
	tb.Cleanup(func() { run("DROP DATABASE " + name + " WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}
