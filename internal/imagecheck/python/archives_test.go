// SPDX-License-Identifier: Apache-2.0

package python

import (
	"slices"
	"strings"
	"testing"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"github.com/google/go-cmp/cmp"
)

func TestZippedEggs(t *testing.T) {
	t.Parallel()
	entries := append(interpreterFiles("3.11", "3.11.9"), fx.Wheel(site, "pip", "26.3"),
		fx.File(site+"/easy-install.pth", "./a-1.0-py3.11.egg\n./large-2.0-py3.11.egg\n./nothing.zip\n"), fx.File(site+"/nothing.zip", "text"),
		fx.File(site+"/a-1.0-py3.11.egg", fx.Zip("EGG-INFO/PKG-INFO", "Name: a\nVersion: 1.0\n", "EGG-INFO/requires.txt", "gone>=1\nlarge\n")),
		fx.File(site+"/unlisted-1.0-py3.11.egg", fx.Zip("EGG-INFO/PKG-INFO", "Name: unlisted\nVersion: 1.0\n")),
		fx.File(site+"/large-2.0-py3.11.egg", strings.Repeat("x", 32<<20+1)),
		fx.File("opt/w-1-py3-none-any.whl", fx.Zip("w-1.dist-info/METADATA", "Name: w\nVersion: 1\nRequires-Dist: gone\n")))
	e := inspect(t, map[string]string{"PYTHONPATH": "/opt/w-1-py3-none-any.whl"}, entries...)[0]
	if d := cmp.Diff([]string{"a 1.0", "large 2.0", "pip 26.3", "w 1"}, installedIn(e)); d != "" {
		t.Error(d)
	}
	want := []string{"/opt/w-1-py3-none-any.whl", "/usr/local/lib/python3.11", "/" + site, "/" + site + "/a-1.0-py3.11.egg", "/" + site + "/large-2.0-py3.11.egg"}
	if d := cmp.Diff(want, e.SysPath); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a 1.0 requires gone, which is not installed."}, e.Pip.Lines); d != "" {
		t.Error(d)
	}
	if !slices.ContainsFunc(e.Problems, func(p Problem) bool { return p.Kind == "invalid_metadata" && p.Package == "large" && !p.InPip() }) {
		t.Errorf("nothing tells that an egg was not read: %+v", e.Problems)
	}
}

// TestZippedEggsThatAreNotUTF8 has what real pips did: 0 and 1 are the exit codes of pip check, 2 is a traceback.
func TestZippedEggsThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	for pip, want := range map[string][4]int{"23.3.2": {0, 1, 1, 2}, "24.0": {0, 1, 1, 2}, "24.3.1": {0, 2, 2, 2}, "25.3": {0, 2, 0, 2}} {
		for i, exit := range want {
			minor, pth := []string{"3.10", "3.12"}[i/2], []string{"", "./eta-2-py3.egg\n"}[i%2]
			dir := "usr/local/lib/python" + minor + "/site-packages"
			e := inspect(t, nil, append(interpreterFiles(minor, minor+".1"), fx.Wheel(dir, "pip", pip), fx.File(dir+"/easy-install.pth", pth),
				fx.File(dir+"/eta-2-py3.egg", fx.Zip("EGG-INFO/PKG-INFO", "Name: eta\nVersion: 2\n\ncaf\xe9\n", "EGG-INFO/requires.txt", "gone\n")))...)[0]
			if e.Pip.Exit != exit {
				t.Errorf("pip %s of Python %s, listed: %v: exit %d, want %d", pip, minor, pth != "", e.Pip.Exit, exit)
			}
		}
	}
}

// TestPathFileEncodings has what real interpreters from 3.8 to 3.13 did; e2e/test_truth.py asks one again.
func TestPathFileEncodings(t *testing.T) {
	t.Parallel()
	const latin, utf, mark = "/opt/caf\xe9\n", "/opt/caf\u00e9\n", "\ufeff/opt/plain\n"
	for name, x := range map[string]struct {
		minor, text, env string
		locale           string // that the image has
		want             string // what is added, "dies" for an interpreter that does not start
	}{
		"latin":                      {"3.11", latin, "", "", "dies"},
		"latin, newest":              {"3.13", latin, "", "", "dies"},
		"UTF-8":                      {"3.11", utf, "", "", "/opt/caf\u00e9"},
		"UTF-8, C":                   {"3.11", utf, "LC_ALL=C", "", "dies"},
		"UTF-8, C, older":            {"3.10", utf, "LC_ALL=C", "", "/opt/caf\u00e9"},
		"UTF-8, C, newer":            {"3.13", utf, "LC_ALL=C", "", "/opt/caf\u00e9"},
		"UTF-8, LANG is C":           {"3.12", utf, "LANG=C", "", "/opt/caf\u00e9"},
		"UTF-8, not coerced":         {"3.12", utf, "PYTHONCOERCECLOCALE=0", "", "dies"},
		"UTF-8, not coerced, older":  {"3.9", utf, "PYTHONCOERCECLOCALE=0", "", "/opt/caf\u00e9"},
		"UTF-8, no mode, older":      {"3.9", utf, "LC_ALL=C PYTHONUTF8=0", "", "dies"},
		"UTF-8, unknown locale":      {"3.12", utf, "LC_ALL=xx_XX", "", "dies"},
		"UTF-8, unknown LANG":        {"3.12", utf, "LANG=de_DE", "", "/opt/caf\u00e9"},
		"latin in its locale":        {"3.11", latin, "LC_ALL=de_DE.ISO-8859-1", "de_DE.iso88591", "/opt/caf\xe9"},
		"latin in its locale, newer": {"3.13", latin, "LANG=de_DE.ISO-8859-1", "de_DE.iso88591", "/opt/caf\xe9"},
		"latin in UTF-8 mode":        {"3.10", latin, "LANG=de_DE.ISO-8859-1 PYTHONUTF8=1", "de_DE.iso88591", "dies"},
		"mark":                       {"3.12", mark, "", "", ""},
		"mark, newer":                {"3.13", mark, "", "", "/opt/plain"},
		"form feed":                  {"3.12", "/opt/plain\f/x\n", "", "", ""},
		"form feed, newer":           {"3.13", "/opt/plain\f/x\n", "", "", "/opt/plain"},
		"carriage returns":           {"3.9", "/nowhere\r/opt/plain\r", "", "", "/opt/plain"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{}
			for one := range strings.FieldsSeq(x.env) {
				key, value, _ := strings.Cut(one, "=")
				env[key] = value
			}
			dir := "usr/local/lib/python" + x.minor + "/site-packages"
			entries := append(interpreterFiles(x.minor, x.minor+".30"), fx.File(dir+"/a.pth", x.text), fx.Dir("opt/caf\xe9"), fx.Dir("opt/caf\u00e9"), fx.Dir("opt/plain"))
			if x.locale != "" {
				entries = append(entries, fx.Dir("usr/lib/locale/"+x.locale))
			}
			e := inspect(t, env, entries...)[0]
			got := strings.Join(e.SysPath[2:], " ")
			if e.Dies() != "" {
				got = "dies"
			}
			if got != x.want {
				t.Errorf("got %q, want %q", got, x.want)
			}
			if (e.Dies() != "") != (e.Pip.Exit == 2) {
				t.Errorf("pip exits with %d", e.Pip.Exit)
			}
		})
	}
}

func TestRelocated(t *testing.T) {
	t.Parallel()
	debian := func(prefix string) []fx.Entry {
		return []fx.Entry{
			fx.Program(prefix+"/bin/python3.11", fx.ELF(62)), fx.Symlink(prefix+"/bin/python3", "python3.11"), fx.File(prefix+"/lib/python3.11/os.py", ""),
			fx.File(prefix+"/lib/python3.11/site.py", `"dist-packages"`), fx.Wheel(prefix+"/local/lib/python3.11/dist-packages", "local", "1"),
			fx.Wheel(prefix+"/lib/python3/dist-packages", "shared", "1"), fx.Wheel(prefix+"/lib/python3.11/site-packages", "unseen", "1"),
		}
	}
	links := []fx.Entry{fx.Symlink("opt/link", "/opt/usr"), fx.Symlink("srv/bin/python3", "/opt/link/bin/python3"), fx.Program("copy/bin/python3.11", fx.ELF(62)), fx.Symlink("copy/bin/python3", "python3.11")}
	for path, prefix := range map[string]string{"/opt/usr/bin": "/opt/usr", "/opt/link/bin": "/opt/link", "/srv/bin": "/opt/link", "/copy/bin": "/usr"} {
		e := inspect(t, map[string]string{"PATH": path}, slices.Concat(debian("opt/usr"), debian("usr"), links)...)[0]
		if e.Prefix != prefix || e.Kind != "debian" {
			t.Errorf("%s is %s %s, want %s", path, e.Kind, e.Prefix, prefix)
		}
		want := []string{prefix + "/lib/python3.11", prefix + "/local/lib/python3.11/dist-packages", prefix + "/lib/python3/dist-packages"}
		if d := cmp.Diff(want, e.SysPath); d != "" {
			t.Errorf("%s: %s", path, d)
		}
	}
}
