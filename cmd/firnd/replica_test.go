// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
)

// Of servers that start at the same time on a new database, the one whose password counts keeps its file, and only that one.
func TestFirstPasswordOfReplicas(t *testing.T) {
	t.Parallel()
	store, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "firn.db"), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	dirs, failures := make([]string, 4), make([]error, 4)
	log := &buffer{}
	var wg sync.WaitGroup
	for i := range dirs {
		dirs[i] = t.TempDir()
		wg.Go(func() {
			failures[i] = bootstrap(t.Context(), config{DataDir: dirs[i]}, store, slog.New(slog.NewTextHandler(log, nil)))
		})
	}
	wg.Wait()
	var kept []string
	for i, dir := range dirs {
		if failures[i] != nil {
			t.Error(failures[i])
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 1 {
			t.Errorf("%v, %v", left, err)
		}
		for _, entry := range left {
			kept = append(kept, filepath.Join(dir, entry.Name()))
		}
	}
	if len(kept) != 1 || filepath.Base(kept[0]) != passwordFile {
		t.Fatalf("files that are left: %v", kept)
	}
	password, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	service := auth.New(store, "FIRN", time.Now, nil)
	if _, err := service.Password(t.Context(), "", adminUser, errs.Secret(strings.TrimSpace(string(password)))); err != nil {
		t.Errorf("the password that was kept: %v", err)
	}
	if n := strings.Count(log.String(), "file="+kept[0]); n != 1 || strings.Count(log.String(), "file=") != 1 {
		t.Errorf("the log does not name the one file: %s", log)
	}
	if err := bootstrap(t.Context(), config{DataDir: dirs[0]}, store, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
	if again, err := os.ReadFile(kept[0]); err != nil || string(again) != string(password) {
		t.Errorf("after another start: %v", err)
	}
}

// nodes gives the rows of servers in the installation's database.
func nodes(t *testing.T, i *installation) []catalog.Node {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(i.dir, "firn.db"), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var all []catalog.Node
	err = store.View(t.Context(), func(tx catalog.Tx) error {
		for n, err := range tx.ListNodes(0) {
			if err != nil {
				return err
			}
			all = append(all, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A server is in the database as long as it runs; the start after a kill takes the row of the killed one away.
func TestServersAreKnown(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	p := i.start()
	first := nodes(t, i)
	if len(first) != 1 || first[0].URL != "http://"+i.host {
		t.Fatalf("%+v", first)
	}
	p.kill()
	if left := nodes(t, i); fmt.Sprint(left) != fmt.Sprint(first) {
		t.Errorf("after a kill %+v, before it %+v", left, first)
	}
	p = i.start()
	if second := nodes(t, i); len(second) != 1 || second[0].ID == first[0].ID {
		t.Errorf("after the next start %+v", second)
	}
	p.stop()
	if left := nodes(t, i); len(left) != 0 {
		t.Errorf("after a stop %+v", left)
	}
}

// A server that others have given up stops at once, what it runs first, and says why.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	p := i.start()
	c := i.connect()
	answered := make(chan error, 1)
	go func() {
		_, err := c.Query(t.Context(), "SELECT SYSTEM$WAIT(600)")
		answered <- err
	}()
	if out, err := exec.CommandContext(t.Context(), "sqlite3", filepath.Join(i.dir, "firn.db"), ".timeout 5000", "DELETE FROM node").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	select {
	case <-p.ended:
	case <-time.After(drain):
		t.Fatalf("the server goes on: %s", p.log)
	}
	if err := <-answered; err == nil {
		t.Error("the statement that ran has ended well")
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.err); !ok || exit.ExitCode() != 1 {
		t.Errorf("%v", p.err)
	}
	if !strings.Contains(p.log.String(), "firnd: another server of this database has given this one up") {
		t.Errorf("the log does not say why: %s", p.log)
	}
	i.start()
}
