// SPDX-License-Identifier: Apache-2.0

package vulndb

import (
	"archive/zip"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// bigSource writes a zip of n records: a third about Python, the rest about three releases of Debian each, a tenth of those about
// one source package.
func bigSource(b *testing.B, n int) string {
	b.Helper()
	name := filepath.Join(b.TempDir(), "all.zip")
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	for i := range n {
		entry, err := w.Create(fmt.Sprintf("R-%d.json", i))
		if err != nil {
			b.Fatal(err)
		}
		if i%3 == 0 {
			fmt.Fprintf(entry, `{"id":"GHSA-%04d-%04d-xxxx","modified":"2031-01-02T03:04:05Z","aliases":["CVE-2031-%d"],"details":"%0600d",
				"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:L/A:N"}],
				"affected":[{"package":{"ecosystem":"PyPI","name":"package-%d"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"%d.0"},{"fixed":"%d.%d.1"}]}],
				"versions":["%d.1","%d.2","%d.3","9.9"]}]}`, i%9999, i/9999, i, i, i%20000, i%3, i%3, i%17, i%3, i%3, i%3)
			continue
		}
		source := fmt.Sprintf("source-%d", i%8000)
		if i%10 == 1 {
			source = "linux"
		}
		fmt.Fprintf(entry, `{"id":"DEBIAN-CVE-2031-%d","modified":"2031-01-02T03:04:05Z","upstream":["CVE-2031-%d"],"details":"%0600d","affected":[`, i, i, i)
		for release := 11; release <= 13; release++ {
			fmt.Fprintf(entry, `{"package":{"ecosystem":"Debian:%d","name":"%s"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"%d.1.%d-1"}]}],
				"versions":["6.0.0-1","%d.1.0-1"],"ecosystem_specific":{"urgency":"not yet assigned"}}`, release, source, release-6, i%90, release-6)
			if release < 13 {
				fmt.Fprint(entry, ",")
			}
		}
		fmt.Fprint(entry, `]}`)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return name
}

// BenchmarkImage opens a database of 300,000 records and looks up what a base image has.
func BenchmarkImage(b *testing.B) {
	out := filepath.Join(b.TempDir(), "advisories.db")
	stats, err := Import(b.Context(), []string{bigSource(b, 300_000)}, out, day)
	if err != nil {
		b.Fatal(err)
	}
	var list []Package
	for i := range 180 {
		list = append(list, Package{PyPI, fmt.Sprintf("package-%d", i*111), "1.5.1"})
	}
	for i := range 149 {
		list = append(list, Package{"Debian:12", fmt.Sprintf("source-%d", i*53), "6.1.40-1"})
	}
	list = append(list, Package{"Debian:12", "linux", "6.1.40-1"})
	b.ReportAllocs()
	for b.Loop() {
		db, err := Open(out)
		if err != nil {
			b.Fatal(err)
		}
		found := 0
		for _, p := range list {
			matches, err := db.Match(p)
			if err != nil {
				b.Fatal(err)
			}
			found += len(matches)
		}
		if found == 0 {
			b.Fatal("nothing found")
		}
		_ = db.Close()
	}
	b.ReportMetric(float64(stats.Size), "bytes")
}
