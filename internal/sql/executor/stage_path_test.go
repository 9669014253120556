// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"testing"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func TestCleanPath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "/": "", "a": "a", "/a//b/": "a/b/", "a b/%c#": "a b/%c#", "a/.b": "a/.b", "..a/b..": "..a/b..",
	} {
		if got, err := cleanPath(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"..", "a/../b", "./a", "a/."} {
		if _, err := cleanPath(in); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: got %v", in, err)
		}
	}
}

func TestStagePlaceBelow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ place, file, want string }{
		{"", "a/b", "a/b"}, {"dir", "dir/f1", "f1"}, {"dir/", "dir/sub/f1", "sub/f1"}, {"dir/tool.py", "dir/tool.py", "tool.py"},
		{"tool.py", "tool.py", "tool.py"}, {"glob", "globgz/f", "globgz/f"}, {"a/glob", "a/globgz/f", "globgz/f"},
	} {
		if got := (stagePlace{path: c.place}).below(c.file); got != c.want {
			t.Errorf("%s below %s: got %q, want %q", c.file, c.place, got, c.want)
		}
	}
}

func TestStagePlaceShown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             catalog.Name
		shown, reference string
	}{
		{catalog.Name{Database: "D", Schema: "S", Object: "MY_ST"}, "my_st/a/b", "@D.S.MY_ST/a"},
		{catalog.Name{Database: "D", Schema: "S", Object: "odd.Name-x"}, "odd.Name-x/a/b", `@D.S."odd.Name-x"/a`},
		{catalog.Name{}, "a/b", "@~/a"},
	} {
		p := stagePlace{&catalog.Object{Name: c.name}, "a/"}
		if p.shown("a/b") != c.shown || p.reference() != c.reference {
			t.Errorf("%v: got %q and %q", c.name, p.shown("a/b"), p.reference())
		}
	}
}

func TestFilePatternMatchesTheWholePath(t *testing.T) {
	t.Parallel()
	p := stagePlace{stage: &catalog.Object{Name: catalog.Name{Object: "ST"}}}
	files := []*catalog.File{{Path: "a.csv"}, {Path: "d/b.csv"}, {Path: "c.csvx"}}
	re, err := filePattern(`.*\.csv`)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.matching(files, re); len(got) != 2 {
		t.Errorf("got %d files", len(got))
	}
	if re, err = filePattern(`st/a\.csv`); err != nil || len(p.matching(files, re)) != 1 {
		t.Errorf("the stage's name is part of the path: %v", err)
	}
	if _, err := filePattern("("); !errs.Is(err, errs.Invalid) {
		t.Errorf("got %v", err)
	}
}
