// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/parser"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

var update = flag.Bool("update", false, "write the results into testdata")

// TestGolden runs every query in testdata/*.txt. A case is its SQL, lines "? TYPE value" for binds, "---" and the result:
// a line of columns, and a line of cells for each row, or the error.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	engine := query.New()
	t.Cleanup(func() { _ = engine.Close() })
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for i, block := range strings.Split(strings.TrimSpace(string(b)), "\n\n") {
				if i > 0 {
					out.WriteString("\n\n")
				}
				question, want, _ := strings.Cut(block, "\n---\n")
				got := answer(t, engine, question)
				out.WriteString(question + "\n---\n" + got)
				if diff := cmp.Diff(want, got); diff != "" && !*update {
					t.Errorf("%s\n%s", question, diff)
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(out.String()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// answer runs a case, checks that Describe agrees with Run, and writes the result down.
func answer(t *testing.T, engine *query.Engine, question string) string {
	t.Helper()
	var lines []string
	binds := map[string]rowset.Bind{}
	for _, line := range strings.Split(question, "\n") {
		if rest, ok := strings.CutPrefix(line, "? "); ok {
			kind, value, _ := strings.Cut(rest, " ")
			bind := rowset.Bind{Type: kind, Values: []*string{&value}}
			if value == "NULL" {
				bind.Values[0] = nil
			}
			binds[fmt.Sprint(len(binds)+1)] = bind
			continue
		}
		lines = append(lines, line)
	}
	text := strings.Join(lines, "\n")
	parsed, err := parser.Parse(text)
	if err != nil {
		return failure(err)
	}
	q := parsed[0].Statement.(*ast.Query)
	env := func() *query.Env {
		e := environment(text)
		e.Binds = binds
		return e
	}
	described, describeErr := engine.Describe(t.Context(), q, env())
	result, err := engine.Run(t.Context(), parse(t, text), env())
	if err != nil {
		return failure(err)
	}
	if describeErr != nil {
		t.Errorf("%s\nruns, but cannot be described: %v", text, describeErr)
	}
	if diff := cmp.Diff(result.Columns, described); diff != "" {
		t.Errorf("%s\ndescribed differently (-run +describe):\n%s", text, diff)
	}
	return show(result)
}

func failure(err error) string {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		return "foreign error: " + err.Error()
	}
	if e.Code == errs.Internal {
		return "internal error: " + err.Error()
	}
	return fmt.Sprintf("%06d (%s) %s", e.Number, e.State, strings.ReplaceAll(errs.MessageOf(err), "\n", `\n`))
}

func show(r *rowset.Rowset) string {
	columns := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		columns[i] = c.Name + " " + string(c.Type)
		switch c.Type {
		case rowset.Fixed:
			columns[i] += fmt.Sprintf("(%d,%d)", c.Precision, c.Scale)
		case rowset.Time, rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
			columns[i] += fmt.Sprintf("(%d)", c.Scale)
		case rowset.Text, rowset.Binary:
			if c.Length != rowset.MaxText {
				columns[i] += fmt.Sprintf("(%d)", c.Length)
			}
		}
		if c.NotNull {
			columns[i] += " not null"
		}
	}
	lines := []string{strings.Join(columns, " | ")}
	for _, row := range r.Rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = "NULL"
			if c != nil {
				cells[i] = strings.ReplaceAll(*c, "\n", `\n`)
			}
		}
		lines = append(lines, strings.Join(cells, " | "))
	}
	return strings.Join(lines, "\n")
}
