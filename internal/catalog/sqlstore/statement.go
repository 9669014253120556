// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"fmt"
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const (
	// historyColumns are those of a listing.
	historyColumns columns = "id, request, session, parent, user_name, role, database_name, schema_name, warehouse, tag, type_id, async, node, " +
		"status, error_code, sql_state, message, row_count, started, ended, text"
	statementColumns = historyColumns + ", result"
)

// statementFields gives where the historyColumns of a row go.
func statementFields(s *catalog.Statement) []any {
	return []any{&s.ID, &s.RequestID, &s.Session, &s.Parent, &s.User, &s.Role, &s.Database, &s.Schema, &s.Warehouse, &s.Tag, &s.TypeID,
		boolColumn{&s.Async}, &s.Node, &s.Status, &s.ErrorCode, &s.SQLState, &s.Message, &s.Rows, stamp{&s.Started}, stamp{&s.Ended}, &s.Text}
}

func readHistory(row scan) (*catalog.Statement, error) {
	s := &catalog.Statement{}
	return s, row(statementFields(s)...)
}

func readStatement(row scan) (*catalog.Statement, error) {
	s := &catalog.Statement{}
	return s, row(append(statementFields(s), &s.Result)...)
}

// BeginStatement implements catalog.Statements.
func (t *tx) BeginStatement(s *catalog.Statement) error {
	started := s.Started
	if started.IsZero() {
		started = t.now
	}
	n, err := t.exec("INSERT INTO statement ("+string(historyColumns)+") VALUES ("+historyColumns.places()+") ON CONFLICT DO NOTHING",
		s.ID, s.RequestID, s.Session, s.Parent, s.User, s.Role, s.Database, s.Schema, s.Warehouse, s.Tag, s.TypeID, number(s.Async), s.Node,
		string(catalog.StatementRunning), 0, "", "", 0, micros(started), 0, s.Text)
	if err != nil {
		return err
	}
	if n == 0 {
		return errs.New(errs.Exists, "statement %s, or one with its request id in session %d, already exists", s.ID, s.Session)
	}
	s.Status, s.Started = catalog.StatementRunning, started
	return nil
}

// EndStatement implements catalog.Statements.
func (t *tx) EndStatement(s *catalog.Statement) error {
	if s.Status == catalog.StatementRunning || s.Status == "" {
		return errs.New(errs.Invalid, "statement %s cannot end with status %q", s.ID, s.Status)
	}
	ended := s.Ended
	if ended.IsZero() {
		ended = t.now
	}
	n, err := t.exec(`UPDATE statement SET status = $2, error_code = $3, sql_state = $4, message = $5, row_count = $6, result = $7, ended = $8
		WHERE id = $1 AND status = 'RUNNING'`, s.ID, string(s.Status), s.ErrorCode, s.SQLState, s.Message, s.Rows, s.Result, micros(ended))
	if err != nil {
		return err
	}
	if n == 1 {
		s.Ended = ended
		return nil
	}
	old, err := t.Statement(s.ID)
	if err != nil {
		return err
	}
	return errs.New(errs.Conflict, "statement %s does not run any more: it is %s", s.ID, old.Status)
}

// Statement implements catalog.Statements.
func (t *tx) Statement(id string) (*catalog.Statement, error) {
	s, found, err := one(t, readStatement, "SELECT "+string(statementColumns)+" FROM statement WHERE id = $1", id)
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "statement %s does not exist", id)
	}
	return s, err
}

// StatementByRequest implements catalog.Statements.
func (t *tx) StatementByRequest(session int64, requestID string) (*catalog.Statement, error) {
	// The second condition lets the databases use the index of statements with a request id.
	s, found, err := one(t, readStatement, "SELECT "+string(statementColumns)+` FROM statement
		WHERE session = $1 AND request = $2 AND request <> ''`, session, requestID)
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "session %d has no statement with request id %s", session, requestID)
	}
	return s, err
}

// History implements catalog.Statements.
func (t *tx) History(h catalog.StatementFilter) iter.Seq2[*catalog.Statement, error] {
	var f filter
	if h.Session != 0 {
		f.add("session = ?", h.Session)
	}
	if h.User != "" {
		f.add("user_name = ?", h.User)
	}
	oneOf(&f, "role", h.Roles)
	if h.Status != "" {
		f.add("status = ?", string(h.Status))
	}
	since(&f, "started", h.StartedSince, h.StartedUntil)
	limit := h.Limit
	if limit <= 0 {
		limit = 100
	}
	return list(t, readHistory, "SELECT "+string(historyColumns)+" FROM statement"+f.where()+
		fmt.Sprintf(" ORDER BY started DESC, id DESC LIMIT %d", limit), f.args...)
}

// since adds the condition that a time is in [from, until); a zero end is open.
func since(f *filter, column string, from, until time.Time) {
	if !from.IsZero() {
		f.add(column+" >= ?", micros(from))
	}
	if !until.IsZero() {
		f.add(column+" < ?", micros(until))
	}
}

// FailAbandoned implements catalog.Statements.
func (t *tx) FailAbandoned(node, message string) (int, error) {
	n, err := t.exec("UPDATE statement SET status = $1, message = $2, ended = $3 WHERE node = $4 AND status = 'RUNNING'",
		string(catalog.StatementFailed), message, micros(t.now), node)
	return int(n), err
}

// PurgeStatements implements catalog.Statements.
func (t *tx) PurgeStatements(resultsBefore, before time.Time) error {
	// What ended before a time started before it, and there is an index on that.
	const over = " WHERE started < $1 AND ended <> 0 AND ended < $1"
	if _, err := t.exec("DELETE FROM statement"+over, micros(before)); err != nil {
		return err
	}
	_, err := t.exec("UPDATE statement SET result = NULL"+over+" AND result IS NOT NULL", micros(resultsBefore))
	return err
}
