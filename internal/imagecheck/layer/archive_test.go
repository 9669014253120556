// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"strings"
	"testing"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

func TestArchives(t *testing.T) {
	t.Parallel()
	egg := fx.Zip("pkg/a.py", "x", "EGG-INFO/PKG-INFO", "Name: a\n\nbody", "EGG-INFO/requires.txt", "b\n", "EGG-INFO/deep/PKG-INFO", "Name: no\n",
		"EGG-INFO/x.zip", strings.Repeat("x", 1<<20), "../b.dist-info/METADATA", "Name: no\n", "c.dist-info/METADATA", "Name: old\n", "c.dist-info/METADATA", "Name: c\n", "d.egg-info", "Name: d\n")
	data := fx.Tar(fx.File("a.egg", egg), fx.File("front.EGG", "#!/bin/sh\n"+egg), fx.File("no.zip", "text"), fx.Program("run.zip", "#!/bin/sh\nmore"), fx.File("cut.whl", egg[:len(egg)-9]),
		fx.File("many.zip", strings.Repeat("PK\x01\x02", archiveMembers+1)), fx.File("large.egg", egg+strings.Repeat("x", archiveMax)), fx.File("a.tar", egg))
	scan := read(t, data)
	again, err := decode(encode(scan))
	if err != nil {
		t.Fatal(err)
	}
	skimmed, err := Skim(t.Context(), scan.DiffID, bytes.NewReader(data), int64(len(data)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Scan{scan, again, skimmed} {
		tree := Merge([]*Scan{s})
		for name, want := range map[string]Flag{
			"a.egg": Archive | HasBody, "front.EGG": Archive | HasBody, "no.zip": 0, "run.zip": 0, "cut.whl": 0,
			"many.zip": Archive | TooLong, "large.egg": Archive | TooLong, "a.tar": 0,
		} {
			if n, _ := tree.Lookup(name); n.Flag != want {
				t.Errorf("%s has flags %b, want %b", name, n.Flag, want)
			}
		}
		if n, _ := tree.Lookup("run.zip"); string(n.Body) != "#!/bin/sh\n" {
			t.Errorf("a program that is no archive begins with %q", n.Body)
		}
		for _, name := range []string{"a.egg", "front.EGG"} {
			n, _ := tree.Lookup(name)
			inside, ok := n.Inside()
			if !ok {
				t.Fatalf("%s is no archive", name)
			}
			if got := strings.Join(inside.Children("/"), " "); got != "EGG-INFO c.dist-info d.egg-info" {
				t.Errorf("%s has %s", name, got)
			}
			for file, want := range map[string]string{"EGG-INFO/PKG-INFO": "Name: a\n", "EGG-INFO/requires.txt": "b\n", "c.dist-info/METADATA": "Name: c\n", "d.egg-info": "Name: d\n"} {
				if body, _ := inside.Body(file); string(body) != want {
					t.Errorf("%s: %s is %q", name, file, body)
				}
			}
		}
	}
}

// TestArchiveBomb is about members that unpack to more than all of the archives of an image are worth.
func TestArchiveBomb(t *testing.T) {
	t.Parallel()
	var packed, b bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, archiveUnpack)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(&b)
	const members = 1000
	for i := range members {
		m, err := z.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%d.dist-info/WHEEL", i), Method: zip.Deflate, CompressedSize64: uint64(packed.Len()), UncompressedSize64: archiveUnpack})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write(packed.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	entries, ok, whole := readArchive(b.Bytes())
	if !ok || whole || len(entries) > 10 {
		t.Errorf("archive %v, whole %v, %d entries", ok, whole, len(entries))
	}
}

func FuzzArchive(f *testing.F) {
	f.Add([]byte(fx.Zip("EGG-INFO/PKG-INFO", "Name: a\n", "x.dist-info/RECORD", "a.so,,\n", "x.egg-info", "Name: x\n")))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, ok, _ := readArchive(data)
		if !ok {
			return
		}
		for _, e := range entries {
			if e.Path == "" || e.Path[0] == '/' || strings.Contains("/"+e.Path+"/", "/../") {
				t.Fatalf("%q leads out of the archive", e.Path)
			}
		}
		e := Entry{Type: File, Flag: Archive | HasBody, Body: encode(&Scan{Entries: entries})}
		if _, ok := e.Inside(); !ok {
			t.Fatal("an archive does not survive its encoding")
		}
	})
}
