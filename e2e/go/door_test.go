// SPDX-License-Identifier: Apache-2.0

// Package e2e tests Firn with gosnowflake, unmodified: `go test ./...` in this directory, after scripts/build.sh. It is a module
// of its own, so that Firn does not depend on the driver.
package e2e

import (
	"bufio"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sf "github.com/snowflakedb/gosnowflake/v2"
)

var (
	address  string
	password string
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		stop, err := start()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer stop()
		return m.Run()
	}())
}

// start runs firnd without containers and makes a database with a schema.
func start() (stop func(), err error) {
	dir, err := os.MkdirTemp("", "firn-go")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address = l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	firnd := exec.Command(filepath.Join(cmp.Or(os.Getenv("FIRN_TEST_BIN"), "../../bin"), "firnd"), "serve", "--compute", "none",
		"--data-dir", dir, "--listen", address)
	firnd.Stderr = os.Stderr
	out, err := firnd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := firnd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = firnd.Process.Signal(os.Interrupt)
		_ = firnd.Wait()
		_ = os.RemoveAll(dir)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "ready ") {
	}
	text, err := os.ReadFile(filepath.Join(dir, "admin-password"))
	if err != nil {
		stop()
		return nil, err
	}
	password = strings.TrimSpace(string(text))
	db, err := sql.Open("snowflake", dsn("/", ""))
	if err != nil {
		return stop, err
	}
	defer db.Close()
	for _, text := range []string{"CREATE DATABASE ml", "CREATE SCHEMA ml.churn", "CREATE WAREHOUSE wh"} {
		if _, err := db.Exec(text); err != nil {
			return stop, err
		}
	}
	return stop, nil
}

// dsn is the data source name of ADMIN at a place, /DATABASE/SCHEMA.
func dsn(place, more string) string {
	return fmt.Sprintf("ADMIN:%s@%s%s?account=firn&protocol=http&disableOCSPChecks=true%s", password, address, place, more)
}

func open(t *testing.T, more string) *sql.DB {
	t.Helper()
	db, err := sql.Open("snowflake", dsn("/ML/CHURN", more))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// number gives the Snowflake number of an error.
func number(err error) int {
	for ; err != nil; err = unwrap(err) {
		if e, ok := err.(*sf.SnowflakeError); ok {
			return e.Number
		}
	}
	return 0
}

func unwrap(err error) error {
	u, ok := err.(interface{ Unwrap() error })
	if !ok {
		return nil
	}
	return u.Unwrap()
}

// raw runs fn on the driver's own connection.
func raw(t *testing.T, db *sql.DB, fn func(ctx context.Context, c any) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Raw(func(c any) error { return fn(ctx, c) }); err != nil {
		t.Fatal(err)
	}
}
