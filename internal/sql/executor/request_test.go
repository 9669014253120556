// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/rowset"
)

func wantError(t *testing.T, err error, number int, text string) {
	t.Helper()
	known, ok := err.(*errs.Error)
	if !ok || known.Number != number || !strings.Contains(errs.MessageOf(err), text) {
		t.Errorf("got %v, want number %d with %q", err, number, text)
	}
}

func text(s string) rowset.Bind { return rowset.Bind{Type: "TEXT", Values: []*string{&s}} }

func TestBinds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	h.must(t, s, "CREATE DATABASE d")
	run := func(sql string, binds ...string) (*Result, error) {
		req := Request{Text: sql, QueryID: uuid.NewString(), Binds: map[string]rowset.Bind{}, Parameters: map[string]string{"MULTI_STATEMENT_COUNT": "0"}}
		for i, b := range binds {
			req.Binds[fmt.Sprint(i+1)] = text(b)
		}
		return h.Execute(t.Context(), s, req)
	}
	for _, step := range []struct {
		sql   string
		binds []string
		want  string
	}{
		{"create stage if not exists identifier(?) encryption = ( type = 'SNOWFLAKE_SSE' ) comment = ?", []string{"payload_stage", "a 'quoted' comment"}, "Stage area PAYLOAD_STAGE successfully created.\n"},
		{"create TEMPORARY                     stage if not exists identifier(?)", []string{`"D".public."mixed"`}, "Stage area mixed successfully created.\n"},
		{"SHOW COMPUTE POOLS LIKE ? ->> SELECT \"name\" FROM $1", []string{`SYSTEM\_%`}, "SYSTEM_COMPUTE_POOL_CPU\n"},
		{"select ?, ?", []string{"x", "y"}, "x | y\n"},
	} {
		result, err := run(step.sql, step.binds...)
		if err != nil {
			t.Fatalf("%s: %v", step.sql, err)
		}
		if got := cells(result.Rowset); got != step.want {
			t.Errorf("%s: %q", step.sql, got)
		}
	}
	_, err := run("describe stage identifier(?)")
	wantError(t, err, 2049, "Bind variable ? not set.")
	_, err = run("describe stage identifier(?)", "o'hara; drop table t")
	wantError(t, err, 904, "o'hara; drop table t")

	result, err := run("SELECT ?; SELECT ?, ?", "1", "2", "3")
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Children) != 2 || result.TypeID != typeMultiStatement {
		t.Fatalf("got %+v", result)
	}
	second, run2, err := h.ResultOf(t.Context(), s, result.Children[1].QueryID)
	if err != nil || run2 != nil {
		t.Fatal(run2, err)
	}
	if got := cells(second.Rowset); got != "2 | 3\n" {
		t.Errorf("got %q", got)
	}
}

func TestStatementCount(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	for _, c := range []struct {
		text, count string
		number      int
	}{
		{"SELECT 1; SELECT 2", "", 8}, {"SELECT 1; SELECT 2", "3", 8}, {"SELECT 1", "5", 8}, {"SELECT 1; SELECT 2", "2", 0}, {"SELECT ';'; -- ;", "1", 0},
		{"SELECT 1; SELECT nope; CREATE DATABASE never", "3", 904},
	} {
		req := Request{Text: c.text, QueryID: uuid.NewString()}
		if c.count != "" {
			req.Parameters = map[string]string{"MULTI_STATEMENT_COUNT": c.count}
		}
		_, err := h.Execute(t.Context(), s, req)
		if c.number == 0 && err != nil || c.number != 0 && err == nil {
			t.Errorf("%s with %q: %v", c.text, c.count, err)
		} else if c.number != 0 {
			wantError(t, err, c.number, "")
		}
	}
	if got := cells(h.must(t, s, "SHOW DATABASES LIKE 'NEVER'").Rowset); got != "" {
		t.Errorf("statements after the failure ran: %q", got)
	}
}

// TestRequestIDRunsOnce sends the same request many times at once, through two processes.
func TestRequestIDRunsOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other := newExecutor(t, h.store, "node-2")
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	h.must(t, s, "CREATE DATABASE d")
	for _, c := range []struct{ sql, want string }{
		{"CREATE STAGE st", "Stage area ST successfully created.\n"},
		{"CREATE OR REPLACE DATABASE d2", "Database D2 successfully created.\n"},
		{"SELECT 'a', UUID_STRING() IS NOT NULL", "a | 1\n"},
	} {
		request := uuid.NewString()
		answers := make([]string, 16)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() {
				e := h.Executor
				if i%2 == 1 {
					e = other
				}
				result, err := e.Execute(t.Context(), s, Request{Text: c.sql, RequestID: request, QueryID: uuid.NewString()})
				if err != nil {
					answers[i] = err.Error()
					return
				}
				answers[i] = cells(result.Rowset)
			})
		}
		all.Wait()
		for i, got := range answers {
			if got != c.want {
				t.Errorf("%s, answer %d: %q", c.sql, i, got)
			}
		}
		again, err := other.Execute(t.Context(), s, Request{Text: c.sql, RequestID: request, QueryID: uuid.NewString()})
		if err != nil || cells(again.Rowset) != c.want {
			t.Errorf("%s again: %v %v", c.sql, again, err)
		}
		n := 0
		err = h.store.View(t.Context(), func(tx catalog.Tx) error {
			for st, err := range tx.History(catalog.StatementFilter{Session: s.ID}) {
				if err != nil {
					return err
				}
				if st.RequestID == request {
					n++
				}
			}
			return nil
		})
		if err != nil || n != 1 {
			t.Errorf("%s: %d rows, %v", c.sql, n, err)
		}
	}
	// In another session the same id is another request.
	request := uuid.NewString()
	mine := Request{Text: "CREATE STAGE d.public.twice", RequestID: request, QueryID: uuid.NewString()}
	if _, err := h.Execute(t.Context(), s, mine); err != nil {
		t.Fatal(err)
	}
	mine.QueryID = uuid.NewString()
	_, err := h.Execute(t.Context(), h.session(t, AdminUser, catalog.RoleAccountAdmin), mine)
	wantError(t, err, 2002, "already exists")
}

// TestFailureRepeats sees that a failed request gives the same error by its request id, by its query id and to RESULT_SCAN.
func TestFailureRepeats(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	req := Request{Text: "DROP STAGE snowflake.images.nope", RequestID: uuid.NewString(), QueryID: uuid.NewString()}
	_, first := h.Execute(t.Context(), s, req)
	wantError(t, first, 2003, "does not exist or not authorized")
	_, _, byID := h.ResultOf(t.Context(), s, req.QueryID)
	_, scanned := h.run(t, s, "SELECT * FROM TABLE(RESULT_SCAN('"+req.QueryID+"'))")
	req.QueryID = uuid.NewString()
	_, again := h.Execute(t.Context(), s, req)
	for _, err := range []error{byID, scanned, again} {
		wantError(t, err, 2003, errs.MessageOf(first))
	}
}

// TestEndsOnce sees that a statement does not run any more for whoever has its result.
func TestEndsOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	for range 500 {
		req := Request{Text: "SELECT * FROM no_such", QueryID: uuid.NewString()}
		_, err := h.Execute(t.Context(), s, req)
		wantError(t, err, 2003, "NO_SUCH")
		if st, err := h.Statement(t.Context(), s, req.QueryID); err != nil || st.Status != catalog.StatementFailed {
			t.Fatalf("%+v, %v", st, err)
		}
	}
}

// TestResultsAreTheUsersOwn sees that another user reads neither results nor history.
func TestResultsAreTheUsersOwn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	h.must(t, s, "CREATE ROLE r", "CREATE USER mal", "GRANT ROLE r TO USER mal")
	id := h.must(t, s, "SELECT 'private'").QueryID
	mal := h.session(t, "MAL", "R")
	_, _, err := h.ResultOf(t.Context(), mal, id)
	wantError(t, err, 709, "not found")
	_, err = h.Statement(t.Context(), mal, id)
	wantError(t, err, 709, "not found")
	_, err = h.run(t, mal, "SELECT * FROM TABLE(RESULT_SCAN('"+id+"'))")
	wantError(t, err, 709, "not found")
	got := cells(h.must(t, mal, "SELECT QUERY_TEXT FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY(USER_NAME => 'ADMIN'))").Rowset)
	if got != "" {
		t.Errorf("history of another user: %q", got)
	}
	if got := cells(h.must(t, s, "SELECT QUERY_TEXT FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY(USER_NAME => 'MAL')) LIMIT 1").Rowset); got == "" {
		t.Error("the account's administrator does not see a user's history")
	}
}

// TestDescribe compares the columns of describeOnly with those of the run, and sees that nothing ran.
func TestDescribe(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	h.must(t, s, "CREATE DATABASE d", "CREATE STAGE st", "CREATE COMPUTE POOL p MIN_NODES = 1 MAX_NODES = 1 INSTANCE_FAMILY = CPU_X64_S", "CREATE WAREHOUSE w")
	texts := []string{
		"CREATE STAGE st2", "ALTER STAGE st2 SET COMMENT = 'x'", "DROP STAGE st2", "SET v = 1", "UNSET v", "USE DATABASE d", "ALTER SESSION SET QUERY_TAG = 'x'",
		"BEGIN", "DESCRIBE STAGE st", "DESCRIBE COMPUTE POOL p", "DESCRIBE WAREHOUSE w", "DESCRIBE DATABASE d", "DESCRIBE SCHEMA d.public", "DESCRIBE USER ADMIN",
		"SELECT 1", "SELECT CURRENT_ROLE(), CURRENT_DATABASE(), SYSTEM$WAIT(0)", "CALL SYSTEM$WAIT(0)", "SHOW STAGES ->> SELECT \"name\" FROM $1",
		"EXECUTE IMMEDIATE 'SELECT 1'", "SELECT * FROM INFORMATION_SCHEMA.SCHEMATA", "SELECT * FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY())",
		"SHOW GRANTS", "SHOW GRANTS ON ACCOUNT", "SHOW GRANTS TO ROLE SYSADMIN", "SHOW GRANTS OF ROLE SYSADMIN", "SHOW TERSE STAGES", "SHOW DATABASES LIMIT 10000",
		"SHOW PARAMETERS", "SHOW VARIABLES", "SHOW REGIONS", "SHOW COMPUTE POOL INSTANCE FAMILIES", "SHOW IMAGES IN IMAGE REPOSITORY snowflake.images.snowflake_images",
	}
	for _, what := range []string{
		"TABLES", "TRANSACTIONS", "SCHEMAS", "OBJECTS", "VIEWS", "COLUMNS", "SEQUENCES", "STAGES", "PIPES", "STREAMS", "TASKS", "PROCEDURES", "FUNCTIONS", "ROLES",
		"WAREHOUSES", "DATABASES", "INTEGRATIONS", "STREAMLITS", "USERS", "SECRETS", "NETWORK RULES", "IMAGE REPOSITORIES", "COMPUTE POOLS", "EXTERNAL ACCESS INTEGRATIONS",
		"CUSTOM RUNTIME ENVIRONMENTS", "SERVICES", "JOB SERVICES", "NOTEBOOKS", "NOTEBOOK PROJECTS", "ALERTS",
	} {
		texts = append(texts, "SHOW "+what)
	}
	for _, text := range texts {
		described, err := h.Execute(t.Context(), s, Request{Text: text, QueryID: uuid.NewString(), DescribeOnly: true})
		if err != nil {
			t.Errorf("describe %s: %v", text, err)
			continue
		}
		if len(described.Rowset.Rows) != 0 {
			t.Errorf("describe %s: rows", text)
		}
		if strings.HasPrefix(text, "CREATE") {
			if _, err := h.run(t, s, "DESCRIBE STAGE st2"); err == nil {
				t.Errorf("describe %s has run it", text)
			}
		}
		run := h.must(t, s, text)
		if diff := cmp.Diff(run.Rowset.Columns, described.Rowset.Columns); diff != "" {
			t.Errorf("%s: run (-) and describe (+) differ:\n%s", text, diff)
		}
	}
}

// TestConcurrentStatements changes one session from many goroutines: no change may get lost.
func TestConcurrentStatements(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	var all sync.WaitGroup
	const n = 20
	for i := range n {
		all.Go(func() {
			own := *s
			if _, err := h.Execute(t.Context(), &own, Request{Text: fmt.Sprintf("SET v%d = %d", i, i), QueryID: uuid.NewString()}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	err := h.store.View(t.Context(), func(tx catalog.Tx) error {
		stored, err := tx.Session(s.ID)
		if err == nil && len(stored.Variables) != n {
			t.Errorf("%d variables", len(stored.Variables))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRefusalsAreAudited sees that denied attempts, creates and grants are in the audit trail, and passwords are not.
func TestRefusalsAreAudited(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	h.must(t, s, "CREATE ROLE r", "CREATE USER mal PASSWORD = 'hunter2'", "GRANT ROLE r TO USER mal")
	mal := h.session(t, "MAL", "R")
	h.must(t, s, "CREATE DATABASE d")
	for _, text := range []string{"ALTER COMPUTE POOL SYSTEM_COMPUTE_POOL_CPU SUSPEND", "DROP DATABASE d", "DROP DATABASE not_there", "USE DATABASE d"} {
		if _, err := h.run(t, mal, text); err == nil {
			t.Fatal("allowed: " + text)
		}
	}
	h.must(t, mal, "DROP DATABASE IF EXISTS d")
	var got strings.Builder
	err := h.store.View(t.Context(), func(tx catalog.Tx) error {
		for e, err := range tx.Events(time.Time{}, 100) {
			if err != nil {
				return err
			}
			fmt.Fprintf(&got, "%s %s %s %s %v %s\n", e.User, e.Action, e.Kind, e.Object, e.Allowed, e.Detail)
		}
		for st, err := range tx.History(catalog.StatementFilter{}) {
			if err != nil {
				return err
			}
			if strings.Contains(st.Text, "hunter2") {
				t.Errorf("history holds a password: %s", st.Text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `MAL refuse DATABASE D false DROP DATABASE: SQL compilation error:
Database 'D' does not exist or not authorized.
MAL refuse DATABASE D false USE: SQL compilation error:
Object does not exist, or operation cannot be performed.
MAL refuse DATABASE D false DROP DATABASE: SQL compilation error:
Database 'D' does not exist or not authorized.
MAL refuse COMPUTE POOL SYSTEM_COMPUTE_POOL_CPU false ALTER COMPUTE POOL: SQL access control error:
Insufficient privileges to operate on compute pool 'SYSTEM_COMPUTE_POOL_CPU'.
ADMIN create DATABASE D true 
ADMIN grant ROLE R true to user MAL
ADMIN create USER MAL true 
ADMIN create ROLE R true 
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}
