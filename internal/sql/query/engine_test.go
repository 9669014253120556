// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/parser"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

func newEngine(t testing.TB) *query.Engine {
	t.Helper()
	engine := query.New()
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

// run gives the result of a query written as the golden files write it.
func run(t testing.TB, engine *query.Engine, text string) (string, error) {
	t.Helper()
	result, err := engine.Run(t.Context(), parse(t, text), environment(text))
	if err != nil {
		return "", err
	}
	return show(result), nil
}

func TestDescribeRunsNothing(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	for text, want := range map[string]string{
		"select 1/0":                    "1/0 fixed(7,6) not null",
		"select ?, ? + 1":               "? text | ? + 1 fixed(38,0)",
		"select 'x'::int as i":          "I fixed(38,0) not null",
		"select * from values (?, 'x')": "COLUMN1 text | COLUMN2 text(1) not null",
		"select id from t limit ?":      "ID fixed(38,0) not null",
		"select count(*) from table(generator(timelimit => 100))": "COUNT(*) fixed(18,0) not null",
	} {
		columns, err := engine.Describe(t.Context(), parse(t, text), environment(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := show(&rowset.Rowset{Columns: columns}); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	for _, text := range []string{
		"select count(*) from table(generator(timelimit => 600))",
		"with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
		"select count(*) from table(generator(rowcount => 1000000000)) a, table(generator(rowcount => 1000000000)) b",
		"select count(*) over () from table(generator(rowcount => 1000000000)) where seq8() < 0",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		start := time.Now()
		_, err := engine.Run(ctx, parse(t, text), environment(text))
		if !errs.Is(err, errs.Canceled) {
			t.Errorf("%s: %v, want canceled", text, err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%s: stopped after %v", text, took)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	text := "select count(*) from table(generator(timelimit => 600))"
	if _, err := engine.Run(ctx, parse(t, text), environment(text)); !errs.Is(err, errs.Timeout) {
		t.Errorf("%v, want timeout", err)
	}
	if got, err := run(t, engine, "select count(*) from t"); err != nil || !strings.HasSuffix(got, "\n4") {
		t.Errorf("the engine does not work after a cancelled query: %q, %v", got, err)
	}
}

func TestGeneratorTimeLimit(t *testing.T) {
	t.Parallel()
	text := "select count(*) > 0 from table(generator(timelimit => 1))"
	start := time.Now()
	got, err := run(t, newEngine(t), text)
	if err != nil || !strings.HasSuffix(got, "\n1") || time.Since(start) < time.Second {
		t.Errorf("%q, %v after %v", got, err, time.Since(start))
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	text := `select '01-02-1970'::date, '2024-01-02 03:04:05'::timestamp_ltz, current_timestamp()::varchar, current_timestamp()::date::varchar,
		'2024-07-01 00:00:00 -0800'::timestamp_tz::varchar, '2024-07-01 01:02:03'::timestamp_ntz::varchar, '01:02:03.9'::time::varchar`
	env := environment(text)
	env.TimeZone = zone
	env.Formats = map[string]string{
		"DATE_INPUT_FORMAT": "MM-DD-YYYY", "DATE_OUTPUT_FORMAT": "DD.MM.YYYY", "TIME_OUTPUT_FORMAT": "HH24:MI:SS.FF1",
		"TIMESTAMP_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS TZHTZM", "TIMESTAMP_NTZ_OUTPUT_FORMAT": "MON DD YYYY HH12:MI AM TZH",
	}
	result, err := engine.Run(t.Context(), parse(t, text), env)
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(show(result), "\n")
	want := "1 | 1704161045.000000000 | 2026-11-23 09:09:10 +0100 | 23.11.2026 | 2024-07-01 00:00:00 -0800 | Jul 01 2024 01:02 AM | 01:02:03.9"
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestEval(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	for text, want := range map[string]string{
		"1 + 1": "2", "'a' || $s": "ait's", "true": "true", "null": "", "current_role()": "SYSADMIN", "parse_json('[1]')": "[1]",
	} {
		q := parse(t, "select "+text)
		v, err := engine.Eval(t.Context(), q.Body.(*ast.Select).Items[0].Expr, environment(text))
		if err != nil || v.Text() != want {
			t.Errorf("%s: %q, %v, want %q", text, v.Text(), err, want)
		}
	}
	q := parse(t, "select x")
	if _, err := engine.Eval(t.Context(), q.Body.(*ast.Select).Items[0].Expr, environment("")); !errs.Is(err, errs.Invalid) {
		t.Errorf("a column is constant: %v", err)
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for j := range 20 {
				text := fmt.Sprintf("select sum(id) + %d, max(x || '%d') from t where id <> %d", i, j, i)
				got, err := run(t, engine, text)
				if err != nil || !strings.Contains(got, fmt.Sprintf("b%d", j)) && i != 2 {
					t.Errorf("%s: %s, %v", text, got, err)
				}
			}
		})
	}
	group.Wait()
}

func TestLarge(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	rows := make([]string, 10000)
	numbers := make([]string, 10000)
	for i := range rows {
		rows[i] = fmt.Sprintf("(%d, 'x%d')", i, i)
		numbers[i] = fmt.Sprint(i)
	}
	deep := strings.Repeat("id = 1 or ", 300) + "id = 2"
	for text, want := range map[string]string{
		"select count(*), sum($1), max(column2) from values " + strings.Join(rows, ", "):            "10000 | 49995000 | x9999",
		"select count(*) from t where id in (" + strings.Join(numbers, ", ") + ")":                  "4",
		"select count(*) from t where " + deep:                                                      "2",
		"select count(*), max(s) from (select seq8(0) s from table(generator(rowcount => 100000)))": "100000 | 99999",
		"select count(*) from (select column1 as a from values " + strings.Join(rows[:3000], ", ") + ") x join (select column1 as a from values " +
			strings.Join(rows[:3000], ", ") + ") y on x.a = y.a": "3000",
	} {
		got, err := run(t, engine, text)
		if _, got, _ = strings.Cut(got, "\n"); err != nil || got != want {
			t.Errorf("%.60s: %q, %v, want %q", text, got, err, want)
		}
	}
}

// TestRecorded runs every SELECT that real clients were seen to send.
func TestRecorded(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	b, err := os.ReadFile("testdata/recorded/selects.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range strings.Split(strings.TrimSpace(string(b)), "\n;;\n") {
		parsed, err := parser.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		q := parsed[0].Statement.(*ast.Query)
		env := func() *query.Env {
			e := environment(text)
			e.Binds = map[string]rowset.Bind{}
			for i, v := range []string{"TESTDB", "PUBLIC", "MYJOB_0A1B2C3D", "10"} {
				e.Binds[fmt.Sprint(i+1)] = rowset.Bind{Type: "TEXT", Values: []*string{cell(v)}}
			}
			return e
		}
		columns, err := engine.Describe(t.Context(), q, env())
		if err != nil {
			t.Errorf("describe %s: %v", text, err)
			continue
		}
		result, err := engine.Run(t.Context(), q, env())
		if err != nil {
			t.Errorf("run %s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(result.Columns, columns); diff != "" {
			t.Errorf("%s: described differently\n%s", text, diff)
		}
	}
}
