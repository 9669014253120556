// SPDX-License-Identifier: Apache-2.0

package python

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"firn.dev/firn/internal/imagecheck/layer"
	"github.com/google/go-cmp/cmp"
)

// inspect reads an image of one layer.
func inspect(t testing.TB, env map[string]string, entries ...fx.Entry) []*Environment {
	t.Helper()
	s, err := layer.Read(t.Context(), "", bytes.NewReader(fx.Tar(entries...)), layer.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	path := []string{"/usr/local/bin", "/usr/bin"}
	if p := env["PATH"]; p != "" {
		path = strings.Split(p, ":")
	}
	return Inspect(layer.Merge([]*layer.Scan{s}), Input{
		Env: env, Path: path, Home: "/root", LayerOf: func(int) (string, string) { return "sha256:x", "unknown" },
		Ignore: func(pkg, dependency, _ string) string {
			if pkg == "ignored" || dependency == "ignored" {
				return "ignored"
			}
			return ""
		},
	})
}

// interpreter is a python in /usr/local.
func interpreterFiles(minor, full string) []fx.Entry {
	return []fx.Entry{
		fx.Program("usr/local/bin/python"+minor, fx.ELF(62)), fx.Symlink("usr/local/bin/python3", "python"+minor),
		fx.File("usr/local/lib/python"+minor+"/os.py", ""),
		fx.File("usr/local/include/python"+minor+"/patchlevel.h", "#define PY_VERSION \""+full+"\"\n"),
	}
}

type answer struct {
	Exit  int
	Lines []string
}

func TestPipCheckOfRealPips(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/pipcheck.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var data struct {
		Cases   map[string]map[string][]byte
		Extra   map[string][]byte
		Patch   map[string]string
		Answers map[string]answer
	}
	if err := json.NewDecoder(z).Decode(&data); err != nil {
		t.Fatal(err)
	}
	if len(data.Answers) < 450 {
		t.Fatalf("only %d recorded answers", len(data.Answers))
	}
	for key, want := range data.Answers {
		part := strings.Split(key, "|")
		minor, name, pip := part[0], part[1], part[2]
		site := "usr/local/lib/python" + minor + "/site-packages"
		entries := interpreterFiles(minor, data.Patch[minor])
		for dir, tree := range map[string]map[string][]byte{site: data.Cases[name], "opt/extra": data.Extra} {
			for _, p := range slices.Sorted(maps.Keys(tree)) {
				entries = append(entries, fx.File(dir+"/"+p, string(tree[p])))
			}
		}
		entries = append(entries, fx.Wheel(site, "pip", pip))
		got := inspect(t, nil, entries...)[0].Pip
		if diff := cmp.Diff(want, answer{got.Exit, got.Lines}); diff != "" {
			t.Errorf("%s: -real +ours\n%s", key, diff)
		}
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte("Name: x\nVersion: 1\nRequires-Dist: y[z]>=1; extra == 'q'\nProvides-Extra: q\n\n"), []byte("a>=1\n[b:python_version<'3']\nc"))
	f.Add([]byte("\xef\xbb\xbfName: \xff\r\n folded\r\n\r\n"), []byte("["))
	f.Fuzz(func(t *testing.T, metadata, requires []byte) {
		site := "usr/local/lib/python3.11/site-packages"
		entries := append(interpreterFiles("3.11", "3.11.2"),
			fx.File(site+"/x-1.dist-info/METADATA", string(metadata)), fx.File(site+"/y.egg-info/PKG-INFO", string(metadata)),
			fx.File(site+"/y.egg-info/requires.txt", string(requires)), fx.File(site+"/x-1.dist-info/WHEEL", string(requires)),
			fx.File(site+"/z.pth", string(requires)), fx.File(site+"/q.egg-link", string(requires)),
			fx.File("opt/v/pyvenv.cfg", string(requires)), fx.Symlink("opt/v/bin/python", "/usr/local/bin/python3"),
			fx.File("var/lib/dpkg/status", string(metadata)))
		for _, e := range inspect(t, nil, entries...) {
			if len(e.Problems) > e.ProblemsTotal {
				t.Fatal("more problems than counted")
			}
		}
	})
}
