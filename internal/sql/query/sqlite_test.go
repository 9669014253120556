// SPDX-License-Identifier: Apache-2.0

package query

import (
	"strings"
	"testing"
)

// TestAuthorizer shows that SQLite text that the compiler never writes is refused on a connection of the pool.
func TestAuthorizer(t *testing.T) {
	t.Parallel()
	p := newPool()
	t.Cleanup(func() { _ = p.close() })
	c, err := p.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.put(c, false)
	for _, text := range []string{
		"ATTACH ':memory:' AS x", "PRAGMA user_version", "PRAGMA writable_schema = 1", "CREATE TABLE x(a)", "CREATE TEMP TABLE x(a)",
		"CREATE VIRTUAL TABLE temp.r9 USING relation(9, 8)", "VACUUM INTO '/tmp/x'", "SELECT load_extension('x')", "SELECT randomblob(10)",
		"SELECT * FROM pragma_database_list", "SELECT readfile('/etc/passwd')", "DROP TABLE temp.each", "DELETE FROM sqlite_master",
		"SELECT printf('%d', 1)", "BEGIN", "ANALYZE", "SAVEPOINT a", "DETACH temp", "SELECT zeroblob(1000000000)",
		"SELECT * FROM json_each('[1]')", "WITH RECURSIVE a(b) AS (SELECT 1) INSERT INTO temp.each SELECT * FROM a",
	} {
		if _, err := c.conn.ExecContext(t.Context(), text); err == nil {
			t.Errorf("%s is allowed", text)
		} else if !strings.Contains(err.Error(), "authoriz") && !strings.Contains(err.Error(), "prohibited") && !strings.Contains(err.Error(), "no such function") &&
			!strings.Contains(err.Error(), "may not be modified") {
			t.Errorf("%s is refused for another reason: %v", text, err)
		}
	}
	if _, err := c.conn.ExecContext(t.Context(), "SELECT count(*) FROM (SELECT 1)"); err != nil {
		t.Errorf("reading is refused: %v", err)
	}
}

// TestPool shows that drivers, which cannot be freed, are used again.
func TestPool(t *testing.T) {
	t.Parallel()
	p := newPool()
	t.Cleanup(func() { _ = p.close() })
	seen := map[*connection]bool{}
	for round := range 3 {
		var all []*connection
		for range maxIdle + 4 {
			c, err := p.get(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			seen[c] = true
			all = append(all, c)
		}
		for i, c := range all {
			p.put(c, i == round)
		}
		if len(p.idle) != maxIdle || len(p.idle)+len(p.spare) != len(seen) {
			t.Errorf("%d idle and %d spare of %d", len(p.idle), len(p.spare), len(seen))
		}
	}
	if len(seen) != maxIdle+4 {
		t.Errorf("%d connections were made, want %d", len(seen), maxIdle+4)
	}
}

func TestWideNumbersKeepTheirOrder(t *testing.T) {
	t.Parallel()
	var last string
	for _, text := range []string{"-99999999999999999999999999999999999999", "-9223372036854775809", "-1", "0", "1", "256", "99999999999999999999999999999999999999"} {
		n, _, ok := parseDecimal(text)
		if !ok {
			t.Fatal(text)
		}
		b := encodeWide(n)
		if string(b) <= last {
			t.Errorf("%s is not above what is before it", text)
		}
		last = string(b)
		back, err := decode(number, b)
		if err != nil || compare(number.Type, back, n) != 0 {
			t.Errorf("%s comes back as %v, %v", text, back, err)
		}
	}
}
