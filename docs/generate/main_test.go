// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPagesAreUpToDate fails when the code has changed and the page has not.
func TestPagesAreUpToDate(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	if err := build(bin); err != nil {
		t.Fatal(err)
	}
	for _, page := range pages(programs(bin)) {
		want, err := page.write()
		if err != nil {
			t.Fatalf("%s: %v", page.path, err)
		}
		have, err := os.ReadFile(page.path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(have)); diff != "" {
			t.Errorf("%s is not what the code says: run go generate ./... (-code +page)\n%s", page.path, diff)
		}
	}
}

// TestSettings finds settings by what every installation relies on.
func TestSettings(t *testing.T) {
	t.Parallel()
	rows, err := settings()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"listen": "127.0.0.1:8085", "compute": "docker", "tls-cert": ""}
	for _, row := range rows {
		if fallback, ok := want[row[0]]; ok && fallback != row[1] {
			t.Errorf("default of %s is %q, want %q", row[0], row[1], fallback)
		}
		delete(want, row[0])
		for _, part := range row {
			if part == "?" {
				t.Errorf("a setting is not written as a literal: %q", row)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("settings are missing: %v", want)
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", 60)
	for line := range strings.Lines(wrap(long)) {
		if len(line) > 112 {
			t.Errorf("a line has %d characters: %s", len(line), line)
		}
	}
	if got := strings.Join(strings.Fields(wrap(long)), " "); got != strings.TrimSpace(long) {
		t.Errorf("words were lost: %s", got)
	}
}
