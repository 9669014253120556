// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/sql/parser"
)

// markdown gives every page of the repository with its text, by its path from the root.
func markdown(t *testing.T) map[string]string {
	t.Helper()
	const root = "../.."
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if name != "." && !strings.HasPrefix(name, "docs") && name != "changelog" {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".md") {
			text, err := os.ReadFile(path)
			all[name] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("found %d pages: the walk is broken", len(all))
	}
	return all
}

var sqlBlock = regexp.MustCompile("(?s)```sql\n(.*?)```")

// TestSQLInPagesParses reads every SQL block as the server would.
func TestSQLInPagesParses(t *testing.T) {
	t.Parallel()
	found := 0
	for name, text := range markdown(t) {
		for _, block := range sqlBlock.FindAllStringSubmatch(text, -1) {
			found++
			if _, err := parser.Parse(block[1]); err != nil {
				t.Errorf("%s: %v in:\n%s", name, err, block[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("found %d blocks of SQL: the search is broken", found)
	}
}

// TestFormatsAreTold finds every form of a report in the page about it.
func TestFormatsAreTold(t *testing.T) {
	t.Parallel()
	page := markdown(t)["docs/validate.md"]
	for _, format := range imagecheck.Formats() {
		if !strings.Contains(page, "`"+format+"`") {
			t.Errorf("docs/validate.md does not tell of the format %s", format)
		}
	}
}

var (
	link   = regexp.MustCompile(`\]\(([^)#\s]*)#([^)\s]+)\)`)
	title  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	marks  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	fenced = regexp.MustCompile("(?s)```.*?```")
)

// TestAnchorsExist follows every link to a heading.
func TestAnchorsExist(t *testing.T) {
	t.Parallel()
	pages := markdown(t)
	headings := map[string]map[string]bool{}
	for name, text := range pages {
		headings[name] = map[string]bool{}
		for _, m := range title.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			headings[name][strings.ReplaceAll(marks.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
		}
	}
	for name, text := range pages {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := name
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(name), m[1])
			}
			if known, ours := headings[target]; ours && !known[m[2]] {
				t.Errorf("%s leads to %s, which has no heading #%s", name, target, m[2])
			}
		}
	}
}
