// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
)

// monitored is a statement as /monitoring/queries shows it. Numbers are numbers: connector 5.x refuses anything else.
// snowflake-connector-python connection.py _get_query_status.
type monitored struct {
	ID            string `json:"id"`
	Status        string `json:"status"` // RUNNING, SUCCESS, FAILED_WITH_ERROR, ABORTED
	State         string `json:"state"`  // RUNNING, SUCCEEDED, FAILED
	ErrorCode     string `json:"errorCode"`
	ErrorMessage  string `json:"errorMessage"`
	SQLText       string `json:"sqlText"`
	SessionID     int64  `json:"sessionId"`
	UserName      string `json:"userName"`
	RoleName      string `json:"roleName"`
	WarehouseName string `json:"warehouseName"`
	QueryTag      string `json:"queryTag"`
	StartTime     int64  `json:"startTime"`
	EndTime       int64  `json:"endTime"`
	TotalDuration int64  `json:"totalDuration"`
}

func (d *Door) monitoredOf(s *catalog.Statement) monitored {
	m := monitored{
		ID: s.ID, Status: string(s.Status), State: "SUCCEEDED", SQLText: s.Text, SessionID: s.Session, UserName: s.User,
		RoleName: s.Role, WarehouseName: s.Warehouse, QueryTag: s.Tag, StartTime: millis(s.Started), EndTime: millis(s.Ended),
		ErrorMessage: s.Message,
	}
	end := s.Ended
	switch s.Status {
	case catalog.StatementRunning:
		m.State, end = "RUNNING", d.Now()
	case catalog.StatementFailed, catalog.StatementAborted:
		m.State = "FAILED"
	}
	if s.ErrorCode != 0 {
		m.ErrorCode = strconv.Itoa(s.ErrorCode)
	}
	m.TotalDuration = end.Sub(s.Started).Milliseconds()
	return m
}

// monitor answers with one statement; an unknown one is an empty list.
func (d *Door) monitor(r *http.Request) (answer, error) {
	s, err := d.Sessions.Find(r.Context(), sessionToken(r))
	if err != nil {
		return answer{}, err
	}
	queries := []monitored{}
	found, err := d.Executor.Statement(r.Context(), s, r.PathValue("id"))
	if err == nil {
		queries = append(queries, d.monitoredOf(found))
	}
	return answer{data: map[string]any{"queries": queries}}, nil
}

// stateOf maps the subset words of a history request to statuses.
var stateOf = map[string]catalog.StatementStatus{
	"RUNNING": catalog.StatementRunning, "SUCCEEDED": catalog.StatementSuccess, "FAILED": catalog.StatementFailed,
	"ABORTED": catalog.StatementAborted,
}

// history answers with the statements that the role may see, newest first: `!queries` of snow sql.
func (d *Door) history(r *http.Request) (answer, error) {
	s, err := d.Sessions.Find(r.Context(), sessionToken(r))
	if err != nil {
		return answer{}, err
	}
	q := r.URL.Query()
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(q.Get(name), 10, 64) // what is no number does not filter
		return n
	}
	f := catalog.StatementFilter{
		Session: number("session_id"), User: strings.ToUpper(q.Get("user")), Limit: int(number("max")),
		Status: stateOf[strings.ToUpper(q.Get("subset"))],
	}
	if ms := number("start"); ms > 0 {
		f.StartedSince = time.UnixMilli(ms)
	}
	if ms := number("end"); ms > 0 {
		f.StartedUntil = time.UnixMilli(ms)
	}
	found, err := d.Executor.History(r.Context(), s, f)
	if err != nil {
		return answer{}, err
	}
	queries := []monitored{}
	for _, statement := range found {
		m := d.monitoredOf(statement)
		if m.TotalDuration < number("min_duration") || q.Get("includeDDL") == "false" && statement.TypeID != 4096 {
			continue
		}
		queries = append(queries, m)
	}
	return answer{data: map[string]any{"queries": queries}}, nil
}
