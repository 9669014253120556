// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/parser"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

// parse gives the query of a text.
func parse(t testing.TB, text string) *ast.Query {
	t.Helper()
	parsed, err := parser.Parse(text)
	if err != nil {
		t.Fatalf("parse %q: %v", text, err)
	}
	q, ok := parsed[0].Statement.(*ast.Query)
	if !ok {
		t.Fatalf("%q is a %T", text, parsed[0].Statement)
	}
	return q
}

// environment is a session of SYSADMIN with the relations below.
func environment(text string) *query.Env {
	return &query.Env{
		Text:      text,
		Now:       time.Date(2026, 11, 23, 8, 9, 10, 123456789, time.UTC),
		Rand:      rand.New(rand.NewPCG(1, 2)),
		Variables: map[string]query.Value{"A": query.NumberValue(42), "S": query.TextValue("it's")},
		Relations: relations{},
		Functions: functions{},
	}
}

func cell(s string) *string { return &s }

// row makes cells; "NULL" is NULL.
func row(cells ...string) []*string {
	out := make([]*string, len(cells))
	for i, c := range cells {
		if c != "NULL" {
			out[i] = cell(c)
		}
	}
	return out
}

func shows() *rowset.Rowset {
	return &rowset.Rowset{
		Columns: []rowset.Column{
			rowset.TimestampColumn("created_on"), rowset.TextColumn("name"), rowset.TextColumn("status"), rowset.TextColumn("database_name"),
			rowset.TextColumn("schema_name"), rowset.TextColumn("owner"), rowset.TextColumn("compute_pool"),
			rowset.NumberColumn("target_instances"), rowset.TimestampColumn("updated_on"),
		},
		Rows: [][]*string{
			row("1795000000.123", "B", "DONE", "TESTDB", "PUBLIC", "R1", "POOL1", "2", "1795000100.000"),
			row("1795400000.000", "A", "RUNNING", "TESTDB", "PUBLIC", "R1", "POOL1", "1", "NULL"),
			row("1794000000.000", "c", "FAILED", "TESTDB", "PUBLIC", "R2", "NULL", "NULL", "1794000001.000"),
		},
	}
}

func jobs() *rowset.Rowset {
	return &rowset.Rowset{
		Columns: []rowset.Column{
			rowset.TextColumn("QUERY_ID"), rowset.NumberColumn("ID"), rowset.TextColumn("NAME"), rowset.TextColumn("DATABASE_NAME"),
			rowset.TextColumn("SCHEMA_NAME"), rowset.TimestampColumn("CREATED_TIME"), rowset.TimestampColumn("COMPLETED_TIME"),
			rowset.TimestampColumn("DELETED_TIME"), rowset.TextColumn("STATUS"), rowset.TextColumn("MESSAGE"),
			rowset.TextColumn("COMPUTE_POOL_NAME"), rowset.TextColumn("OWNER"), {Name: "PARAMETERS", Type: rowset.Object},
		},
		Rows: [][]*string{
			row("q1", "1", "MYJOB_0A1B2C3D", "TESTDB", "PUBLIC", "1795000000.000", "1795000009.500", "NULL", "DONE", "NULL", "POOL1", "R1", `{"ASYNC": true, "REPLICAS": 2}`),
			row("q2", "2", "OTHER", "TESTDB", "PUBLIC", "1795000001.000", "NULL", "NULL", "RUNNING", "pulling", "POOL1", "R1", `{}`),
			row("q3", "3", "GONE", "TESTDB", "PUBLIC", "1795000002.000", "NULL", "1795000003.000", "DELETED", "NULL", "POOL1", "R1", "NULL"),
		},
	}
}

type relations struct{}

func (relations) Table(_ context.Context, table *ast.TableName, columnsOnly bool) (*rowset.Rowset, error) {
	if table.Pipe > 0 {
		return shows(), nil
	}
	switch name := strings.ToUpper(table.Name.String()); name {
	case "T":
		return &rowset.Rowset{
			Columns: []rowset.Column{{Name: "ID", Type: rowset.Fixed, Precision: 38, NotNull: true}, rowset.TextColumn("X"), {Name: "V", Type: rowset.Variant}},
			Rows:    [][]*string{row("1", "a", `{"a":{"b":[10,20]},"s":"x"}`), row("2", "b", `{"a":null}`), row("3", "NULL", "NULL"), row("4", "a", "[1]")},
		}, nil
	case "EVENTS":
		return &rowset.Rowset{
			Columns: []rowset.Column{{Name: "TIMESTAMP", Type: rowset.TimestampNTZ, Scale: 9}, {Name: "VALUE", Type: rowset.Variant}, {Name: "RESOURCE_ATTRIBUTES", Type: rowset.Object}, rowset.TextColumn("RECORD_TYPE")},
			Rows: [][]*string{
				row("1795000001.000000000", `"second"`, `{"snow.service.name":"J","snow.database.name":"D","snow.schema.name":"S"}`, "LOG"),
				row("1795000000.000000000", `"first"`, `{"snow.service.name":"J","snow.database.name":"D","snow.schema.name":"S"}`, "LOG"),
				row("1795000002.000000000", `"other"`, `{"snow.service.name":"K","snow.database.name":"D","snow.schema.name":"S"}`, "LOG"),
			},
		}, nil
	default:
		return nil, errs.New(errs.NotFound, "SQL compilation error:\nObject '%s' does not exist or not authorized.", name).Numbered(2003, "42S02")
	}
}

func (relations) Function(_ context.Context, call query.TableCall, columnsOnly bool) (*rowset.Rowset, error) {
	switch {
	case call.Name == "RESULT_SCAN":
		return shows(), nil
	case call.Name == "SNOWFLAKE.SPCS.GET_JOB_HISTORY":
		return jobs(), nil
	case call.Object != nil && call.Name == "SPCS_GET_LOGS":
		return &rowset.Rowset{
			Columns: []rowset.Column{rowset.TimestampColumn("TIMESTAMP"), rowset.NumberColumn("INSTANCE_ID"), rowset.TextColumn("CONTAINER_NAME"), rowset.TextColumn("LOG")},
			Rows:    [][]*string{row("1795000002.000", "0", "main", "two"), row("1795000001.000", "0", "main", "one"), row("1795000001.000", "1", "main", "elsewhere")},
		}, nil
	case call.Name == "DIRECTORY":
		return &rowset.Rowset{Columns: []rowset.Column{rowset.TextColumn("RELATIVE_PATH"), rowset.NumberColumn("SIZE")}, Rows: [][]*string{row("a/b.txt", "3")}}, nil
	}
	return nil, errs.New(errs.Invalid, "SQL compilation error:\nUnknown table function %s", call.Name).Numbered(2143, "42601")
}

type functions struct{}

func (functions) Call(_ context.Context, name string, object *ast.Name, args []query.Value, columnsOnly bool) (query.Value, bool, error) {
	switch name {
	case "CURRENT_ROLE":
		return query.TextValue("SYSADMIN"), true, nil
	case "CURRENT_SCHEMA":
		return query.NullValue(rowset.TextColumn("")), true, nil
	case "LAST_QUERY_ID":
		return query.TextValue("01b2c3d4-0000-0000-0000-000000000001"), true, nil
	case "SYSTEM$ECHO", "SYSTEM$GET_SERVICE_LOGS", "SYSTEM$CANCEL_ALL_QUERIES":
		if columnsOnly {
			return query.NullValue(rowset.TextColumn("")), true, nil
		}
		texts := make([]string, len(args))
		for i, a := range args {
			texts[i] = a.Text()
		}
		return query.TextValue(fmt.Sprint(strings.Join(texts, "|"))), true, nil
	case "SPCS_WAIT_FOR":
		return query.TextValue(object.String() + " DONE"), true, nil
	}
	return query.Value{}, false, nil
}
