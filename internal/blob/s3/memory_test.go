// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"firn.dev/firn/internal/blob/s3test"
	"firn.dev/firn/internal/errs"
)

// pausing gives bytes, and waits when it has given so many.
type pausing struct {
	left    int
	paused  *sync.WaitGroup
	release chan struct{}
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.left == 0 {
		p.paused.Done()
		<-p.release
		return 0, io.EOF
	}
	n := min(len(b), p.left)
	p.left -= n
	return n, nil
}

// TestMemory: pushes that are under way hold little memory each, wherever they are, and leave no files. It is not parallel: it looks at
// the memory of the whole process.
func TestMemory(t *testing.T) {
	const pushes, each = 16, 512 << 10
	o := s3test.Options(t)
	o.Scratch = t.TempDir()
	s := s3test.Open(t, o)
	used := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := used()
	for _, offset := range []int{0, 15*mib + 1} { // the second goes on behind a tail
		var paused, ended sync.WaitGroup
		release := make(chan struct{})
		for i := range pushes {
			paused.Add(1)
			ended.Go(func() {
				size := 15*mib + 1
				end, err := s.Append(t.Context(), fmt.Sprintf("push/%d", i), int64(offset), &pausing{size, &paused, release})
				if err != nil || end != int64(offset+size) {
					t.Errorf("append ended at %d: %v", end, err)
				}
			})
		}
		paused.Wait()
		if grown := used() - before; grown > pushes*each {
			t.Errorf("%d pushes hold %d KiB, want at most %d", pushes, grown>>10, pushes*each>>10)
		}
		close(release)
		ended.Wait()
	}
	names, err := filepath.Glob(filepath.Join(o.Scratch, "*"))
	if err != nil || len(names) > 0 {
		t.Errorf("files that stay: %v (%v)", names, err)
	}
}

// TestNoScratch: a server without a folder for temporary files says so, and an upload can be given up all the same.
func TestNoScratch(t *testing.T) {
	t.Parallel()
	o := s3test.Options(t)
	o.Scratch = filepath.Join(t.TempDir(), "missing")
	s := s3test.Open(t, o)
	_, err := s.Put(t.Context(), "a", &pausing{})
	if !errs.Is(err, errs.Exhausted) {
		t.Errorf("put without a folder: %v", err)
	}
	if err := os.Mkdir(o.Scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	add(t, s, "a", 0, random(mib))
	if err := os.Remove(o.Scratch); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), "a", mib, &pausing{}); !errs.Is(err, errs.Exhausted) {
		t.Errorf("append without a folder: %v", err)
	}
	if err := s.Abort(t.Context(), "a"); err != nil {
		t.Errorf("abort without a folder: %v", err)
	}
	if left := leftovers(t, o); len(left) > 0 {
		t.Errorf("what stays after the abort: %v", left)
	}
}
