// SPDX-License-Identifier: Apache-2.0

package ast

// StageRef is a place in a stage: @[db.][schema.]stage/path, '@stage/path with blanks', @~/path, or an expression that gives such text.
type StageRef struct {
	Name *Name  // nil for the user's own stage @~
	User bool   // @~
	Path string // below the stage root without leading slash, a trailing slash kept
	Arg  Expr   // PUT file://x ?: bind that gives the whole reference; then Name is nil until the executor has parsed it
	Pos  int
}

// Put is PUT file://... @stage.
type Put struct {
	Local    string // as written, without file://
	LocalArg Expr   // bind that gives it
	Stage    *StageRef
	Options  []Property
}

// Get is GET @stage file://...
type Get struct {
	Stage    *StageRef
	Local    string
	LocalArg Expr
	Options  []Property
}

// List is LIST or LS.
type List struct {
	Stage   *StageRef
	Pattern Expr // literal or bind; nil when not given
}

// Remove is REMOVE or RM.
type Remove struct {
	Stage   *StageRef
	Pattern Expr
}

// CopyFiles is COPY FILES INTO @to FROM @from.
type CopyFiles struct {
	Into    *StageRef
	From    *StageRef
	Query   *Query     // FROM (SELECT url [, name] ...); then From is nil
	Options []Property // FILES, PATTERN, DETAILED_OUTPUT
}
