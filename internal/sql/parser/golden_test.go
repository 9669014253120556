// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

var update = flag.Bool("update", false, "write testdata/*.txt anew")

const blockEnd = "\n====\n"

// TestGolden reads testdata/*.txt: blocks of input, a line ----, and what the parser makes of it.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, file := range goldenFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			for _, block := range blocks(t, file) {
				input, want, _ := strings.Cut(block, "\n----\n")
				got := describe(t, input)
				if !*update && got != want {
					t.Errorf("%s\n----\ngot:\n%s\nwant:\n%s", input, got, want)
				}
				out.WriteString(input + "\n----\n" + got + blockEnd)
			}
			if *update {
				if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func goldenFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	return files
}

func blocks(t testing.TB, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), blockEnd), blockEnd)
}

// goldens gives the blocks of all files.
func goldens(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, file := range goldenFiles(t) {
		all = append(all, blocks(t, file)...)
	}
	return all
}

// describe prints all that the parser found out about a text.
func describe(t *testing.T, text string) string {
	t.Helper()
	parsed, err := Parse(text)
	if err != nil {
		return describeError(text, err)
	}
	var lines []string
	for _, p := range parsed {
		canonical, masked := ast.Unmasked(p.Statement), p.Statement.String()
		lines = append(lines, canonical)
		if masked != canonical {
			lines = append(lines, "  masked: "+masked)
		}
		if p.Binds > 0 {
			lines = append(lines, fmt.Sprintf("  binds: %d", p.Binds))
		}
		roundTrip(t, p)
		for _, n := range p.Statement.Names() {
			resolve(n)
		}
		for _, r := range p.Statement.Requires() {
			lines = append(lines, "  needs: "+requirement(r))
		}
	}
	return strings.Join(lines, "\n")
}

func describeError(text string, err error) string {
	var e *errs.Error
	errors.As(err, &e)
	out := fmt.Sprintf("%s %06d %s: %s", e.Code, e.Number, e.State, e.Message)
	var line, column int
	_, at, found := strings.Cut(e.Message, "syntax error ")
	if !found {
		return out
	}
	if _, err := fmt.Sscanf(at, "line %d at position %d", &line, &column); err != nil {
		return out + "\n" + err.Error()
	}
	return out + "\n  " + strings.Split(text, "\n")[line-1] + "\n  " + strings.Repeat(" ", column) + "^"
}

// resolve does what the executor does, in a session whose schema is DB.S.
func resolve(n *ast.Name) {
	parts := []string{"DB", "S", ""}
	if n.Kind.Scope() == catalog.InAccount {
		parts = parts[2:]
	}
	if n.Kind.Scope() == catalog.InDatabase {
		parts = []string{"DB", ""}
	}
	given := []string{"BOUND"}
	if n.Arg == nil {
		given = nil
		for _, p := range n.Parts {
			given = append(given, p.Canonical())
		}
	}
	copy(parts[len(parts)-len(given):], given)
	switch len(parts) {
	case 1:
		n.Resolved = catalog.Name{Object: parts[0]}
	case 2:
		n.Resolved = catalog.Name{Database: parts[0], Object: parts[1]}
	case 3:
		n.Resolved = catalog.Name{Database: parts[0], Schema: parts[1], Object: parts[2]}
	}
}

func requirement(r catalog.Requirement) string {
	var any []string
	for _, p := range r.Any {
		any = append(any, string(p))
	}
	if len(any) == 0 {
		any = []string{"any privilege"}
	}
	out := strings.Join(any, " or ") + " on " + string(r.Kind) + " " + r.Name.String()
	if r.Optional {
		out += " if it exists"
	}
	return strings.TrimRight(out, " ")
}
