// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
)

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other := newExecutor(t, h.store, "node-2")
	serving, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go func() { _ = h.Serve(serving) }()
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	h.must(t, s, "CREATE ROLE r", "CREATE USER mal", "GRANT ROLE r TO USER mal")
	stranger := h.session(t, "MAL", "R")

	for name, cancel := range map[string]func(req Request) error{
		"query id":   func(req Request) error { return h.Cancel(t.Context(), s, req.QueryID) },
		"request id": func(req Request) error { return h.Cancel(t.Context(), s, req.RequestID) },
		"function": func(req Request) error {
			result, err := h.run(t, s, "SELECT SYSTEM$CANCEL_QUERY('"+req.QueryID+"')")
			if err == nil && cells(result.Rowset) != "query ["+req.QueryID+"] terminated.\n" {
				t.Errorf("got %q", cells(result.Rowset))
			}
			return err
		},
		"all of the session": func(Request) error {
			result, err := h.run(t, s, fmt.Sprintf("select system$cancel_all_queries(%d)", s.ID))
			if err == nil && !strings.Contains(cells(result.Rowset), "cancelled") {
				t.Errorf("got %q", cells(result.Rowset))
			}
			return err
		},
		"another process": func(req Request) error {
			waitFor(t, "row of the statement", func() bool { return other.Cancel(t.Context(), s, req.QueryID) == nil })
			return nil
		},
	} {
		own := *s
		req := Request{Text: "SELECT SYSTEM$WAIT(60)", RequestID: uuid.NewString(), QueryID: uuid.NewString(), Async: name == "another process"}
		run := h.Start(t.Context(), &own, req)
		st, err := h.Statement(t.Context(), s, req.QueryID)
		if err != nil || st.Status != catalog.StatementRunning {
			t.Fatal(name, st, err)
		}
		wantError(t, h.Cancel(t.Context(), stranger, req.QueryID), 605, "not currently executing")
		if err := cancel(req); err != nil {
			t.Fatal(name, err)
		}
		_, err = run.Wait(t.Context())
		wantError(t, err, 604, "SQL execution canceled")
		waitFor(t, name, func() bool {
			st, err := h.Statement(t.Context(), s, req.QueryID)
			return err == nil && st.Status == catalog.StatementAborted
		})
		wantError(t, h.Cancel(t.Context(), s, req.QueryID), 605, "not currently executing")
	}
}

// TestExecuteEndsWithItsContext sees that a door that gives up stops the statement.
func TestExecuteEndsWithItsContext(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := h.Execute(ctx, s, Request{Text: "SELECT SYSTEM$WAIT(60)", QueryID: uuid.NewString()})
	wantError(t, err, 604, "SQL execution canceled")
}
