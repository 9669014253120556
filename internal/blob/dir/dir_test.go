// SPDX-License-Identifier: Apache-2.0

package dir_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/blob/blobtest"
	"firn.dev/firn/internal/blob/dir"
	"firn.dev/firn/internal/errs"
)

func open(t *testing.T, directory string) *dir.Store {
	t.Helper()
	s, err := dir.Open(directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	blobtest.TestStore(t, func(t *testing.T) blob.Store { return open(t, t.TempDir()) })
}

// TestOpenGivesFile is what sendfile needs.
func TestOpenGivesFile(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	if _, err := s.Put(context.Background(), "k", strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(context.Background(), "k", 3, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, ok := r.(*os.File); !ok {
		t.Errorf("the whole rest of a blob comes as %T", r)
	}
}

// TestReopen: what was acknowledged or appended is there, what a crash left in tmp/ is not.
func TestReopen(t *testing.T) {
	t.Parallel()
	directory, ctx := t.TempDir(), context.Background()
	first := open(t, directory)
	if _, err := first.Put(ctx, "a/b", strings.NewReader("kept")); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Append(ctx, "u/1", 0, strings.NewReader("half")); err != nil {
		t.Fatal(err)
	}
	leftover := filepath.Join(directory, "tmp", "leftover")
	if err := os.WriteFile(leftover, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}

	open(t, directory).Close()
	if _, err := os.Stat(leftover); err != nil {
		t.Errorf("a second process cleaned up under the first: %v", err)
	}
	first.Close()
	second := open(t, directory)
	if _, err := os.Stat(leftover); !os.IsNotExist(err) {
		t.Errorf("the leftover of a crash is still there: %v", err)
	}
	if _, err := second.Stat(ctx, "a/b"); err != nil {
		t.Errorf("a blob is lost: %v", err)
	}
	if _, err := second.Append(ctx, "u/1", 4, strings.NewReader(" whole")); err != nil {
		t.Fatal(err)
	}
	if info, err := second.Finish(ctx, "u/1", 10); err != nil || info.Size != 10 {
		t.Errorf("finish after reopening gave %+v, %v", info, err)
	}
}

// TestLarge crosses the write-back step.
func TestLarge(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	data := bytes.Repeat([]byte("0123456789abcdef"), 65<<20/16)
	info, err := s.Put(context.Background(), "large", bytes.NewReader(data))
	if err != nil || info.Size != int64(len(data)) {
		t.Fatalf("put gave %+v, %v", info, err)
	}
}

func TestOpenUnusable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Open(file); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a file opens as a store: %v", err)
	}
}

func TestMake(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	for range 2 {
		if err := dir.Make(filepath.Join(base, "a", "b", "c")); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(filepath.Join(base, "a", "b", "c")); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if err := dir.Make(path); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
