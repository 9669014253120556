// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"strings"
	"testing"

	"firn.dev/firn/internal/errs"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

// tarHeader is one tar header with a checksum, changed by hand: archive/tar does not write sparse files.
func tarHeader(name string, kind byte, size int, change func(header []byte)) []byte {
	header := make([]byte, 512)
	copy(header, name)
	copy(header[100:], "0000644\x000000000\x000000000\x00")
	copy(header[124:], fmt.Sprintf("%011o\x0000000000000\x00", size))
	header[156] = kind
	copy(header[257:], "ustar  \x00")
	if change != nil {
		change(header)
	}
	copy(header[148:], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	return header
}

func padded(text string) []byte {
	return append([]byte(text), make([]byte, (512-len(text)%512)%512)...)
}

// sparse are files of which only the end, or the middle, is stored.
func sparse() []byte {
	var b bytes.Buffer
	text := "Name: x\n\n"
	b.Write(tarHeader("old/METADATA", tar.TypeGNUSparse, len(text), func(h []byte) {
		copy(h[386:], fmt.Sprintf("%011o\x00%011o\x00", 0, len(text))) // what is stored stands at the beginning
		h[483] = 0x80
		binary.BigEndian.PutUint64(h[487:], 1<<40) // and the rest is a hole
	}))
	b.Write(padded(text))
	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=new/METADATA", "GNU.sparse.realsize=1048576"} {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r)
	}
	b.Write(tarHeader("PaxHeaders/x", tar.TypeXHeader, len(records), nil))
	b.Write(padded(records))
	data := append(padded(fmt.Sprintf("2\n0\n%d\n1048576\n0\n", len(text))), text...)
	b.Write(tarHeader("GNUSparseFile.0/x", tar.TypeReg, len(data), nil))
	b.Write(padded(string(data)))
	return append(b.Bytes(), make([]byte, 1024)...)
}

func TestSparseFiles(t *testing.T) {
	t.Parallel()
	tree := Merge([]*Scan{read(t, sparse())})
	for p, size := range map[string]int64{"old/METADATA": 1 << 40, "new/METADATA": 1 << 20} {
		if n, ok := tree.Lookup(p); !ok || n.Size != size || string(n.Body) != "Name: x\n" {
			t.Errorf("%s: %v, %d bytes, body %q", p, ok, n.Size, n.Body)
		}
	}
}

func TestLongNames(t *testing.T) {
	t.Parallel()
	long, odd := strings.Repeat("long/", 60)+"ünï☃ name", "\xff\xfe"
	var b bytes.Buffer
	b.Write(tarHeader("././@LongLink", tar.TypeGNULongName, len(long)+1, nil))
	b.Write(padded(long + "\x00"))
	b.Write(tarHeader(long[:100], tar.TypeReg, 0, nil))
	b.Write(tarHeader("././@LongLink", tar.TypeGNULongLink, len(long)+1, nil))
	b.Write(padded(long + "\x00"))
	b.Write(tarHeader("link", tar.TypeSymlink, 0, nil))
	b.Write(tarHeader(odd, tar.TypeReg, 0, nil))
	b.Write(make([]byte, 1024))
	gnu := paths(Merge([]*Scan{read(t, b.Bytes())}))
	pax := paths(Merge([]*Scan{read(t, fx.Tar(fx.File(long, ""), fx.Symlink("link", long)))}))
	if gnu[odd] != "f0" {
		t.Errorf("a name that is no UTF-8 is lost: %v", gnu)
	}
	delete(gnu, odd)
	if gnu[long] != "f0" || !maps.Equal(gnu, pax) {
		t.Errorf("GNU names give %v\nPAX names %v", gnu, pax)
	}
	scan := read(t, b.Bytes())
	if p, _, err := Merge([]*Scan{scan}).Resolve("/link"); err != nil || p != "/"+long {
		t.Errorf("a long link leads to %q, %v", p, err)
	}
	_, err := Read(t.Context(), "", bytes.NewReader(fx.Tar(fx.File("a", ""), fx.File(strings.Repeat("n", pathMax+1), ""))), Limits{})
	if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "at byte ") {
		t.Errorf("a name that no system takes: %v", err)
	}
}

// TestOneAfterTheOther is about entries that change what came before them in the same layer.
func TestOneAfterTheOther(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		layers [][]fx.Entry
		want   map[string]string
	}{
		"below a link": {
			[][]fx.Entry{{fx.Dir("usr"), fx.Symlink("lib", "usr"), fx.File("lib/f", ""), fx.Dir("lib/d"), fx.File("lib/d/g", "")}},
			map[string]string{"usr": "d0", "lib": "l0", "usr/f": "f0", "usr/d": "d0", "usr/d/g": "f0"},
		},
		"below a link of a link, absolute and out of the root": {
			[][]fx.Entry{{fx.Dir("usr"), fx.Symlink("a", "/b"), fx.Symlink("b", "../../usr/./"), fx.File("a/f", "")}},
			map[string]string{"usr": "d0", "a": "l0", "b": "l0", "usr/f": "f0"},
		},
		"below a loop": {
			[][]fx.Entry{{fx.Symlink("a", "b"), fx.Symlink("b", "a"), fx.File("a/f", "")}},
			map[string]string{"a": "l0", "b": "l0", "a/f": "f0"},
		},
		"a file over a directory": {
			[][]fx.Entry{{fx.File("a/f", ""), fx.Dir("a/d"), fx.File("a/d/g", ""), fx.File("a", "")}}, map[string]string{"a": "f0"},
		},
		"a mark below a link": {
			[][]fx.Entry{{fx.File("usr/f", ""), fx.File("usr/g", "")}, {fx.Dir("usr"), fx.Symlink("l", "usr"), fx.Whiteout("l/f")}, {fx.Dir("usr"), fx.Symlink("m", "usr"), fx.Opaque("m")}},
			map[string]string{"usr": "d2", "l": "l1", "m": "l2"},
		},
		"the root is not opaque": {[][]fx.Entry{{fx.File("a", "")}, {fx.File(".wh..wh..opq", "")}}, map[string]string{"a": "f0"}},
		"marks imply directories": {
			[][]fx.Entry{{fx.Symlink("a", "b")}, {fx.Whiteout("a/x"), fx.Opaque("c/d")}}, map[string]string{"a": "d-1", "c": "d-1", "c/d": "d-1"},
		},
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

func TestNamesOfOneFile(t *testing.T) {
	t.Parallel()
	tree := Merge([]*Scan{
		read(t, fx.Tar(fx.File("a", "1"), fx.Entry{Name: "b", Link: "a", Mode: 0o4755, UID: 7, Type: tar.TypeLink}, fx.Dir("d"), fx.File("d/x", "12"), fx.Symlink("l", "d"), fx.HardLink("y", "l/x"))),
		read(t, fx.Tar(fx.Entry{Name: "c", Link: "a", Mode: 0o755, Type: tar.TypeLink})),
	})
	for p, want := range map[string]string{"a": "f 4755 7 1", "b": "f 4755 7 1", "c": "f 755 0 1", "y": "f 644 0 2"} {
		if n, _ := tree.Lookup(p); fmt.Sprintf("%c %o %d %d", n.Type, n.Mode, n.UID, n.Size) != want {
			t.Errorf("%s is %c %o %d %d, want %s", p, n.Type, n.Mode, n.UID, n.Size, want)
		}
	}
}
