// SPDX-License-Identifier: Apache-2.0

package vulndb

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firn.dev/firn/internal/errs"
)

var day = time.Date(2031, 5, 1, 12, 0, 0, 5, time.UTC)

// imported makes a database of sources and opens it.
func imported(t testing.TB, sources ...string) (*DB, Stats, string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "advisories.db")
	stats, err := Import(t.Context(), sources, out, day)
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, stats, out
}

// zipped packs a directory.
func zipped(t *testing.T, dir string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "all.zip")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestMatch(t *testing.T) {
	t.Parallel()
	db, _, _ := imported(t, "testdata/osv")
	for _, x := range []struct{ ecosystem, name, version, want string }{
		{PyPI, "templater", "3.1.3", "CVE-2031-1001 critical [3.1.4] GHSA-aaaa-bbbb-0001 PYSEC-2031-11"},
		{PyPI, "TemplateR", "0.1.dev1", "CVE-2031-1001 critical [3.1.4] GHSA-aaaa-bbbb-0001 PYSEC-2031-11"},
		{PyPI, "templater", "3.1.4rc1", "CVE-2031-1001 critical [3.1.4] GHSA-aaaa-bbbb-0001 PYSEC-2031-11"},
		{PyPI, "templater", "not a version", "CVE-2031-1001 critical [3.1.4] GHSA-aaaa-bbbb-0001 PYSEC-2031-11"},
		{PyPI, "templater", "3.1.4", ""},
		{PyPI, "templater", "3.1.4.post1", ""},
		{PyPI, "wheelhouse", "0.9", ""},
		{PyPI, "wheelhouse", "1.0", "CVE-2031-1002 medium [] GHSA-aaaa-bbbb-0002"},
		{PyPI, "wheelhouse", "1.4.0", "CVE-2031-1002 medium [] GHSA-aaaa-bbbb-0002"},
		{PyPI, "wheelhouse", "1.4.1", ""},
		{PyPI, "wheelhouse", "2.0b9", ""},
		{PyPI, "wheelhouse", "2.1", "CVE-2031-1002 medium [2.2] GHSA-aaaa-bbbb-0002"},
		{PyPI, "wheelhouse", "2.3", ""},
		{PyPI, "wheelhouse", "2.4", "CVE-2031-1002 medium [2.4.1] GHSA-aaaa-bbbb-0002"},
		{PyPI, "Listed_Only", "1.0.0", "PYSEC-2031-12 unknown []"},
		{PyPI, "listed-only", "1.1", "PYSEC-2031-12 unknown []"},
		{PyPI, "listed-only", "2.0rc1", "PYSEC-2031-12 unknown []"},
		{PyPI, "listed-only", "1.3.post1", "PYSEC-2031-12 unknown []"},
		{PyPI, "listed-only", "1.0+local", "PYSEC-2031-12 unknown []"},
		{PyPI, "listed-only", "1.3", ""},
		{PyPI, "torchlike", "2.1.0+cu118", "GHSA-aaaa-bbbb-0004 medium []"},
		{PyPI, "torchlike", "2.1.0.post1", ""},
		{PyPI, "epochal", "2.0", ""},
		{PyPI, "epochal", "1!2.0", "PYSEC-2031-14 unknown [1!2.0.post1]"},
		{PyPI, "unheard-of", "1", ""},
		{"npm", "wheelhouse", "1.0", ""},
		{"Debian:11", "cipher", "9:9", "CVE-2031-2001 high [] DEBIAN-CVE-2031-2001"},
		{"Debian:12", "cipher", "3.0.11-1~deb12u1", "CVE-2031-2001 high [3.0.11-1~deb12u2] DEBIAN-CVE-2031-2001 DSA-9001-1"},
		{"Debian:12", "cipher", "3.0.11-1~deb12u2", ""},
		{"Debian:12", "cipher", "3.0.11-1", ""},
		{"Debian:13", "cipher", "3.1.4-1", "CVE-2031-2001 high [3.1.4-2] DEBIAN-CVE-2031-2001"},
		{"Debian:14", "cipher", "1", ""},
		{"Debian:12", "untracked", "2.0-1", "DSA-9002-1 unknown [1:2.0-1] CVE-2031-2003 CVE-2031-2004"},
		{"Debian:12", "untracked", "1:2.0-1", ""},
		{"Debian:12", "glob", "2:9.0~beta2-1", "CVE-2031-2005 medium [2:9.0~rc1-3] DLA-9003-1 RHSA-2031:77"},
		{"Debian:12", "glob", "2:9.0-1", ""},
		{"Debian:12", "epochs", "1:0.1", "CVE-2031-2006 low []"},
		{"Debian:12", "epochs", "7.0", ""},
		{"Debian:12", "epochs", "no version", ""},
		{"Debian:12", "wheelhouse", "1.0", ""},
	} {
		matches, err := db.Match(Package{x.ecosystem, x.name, x.version})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, m := range matches {
			texts = append(texts, strings.TrimSpace(m.ID+" "+string(m.Severity)+" ["+strings.Join(m.Fixed, ",")+"] "+strings.Join(m.Aliases, " ")))
		}
		if got := strings.Join(texts, "; "); got != x.want {
			t.Errorf("%s %s %s: got %q, want %q", x.ecosystem, x.name, x.version, got, x.want)
		}
	}
}

func TestImportIsReproducible(t *testing.T) {
	t.Parallel()
	db, stats, first := imported(t, "testdata/osv")
	// The order of the sources, their form and records given twice make no difference.
	_, _, second := imported(t, zipped(t, "testdata/osv/Debian"), "testdata/osv/PyPI", "testdata/osv/PyPI/PYSEC-2031-12.json")
	a, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the same records give another file")
	}
	sum := sha256.Sum256(a)
	want := Info{Built: day.Truncate(time.Second), Newest: time.Date(2031, 4, 2, 0, 0, 0, 0, time.UTC), SHA256: hex.EncodeToString(sum[:]), Records: 11}
	if db.Info() != want || stats.Info != want {
		t.Errorf("info is %+v and %+v, want %+v", db.Info(), stats.Info, want)
	}
	if stats.Withdrawn != 1 || stats.Malicious != 1 || stats.Elsewhere != 2 || stats.Vulnerabilities != 10 || stats.Packages != 11 || stats.Size != int64(len(a)) {
		t.Errorf("stats are %+v", stats)
	}
}

func TestNewerCopyWins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/X-1.json": `{"id":"X-1","modified":"2030-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"PyPI","name":"p"},"versions":["1"]}]}`,
		"b/X-1.json": `{"id":"X-1","modified":"2031-01-01T00:00:00Z","withdrawn":"2031-01-01T00:00:00Z"}`,
		"b/X-2.json": `{"id":"X-2","modified":"2029-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"PyPI","name":"p"},"versions":["2"]}]}`,
	} {
		if err := os.MkdirAll(filepath.Join(dir, name[:1]), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, _, _ := imported(t, dir)
	old, err := db.Match(Package{PyPI, "p", "1"})
	if err != nil || len(old) > 0 {
		t.Errorf("a record that was withdrawn later still matches: %v, %v", old, err)
	}
}

func TestImportErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return full
	}
	other := `{"id":"X","affected":[{"package":{"ecosystem":"npm","name":"x"},"versions":["1"]}]}`
	for name, x := range map[string]struct {
		src  string
		code errs.Code
		text string
	}{
		"missing":    {filepath.Join(dir, "nope"), errs.NotFound, "nope"},
		"no zip":     {file("text.zip", "hello"), errs.Invalid, "text.zip"},
		"empty":      {filepath.Dir(file("empty/readme.md", "")), errs.Invalid, "no *.json"},
		"no json":    {filepath.Dir(file("bad/R-1.json", "{")), errs.Invalid, "R-1.json"},
		"no id":      {filepath.Dir(file("noid/R-2.json", "{}")), errs.Invalid, "no id"},
		"elsewhere":  {file("npm/R-3.json", other), errs.Invalid, "PyPI or Debian"},
		"no such db": {"testdata/osv", errs.Unavailable, "cannot be written"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out.db")
			if name == "no such db" {
				out = filepath.Join(t.TempDir(), "no/such/directory/out.db")
			}
			_, err := Import(t.Context(), []string{x.src}, out, day)
			if errs.CodeOf(err) != x.code || !strings.Contains(errs.MessageOf(err), x.text) {
				t.Errorf("error is %v", err)
			}
			if left, _ := fs.Glob(os.DirFS(filepath.Dir(out)), "*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	_, _, good := imported(t, "testdata/osv")
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	flipped, foreign := slices.Clone(data), slices.Clone(data)
	flipped[len(data)/2] ^= 1
	foreign[7] = '9'
	for name, x := range map[string]struct {
		data []byte
		code errs.Code
	}{
		"flipped": {flipped, errs.Corrupt}, "cut": {data[:len(data)-9], errs.Corrupt}, "empty": {nil, errs.Corrupt},
		"magic only": {data[:8], errs.Corrupt}, "other layout": {foreign, errs.Unsupported}, "something else": {[]byte("hello world, I am text"), errs.Corrupt},
	} {
		name, x := name, x
		file := filepath.Join(t.TempDir(), "x.db")
		if err := os.WriteFile(file, x.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(file); errs.CodeOf(err) != x.code {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if _, err := Open(good + "x"); !errs.Is(err, errs.NotFound) {
		t.Errorf("error is %v", err)
	}
	if _, err := Open(filepath.Dir(good)); !errs.Is(err, errs.Unavailable) {
		t.Errorf("error is %v", err)
	}
}

func TestMatchConcurrently(t *testing.T) {
	t.Parallel()
	db, _, _ := imported(t, "testdata/osv")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				for _, p := range []Package{{PyPI, "templater", "1"}, {"Debian:12", "cipher", "1"}} {
					if m, err := db.Match(p); err != nil || len(m) != 1 {
						t.Errorf("%v: %v, %v", p, m, err)
					}
				}
			}
		})
	}
	group.Wait()
}
