// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing/iotest"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// content gives n bytes that differ for each seed.
func content(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)*31 + byte(i>>8)*17 + seed
	}
	return b
}

func put(t T, s blob.Store, key string, data []byte) blob.Info {
	t.Helper()
	info, err := s.Put(context.Background(), key, bytes.NewReader(data))
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return info
}

// get reads a range of a blob.
func get(t T, s blob.Store, key string, offset, length int64) []byte {
	t.Helper()
	r, err := s.Open(context.Background(), key, offset, length)
	if err != nil {
		t.Fatalf("open %s at %d for %d: %v", key, offset, length, err)
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return data
}

// want compares a whole blob.
func want(t T, s blob.Store, key string, data []byte) {
	t.Helper()
	if got := get(t, s, key, 0, -1); !bytes.Equal(got, data) {
		t.Errorf("%s holds %d bytes that differ from the %d bytes written", key, len(got), len(data))
	}
}

// wantCode compares the code of an error.
func wantCode(t T, what string, err error, code errs.Code) {
	t.Helper()
	if errs.CodeOf(err) != code {
		t.Errorf("%s: code %q (%v), want %q", what, errs.CodeOf(err), err, code)
	}
}

// absent checks that a key names nothing.
func absent(t T, s blob.Store, key string) {
	t.Helper()
	_, err := s.Stat(context.Background(), key)
	wantCode(t, "stat "+key, err, errs.NotFound)
	_, err = s.Open(context.Background(), key, 0, -1)
	wantCode(t, "open "+key, err, errs.NotFound)
	if got := keys(t, s, key); slices.Contains(got, key) {
		t.Errorf("list shows the absent %s", key)
	}
}

// keys lists the keys below a prefix.
func keys(t T, s blob.Store, prefix string) []string {
	t.Helper()
	var got []string
	for info, err := range s.List(context.Background(), prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		got = append(got, info.Key)
	}
	return got
}

func putAndOpen(t T, s blob.Store) {
	for _, size := range []int{0, 1, 4096, 128<<10 - 1, 128 << 10, 1<<20 + 7} {
		before := time.Now().Add(-time.Minute)
		data := content(1, size)
		info := put(t, s, "a/b.c", data)
		if info.Key != "a/b.c" || info.Size != int64(size) || info.Modified.Before(before) {
			t.Errorf("put of %d bytes gave %+v", size, info)
		}
		stat, err := s.Stat(context.Background(), "a/b.c")
		if err != nil || stat.Key != info.Key || stat.Size != info.Size || !stat.Modified.Equal(info.Modified) {
			t.Errorf("stat gave %+v, %v after put gave %+v", stat, err, info)
		}
		want(t, s, "a/b.c", data)
	}
}

func ranges(t T, s blob.Store) {
	data := content(2, 1000)
	put(t, s, "k", data)
	for _, c := range []struct{ offset, length, end int64 }{
		{0, 0, 0}, {0, 1, 1}, {0, 1000, 1000}, {0, 2000, 1000}, {999, 1, 1000}, {999, -1, 1000}, {500, 10, 510}, {1000, -1, 1000}, {1000, 5, 1000},
	} {
		if got := get(t, s, "k", c.offset, c.length); !bytes.Equal(got, data[c.offset:c.end]) {
			t.Errorf("range at %d for %d gave %d bytes, want %d", c.offset, c.length, len(got), c.end-c.offset)
		}
	}
	_, err := s.Open(context.Background(), "k", 1001, -1)
	wantCode(t, "open beyond the end", err, errs.Invalid)
	_, err = s.Open(context.Background(), "k", -1, -1)
	wantCode(t, "open before the start", err, errs.Invalid)
}

func replace(t T, s blob.Store) {
	put(t, s, "k", content(1, 5000))
	put(t, s, "k", content(2, 10))
	want(t, s, "k", content(2, 10))
}

// errBroken is what broken readers fail with.
var errBroken = errors.New("the reader broke")

// broken gives a reader that fails after n bytes.
func broken(n int) io.Reader {
	return io.MultiReader(bytes.NewReader(content(9, n)), iotest.ErrReader(errBroken))
}

func failingReader(t T, s blob.Store) {
	put(t, s, "old", content(1, 100))
	for _, n := range []int{0, 50, 300 << 10} {
		for _, key := range []string{"old", "new"} {
			if _, err := s.Put(context.Background(), key, broken(n)); !errors.Is(err, errBroken) {
				t.Errorf("put of a reader that breaks after %d bytes gave %v", n, err)
			}
		}
		want(t, s, "old", content(1, 100))
		absent(t, s, "new")
	}
}

func cancelledPut(t T, s blob.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Put(ctx, "k", bytes.NewReader(content(1, 100))); err == nil {
		t.Errorf("put with a cancelled context succeeded")
	}
	absent(t, s, "k")
}

func missing(t T, s blob.Store) {
	put(t, s, "a/b", content(1, 1))
	for _, key := range []string{"a", "b", "a/c", "a/b/c"} {
		absent(t, s, key)
	}
}

func deleteTwice(t T, s blob.Store) {
	put(t, s, "a/b", content(1, 1))
	put(t, s, "a/c", content(1, 1))
	for range 2 {
		if err := s.Delete(context.Background(), "a/b"); err != nil {
			t.Errorf("delete: %v", err)
		}
		absent(t, s, "a/b")
	}
	want(t, s, "a/c", content(1, 1))
	put(t, s, "a/b", content(2, 2))
	want(t, s, "a/b", content(2, 2))
}

func list(t T, s blob.Store) {
	all := []string{"a", "a-b", "a.b", "a/b", "a/b/c", "a/c", "a0", "a_b", "b/a/a", "b/b", "c"}
	for _, i := range []int{3, 0, 10, 5, 1, 9, 2, 8, 4, 7, 6} {
		put(t, s, all[i], content(byte(i), i))
	}
	for _, c := range []struct {
		prefix string
		want   []string
	}{
		{"", all}, {"a", all[:8]}, {"a/", all[3:6]}, {"a/b", all[3:5]}, {"b/a/a", all[8:9]}, {"b/a", all[8:9]}, {"x", nil}, {"a/b/c/d", nil}, {"c/", nil},
	} {
		if got := keys(t, s, c.prefix); !slices.Equal(got, c.want) {
			t.Errorf("list %q gave %q, want %q", c.prefix, got, c.want)
		}
	}
	for info, err := range s.List(context.Background(), "a/c") {
		if err != nil || info.Size != 5 || info.Modified.IsZero() {
			t.Errorf("list gave %+v, %v", info, err)
		}
	}
	for range s.List(context.Background(), "") {
		break // leaving early must be allowed
	}
}

func badKeys(t T, s blob.Store) {
	for _, key := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "A", "a b", "ä", "a\x00", "a+b", strings.Repeat("a", 201)} {
		_, err := s.Put(context.Background(), key, strings.NewReader("x"))
		wantCode(t, "put "+key, err, errs.Invalid)
		_, err = s.Open(context.Background(), key, 0, -1)
		wantCode(t, "open "+key, err, errs.Invalid)
		_, err = s.Stat(context.Background(), key)
		wantCode(t, "stat "+key, err, errs.Invalid)
		wantCode(t, "delete "+key, s.Delete(context.Background(), key), errs.Invalid)
	}
	if got := keys(t, s, ""); len(got) != 0 {
		t.Errorf("bad keys left %q", got)
	}
}

func oddKeys(t T, s blob.Store) {
	odd := []string{"...", ".a", "a.", "-", "_", "0", "a/.../b", strings.Repeat("x", 200), strings.Repeat("y/", 99) + "yy"}
	for i, key := range odd {
		put(t, s, key, content(byte(i), 20+i))
	}
	for i, key := range odd {
		want(t, s, key, content(byte(i), 20+i))
	}
}

func concurrentPuts(t T, s blob.Store) {
	const writers, size = 16, 200 << 10
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if _, err := s.Put(context.Background(), "one/key", bytes.NewReader(content(byte(i), size))); err != nil {
				t.Errorf("put: %v", err)
			}
			got := get(t, s, "one/key", 0, -1)
			if len(got) != size || !bytes.Equal(got, content(got[0], size)) {
				t.Errorf("a reader saw a mixture of several puts")
			}
		})
	}
	wg.Wait()
}

func openSurvives(t T, s blob.Store) {
	put(t, s, "k", content(1, 500<<10))
	r, err := s.Open(context.Background(), "k", 0, -1)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer r.Close()
	put(t, s, "k", content(2, 10))
	if err := s.Delete(context.Background(), "k"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content(1, 500<<10)) {
		t.Errorf("a blob that was open gave %d other bytes, %v", len(got), err)
	}
}
