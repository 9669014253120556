// SPDX-License-Identifier: Apache-2.0

package dpkg

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"firn.dev/firn/internal/imagecheck/layer"
)

func tree(t *testing.T, layers ...[]fx.Entry) *layer.Tree {
	t.Helper()
	var scans []*layer.Scan
	for _, entries := range layers {
		data := fx.Tar(entries...)
		s, err := layer.Read(t.Context(), fx.Digest(data), bytes.NewReader(data), layer.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		scans = append(scans, s)
	}
	return layer.Merge(scans)
}

func TestInstalled(t *testing.T) {
	t.Parallel()
	const status = "Package: zlib1g\nStatus: install ok installed\nMulti-Arch: same\nArchitecture: amd64\nSource: zlib\nVersion: 1:1.2.13.dfsg-1\n\n" +
		"Package: zlib1g\r\nStatus: install ok installed\r\nArchitecture: i386\r\nSource: zlib\r\nVersion: 1:1.2.13.dfsg-1\r\n\r\n" +
		"Package: bash\nstatus: hold ok installed\nVersion: 5.2-2+b7\nsource: bash (5.2-2)\nArchitecture: amd64\nDescription: a shell\n Version: 9\n\tSource: x\n .\n\n" +
		"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n" +
		"Package: half\nStatus: install reinstreq half-installed\nVersion: 1\n\n" +
		"Package: nothing\nStatus: install ok installed\n\n\n\ngarbage\n"
	tr := tree(t,
		[]fx.Entry{fx.File("var/lib/dpkg/info/bash.list", ""), fx.File("var/lib/dpkg/info/zlib1g:amd64.list", ""), fx.File("var/lib/dpkg/status", "")},
		[]fx.Entry{fx.File("var/lib/dpkg/status", status), fx.File("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a-0\nArchitecture: all\n"),
			fx.File("var/lib/dpkg/status.d/tzdata.md5sums", "0 x\n")})
	var got []string
	for _, p := range Installed(tr) {
		got = append(got, fmt.Sprint(p.Name, " ", p.Version, " ", p.Arch, " ", p.Source, " ", p.SourceVersion, " ", p.Path, " ", p.Layer))
	}
	want := []string{
		"bash 5.2-2+b7 amd64 bash 5.2-2 /var/lib/dpkg/info/bash.list 0",
		"tzdata 2024a-0 all tzdata 2024a-0 /var/lib/dpkg/status.d/tzdata 1",
		"zlib1g 1:1.2.13.dfsg-1 amd64 zlib 1:1.2.13.dfsg-1 /var/lib/dpkg/info/zlib1g:amd64.list 0",
		"zlib1g 1:1.2.13.dfsg-1 i386 zlib 1:1.2.13.dfsg-1 /var/lib/dpkg/status 1",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestReadRelease(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][2]string{
		"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n": {"Debian:12", "Debian GNU/Linux 12 (bookworm)"},
		"ID='debian'\nVERSION_ID='13'": {"Debian:13", "debian 13"},
		"ID=debian\n":                  {"", "debian"},
		"ID=ubuntu\nVERSION_ID=22.04":  {"", "ubuntu 22.04"},
		"":                             {"", "an unknown distribution"},
	} {
		r := ReadRelease(tree(t, []fx.Entry{fx.File("usr/lib/os-release", body), fx.Symlink("etc/os-release", "../usr/lib/os-release")}))
		if r.Ecosystem() != want[0] || r.String() != want[1] {
			t.Errorf("%q: %q, %q", body, r.Ecosystem(), r)
		}
	}
}
