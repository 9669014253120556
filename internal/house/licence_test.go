// SPDX-License-Identifier: Apache-2.0

package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// licences that Firn's programs may contain, by a phrase of their texts.
var licences = []struct{ name, phrase string }{
	{"Apache-2.0", "apache license"},
	{"MIT", "permission is hereby granted, free of charge"},
	{"BSD", "redistribution and use in source and binary forms"},
	{"ISC", "permission to use, copy, modify, and/or distribute"},
	{"ISC", "permission to use, copy, modify, and distribute this software"},
	{"MPL-2.0", "mozilla public license"},
	{"Unlicense", "this is free and unencumbered software"},
	{"CC0", "creative commons legal code"},
}

// TestLicences looks at every module that is linked into the programs: its licence is one that we know and may use.
func TestLicences(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Dir}}{{end}}", "../../cmd/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	modules := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, dir, ok := strings.Cut(strings.TrimSpace(line), " "); ok && path != "firn.dev/firn" {
			modules[path] = dir
		}
	}
	if len(modules) < 20 {
		t.Fatalf("found %d modules: the list is broken", len(modules))
	}
	for path, dir := range modules {
		if name := licenceOf(dir); name == "" {
			t.Errorf("%s: no licence that the programs may contain was found in %s", path, dir)
		}
	}
}

func licenceOf(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		name := strings.ToLower(e.Name())
		if !strings.HasPrefix(name, "licen") && !strings.HasPrefix(name, "copying") && name != "unlicense" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		folded := strings.Join(strings.Fields(strings.ToLower(string(text))), " ")
		for _, l := range licences {
			if strings.Contains(folded, l.phrase) {
				return l.name
			}
		}
	}
	return ""
}

// TestDependenciesHaveReasons holds docs/dependencies.md against go.mod: every direct dependency has a row, and every row is one.
func TestDependenciesHaveReasons(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, have []string
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1) {
		want = append(want, m[1])
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		have = append(have, m[1])
	}
	for _, path := range want {
		if !slices.Contains(have, path) {
			t.Errorf("docs/dependencies.md gives no reason for %s", path)
		}
	}
	for _, path := range have {
		if !slices.Contains(want, path) {
			t.Errorf("docs/dependencies.md has a row for %s, which go.mod does not require directly", path)
		}
	}
}
