// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firn.dev/firn/internal/errs"
)

// corpus gives the statements that released clients were seen to send, one file per client.
func corpus(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var all []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Split(strings.TrimRight(string(data), "\n"), "\n----\n")...)
	}
	return all
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	for _, text := range corpus(t) {
		parsed, err := Parse(text)
		if errs.Is(err, errs.Unsupported) && strings.Contains(text, "TABLE  tt") {
			continue // user tables belong to the query engine
		}
		if err != nil {
			t.Errorf("%s\n%v", text, err)
			continue
		}
		want := strings.TrimRight(text, "; \n")
		if len(parsed) != 1 || parsed[0].Text != want {
			t.Errorf("%s\nis read as %+v", text, parsed)
			continue
		}
		roundTrip(t, parsed[0])
	}
}
