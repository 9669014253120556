// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"cmp"
	"net/http"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/executor"
)

// format is how the rows of a result travel, in the protocol's word.
type format string

const (
	formatJSON  format = "json"
	formatArrow format = "arrow"
)

// typeSelect is the statementTypeId of statements that give data. The others answer in JSON whatever the client prefers: clients
// read the counts of DML and the columns of SHOW from it.
const typeSelect = 4096

// families are the clients whose results may be Arrow: the start of their User-Agent, the parameter that names the format, and
// what they get without it. Everybody else gets JSON.
// snowflake-connector-python cursor.py (_init_result_and_meta); gosnowflake rows.go.
var families = []struct {
	agent, parameter string
	without          format
}{
	{"PythonConnector/", "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT", formatArrow},
	{"Go/", "GO_QUERY_RESULT_FORMAT", formatJSON},
	{"JDBC/", "JDBC_QUERY_RESULT_FORMAT", formatJSON},
	{"ODBC/", "ODBC_QUERY_RESULT_FORMAT", formatJSON},
}

// wanted gives the format that a client wants its data in: by the statement's parameters, else by the session's, else by what the
// client is.
func wanted(r *http.Request, s *catalog.Session, statement map[string]string) format {
	for _, f := range families {
		if !strings.HasPrefix(r.UserAgent(), f.agent) {
			continue
		}
		switch text := strings.ToUpper(cmp.Or(statement[f.parameter], s.Parameters[f.parameter])); {
		case text == "":
			return f.without
		case strings.HasPrefix(text, "ARROW"): // ARROW, ARROW_FORCE
			return formatArrow
		}
		return formatJSON
	}
	return formatJSON
}

// fitting gives the format that a result can have.
func fitting(want format, res *executor.Result) format {
	if res.TypeID != typeSelect || len(res.Rowset.Columns) == 0 {
		return formatJSON
	}
	return want
}
