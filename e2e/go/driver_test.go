// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	sf "github.com/snowflakedb/gosnowflake/v2"
	"github.com/snowflakedb/gosnowflake/v2/arrowbatches"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	if err := open(t, "").PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	wrong, err := sql.Open("snowflake", strings.Replace(dsn("/", ""), password, "wrong", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	if err := wrong.Ping(); number(err) != 390100 {
		t.Errorf("wrong password: %v", err)
	}
	nowhere, err := sql.Open("snowflake", dsn("/NO_SUCH_DB", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer nowhere.Close()
	if err := nowhere.Ping(); number(err) != 390201 {
		t.Errorf("unknown database: %v", err)
	}
}

// TestKeyPair logs in by a JWT alone, without a login name.
func TestKeyPair(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, "").Exec("CREATE OR REPLACE USER robot RSA_PUBLIC_KEY = '" + base64.StdEncoding.EncodeToString(public) + "'"); err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(sf.NewConnector(sf.SnowflakeDriver{}, sf.Config{
		Account: "firn", User: "robot", Host: host, Port: n, Protocol: "http", Authenticator: sf.AuthTypeJwt, PrivateKey: key, DisableOCSPChecks: true,
	}))
	defer db.Close()
	var user string
	if err := db.QueryRow("SELECT CURRENT_USER()").Scan(&user); err != nil || user != "ROBOT" {
		t.Errorf("user %q, %v", user, err)
	}
}

func TestTypes(t *testing.T) {
	t.Parallel()
	for _, more := range []string{"", "&GO_QUERY_RESULT_FORMAT=arrow"} {
		t.Run("format"+more, func(t *testing.T) {
			t.Parallel()
			var (
				n       int64
				d, f    float64
				text    string
				yes     bool
				day, at time.Time
				zoned   time.Time
				bytes   []byte
				none    sql.NullString
				json    string
			)
			err := open(t, more).QueryRow(`SELECT 7, 1.50, 2.5::FLOAT, 'é☃', TRUE, '2024-01-02'::DATE, '2024-01-02 03:04:05.123456789'::TIMESTAMP_NTZ(9),
				'2024-01-02 03:04:05.123 +0100'::TIMESTAMP_TZ(3), TO_BINARY('00FF', 'HEX'), NULL, PARSE_JSON('{"a":1}')`).
				Scan(&n, &d, &f, &text, &yes, &day, &at, &zoned, &bytes, &none, &json)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprint(n, d, f, text, yes, day.Format("2006-01-02"), at.Format(time.RFC3339Nano), zoned.Format(time.RFC3339Nano), bytes, none.Valid, json)
			want := fmt.Sprint(7, 1.5, 2.5, "é☃", true, "2024-01-02", "2024-01-02T03:04:05.123456789Z", "2024-01-02T03:04:05.123+01:00", []byte{0, 255}, false, "{\n  \"a\": 1\n}")
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestHigherPrecisionInArrow(t *testing.T) {
	t.Parallel()
	rows, err := open(t, "&GO_QUERY_RESULT_FORMAT=arrow").QueryContext(sf.WithHigherPrecision(t.Context()),
		"SELECT 12345678901234567890123456789012345678::NUMBER(38,0), 0.125::NUMBER(38,3)")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var whole, part any
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	if err := rows.Scan(&whole, &part); err != nil {
		t.Fatal(err)
	}
	if n, ok := whole.(*big.Int); !ok || n.String() != "12345678901234567890123456789012345678" {
		t.Errorf("whole %T %v", whole, whole)
	}
	if f, ok := part.(*big.Float); !ok || f.String() != "0.125" {
		t.Errorf("part %T %v", part, part)
	}
}

func TestBinds(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC)
	var n int64
	var text string
	var yes bool
	var back time.Time
	var none sql.NullString
	err := open(t, "").QueryRow("SELECT ?, ?, ?, ?::TIMESTAMP_NTZ, ?", 5, "it's \\ ☃", true, at, nil).Scan(&n, &text, &yes, &back, &none)
	if err != nil || n != 5 || text != "it's \\ ☃" || !yes || !back.Equal(at) || none.Valid {
		t.Error(n, text, yes, back, none, err)
	}
}

func TestLargeResults(t *testing.T) {
	t.Parallel()
	for _, more := range []string{"", "&GO_QUERY_RESULT_FORMAT=arrow"} {
		t.Run("format"+more, func(t *testing.T) {
			t.Parallel()
			const count = 250_000
			rows, err := open(t, more).Query(fmt.Sprintf("SELECT SEQ8(), 'row ' || SEQ8() FROM TABLE(GENERATOR(ROWCOUNT => %d))", count))
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			var n, seen, sum int64
			var text string
			for rows.Next() {
				if err := rows.Scan(&n, &text); err != nil {
					t.Fatal(err)
				}
				if n != seen || text != fmt.Sprintf("row %d", n) {
					t.Fatalf("row %d is %d %q", seen, n, text)
				}
				seen++
				sum += n
			}
			if rows.Err() != nil || seen != count || sum != count*(count-1)/2 {
				t.Errorf("%d rows, sum %d, %v", seen, sum, rows.Err())
			}
		})
	}
}

func TestArrowBatches(t *testing.T) {
	t.Parallel()
	raw(t, open(t, "&GO_QUERY_RESULT_FORMAT=arrow"), func(ctx context.Context, c any) error {
		rows, err := c.(driver.QueryerContext).QueryContext(arrowbatches.WithArrowBatches(ctx),
			"SELECT SEQ8() AS n FROM TABLE(GENERATOR(ROWCOUNT => 120000))", nil)
		if err != nil {
			return err
		}
		batches, err := arrowbatches.GetArrowBatches(rows.(sf.SnowflakeRows))
		if err != nil {
			return err
		}
		count := int64(0)
		for _, b := range batches {
			records, err := b.Fetch()
			if err != nil {
				return err
			}
			for _, r := range *records {
				count += r.NumRows()
			}
		}
		if len(batches) < 2 || count != 120000 {
			t.Errorf("%d batches, %d rows", len(batches), count)
		}
		return nil
	})
}

func TestErrors(t *testing.T) {
	t.Parallel()
	db := open(t, "")
	for text, want := range map[string]int{
		"SELECT foo": 904, "SELECT 1/0": 100051, "SELEC 1": 1003, "SELECT * FROM no_such_table": 2003, "CREATE DATABASE ml": 2002,
		"USE SCHEMA no_such_schema": 2043, "SELECT 1; SELECT 2": 8,
	} {
		_, err := db.Exec(text)
		e, ok := errors.AsType[*sf.SnowflakeError](err)
		if !ok || e.Number != want || e.QueryID == "" || e.SQLState == "" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestSeveralStatements(t *testing.T) {
	t.Parallel()
	rows, err := open(t, "").QueryContext(sf.WithMultiStatement(t.Context(), 3), "SELECT 1; SELECT 'a;b'; SELECT 3")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for {
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				t.Fatal(err)
			}
			got = append(got, text)
		}
		if !rows.NextResultSet() {
			break
		}
	}
	if strings.Join(got, ",") != "1,a;b,3" || rows.Err() != nil {
		t.Error(got, rows.Err())
	}
}

func TestAsync(t *testing.T) {
	t.Parallel()
	db := open(t, "")
	begin := time.Now()
	rows, err := db.QueryContext(sf.WithAsyncMode(t.Context()), "SELECT 'later', SYSTEM$WAIT(2)")
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 1500*time.Millisecond {
		t.Errorf("submitted after %v", took)
	}
	defer rows.Close()
	var text, waited string
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	if err := rows.Scan(&text, &waited); err != nil || text != "later" {
		t.Error(text, err)
	}
}

func TestStatusAndResultByID(t *testing.T) {
	t.Parallel()
	db := open(t, "")
	raw(t, db, func(ctx context.Context, c any) error {
		ids := make(chan string, 1)
		rows, err := c.(driver.QueryerContext).QueryContext(sf.WithAsyncMode(sf.WithQueryIDChan(ctx, ids)), "SELECT 'x', SYSTEM$WAIT(1)", nil)
		if err != nil {
			return err
		}
		id := <-ids
		if _, err := c.(sf.SnowflakeConnection).GetQueryStatus(ctx, id); err == nil || number(err) != sf.ErrQueryIsRunning {
			t.Errorf("status while it runs: %v", err)
		}
		cells := make([]driver.Value, 2)
		if err := rows.Next(cells); err != nil || cells[0] != "x" {
			t.Errorf("%v, %v", cells, err)
		}
		if _, err := c.(sf.SnowflakeConnection).GetQueryStatus(ctx, id); err != nil {
			t.Errorf("status when it is done: %v", err)
		}
		again, err := c.(driver.QueryerContext).QueryContext(sf.WithFetchResultByID(ctx, id), "", nil)
		if err != nil {
			return err
		}
		if err := again.Next(cells); err != nil || cells[0] != "x" {
			t.Errorf("by id: %v, %v", cells, err)
		}
		return nil
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	db := open(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begin := time.Now()
	_, err := db.ExecContext(ctx, "SELECT SYSTEM$WAIT(60) /* of the context */")
	if err == nil || time.Since(begin) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	deadline := time.Now().Add(20 * time.Second)
	for running := 1; running > 0; {
		if time.Now().After(deadline) {
			t.Fatal("it runs on")
		}
		err := db.QueryRow(`SELECT COUNT(*) FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY()) WHERE execution_status = 'RUNNING'
			AND query_text LIKE 'SELECT SYSTEM$WAIT(60) /* of the context%'`).Scan(&running)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	rows, err := open(t, "").QueryContext(sf.WithDescribeOnly(t.Context()), "SELECT 1::NUMBER(10,2) AS a, 'x' AS b, SYSTEM$WAIT(60) AS w")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	precision, scale, _ := types[0].DecimalSize()
	if len(types) != 3 || types[0].Name() != "A" || precision != 10 || scale != 2 || types[1].DatabaseTypeName() != "TEXT" {
		t.Error(types[0].Name(), precision, scale, types[1].DatabaseTypeName())
	}
}

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	db := open(t, "")
	if _, err := db.Exec("CREATE OR REPLACE STAGE go_files ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')"); err != nil {
		t.Fatal(err)
	}
	dir, out := t.TempDir(), t.TempDir()
	want := map[string]string{"a.txt": "one\n", "b é.txt": "two", "c#d.txt": "", "big.txt": strings.Repeat("0123456789abcdef", 1<<20)}
	for name, text := range want {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rows := transferred(t, db, fmt.Sprintf("PUT 'file://%s/*.txt' '@go_files/p q/' AUTO_COMPRESS = FALSE OVERWRITE = TRUE", dir))
	if len(rows) != len(want) {
		t.Fatalf("%d files put: %v", len(rows), rows)
	}
	rows = transferred(t, db, fmt.Sprintf("GET '@go_files/p q/' 'file://%s/'", out))
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(out, name))
		if err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v; the client said %v", name, len(got), err, rows)
		}
	}
}

// TestPatterns looks at the names under which gosnowflake asks for links.
func TestPatterns(t *testing.T) {
	t.Parallel()
	db := open(t, "")
	dir := t.TempDir()
	for _, name := range []string{"f1.csv", "f2.csv", "g.csv"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string]string{
		"*": "f1.csv f2.csv g.csv", "f*": "f1.csv f2.csv", "f?.csv": "f1.csv f2.csv", "[fg]*.csv": "f1.csv f2.csv g.csv", "f[2].csv": "f2.csv",
		"g.csv": "g.csv",
	} {
		if _, err := db.Exec("CREATE OR REPLACE STAGE go_patterns ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')"); err != nil {
			t.Fatal(err)
		}
		transferred(t, db, fmt.Sprintf("PUT 'file://%s/%s' @go_patterns/p AUTO_COMPRESS = FALSE", dir, pattern))
		var names []string
		for _, row := range transferred(t, db, "LIST @go_patterns") {
			name, _, _ := strings.Cut(strings.TrimPrefix(row, "[{go_patterns/p/"), " ")
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	db := open(t, "")
	if _, err := db.Exec("CREATE OR REPLACE STAGE go_streams ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')"); err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("stream "), 10000)
	if _, err := db.ExecContext(sf.WithFilePutStream(t.Context(), bytes.NewReader(body)), "PUT file:///tmp/s.bin @go_streams AUTO_COMPRESS = FALSE"); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := db.ExecContext(sf.WithFileGetStream(t.Context(), &got), "GET @go_streams/s.bin file:///tmp/"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), body) {
		t.Errorf("%d bytes came back of %d", got.Len(), len(body))
	}
}

// transferred runs PUT or GET and gives its rows as text.
func transferred(t *testing.T, db *sql.DB, text string) []string {
	t.Helper()
	rows, err := db.Query(text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		cells := make([]sql.NullString, len(columns))
		places := make([]any, len(columns))
		for i := range cells {
			places[i] = &cells[i]
		}
		if err := rows.Scan(places...); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprint(cells))
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return out
}
