// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"encoding/base64"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/executor"
	"firn.dev/firn/internal/sql/rowset"
)

// finished is the answer of a statement that has ended well, its data in the format f when it can be.
func (d *Door) finished(r *http.Request, s *catalog.Session, res *executor.Result, f format) (answer, error) {
	if res.Session != nil {
		s = res.Session
	}
	if res.Transfer != nil {
		data, err := d.transfer(r, s, res)
		return answer{data: data}, err
	}
	data := map[string]any{
		"parameters": parameterList(s), "rowtype": rowTypes(res.Rowset.Columns), "total": len(res.Rowset.Rows),
		"returned": len(res.Rowset.Rows), "queryId": res.QueryID, "statementTypeId": res.TypeID, "numberOfBinds": res.Binds,
		"arrayBindSupported": false, "version": 1, "sendResultTime": d.Now().UnixMilli(),
		"finalDatabaseName": nullable(s.Database), "finalSchemaName": nullable(s.Schema),
		"finalWarehouseName": nullable(s.Warehouse), "finalRoleName": s.Role,
	}
	rows, err := d.rows(r, res, fitting(f, res))
	if err != nil {
		return answer{}, err
	}
	maps.Copy(data, rows)
	if len(res.Children) > 0 {
		ids, types := make([]string, len(res.Children)), make([]string, len(res.Children))
		for i, c := range res.Children {
			ids[i], types[i] = c.QueryID, strconv.Itoa(c.TypeID)
		}
		data["resultIds"], data["resultTypes"] = strings.Join(ids, ","), strings.Join(types, ",")
	}
	return answer{data: data}, nil
}

// rows are the members of an answer that hold the rows: the first in the answer, the rest of a large result as pieces to fetch.
func (d *Door) rows(r *http.Request, res *executor.Result, f format) (map[string]any, error) {
	spans := split(res.Rowset.Rows)
	first := res.Rowset.Rows[:spans[0].end]
	if first == nil {
		first = [][]*string{}
	}
	out := map[string]any{"queryResultFormat": f}
	switch {
	case f == formatJSON:
		out["rowset"] = first
	case len(first) == 0:
		out["rowsetBase64"] = "" // clients make an empty table of the row types, and trip over a stream without rows
	default:
		stream, err := arrowStream(arrowColumns(res.Rowset), first)
		if err != nil {
			return nil, err
		}
		out["rowsetBase64"] = base64.StdEncoding.EncodeToString(stream)
	}
	if len(spans) == 1 {
		return out, nil
	}
	chunks, err := d.chunks(r, res, f)
	out["chunks"] = chunks
	return out, err
}

// rowType describes a column. The Python connector indexes name, type, length, precision, scale and nullable of every column.
type rowType struct {
	Name       string  `json:"name"`
	Type       string  `json:"type"`
	Length     *int    `json:"length"`
	ByteLength *int    `json:"byteLength"`
	Precision  *int    `json:"precision"`
	Scale      *int    `json:"scale"`
	Nullable   bool    `json:"nullable"`
	Database   string  `json:"database"`
	Schema     string  `json:"schema"`
	Table      string  `json:"table"`
	Collation  *string `json:"collation"`
}

func rowTypes(columns []rowset.Column) []rowType {
	out := make([]rowType, len(columns))
	for i, c := range columns {
		t := rowType{Name: c.Name, Type: string(c.Type), Nullable: !c.NotNull}
		switch c.Type {
		case rowset.Fixed:
			t.Precision, t.Scale = &c.Precision, &c.Scale
		case rowset.Time, rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
			t.Precision, t.Scale = new(int), &c.Scale
		case rowset.Text:
			bytes := textBytes(c.Length)
			t.Length, t.ByteLength = &c.Length, &bytes
		case rowset.Binary:
			t.Length, t.ByteLength = &c.Length, &c.Length
		}
		out[i] = t
	}
	return out
}

// textBytes is the most bytes that a text of so many characters takes.
func textBytes(characters int) int { return min(4*characters, max(characters, rowset.MaxText)) }
