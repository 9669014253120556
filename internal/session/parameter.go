// SPDX-License-Identifier: Apache-2.0

package session

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
)

// Parameter describes one session parameter that Firn knows. Unknown ones are accepted and kept, as clients send many.
// https://docs.snowflake.com/en/sql-reference/parameters
type Parameter struct {
	Name        string
	Default     string
	Type        string // BOOLEAN, NUMBER or STRING
	Client      bool   // clients get it with the login and after a change
	Description string
}

// parameters is sorted by name.
var parameters = []Parameter{
	{"ABORT_DETACHED_QUERY", "false", "BOOLEAN", false, "stop statements whose connection was lost"},
	{"AUTOCOMMIT", "true", "BOOLEAN", true, "commit each statement by itself"},
	{"BINARY_OUTPUT_FORMAT", "HEX", "STRING", true, "display format of binary values"},
	{"CLIENT_PREFETCH_THREADS", "4", "NUMBER", true, "threads that clients read results with"},
	{"CLIENT_RESULT_CHUNK_SIZE", "160", "NUMBER", true, "megabytes per piece of a result"},
	{"CLIENT_SESSION_KEEP_ALIVE", "false", "BOOLEAN", true, "clients send heartbeats"},
	{"CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY", "3600", "NUMBER", true, "seconds between heartbeats"},
	{"CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "0", "NUMBER", true, "bound values above which clients upload them to a stage; 0 is never"},
	{"CLIENT_TELEMETRY_ENABLED", "false", "BOOLEAN", true, "clients report their use"},
	{"DATE_INPUT_FORMAT", "AUTO", "STRING", false, "input format of dates"},
	{"DATE_OUTPUT_FORMAT", "YYYY-MM-DD", "STRING", true, "display format of dates"},
	{"MULTI_STATEMENT_COUNT", "1", "NUMBER", false, "statements in one request; 0 is any number"},
	{"PYTHON_SNOWPARK_ENABLE_THREAD_SAFE_SESSION", "true", "BOOLEAN", true, "Snowpark gives each thread a cursor of its own"},
	{"PYTHON_SNOWPARK_USE_AST", "false", "BOOLEAN", true, "Snowpark sends its tree beside the text"},
	{"PYTHON_SNOWPARK_USE_SCOPED_TEMP_OBJECTS", "false", "BOOLEAN", true, "Snowpark makes scoped temporary objects"},
	{"QUERY_CONTEXT_CACHE_SIZE", "5", "NUMBER", true, "entries of the query context that clients keep"},
	{"QUERY_TAG", "", "STRING", true, "text that history shows with each statement"},
	{"ROWS_PER_RESULTSET", "0", "NUMBER", false, "most rows of a result; 0 is no limit"},
	{"STATEMENT_TIMEOUT_IN_SECONDS", "172800", "NUMBER", false, "seconds after which a statement is stopped"},
	{"TIMESTAMP_LTZ_OUTPUT_FORMAT", "", "STRING", true, "display format of TIMESTAMP_LTZ"},
	{"TIMESTAMP_NTZ_OUTPUT_FORMAT", "YYYY-MM-DD HH24:MI:SS.FF3", "STRING", true, "display format of TIMESTAMP_NTZ"},
	{"TIMESTAMP_OUTPUT_FORMAT", "YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM", "STRING", true, "display format of timestamps"},
	{"TIMESTAMP_TYPE_MAPPING", "TIMESTAMP_NTZ", "STRING", true, "what TIMESTAMP means"},
	{"TIMESTAMP_TZ_OUTPUT_FORMAT", "", "STRING", true, "display format of TIMESTAMP_TZ"},
	{"TIMEZONE", "Etc/UTC", "STRING", true, "time zone of the session"},
	{"TIME_OUTPUT_FORMAT", "HH24:MI:SS", "STRING", true, "display format of times"},
}

// Known lists the parameters that Firn knows, by name.
func Known() []Parameter { return slices.Clone(parameters) }

// Lookup finds a known parameter by its upper-case name.
func Lookup(name string) (Parameter, bool) {
	i, ok := slices.BinarySearchFunc(parameters, name, func(p Parameter, n string) int { return strings.Compare(p.Name, n) })
	if !ok {
		return Parameter{}, false
	}
	return parameters[i], true
}

// Value gives the present value of a parameter as text: the session's, else the default, else "".
func Value(s *catalog.Session, name string) string {
	if v, ok := s.Parameters[name]; ok {
		return v
	}
	p, _ := Lookup(name)
	return p.Default
}

// ClientParameters gives what login and query answers carry in "parameters": name -> bool, int64 or string.
func ClientParameters(s *catalog.Session) map[string]any {
	out := map[string]any{}
	for _, p := range parameters {
		if p.Client {
			out[p.Name] = typed(p.Type, Value(s, p.Name))
		}
	}
	for name := range maps.Keys(s.Parameters) {
		if _, ok := Lookup(name); !ok {
			out[name] = s.Parameters[name]
		}
	}
	return out
}

func typed(kind, text string) any {
	switch kind {
	case "BOOLEAN":
		return strings.EqualFold(text, "true")
	case "NUMBER":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	}
	return text
}
