// SPDX-License-Identifier: Apache-2.0

// Package errs is the one vocabulary of failures that every room of Firn shares.
//
// A failure is made where its cause is known, with New or Wrap, and translated to the outside in exactly one
// function per door (sfwire/errors.go for SQL clients, registry/errors.go for image clients, the exit code in
// cmd/firn). The Code is for programs, the Message for the person at the keyboard, the wrapped error for the log.
//
// It imports nothing of Firn, knows no protocol and no error number. Everybody may import it.
package errs

import (
	"errors"
	"fmt"
)

// Code says what kind of failure happened. The set is closed and small on purpose: add one only when a door must
// answer it differently from all the others.
type Code string

// The codes. The comment says what a caller may conclude.
const (
	// Internal is a fault of Firn itself; its message is logged and withheld from users.
	Internal Code = "internal"
	// Invalid is input that can never work as written: syntax, a bad name, a wrong option value.
	Invalid Code = "invalid"
	// Syntax is statement text that does not parse.
	Syntax Code = "syntax"
	// NotFound is an object that does not exist, or that the asking role may not know of.
	NotFound Code = "not-found"
	// Exists is a name that is taken.
	Exists Code = "exists"
	// Denied is an object that the role may see but not use in this way.
	Denied Code = "denied"
	// Unauthenticated is a missing, wrong or expired proof of identity.
	Unauthenticated Code = "unauthenticated"
	// Conflict is a state that somebody else changed in the meantime; reading again and repeating may work.
	Conflict Code = "conflict"
	// Refused is a valid request that the state of things forbids: a deprecated environment, a moved tag, an image that
	// failed its checks, a repository still in use.
	Refused Code = "refused"
	// Canceled is work that was stopped by its owner.
	Canceled Code = "canceled"
	// Timeout is work that took longer than it was allowed to.
	Timeout Code = "timeout"
	// Unavailable is something outside that does not answer now: database, engine, blob store. Retrying may work.
	Unavailable Code = "unavailable"
	// Exhausted is a limit that was reached: disk, quota, size, rate.
	Exhausted Code = "exhausted"
	// Unsupported is something that Firn understands and does not do.
	Unsupported Code = "unsupported"
	// Corrupt is stored or received data whose digest or structure is wrong.
	Corrupt Code = "corrupt"
)

// Error is the only error type with a Code. Build it with New or Wrap.
type Error struct {
	Code    Code
	Message string // for the user: lower case, names the object, the reason and, where useful, the next step
	// Number is a Snowflake error number such as 2003 when clients depend on a more exact one than the Code implies, else 0.
	// https://github.com/snowflakedb/snowflake-connector-python (errorcode.py) and docs/sql-reference.md list them.
	Number int
	// State is the SQLSTATE that goes with Number, else "".
	State string
	cause error
}

// Error gives the message, followed by the cause when there is one.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.cause.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// New makes an error of the code with a message for the user.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an error of the code with a message for the user and a cause for the log. A nil cause is allowed.
func Wrap(cause error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), cause: cause}
}

// Numbered sets the Snowflake error number and SQLSTATE and gives the same error back.
func (e *Error) Numbered(number int, state string) *Error {
	e.Number, e.State = number, state
	return e
}

// CodeOf gives the code of the outermost Error in the chain, Internal when there is none, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Is tells whether err carries the code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }

// MessageOf gives what a user may read: the messages of all Errors in the chain, never the text of foreign errors.
// For an error without an Error in its chain it is "internal error".
func MessageOf(err error) string {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return "internal error"
	}
	if e.cause != nil {
		if inner, ok := errors.AsType[*Error](e.cause); ok {
			return e.Message + ": " + MessageOf(inner)
		}
	}
	return e.Message
}
