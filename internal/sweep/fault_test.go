// SPDX-License-Identifier: Apache-2.0

package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/blob/dir"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/registry"
	"firn.dev/firn/internal/sweep"
)

// collectsWithin collects when an object has become visible and its row is yet to be committed.
type collectsWithin struct {
	registry.Store
	collect func()
	done    bool
}

func (c *collectsWithin) Finish(ctx context.Context, key string, size int64) (blob.Info, error) {
	info, err := c.Store.Finish(ctx, key, size)
	c.collect()
	c.done = true
	return info, err
}

// The environment of a process that collects and dies on the way.
const (
	crashDirectory = "FIRN_SWEEP_TEST_DIRECTORY"
	crashDatabase  = "FIRN_SWEEP_TEST_DATABASE"
	crashAt        = "FIRN_SWEEP_TEST_CRASH_AT"
)

func TestMain(m *testing.M) {
	if directory := os.Getenv(crashDirectory); directory != "" {
		at, _ := strconv.Atoi(os.Getenv(crashAt))
		fmt.Fprintln(os.Stderr, collectUntilKilled(directory, os.Getenv(crashDatabase), int64(at)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// killed is the exit code of a process that died where it was told to; finished that of one which got to its end.
const (
	killed   = 41
	finished = 42
)

// steps counts what a run does to its two stores, and dies before one of them.
type steps struct{ left atomic.Int64 }

func (s *steps) next() {
	if s.left.Add(-1) < 0 {
		os.Exit(killed) // no deferred call runs, nothing is flushed
	}
}

type dyingCatalog struct {
	catalog.Store
	*steps
}

func (d dyingCatalog) Update(ctx context.Context, fn func(catalog.Tx) error) error {
	d.next()
	return d.Store.Update(ctx, fn)
}

type dyingBlobs struct {
	blob.Store
	*steps
}

func (d dyingBlobs) Delete(ctx context.Context, key string) error {
	d.next()
	return d.Store.Delete(ctx, key)
}

func collectUntilKilled(directory, database string, at int64) error {
	blobs, err := dir.Open(directory)
	if err != nil {
		return err
	}
	w, _, err := openWorld(database, blobs, day)
	if err != nil {
		return err
	}
	w.ahead.Add(int64(2 * day))
	o, s := w.options(day), &steps{}
	s.left.Store(at)
	o.Catalog, o.Blobs, o.Holder = dyingCatalog{o.Catalog, s}, dyingBlobs{o.Blobs, s}, strconv.Itoa(os.Getpid())
	if _, err := sweep.New(o).Collect(context.Background()); err != nil {
		return err
	}
	os.Exit(finished)
	return nil
}

// TestKill kills a run before each thing that it does to its stores. What is in use stays whole, no row is without its
// object, and the next run finds what the killed one left behind.
func TestKill(t *testing.T) {
	t.Parallel()
	for name, source := range catalogtest.Databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			died := 0
			for at := 0; ; at++ {
				if !killAt(t, source(t), at) {
					break
				}
				died++
			}
			if died < 10 {
				t.Errorf("a run has only %d steps", died)
			}
		})
	}
}

// killAt tells whether the run was killed before its end.
func killAt(t *testing.T, database string, at int) bool {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "blobs")
	blobs, err := dir.Open(directory)
	if err != nil {
		t.Fatal(err)
	}
	w, end, err := openWorld(database, blobs, day)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(end(), blobs.Close()); err != nil {
			t.Error(err)
		}
	}()
	kept := must[[]byte](t)(w.push("app", "v1", "kept", ""))
	dead := must[[]byte](t)(w.push("app", "", "dead", ""))
	must[[]byte](t)(w.push("app", "", "sbom", digestOf(dead)))

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDirectory+"="+directory, crashDatabase+"="+database, crashAt+"="+strconv.Itoa(at))
	out, _ := cmd.CombinedOutput()
	code := cmd.ProcessState.ExitCode()
	if code != killed && code != finished {
		t.Fatalf("killed at %d: exit code %d: %s", at, code, out)
	}
	w.ahead.Add(int64(2*day + time.Hour)) // also beyond the lease of the killed one
	if err := w.pull("app", digestOf(kept), content("config kept", 100), content("layer kept", large)); err != nil {
		t.Errorf("killed at %d: %v", at, err)
	}
	must[sweep.Result](t)(w.sweeper(day).Collect(t.Context()))
	if n := w.objects(t, registry.KeyPrefix); n != 1 {
		t.Errorf("killed at %d: %d objects are left", at, n)
	}
	return code == killed
}
