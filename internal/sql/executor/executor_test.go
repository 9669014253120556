// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry/upstream"
	"firn.dev/firn/internal/sql/rowset"
)

// house is an account with an executor, for one test.
type house struct {
	*Executor
	store catalog.Store
}

// newHouse opens a catalog in memory and fills it as the first start does.
func newHouse(t testing.TB) *house {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := Bootstrap(t.Context(), store, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	return &house{newExecutor(t, store, "node-1"), store}
}

func newExecutor(t testing.TB, store catalog.Store, node string) *Executor {
	e := New(Options{
		Catalog: store, Node: node, Account: "FIRN", Version: "1.2.3", Registry: func() string { return "registry.test:8085" }, Now: time.Now,
		Upstream: upstream.New(upstream.Options{Approved: []string{"registry.example.com", "127.0.0.1:5000"}}).Check,
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}

// session opens a session of a user with a role.
func (h *house) session(t testing.TB, user, role string) *catalog.Session {
	t.Helper()
	s := &catalog.Session{User: user, Role: role, SecondaryRoles: "NONE", Client: "Test 1", Created: time.Now(), LastUsed: time.Now(), Expires: time.Now().Add(time.Hour)}
	err := h.store.Update(t.Context(), func(tx catalog.Tx) error { return tx.PutSession(s) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a text and gives the session as it is afterwards.
func (h *house) run(t testing.TB, s *catalog.Session, text string) (*Result, error) {
	t.Helper()
	result, err := h.Execute(t.Context(), s, Request{Text: text, QueryID: uuid.NewString()})
	if result != nil {
		*s = *result.Session
	}
	return result, err
}

// must runs texts that have to succeed, and gives the last result.
func (h *house) must(t testing.TB, s *catalog.Session, texts ...string) *Result {
	t.Helper()
	var last *Result
	for _, text := range texts {
		var err error
		if last, err = h.run(t, s, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return last
}

// cells gives a result as text: one line per row, cells with | between, NULL for NULL.
func cells(r *rowset.Rowset, columns ...string) string {
	at := make([]int, 0, len(r.Columns))
	for i, c := range r.Columns {
		if len(columns) == 0 {
			at = append(at, i)
		}
		for _, want := range columns {
			if c.Name == want {
				at = append(at, i)
			}
		}
	}
	var b strings.Builder
	for _, row := range r.Rows {
		for i, n := range at {
			if i > 0 {
				b.WriteString(" | ")
			}
			if row[n] == nil {
				b.WriteString("NULL")
			} else {
				b.WriteString(*row[n])
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestScripts runs the files of testdata. A line "role NAME [user]" opens a session (the same one for the same words), every other
// line is a statement, and the lines below it that begin with a tab are what it gives: an error as "error NUMBER STATE text",
// else its rows. "[a, b]" in front of a statement selects columns. With -update in UPDATE_GOLDEN the files are written anew.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.sql.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".sql.txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newHouse(t).script(t, string(want))
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

var selected = regexp.MustCompile(`^\[([^\]]*)\] *`)

// script runs a script and gives it with what its statements really give.
func (h *house) script(t *testing.T, text string) string {
	sessions := map[string]*catalog.Session{}
	var current *catalog.Session
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "\t") {
			continue
		}
		out.WriteString(line + "\n")
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(line, "#"):
			continue
		case words[0] == "role":
			if sessions[line] == nil {
				user := AdminUser
				if len(words) > 2 {
					user = words[2]
				}
				sessions[line] = h.session(t, user, words[1])
			}
			current = sessions[line]
			continue
		}
		var columns []string
		if m := selected.FindStringSubmatch(line); m != nil {
			columns = strings.Split(m[1], ", ")
			line = line[len(m[0]):]
		}
		for _, given := range strings.SplitAfter(h.answer(t, current, line, columns), "\n") {
			if given != "" {
				out.WriteString("\t" + given)
			}
		}
	}
	return out.String()
}

func (h *house) answer(t *testing.T, s *catalog.Session, text string, columns []string) string {
	result, err := h.run(t, s, text)
	if err == nil {
		return cells(result.Rowset, columns...)
	}
	known, ok := err.(*errs.Error)
	if !ok {
		return fmt.Sprintf("error without number: %v\n", err)
	}
	return fmt.Sprintf("error %d %s %s\n", known.Number, known.State, strings.ReplaceAll(errs.MessageOf(err), "\n", " / "))
}
