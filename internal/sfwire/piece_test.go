// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/ipc"

	"firn.dev/firn/internal/sql/rowset"
)

const (
	python = "PythonConnector/4.8.1 (Linux) CPython/3.11"
	many   = "SELECT SEQ8() AS n, 'row ' || SEQ8() AS t FROM TABLE(GENERATOR(ROWCOUNT => 130000))"
)

func TestWhoGetsArrow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, test := range map[string]struct {
		agent              string
		session, statement string // of the result format parameter
		want               string
	}{
		"python":                    {python, "", "", "arrow"},
		"python 5":                  {"PythonConnector/5.2.0", "", "", "arrow"},
		"go":                        {"Go/2.1.0 (linux-amd64)", "", "", "json"},
		"another client":            {"curl/8", "", "", "json"},
		"session says JSON":         {python, "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT=json", "", "json"},
		"statement says JSON":       {python, "", "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT=JSON", "json"},
		"statement over session":    {python, "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT=json", "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT=ARROW_FORCE", "arrow"},
		"go says Arrow":             {"Go/2.1.0", "GO_QUERY_RESULT_FORMAT=arrow", "", "arrow"},
		"a parameter of another":    {"Go/2.1.0", "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT=arrow", "", "json"},
		"nobody knows that client":  {"curl/8", "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT=arrow", "", "json"},
		"a format that is not ours": {python, "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT=parquet", "", "json"},
	} {
		token, _ := h.login()
		if key, value, ok := strings.Cut(test.session, "="); ok {
			h.must(token, fmt.Sprintf("ALTER SESSION SET %s = '%s'", key, value))
		}
		parameters := object{}
		if key, value, ok := strings.Cut(test.statement, "="); ok {
			parameters[key] = value
		}
		a := h.queryWith(token, object{"sqlText": "SELECT 1", "parameters": parameters}, "User-Agent", test.agent)
		if a.Data["queryResultFormat"] != test.want {
			t.Errorf("%s: %v, want %s", name, a.Data["queryResultFormat"], test.want)
		}
	}
	token, _ := h.login()
	for _, text := range []string{"SHOW DATABASES", "CREATE DATABASE IF NOT EXISTS d", "USE ROLE ACCOUNTADMIN", "LIST @~"} {
		if d := h.must(token, text, "User-Agent", python); d["queryResultFormat"] != "json" || d["rowset"] == nil {
			t.Errorf("%s: %v", text, d["queryResultFormat"])
		}
	}
}

func TestTheFormatOfALongStatement(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) { o.Hold = 20 * time.Millisecond })
	token, _ := h.login()
	a := h.queryWith(token, object{"sqlText": "SELECT SYSTEM$WAIT(300, 'MILLISECONDS')", "parameters": object{"PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": "JSON"}},
		"User-Agent", python)
	for deadline := time.Now().Add(20 * time.Second); a.code() == "333333" && time.Now().Before(deadline); {
		a = h.call("GET", a.Data["getResultUrl"].(string), token, nil, "User-Agent", python)
	}
	if a.Data["queryResultFormat"] != "json" {
		t.Errorf("%+v", a)
	}
	a = h.call("GET", "/queries/"+a.Data["queryId"].(string)+"/result", token, nil, "User-Agent", python)
	if a.Data["queryResultFormat"] != "arrow" {
		t.Errorf("asked by id: %+v", a)
	}
}

func TestArrowAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	d := h.must(token, "SELECT 1 AS a, 1.5::NUMBER(38,2) AS b, 12345678901234567890 AS c, '2024-01-01'::TIMESTAMP_NTZ(9) AS d, 'x' AS e", "User-Agent", python)
	if _, ok := d["rowset"]; ok {
		t.Error("rows in both formats")
	}
	raw, err := base64.StdEncoding.DecodeString(d["rowsetBase64"].(string))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ipc.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	var got []string
	for _, f := range r.Schema().Fields() {
		logical, _ := f.Metadata.GetValue("logicalType")
		got = append(got, fmt.Sprintf("%s %s %s", f.Name, logical, f.Type))
	}
	want := "A FIXED int64, B FIXED int64, C FIXED decimal(38, 0), D TIMESTAMP_NTZ struct<epoch: int64, fraction: int32>, E TEXT utf8"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if !r.Next() || r.RecordBatch().NumRows() != 1 {
		t.Error("not one row")
	}
	if d := h.must(token, "SELECT column1 FROM VALUES (1) WHERE column1 > 5", "User-Agent", python); d["rowsetBase64"] != "" || d["total"] != 0.0 {
		t.Errorf("no rows: %v", d)
	}
}

// chunks fetches all pieces of a large result and gives its rows.
func (h *house) allRows(d object, encoding string) [][]*string {
	h.t.Helper()
	text, err := json.Marshal(d["rowset"])
	if err != nil {
		h.t.Fatal(err)
	}
	var rows [][]*string
	if err := json.Unmarshal(text, &rows); err != nil {
		h.t.Fatal(err)
	}
	for _, each := range d["chunks"].([]any) {
		c := each.(object)
		resp, body := h.raw("GET", c["url"].(string), nil, "Accept-Encoding", encoding)
		if resp.StatusCode != 200 {
			h.t.Fatalf("%s: %s", c["url"], resp.Status)
		}
		size := "uncompressedSize"
		if encoding == "gzip" {
			size = "compressedSize"
		}
		if c[size] != float64(len(body)) {
			h.t.Errorf("%s %v, got %d bytes", size, c[size], len(body))
		}
		if encoding == "gzip" {
			zr, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				h.t.Fatal(err)
			}
			if body, err = io.ReadAll(zr); err != nil {
				h.t.Fatal(err)
			}
		}
		var more [][]*string
		if err := json.Unmarshal([]byte("["+string(body)+"]"), &more); err != nil {
			h.t.Fatal(err)
		}
		if c["rowCount"] != float64(len(more)) {
			h.t.Errorf("rowCount %v, got %d", c["rowCount"], len(more))
		}
		rows = append(rows, more...)
	}
	return rows
}

func TestPieces(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	d := h.must(token, many)
	if d["total"] != 130000.0 || len(d["rowset"].([]any)) != firstRows || len(d["chunks"].([]any)) != 3 {
		t.Fatalf("%v rows, %d first, %d chunks", d["total"], len(d["rowset"].([]any)), len(d["chunks"].([]any)))
	}
	for _, encoding := range []string{"gzip", "identity"} {
		h.door.kept = newShelf(mostKept) // as another replica, or after a restart
		rows := h.allRows(d, encoding)
		if len(rows) != 130000 {
			t.Fatalf("%s: %d rows", encoding, len(rows))
		}
		for i, row := range rows {
			if *row[0] != fmt.Sprint(i) || *row[1] != fmt.Sprintf("row %d", i) {
				t.Fatalf("%s: row %d is %s, %s", encoding, i, *row[0], *row[1])
			}
		}
	}
}

func TestPiecesAreGuarded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	d, other := h.must(token, many), h.must(token, "SELECT 1")
	link := d["chunks"].([]any)[0].(object)["url"].(string)
	id, otherID := d["queryId"].(string), other["queryId"].(string)
	for name, test := range map[string]struct {
		method, link string
		want         int
	}{
		"as given":         {"GET", link, 200},
		"no token":         {"GET", strings.SplitN(link, "?", 2)[0], 401},
		"another result":   {"GET", strings.Replace(link, id, otherID, 1), 401},
		"tampered":         {"GET", link + "x", 401},
		"an unknown piece": {"GET", strings.Replace(link, "/pieces/0", "/pieces/99", 1), 404},
		"no number":        {"GET", strings.Replace(link, "/pieces/0", "/pieces/x", 1), 404},
		"another format":   {"GET", strings.Replace(link, "/json/", "/parquet/", 1), 401},
		"POST":             {"POST", link, 405},
	} {
		if resp, _ := h.raw(test.method, test.link, nil); resp.StatusCode != test.want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, test.want)
		}
	}
	h.pass(pieceTTL + time.Second)
	if resp, _ := h.raw("GET", link, nil); resp.StatusCode != 401 {
		t.Errorf("expired: %d", resp.StatusCode)
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	wide := strings.Repeat("x", pieceBytes)
	narrow := ""
	fill := func(n int, text *string) [][]*string {
		rows := make([][]*string, n)
		for i := range rows {
			rows[i] = []*string{text, nil}
		}
		return rows
	}
	for name, test := range map[string]struct {
		rows [][]*string
		want string
	}{
		"none":          {nil, "[{0 0}]"},
		"one":           {fill(1, &narrow), "[{0 1}]"},
		"just one":      {fill(firstRows, &narrow), "[{0 10000}]"},
		"one more":      {fill(firstRows+1, &narrow), "[{0 10000} {10000 10001}]"},
		"many":          {fill(firstRows+pieceRows+1, &narrow), "[{0 10000} {10000 60000} {60000 60001}]"},
		"wide":          {fill(3, &wide), "[{0 1} {1 2} {2 3}]"},
		"wide, and one": {append(fill(1, &wide), fill(2, &narrow)...), "[{0 1} {1 3}]"},
	} {
		if got := fmt.Sprint(split(test.rows)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestShelf(t *testing.T) {
	t.Parallel()
	s := newShelf(10)
	built := 0
	get := func(key string, size int) {
		t.Helper()
		found, err := s.get(key, func() ([]piece, error) { built++; return []piece{{packed: make([]byte, size)}}, nil })
		if err != nil || len(found) != 1 || len(found[0].packed) != size {
			t.Errorf("%s: %v, %v", key, found, err)
		}
	}
	for i, step := range []struct {
		key   string
		size  int
		built int
	}{{"a", 4, 1}, {"b", 4, 2}, {"a", 4, 2}, {"c", 4, 3}, {"a", 4, 3}, {"b", 4, 4}, {"large", 100, 5}, {"large", 100, 5}, {"a", 4, 6}, {"large", 100, 7}} {
		get(step.key, step.size)
		if built != step.built {
			t.Errorf("step %d, %s: built %d, want %d", i, step.key, built, step.built)
		}
	}
	if _, err := s.get("bad", func() ([]piece, error) { return nil, io.ErrUnexpectedEOF }); err == nil {
		t.Error("no error")
	}
	get("bad", 1)
}

func TestMoments(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]moment{
		"1.500": {1, 500, 3, 0}, "-1.250": {-2, 750, 3, 0}, "-1.000": {-1, 0, 3, 0}, "-0.250": {-1, 750, 3, 0}, "5.000 1500": {5, 0, 3, 1500},
	} {
		if got, err := momentOf(cell, 3); err != nil || got != want {
			t.Errorf("%s: %v, %v", cell, got, err)
		}
	}
	for _, bad := range []string{"", "x", "1.x", "1.0 x"} {
		if _, err := momentOf(bad, 1); err == nil {
			t.Errorf("%q is a moment", bad)
		}
	}
	if _, err := arrowStream(arrowColumns(&rowset.Rowset{Columns: []rowset.Column{rowset.NumberColumn("n")}}), [][]*string{{new(string)}}); err == nil {
		t.Error("an empty text is a number")
	}
}

func BenchmarkArrowOfOneRow(b *testing.B) {
	one := "1"
	rs := &rowset.Rowset{Columns: []rowset.Column{{Name: "1", Type: rowset.Fixed, Precision: 1, NotNull: true}}, Rows: [][]*string{{&one}}}
	for b.Loop() {
		if _, err := arrowStream(arrowColumns(rs), rs.Rows); err != nil {
			b.Fatal(err)
		}
	}
}
