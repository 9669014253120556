// SPDX-License-Identifier: Apache-2.0

package dpkg

import (
	"bytes"
	"testing"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"firn.dev/firn/internal/imagecheck/layer"
)

func FuzzInstalled(f *testing.F) {
	f.Add("Package: a\nStatus: install ok installed\nVersion: 1:2-3\nSource: b (4)\nDescription: x\n y\n .\n\nPackage: c\r\nVersion: 1\r\n", "ID=debian\nVERSION_ID=\"12\"\n")
	f.Add("Package:\nVersion\n: \n\n\n\n \n", "ID='\n=\nPRETTY_NAME=")
	f.Fuzz(func(t *testing.T, status, release string) {
		s, err := layer.Read(t.Context(), "", bytes.NewReader(fx.Tar(fx.File("var/lib/dpkg/status", status), fx.File("var/lib/dpkg/status.d/x", status), fx.File("etc/os-release", release))), layer.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		tree := layer.Merge([]*layer.Scan{s})
		for i, p := range Installed(tree) {
			if p.Name == "" || p.Version == "" || p.Source == "" || p.Path == "" {
				t.Fatalf("package %d is %+v", i, p)
			}
		}
		_, _ = ReadRelease(tree).Ecosystem(), ReadRelease(tree).String()
	})
}
