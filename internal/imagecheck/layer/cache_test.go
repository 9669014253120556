// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"github.com/google/go-cmp/cmp"
)

func openCache(t *testing.T, size int64, now func() time.Time) *Cache {
	t.Helper()
	c, err := OpenCache(t.TempDir(), size, now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCacheKeepsAScan(t *testing.T) {
	t.Parallel()
	c := openCache(t, DefaultCacheBytes, time.Now)
	s := read(t, fx.Tar(fx.Dir("a"), fx.File("a/METADATA", "Name: x\n"), fx.Symlink("l", "a"), fx.Whiteout("w"), fx.Opaque("o"), fx.HardLink("h", "lower")))
	if _, ok := c.Get(s.DiffID, FromTar); ok {
		t.Fatal("an empty cache hits")
	}
	if err := c.Put(s, FromTar); err != nil {
		t.Fatal(err)
	}
	got, ok := c.Get(s.DiffID, FromTar)
	if !ok || cmp.Diff(s, got) != "" {
		t.Errorf("cache gives %v, %s", ok, cmp.Diff(s, got))
	}
	if _, ok := c.Get(s.DiffID, FromDir); ok {
		t.Error("a scan of another kind hits")
	}
	if _, ok := c.DiffIDOf(fx.Digest(nil)); ok {
		t.Error("an unknown blob is known")
	}
	if err := c.Learn(fx.Digest(nil), s.DiffID); err != nil {
		t.Fatal(err)
	}
	if id, ok := c.DiffIDOf(fx.Digest(nil)); !ok || id != s.DiffID {
		t.Errorf("blob gives %s, %v", id, ok)
	}
}

func TestCacheIgnoresDamage(t *testing.T) {
	t.Parallel()
	c := openCache(t, DefaultCacheBytes, time.Now)
	s := read(t, fx.Tar(fx.File("a/METADATA", "Name: x\n")))
	other := read(t, fx.Tar(fx.File("b/METADATA", "Name: y\n")))
	if err := c.Put(other, FromTar); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(c.file(other.DiffID, suffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"", "junk", string(foreign), string(foreign[:len(foreign)/2])} {
		if err := os.WriteFile(c.file(s.DiffID, suffix), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Get(s.DiffID, FromTar); ok {
			t.Errorf("%d bytes that are not the scan hit", len(content))
		}
		if err := c.Put(s, FromTar); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Get(s.DiffID, FromTar); !ok {
			t.Error("a damaged file is not written anew")
		}
	}
	if _, ok := c.Get("../../etc/passwd", FromTar); ok {
		t.Error("a key leads out of the directory")
	}
}

func TestCacheEvictsTheOldest(t *testing.T) {
	t.Parallel()
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := openCache(t, 1<<30, func() time.Time { return clock })
	var scans []*Scan
	for _, name := range []string{"a", "b", "c"} {
		s := read(t, fx.Tar(fx.File(name, "")))
		scans = append(scans, s)
		if err := c.Put(s, FromTar); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{1, 2, 0} {
		clock = clock.Add(time.Minute)
		if _, ok := c.Get(scans[i].DiffID, FromTar); !ok {
			t.Fatal("miss")
		}
	}
	info, err := os.Stat(c.file(scans[0].DiffID, suffix))
	if err != nil {
		t.Fatal(err)
	}
	c.maxBytes = 2*info.Size() + info.Size()/2
	if err := c.evict(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, true} {
		if _, ok := c.Get(scans[i].DiffID, FromTar); ok != want {
			t.Errorf("scan %d is kept: %v, want %v", i, ok, want)
		}
	}
}

func TestCacheIsShared(t *testing.T) {
	t.Parallel()
	c := openCache(t, DefaultCacheBytes, time.Now)
	s := read(t, fx.Tar(fx.File("a/METADATA", strings.Repeat("Name: x\n", 1000))))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			mine, err := OpenCache(c.dir, DefaultCacheBytes, time.Now)
			if err != nil {
				t.Error(err)
				return
			}
			for range 20 {
				if err := mine.Put(s, FromTar); err != nil {
					t.Error(err)
				}
				if _, ok := mine.Get(s.DiffID, FromTar); !ok {
					t.Error("a scan that was stored is not found")
				}
			}
		})
	}
	group.Wait()
	left, err := filepath.Glob(filepath.Join(c.dir, temporary+"*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

func TestNilCache(t *testing.T) {
	t.Parallel()
	var c *Cache
	if _, ok := c.Get("sha256:x", FromTar); ok {
		t.Error("a nil cache hits")
	}
	if err := c.Put(&Scan{}, FromTar); err != nil {
		t.Error(err)
	}
}
