// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bytes"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"firn.dev/firn/internal/errs"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"github.com/klauspost/compress/zstd"
)

// varied is a layer with every kind of entry, long names, and bodies around the size of a window.
func varied() []byte {
	entries := append(fx.Good(), fx.Dir("d"), fx.Symlink("d/link", "../x"), fx.File("d/first", "1"), fx.HardLink("d/second", "d/first"),
		fx.Whiteout("d/gone"), fx.Opaque("d"), fx.File(strings.Repeat("long/", 60)+"name", "body"), fx.Program("d/run", "#!/bin/sh\n"))
	for _, size := range []int{0, 1, 511, 512, 513, windowSize - 1, windowSize, windowSize + 1, 3 * windowSize, 300 << 10} {
		entries = append(entries, fx.File("d/"+strings.Repeat("n", size%97+1)+".txt", strings.Repeat("x", size)),
			fx.Wheel("usr/lib/python3/site-packages", "p"+strings.Repeat("q", size%89), "1.0", "Summary: "+strings.Repeat("y", size)))
	}
	return fx.Tar(entries...)
}

func TestSkimSeesWhatReadSees(t *testing.T) {
	t.Parallel()
	data := varied()
	want := read(t, data)
	seen := 0
	got, err := Skim(t.Context(), want.DiffID, bytes.NewReader(data), int64(len(data)), Limits{Seen: func(n int) { seen += n }})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("skimmed\n%+v\nread\n%+v", got, want)
	}
	if seen == 0 || seen > len(data) {
		t.Errorf("%d of %d bytes were read", seen, len(data))
	}
}

func TestSkimReadsNoBodies(t *testing.T) {
	t.Parallel()
	data := fx.Tar(fx.File("a", strings.Repeat("a", 4<<20)), fx.File("b", strings.Repeat("b", 4<<20)))
	seen := 0
	s, err := Skim(t.Context(), "", bytes.NewReader(data), int64(len(data)), Limits{Seen: func(n int) { seen += n }})
	if err != nil || len(s.Entries) != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	if seen > 5*windowSize {
		t.Errorf("%d bytes were read of a layer with two headers", seen)
	}
}

func TestSkimRefuses(t *testing.T) {
	t.Parallel()
	data := varied()
	for name, x := range map[string]struct {
		data   []byte
		size   int
		limits Limits
		code   errs.Code
	}{
		"a layer that ends in a body":   {data[:len(data)-100<<10], len(data) - 100<<10, Limits{}, errs.Corrupt},
		"a file that has become short":  {data[:len(data)/2], len(data), Limits{}, errs.Corrupt},
		"bytes that are no tar":         {bytes.Repeat([]byte("junk"), 1000), 4000, Limits{}, errs.Corrupt},
		"a layer larger than the limit": {data, len(data), Limits{MaxUnpacked: 1 << 10}, errs.Exhausted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Skim(t.Context(), "sha256:x", bytes.NewReader(x.data), int64(x.size), x.limits)
			if !errs.Is(err, x.code) {
				t.Errorf("got %v, want %s", err, x.code)
			}
		})
	}
}

func zstandardOf(t *testing.T, data []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(data, nil)
}

// TestReadBlobDescribesTheStoredBytes covers every way in which a layer is stored.
func TestReadBlobDescribesTheStoredBytes(t *testing.T) {
	t.Parallel()
	data := varied()
	half := len(data) / 2
	for name, stored := range map[string][]byte{
		"plain": data, "gzip": fx.Gzip(data), "two gzip members": append(fx.Gzip(data[:half]), fx.Gzip(data[half:])...), "zstd": zstandardOf(t, data),
		"two zstd frames": append(zstandardOf(t, data[:half]), zstandardOf(t, data[half:])...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := 0
			s, blob, err := ReadBlob(t.Context(), fx.Digest(data), "", bytes.NewReader(stored), Limits{Seen: func(n int) { seen += n }})
			if err != nil {
				t.Fatal(err)
			}
			if want := (Blob{Digest: fx.Digest(stored), Size: int64(len(stored))}); blob != want || seen != len(stored) {
				t.Errorf("%d bytes were seen of %+v, want %+v", seen, blob, want)
			}
			if s.UnpackedSize != int64(len(data)) {
				t.Errorf("unpacks to %d bytes, not %d", s.UnpackedSize, len(data))
			}
			if plain := IsPlain(bytes.NewReader(stored)); plain != (name == "plain") {
				t.Errorf("plain: %v", plain)
			}
		})
	}
}

// endless gives a tar with one file of size bytes that is nowhere held as a whole.
func endless(t *testing.T, size int64) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	go func() {
		head := fx.Tar(fx.File("big", ""))[:512]
		copy(head[124:], []byte("00000000000"))
		for i, n := 134, size; n > 0; i, n = i-1, n/8 {
			head[i] = '0' + byte(n%8)
		}
		sum := 0
		copy(head[148:], "        ")
		for _, c := range head {
			sum += int(c)
		}
		for i := 153; i >= 148; i, sum = i-1, sum/8 {
			head[i] = '0' + byte(sum%8)
		}
		head[154], head[155] = 0, ' '
		_, _ = w.Write(head)
		block := make([]byte, 1<<20)
		for range size / int64(len(block)) {
			_, _ = w.Write(block)
		}
		_, _ = w.Write(block[:1024])
		_ = w.Close()
	}()
	return r
}

// TestReadHoldsLittle runs alone, because it counts what is allocated.
func TestReadHoldsLittle(t *testing.T) { //nolint:paralleltest // see above
	const size, bound = 512 << 20, 16 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := Read(t.Context(), "", endless(t, size), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if len(s.Entries) != 1 || s.Entries[0].Size != size {
		t.Fatalf("%+v", s)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > bound {
		t.Errorf("reading %d MiB allocates %d MiB", size>>20, took>>20)
	}
}
