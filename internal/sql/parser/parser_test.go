// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

func TestParseSplits(t *testing.T) {
	t.Parallel()
	const text = " SELECT ';', $$;$$ -- ;\n;\n\n  select ?, ? ;; /* x */ SELECT :3, ?"
	parsed, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		text  string
		binds int
	}{{" SELECT ';', $$;$$ -- ;", 0}, {"select ?, ?", 2}, {"/* x */ SELECT :3, ?", 4}}
	if len(parsed) != len(want) {
		t.Fatalf("got %d statements", len(parsed))
	}
	for i, w := range want {
		p := parsed[i]
		if p.Text != w.text || p.Binds != w.binds || text[p.Pos:p.Pos+len(p.Text)] != p.Text {
			t.Errorf("statement %d: got %q with %d binds at %d", i, p.Text, p.Binds, p.Pos)
		}
	}
}

func TestPositionsCountFromTheStatement(t *testing.T) {
	t.Parallel()
	_, err := Parse("select 1;\n\n  select é,\n  'ä' 'x'")
	if err == nil || !strings.Contains(err.Error(), "syntax error line 1 at position 7 unexpected 'é'.") {
		t.Errorf("got %v", err)
	}
	_, err = Parse("\n-- ä\nselect 'ä' 'x'")
	if err == nil || !strings.Contains(err.Error(), "syntax error line 3 at position 11 unexpected ''x''.") {
		t.Errorf("got %v", err)
	}
	parsed, err := Parse("select 1; select a, \"b\" from t")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(parsed[1].Statement, func(node any) bool {
		if c, ok := node.(*ast.Column); ok {
			found = append(found, parsed[1].Text[c.Pos:c.Pos+1])
		}
		return true
	})
	if got := strings.Join(found, " "); got != `a "` {
		t.Errorf("columns are at %q", got)
	}
}

func TestItemText(t *testing.T) {
	t.Parallel()
	parsed, err := Parse("select PI( ), ROUND(LN(1),  4) r, 'B', count(*)\n, \"a\", - 1 from t")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, item := range parsed[0].Statement.(*ast.Query).Body.(*ast.Select).Items {
		got = append(got, item.Text)
	}
	if s := strings.Join(got, "|"); s != `PI( )|ROUND(LN(1),  4)|'B'|count(*)|"a"|- 1` {
		t.Errorf("got %s", s)
	}
}

func TestParseScript(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want string
	}{
		{"--!jinja\nselect 1;\nselect 2", "SELECT 1|SELECT 2"},
		{"begin select 1; use role r; end;", "SELECT 1|USE ROLE r"},
		{"BEGIN; select 1; COMMIT", "BEGIN|SELECT 1|COMMIT"},
		{"begin transaction; select 1; end", ""},
		{"begin let x := 1; end", ""},
		{"begin return 1; end", ""},
		{"declare x int; begin end", ""},
	} {
		parsed, err := ParseScript(c.text)
		var got []string
		for _, p := range parsed {
			got = append(got, p.Statement.String())
		}
		if s := strings.Join(got, "|"); s != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: got %q, %v", c.text, s, err)
		}
	}
}

func TestSynopses(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range Synopses() {
		if s.Family == "" || s.Syntax == "" || seen[s.Syntax] {
			t.Errorf("%q is incomplete or there twice", s.Syntax)
		}
		seen[s.Syntax] = true
		parsed, err := Parse(s.Example)
		if err != nil || len(parsed) != 1 {
			t.Errorf("example of %s: %v", s.Syntax, err)
			continue
		}
		roundTrip(t, parsed[0])
	}
}

// TestLimits shows that hostile texts are refused, or read in time that grows as they do.
func TestLimits(t *testing.T) {
	t.Parallel()
	const n = 100_000
	for name, c := range map[string]struct {
		text string
		want string // of the error; "" for none
	}{
		"brackets":      {"select " + strings.Repeat("(", n) + "1" + strings.Repeat(")", n), "nested too deeply"},
		"open brackets": {"select " + strings.Repeat("(", n), "nested too deeply"},
		"queries":       {strings.Repeat("select * from (", n) + "select 1", "nested too deeply"},
		"query bodies":  {strings.Repeat("(", n) + "select 1", "nested too deeply"},
		"tables":        {"select * from " + strings.Repeat("(", n) + "t", "nested too deeply"},
		"not":           {"select " + strings.Repeat("not ", n) + "a", "nested too deeply"},
		"minus":         {"select " + strings.Repeat("- ", n) + "1", "nested too deeply"},
		"case":          {"select " + strings.Repeat("case ", n), "nested too deeply"},
		"calls":         {"select " + strings.Repeat("f(", n), "nested too deeply"},
		"values":        {"create stage s x = " + strings.Repeat("(", n), "nested too deeply"},
		"sums":          {"select 1" + strings.Repeat("+1", n), "too long"},
		"casts":         {"select 1" + strings.Repeat("::int", n), "too long"},
		"paths":         {"select a" + strings.Repeat(":b", n), "too long"},
		"unions":        {"select 1" + strings.Repeat(" union select 1", n), "too long"},
		"joins":         {"select * from t" + strings.Repeat(" join t", n), "too long"},
		"pipes":         {"select 1" + strings.Repeat(" ->> select 1", n), "too long"},
		"split sums":    {"select " + strings.Repeat("(", 200) + "1" + strings.Repeat(strings.Repeat("+1", 1000)+")", 200), "too long"},
		"rows":          {"select * from values (1)" + strings.Repeat(", (1::int)", n), ""},
		"statements":    {strings.Repeat("select 1;", n/4), ""},
		"semicolons":    {"select 1" + strings.Repeat(";", n), ""},
		"list":          {"select a in (1" + strings.Repeat(", 1", n) + ")", ""},
		"dots":          {"create stage s tag (" + strings.Repeat("a.", n), "syntax error"},
		"open comments": {"select 1" + strings.Repeat("/*", n), "syntax error"},
		"open strings":  {"select " + strings.Repeat("'a''", n), "syntax error"},
		"too long":      {strings.Repeat(" ", maxText+1), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			parsed, err := Parse(c.text)
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %.200v", err)
			case c.want == "":
				for _, p := range parsed[:1] {
					if p.Statement.String() == "" {
						t.Error("prints as nothing")
					}
				}
			case err == nil || !strings.Contains(err.Error(), c.want):
				t.Errorf("got %.200v, want %q", err, c.want)
			case errs.CodeOf(err) == errs.Internal:
				t.Errorf("%.200v has no code", err)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{
		"select 1": "SELECT 1",
		"show":     "SHOW COMPUTE POOLS LIKE ?",
		"describe": "DESCRIBE SERVICE IDENTIFIER(?)",
		"create":   "CREATE OR REPLACE CUSTOM RUNTIME ENVIRONMENT my_cre IMAGE_PATH = '/db/schema/repo/img:v1' BASE_IMAGE_TYPE = CPU",
		"values":   "SELECT * FROM VALUES (1 :: INT, 'a' :: STRING)" + strings.Repeat(", (1 :: INT, 'a' :: STRING)", 9999),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
