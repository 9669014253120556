// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver "pgx"

	"firn.dev/firn/internal/blob/s3test"
)

// place is where servers keep their rows and blobs: flags of every command, and an environment.
type place struct{ args, env []string }

// shared gives a new database of PostgreSQL and an empty place in a bucket, which servers can share. ok is false where tests have none.
func shared(t testing.TB) (p place, ok bool) {
	t.Helper()
	server := os.Getenv("FIRN_TEST_POSTGRES")
	if server == "" || os.Getenv("FIRN_TEST_S3") == "" {
		return place{}, false
	}
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	name := "firnd_" + strings.ToLower(rand.Text())
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = db.Exec("DROP DATABASE " + name + " WITH (FORCE)") // it goes with the server of the tests in any case
		_ = db.Close()
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	p.args = []string{"--database", u.String(), "--blobs", s3test.URL(t)}
	for _, key := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		p.env = append(p.env, key+"="+s3test.Getenv(key))
	}
	return p, true
}
