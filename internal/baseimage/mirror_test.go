// SPDX-License-Identifier: Apache-2.0

package baseimage

import (
	"testing"
	"testing/fstest"
)

func TestHostMirrors(t *testing.T) {
	t.Parallel()
	none := mirrors{}
	site := mirrors{main: "https://apt.site.example/deb", security: "https://apt.site.example/sec"}
	tests := []struct {
		name  string
		files map[string]string
		want  mirrors
	}{
		{"nothing", nil, none},
		{"one-line format", map[string]string{"sources.list": `
# deb https://old.example/debian bookworm main
deb-src https://src.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] https://apt.site.example/deb bookworm main contrib
deb https://apt.site.example/sec bookworm-security main
deb https://later.example/debian bookworm main
`}, site},
		{"deb822", map[string]string{"sources.list.d/debian.sources": `Types: deb deb-src
# URIs: http://snapshot.example/
URIs: https://apt.site.example/deb
Suites: trixie trixie-updates
Components: main

Types: deb
URIs: https://apt.site.example/sec
Suites: trixie-security
Components: main
`}, site},
		{"vendors and disabled archives are passed over", map[string]string{
			"sources.list.d/a.list":    "deb https://vendor.example/apt cloud-bookworm main\ndeb https://vendor.example/flat ./\n",
			"sources.list.d/b.sources": "Enabled: no\nTypes: deb\nURIs: https://off.example/debian\nSuites: bookworm\n",
			"sources.list.d/c.list":    "deb file:/srv/debian bookworm main\n",
			"sources.list.d/d.save":    "deb https://saved.example/debian bookworm main\n",
		}, none},
		{"another distribution", map[string]string{"sources.list": "deb http://archive.example/ubuntu noble main\ndeb http://security.example/ubuntu noble-security main\n"}, none},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			apt := fstest.MapFS{}
			for name, text := range test.files {
				apt[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := hostMirrors(apt); got != test.want {
				t.Errorf("hostMirrors() = %+v, want %+v", got, test.want)
			}
		})
	}
}
