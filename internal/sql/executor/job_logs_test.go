// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"strings"
	"testing"
)

func TestLogLinesHaveIncreasingTimes(t *testing.T) {
	t.Parallel()
	lines := logLines("2026-01-02T03:04:05.1Z one\n2026-01-02T03:04:05.1Z two words\nno time\n2026-01-02T03:04:05.3Z \n")
	want := []string{"one", "two words", "no time", ""}
	if len(lines) != len(want) {
		t.Fatalf("got %d lines", len(lines))
	}
	for i, l := range lines {
		if l.text != want[i] {
			t.Errorf("line %d: got %q", i, l.text)
		}
		if i > 0 && !l.at.After(lines[i-1].at) {
			t.Errorf("line %d is not later than the one before", i)
		}
	}
}

func TestReadTail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"", 10, ""}, {"one\ntwo\n", 10, "one\ntwo\n"}, {"one\ntwo\nthree\n", 10, "three\n"}, {strings.Repeat("x", 9) + "\nend\n", 6, "end\n"},
	} {
		got, err := readTail(strings.NewReader(c.text), c.most)
		if err != nil || string(got) != c.want {
			t.Errorf("%q: got %q, %v", c.text, got, err)
		}
	}
}
