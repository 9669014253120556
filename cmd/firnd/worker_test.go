// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"firn.dev/firn/internal/errs"
)

func TestWorkerID(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	first, err := workerID(dir)
	if err != nil || len(first) != 12 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := workerID(dir); err != nil || again != first {
		t.Errorf("after a restart %q, %v", again, err)
	}
	if another, err := workerID(other); err != nil || another == first {
		t.Errorf("of another directory %q, %v", another, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	for _, bad := range []string{"", "short\n", "UPPERCASE123", "has blank 22", first + first} {
		if err := os.WriteFile(filepath.Join(dir, workerFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if id, err := workerID(dir); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%q gives %q, %v", bad, id, err)
		}
	}
	if _, err := workerID(filepath.Join(dir, "missing")); !errs.Is(err, errs.Unavailable) {
		t.Error(err)
	}
}
