// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	"firn.dev/firn/internal/errs"
)

// exitError is an error that decides the exit code of the program. A nil err prints nothing: the output already says it.
type exitError struct {
	code int
	err  error
}

// Error gives the message of the cause, "" when there is none.
func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap gives the cause.
func (e *exitError) Unwrap() error { return e.err }

// The exit codes.
const (
	exitFailed     = 1 // the answer is no
	exitUsage      = 2 // nothing was done
	exitUnreadable = 3 // the object cannot be judged
	exitInternal   = 4 // Firn's own needs failed
)

// exitCode gives the code that the program ends with.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if errs.Is(err, errs.Internal) {
		return exitInternal
	}
	return exitFailed
}

// usageError is a command line that cannot be understood.
func usageError(format string, args ...any) error {
	return &exitError{code: exitUsage, err: errs.New(errs.Invalid, format, args...)}
}
