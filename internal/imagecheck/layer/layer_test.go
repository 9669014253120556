// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"firn.dev/firn/internal/errs"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"github.com/klauspost/compress/zstd"
)

func read(t *testing.T, data []byte) *Scan {
	t.Helper()
	s, err := Read(t.Context(), "", bytes.NewReader(data), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// paths lists a tree: files with the layer they come from.
func paths(tree *Tree) map[string]string {
	m := map[string]string{}
	tree.Walk(func(n Node) {
		if n.Path != "" {
			m[n.Path] = fmt.Sprintf("%c%d", n.Type, n.Layer)
		}
	})
	return m
}

func TestMerge(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		layers [][]fx.Entry
		want   map[string]string
	}{
		"upper file wins": {
			[][]fx.Entry{{fx.Dir("a"), fx.File("a/f", "1")}, {fx.File("a/f", "2")}},
			map[string]string{"a": "d0", "a/f": "f1"},
		},
		"whiteout hides below, wherever it stands": {
			[][]fx.Entry{{fx.Dir("a"), fx.File("a/f", "1"), fx.File("a/g", "1")}, {fx.File("a/f", "2"), fx.Whiteout("a/f"), fx.Whiteout("a/g")}},
			map[string]string{"a": "d0", "a/f": "f1"},
		},
		"whiteout of a directory hides everything in it": {
			[][]fx.Entry{{fx.Dir("a"), fx.Dir("a/b"), fx.File("a/b/f", "1")}, {fx.Whiteout("a")}},
			map[string]string{},
		},
		"whiteout and return of a directory": {
			[][]fx.Entry{{fx.Dir("a"), fx.File("a/old", "1")}, {fx.Whiteout("a")}, {fx.Dir("a"), fx.File("a/new", "1")}},
			map[string]string{"a": "d2", "a/new": "f2"},
		},
		"opaque directory": {
			[][]fx.Entry{{fx.Dir("a"), fx.File("a/old", "1"), fx.Dir("a/sub"), fx.File("a/sub/x", "")}, {fx.Dir("a"), fx.File("a/new", "1"), fx.Opaque("a")}},
			map[string]string{"a": "d1", "a/new": "f1"},
		},
		"opaque directory hides two layers down": {
			[][]fx.Entry{{fx.Dir("a"), fx.File("a/old", "1")}, {fx.File("a/mid", "")}, {fx.Dir("a"), fx.Opaque("a")}},
			map[string]string{"a": "d2"},
		},
		"file replaces directory": {
			[][]fx.Entry{{fx.Dir("a"), fx.File("a/f", "1")}, {fx.File("a", "file")}},
			map[string]string{"a": "f1"},
		},
		"directory replaces file": {
			[][]fx.Entry{{fx.File("a", "file")}, {fx.Dir("a"), fx.File("a/f", "1")}},
			map[string]string{"a": "d1", "a/f": "f1"},
		},
		"directory over file over directory does not merge": {
			[][]fx.Entry{{fx.Dir("a"), fx.File("a/low", "")}, {fx.File("a", "file")}, {fx.Dir("a"), fx.File("a/top", "")}},
			map[string]string{"a": "d2", "a/top": "f2"},
		},
		"symlink replaces directory": {
			[][]fx.Entry{{fx.Dir("a"), fx.File("a/f", "1")}, {fx.Symlink("a", "b")}},
			map[string]string{"a": "l1"},
		},
		"directories that no layer names exist": {
			[][]fx.Entry{{fx.File("a/b/f", "1")}},
			map[string]string{"a": "d-1", "a/b": "d-1", "a/b/f": "f0"},
		},
		"names are cleaned as if rooted": {
			[][]fx.Entry{{fx.File("./x", ""), fx.File("/y", ""), fx.File("../../z", ""), fx.File("d/../w", "")}},
			map[string]string{"x": "f0", "y": "f0", "z": "f0", "w": "f0"},
		},
		"the last of equal names wins": {
			[][]fx.Entry{{fx.File("x", ""), fx.Symlink("x", "y")}},
			map[string]string{"x": "l0"},
		},
		"no layers": {nil, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var scans []*Scan
			for _, l := range x.layers {
				scans = append(scans, read(t, fx.Tar(l...)))
			}
			if got := paths(Merge(scans)); !maps.Equal(got, x.want) {
				t.Errorf("got %v\nwant %v", got, x.want)
			}
		})
	}
}

func TestHardLinks(t *testing.T) {
	t.Parallel()
	tree := Merge([]*Scan{
		read(t, fx.Tar(fx.File("cache/x/METADATA", "Name: low\n"), fx.File("cache/y/METADATA", "Name: same\n"))),
		read(t, fx.Tar(fx.HardLink("site/low/METADATA", "cache/x/METADATA"), fx.HardLink("site/far/METADATA", "nowhere"))),
		read(t, fx.Tar(fx.File("c/METADATA", "Name: here\n"), fx.HardLink("a/METADATA", "b/METADATA"), fx.HardLink("b/METADATA", "c/METADATA"))),
	})
	for p, want := range map[string]string{"/site/low/METADATA": "Name: low\n", "/a/METADATA": "Name: here\n", "/b/METADATA": "Name: here\n"} {
		if got, ok := tree.Body(p); !ok || string(got) != want {
			t.Errorf("%s = %q, %v, want %q", p, got, ok, want)
		}
	}
	if _, ok := tree.Body("/site/far/METADATA"); ok {
		t.Error("a link to nothing has a body")
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	var chain []fx.Entry
	for i := range 41 {
		chain = append(chain, fx.Symlink(fmt.Sprintf("c%d", i), fmt.Sprintf("c%d", i+1)))
	}
	tree := Merge([]*Scan{read(t, fx.Tar(append(chain,
		fx.Dir("usr"), fx.Dir("usr/bin"), fx.Program("usr/bin/bash", "#!x"), fx.Symlink("bin", "usr/bin"), fx.Symlink("abs", "/usr/bin/bash"),
		fx.Symlink("usr/rel", "../bin/bash"), fx.Symlink("up", "../../../usr/bin/bash"), fx.Symlink("loop", "pool"), fx.Symlink("pool", "loop"),
		fx.Symlink("dangling", "nothing"), fx.Symlink("slash", "usr/bin/bash/"), fx.File("c41", ""),
	)...))})
	for p, want := range map[string]string{
		"/bin/bash": "/usr/bin/bash", "bin/bash": "/usr/bin/bash", "/abs": "/usr/bin/bash", "/usr/rel": "/usr/bin/bash", "/up": "/usr/bin/bash",
		"/bin/../usr": "/usr", "/": "/", "/c1": "/c41", "/bin/./bash": "/usr/bin/bash",
	} {
		if got, _, err := tree.Resolve(p); err != nil || got != want {
			t.Errorf("Resolve(%s) = %s, %v, want %s", p, got, err, want)
		}
	}
	for p, code := range map[string]errs.Code{
		"/loop": errs.Invalid, "/dangling": errs.NotFound, "/nope": errs.NotFound, "/usr/bin/bash/x": errs.Invalid, "/c0": errs.Invalid,
	} {
		if got, _, err := tree.Resolve(p); !errs.Is(err, code) {
			t.Errorf("Resolve(%s) = %s, %v, want %s", p, got, err, code)
		}
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	plain := fx.Tar(fx.File("a", "1"), fx.File("b", strings.Repeat("x", 700_000)))
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	half := len(plain) / 2
	for name, stored := range map[string][]byte{
		"plain": plain, "gzip": fx.Gzip(plain), "zstd": z.EncodeAll(plain, nil), "gzip of two members": append(fx.Gzip(plain[:half]), fx.Gzip(plain[half:])...),
	} {
		s, err := Read(t.Context(), fx.Digest(plain), bytes.NewReader(stored), Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(s.Entries) != 2 || s.UnpackedSize != int64(len(plain)) {
			t.Errorf("%s: %d entries, %d bytes", name, len(s.Entries), s.UnpackedSize)
		}
	}
}

func TestBadLayers(t *testing.T) {
	t.Parallel()
	good := fx.Tar(fx.File("a", strings.Repeat("x", 5000)), fx.File("b", "2"))
	flipped := slices.Clone(good)
	flipped[700] ^= 1
	cutGzip := fx.Gzip(good)
	for name, x := range map[string]struct {
		diffID string
		stored []byte
		limits Limits
		want   errs.Code
	}{
		"other diffID":   {fx.Digest(nil), good, Limits{}, errs.Corrupt},
		"bit flip":       {fx.Digest(good), flipped, Limits{}, errs.Corrupt},
		"cut tar":        {fx.Digest(good), good[:3000], Limits{}, errs.Corrupt},
		"cut gzip":       {fx.Digest(good), cutGzip[:len(cutGzip)-9], Limits{}, errs.Corrupt},
		"no tar":         {fx.Digest(nil), bytes.Repeat([]byte("junk"), 1000), Limits{}, errs.Corrupt},
		"too large":      {fx.Digest(good), good, Limits{MaxUnpacked: 4096}, errs.Exhausted},
		"bomb":           {"sha256:x", bomb(t), Limits{}, errs.Exhausted},
		"too many files": {fx.Digest(good), good, Limits{Budget: &Budget{}}, errs.Exhausted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(t.Context(), x.diffID, bytes.NewReader(x.stored), x.limits)
			if !errs.Is(err, x.want) {
				t.Errorf("got %v, want %s", err, x.want)
			}
			if f, ok := err.(*Failure); !ok || f.DiffID != x.diffID {
				t.Errorf("error %v does not carry the layer", err)
			}
		})
	}
}

// bomb is a small zstd stream that unpacks to more than ratioFloor.
func bomb(t *testing.T) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	head := fx.Tar(fx.File("a", ""))[:512]
	frame := z.EncodeAll(append(head, make([]byte, 8<<20)...), nil)
	zeros := z.EncodeAll(make([]byte, 32<<20), nil)
	return append(frame, bytes.Repeat(zeros, 40)...)
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, "sha256:x", bytes.NewReader(fx.Tar(fx.File("a", ""))), Limits{}); !errs.Is(err, errs.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	long := "Name: x\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\n", 9000)
	tree := Merge([]*Scan{read(t, fx.Tar(
		fx.File("x.dist-info/METADATA", "Name: x\r\nVersion: 1\r\n\r\nRequires-Dist: body\n"), fx.File("y.dist-info/METADATA", "Name: \xff\n\n"),
		fx.File("l.dist-info/METADATA", long), fx.File("k.pem", "-----BEGIN RSA PRIVATE KEY-----\n"), fx.File("c.pem", "-----BEGIN CERTIFICATE-----\n"),
		fx.Program("run", "#!/bin/sh\nmore\n"), fx.Program("elf", fx.ELF(62)), fx.File("other", "text"),
	))})
	if body, _ := tree.Body("/x.dist-info/METADATA"); string(body) != "Name: x\r\nVersion: 1\r\n" {
		t.Errorf("header is %q", body)
	}
	for p, want := range map[string]Flag{
		"x.dist-info/METADATA": HasBody, "y.dist-info/METADATA": HasBody | NotUTF8, "l.dist-info/METADATA": HasBody | TooLong,
		"k.pem": PrivateKey, "c.pem": 0, "other": 0,
	} {
		if n, _ := tree.Lookup(p); n.Flag != want {
			t.Errorf("%s has flags %b, want %b", p, n.Flag, want)
		}
	}
	if n, _ := tree.Lookup("run"); string(n.Body) != "#!/bin/sh\n" {
		t.Errorf("head of run is %q", n.Body)
	}
	if n, _ := tree.Lookup("elf"); len(n.Body) != 20 {
		t.Errorf("head of elf has %d bytes", len(n.Body))
	}
}

func FuzzRead(f *testing.F) {
	f.Add(fx.Tar(fx.Dir("a"), fx.File("a/METADATA", "Name: x\n\nbody"), fx.Symlink("b", "a"), fx.HardLink("c", "a/METADATA"), fx.Whiteout("d"), fx.Opaque("a")))
	f.Add(fx.Gzip(fx.Tar(fx.File("a", "1"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Read(t.Context(), "", bytes.NewReader(data), Limits{MaxUnpacked: 1 << 24})
		if err != nil {
			return
		}
		again, err := decode(encode(s))
		if err != nil || len(again.Entries) != len(s.Entries) {
			t.Fatalf("scan does not survive its encoding: %v", err)
		}
		tree := Merge([]*Scan{s, again})
		tree.Walk(func(n Node) { _, _, _ = tree.Resolve(n.Path) })
	})
}

func FuzzDecode(f *testing.F) {
	s, err := Read(f.Context(), "", bytes.NewReader(fx.Tar(fx.File("a/METADATA", "Name: x\n"), fx.Whiteout("b"))), Limits{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encode(s))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := decode(data); err == nil {
			Merge([]*Scan{s})
		}
	})
}
