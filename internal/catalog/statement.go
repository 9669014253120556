// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"iter"
	"time"
)

// StatementStatus is where a statement stands, in the words of /monitoring/queries.
// https://github.com/snowflakedb/snowflake-connector-python (constants.py, QueryStatus)
type StatementStatus string

// The statuses. The executor that runs the statement moves it on; Statements.FailAbandoned does when that executor is gone.
const (
	StatementRunning StatementStatus = "RUNNING"
	StatementSuccess StatementStatus = "SUCCESS"
	StatementFailed  StatementStatus = "FAILED_WITH_ERROR"
	StatementAborted StatementStatus = "ABORTED"
)

// Statement is one statement that a session ran or runs, with its result: the source of history, of RESULT_SCAN, of
// /queries/<id>/result, and of the rule that a repeated request id never runs twice.
type Statement struct {
	ID        string // UUID, the query id that clients see
	RequestID string // unique within its session; "" for statements without
	Session   int64
	Parent    string // id of the multi-statement request that it is part of, else ""
	User      string
	Role      string
	Database  string
	Schema    string
	Warehouse string
	Tag       string
	Text      string // secrets masked
	TypeID    int    // statementTypeId of the protocol
	Async     bool
	Node      string // id of the firnd process that runs it
	Status    StatementStatus
	ErrorCode int // 0 when none
	SQLState  string
	Message   string // error text for the user
	Rows      int64
	Result    []byte // encoded rowset of a statement that succeeded, opaque to the catalog; nil else
	Started   time.Time
	Ended     time.Time // zero while running
}

// StatementFilter selects statements of History. Zero fields do not filter; a list that is empty but not nil selects nothing.
type StatementFilter struct {
	Session      int64
	User         string
	Roles        []string // role is one of
	Status       StatementStatus
	StartedSince time.Time // inclusive
	StartedUntil time.Time // exclusive
	Limit        int       // newest first; 0 means 100
}

// Statements keeps statements and results.
type Statements interface {
	// BeginStatement adds a statement, sets Status to RUNNING and fills Started when zero. With a RequestID that its session
	// has used before nothing is added.
	//
	// Errors: Exists for a repeated request id or id.
	BeginStatement(s *Statement) error
	// EndStatement stores status, error, rows, result and Ended, filled when zero, of a statement that still runs.
	//
	// Errors: NotFound; Conflict when it does not run any more; Invalid when the status is RUNNING.
	EndStatement(s *Statement) error
	// Statement finds a statement with its result.
	//
	// Errors: NotFound.
	Statement(id string) (*Statement, error)
	// StatementByRequest finds what a session ran for a request id, result included.
	//
	// Errors: NotFound.
	StatementByRequest(session int64, requestID string) (*Statement, error)
	// History lists statements without their results, newest first.
	History(f StatementFilter) iter.Seq2[*Statement, error]
	// FailAbandoned ends the running statements of a node as failed with the message, and tells how many.
	FailAbandoned(node, message string) (int, error)
	// PurgeStatements removes the results of statements that ended before the first time, and the statements themselves that
	// ended before the second.
	PurgeStatements(resultsBefore, before time.Time) error
}
