// SPDX-License-Identifier: Apache-2.0

// Package parser makes a tree of SQL text: a hand-written scanner and recursive descent. It knows no session and no rows of the
// catalog; names stay as written. The executor calls Parse for requests, ParseScript for files and texts that are executed, and
// ParseName and ParseStageRef for names that arrive as values.
package parser

import (
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

// Parsed is one statement of a text.
type Parsed struct {
	Statement ast.Statement
	Text      string // as written, without the closing semicolon
	Binds     int    // number of ? in it, or the highest n of :n
	Pos       int    // byte offset of Text
}

// Parse gives the statements of a text.
//
// Errors: Syntax; Unsupported.
func Parse(text string) ([]Parsed, error) {
	return nil, errs.New(errs.Syntax, "Empty SQL statement.").Numbered(900, "42000")
}

// ParseScript is Parse for the text of EXECUTE IMMEDIATE and for script files.
func ParseScript(text string) ([]Parsed, error) { return Parse(text) }

// ParseName reads a name of an object of the kind from a value, all of it.
//
// Errors: Invalid, 904 with the whole text.
func ParseName(text string, kind catalog.Kind) (*ast.Name, error) {
	return nil, errs.New(errs.Invalid, "invalid identifier '%s'", text).Numbered(904, "42000")
}

// ParseStageRef reads @stage/path from a value, all of it.
//
// Errors: Invalid, 904 with the whole text.
func ParseStageRef(text string) (*ast.StageRef, error) {
	return nil, errs.New(errs.Invalid, "invalid identifier '%s'", text).Numbered(904, "42000")
}
