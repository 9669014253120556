// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"errors"
	"strings"

	"firn.dev/firn/internal/errs"
)

// The errors that clients tell apart by number; the texts are compared too.
// https://docs.snowflake.com/en/sql-reference/functions/try_cast and the error texts users report in client issues.

func errNumeric(text string) error {
	return errs.New(errs.Invalid, "Numeric value '%s' is not recognized", text).Numbered(100038, "22018")
}

func errRange(text string) error {
	return errs.New(errs.Invalid, "Numeric value '%s' is out of range", text).Numbered(100039, "22003")
}

func errDivision() error {
	return errs.New(errs.Invalid, "Division by zero").Numbered(100051, "22012")
}

func errDate(text string) error {
	return errs.New(errs.Invalid, "Date '%s' is not recognized", text).Numbered(100040, "22007")
}

func errTime(text string) error {
	return errs.New(errs.Invalid, "Time '%s' is not recognized", text).Numbered(100108, "22007")
}

func errTimestamp(text string) error {
	return errs.New(errs.Invalid, "Timestamp '%s' is not recognized", text).Numbered(100035, "22007")
}

func errBoolean(text string) error {
	return errs.New(errs.Invalid, "Boolean value '%s' is not recognized", text).Numbered(100037, "22018")
}

func errBinary(text string) error {
	return errs.New(errs.Invalid, "The following string is not a legal hex-encoded value: '%s'", text).Numbered(100115, "22000")
}

func errTooLong(text string) error {
	return errs.New(errs.Invalid, "String '%s' is too long and would be truncated", text).Numbered(100078, "22000")
}

func errVariant(text, kind string) error {
	return errs.New(errs.Invalid, "Failed to cast variant value %s to %s", text, kind).Numbered(100071, "22000")
}

func errJSON(reason string) error {
	return errs.New(errs.Invalid, "Error parsing JSON: %s", reason).Numbered(100069, "22P02")
}

func errUnknownFunction(name string) error {
	return errs.New(errs.Invalid, "SQL compilation error:\nUnknown function %s.", strings.ToUpper(name)).Numbered(2140, "42601")
}

func errBindMissing() error {
	return errs.New(errs.Invalid, "SQL compilation error:\nBind variable ? not set.").Numbered(2049, "42601")
}

func errVariable(name string) error {
	return errs.New(errs.Invalid, "SQL compilation error: error line 1 at position 0\nSession variable '$%s' does not exist", name).Numbered(2211, "02000")
}

func errAmbiguous(name string) error {
	return errs.New(errs.Invalid, "SQL compilation error:\nambiguous column name '%s'", name).Numbered(2028, "42601")
}

func errGroup(text string) error {
	return errs.New(errs.Invalid, "SQL compilation error:\n'%s' is not a valid group by expression", text).Numbered(979, "42601")
}

func errArguments(function, reason string) error {
	return errs.New(errs.Invalid, "SQL compilation error:\n%s for function [%s]", reason, function).Numbered(939, "22023")
}

func errArgument(function, reason string) error {
	return errs.New(errs.Invalid, "Invalid argument for function %s: %s", function, reason).Numbered(1045, "22023")
}

func errCompile(format string, args ...any) error {
	return errs.New(errs.Invalid, "SQL compilation error:\n"+format, args...).Numbered(2262, "42601")
}

func errBranches(want, have int) error {
	return errCompile("invalid number of result columns for set operator input branches, expected %d, got %d in branch 2", want, have)
}

func errUnsupported(what string) error {
	return errs.New(errs.Unsupported, "Unsupported feature '%s'.", what).Numbered(2, "0A000")
}

// errStopped tells why ctx ended the work.
func errStopped(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errs.New(errs.Timeout, "Statement reached its statement or warehouse timeout and was canceled.").Numbered(630, "57014")
	}
	return errs.New(errs.Canceled, "SQL execution canceled").Numbered(604, "57014")
}

// errIdentifier is about a column that no table in reach has.
func (c *compiler) errIdentifier(name string, pos int) error {
	line, column := position(c.env.Text, pos)
	return errs.New(errs.Invalid, "SQL compilation error: error line %d at position %d\ninvalid identifier '%s'", line, column, name).
		Numbered(904, "42000")
}

// position turns a byte offset into a line from 1 and a place in it from 0.
func position(text string, offset int) (line, column int) {
	if offset > len(text) {
		return 1, offset
	}
	before := text[:offset]
	return 1 + strings.Count(before, "\n"), offset - (strings.LastIndexByte(before, '\n') + 1)
}
