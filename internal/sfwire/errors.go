// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"errors"
	"fmt"
	"net/http"

	"firn.dev/firn/internal/errs"
)

// number is the Snowflake error number and SQLSTATE of a code, for errors that do not carry more exact ones.
var numbers = map[errs.Code]struct {
	number int
	state  string
}{
	errs.Internal:        {603, "XX000"},
	errs.Invalid:         {1008, "22023"},
	errs.Syntax:          {1003, "42000"},
	errs.NotFound:        {2003, "02000"},
	errs.Exists:          {2002, "42710"},
	errs.Denied:          {3001, "42501"},
	errs.Unauthenticated: {390104, "08001"},
	errs.Conflict:        {625, "40001"},
	errs.Refused:         {395001, "55000"},
	errs.Canceled:        {604, "57014"},
	errs.Timeout:         {630, "57014"},
	errs.Unavailable:     {395002, "58000"},
	errs.Exhausted:       {395003, "53000"},
	errs.Unsupported:     {2, "0A000"},
	errs.Corrupt:         {395004, "58030"},
}

// failedStatement carries the id of the statement that failed, which clients show.
type failedStatement struct {
	id  string
	err error
}

func (f *failedStatement) Error() string { return f.err.Error() }
func (f *failedStatement) Unwrap() error { return f.err }

// failure is the one place where errors become the protocol's. What is not an errs.Error is logged and withheld.
func (d *Door) failure(r *http.Request, err error) envelope {
	code := errs.CodeOf(err)
	text := errs.MessageOf(err)
	number, state := numbers[code].number, numbers[code].state
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Number != 0 {
		number, state = e.Number, e.State
	}
	id := ""
	if f, ok := errors.AsType[*failedStatement](err); ok {
		id = f.id
	}
	if code == errs.Internal {
		d.Log.Error("request failed", "path", r.URL.Path, "statement", id, "err", err)
		text = fmt.Sprintf("SQL execution internal error: the server's log has the reason under statement %s.", id)
	}
	six := fmt.Sprintf("%06d", number)
	data := map[string]any{
		"internalError": code == errs.Internal, "errorCode": six, "age": 0, "sqlState": state, "line": -1, "pos": -1,
		"type": "COMPILATION", "queryId": nil,
	}
	if id != "" {
		data["queryId"] = id
	}
	return envelope{Data: data, Code: &six, Message: &text}
}
