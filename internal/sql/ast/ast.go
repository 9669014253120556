// SPDX-License-Identifier: Apache-2.0

// Package ast is the tree of Firn's SQL: the contract between the parser, which builds it, and the executor and the query
// engine, which walk it. It holds no behaviour but printing, and what each statement requires.
//
// Every statement prints as canonical SQL with secrets masked, and parsing that gives the same tree, apart from the masked values,
// positions and Item.Text. Names are kept as written; the executor's bind step sets Name.Resolved before it asks for Requires.
//
// statement.go holds objects and grants, session.go what changes a session, stage.go file statements, query.go and expr.go SELECT;
// requires.go what each needs, print*.go how it prints, walk.go how to visit every part.
package ast

import (
	"fmt"
	"strings"

	"firn.dev/firn/internal/catalog"
)

// Statement is one SQL statement. The set is sealed: a statement cannot exist without saying what it requires.
type Statement interface {
	fmt.Stringer
	// Names gives every object name that must be resolved before Requires means anything, in the order of the text.
	Names() []*Name
	// Requires lists what the current role must hold, in terms of the resolved names. Rules that depend on what exists
	// (OR REPLACE needs ownership of what it replaces) are Optional requirements.
	Requires() []catalog.Requirement
	statement()
}

// KindTable stands for tables and views, which are relations of the query engine and no objects of the catalog. Names of this kind
// are not among Statement.Names.
const KindTable catalog.Kind = "TABLE"

// Ident is one part of a name as written.
type Ident struct {
	Text   string // without quotes, "" doubled ones undone
	Quoted bool
}

// Canonical is the stored form: upper case unless quoted.
func (i Ident) Canonical() string {
	if i.Quoted {
		return i.Text
	}
	return strings.ToUpper(i.Text)
}

// String is the part as it must be written to mean the same.
func (i Ident) String() string {
	if i.Quoted {
		return `"` + strings.ReplaceAll(i.Text, `"`, `""`) + `"`
	}
	return i.Text
}

// Name is a reference to an object, or IDENTIFIER(<expr>) that becomes one when its argument is known.
type Name struct {
	Kind  catalog.Kind // of what it names
	Parts []Ident      // one to three; empty while Arg is not evaluated
	Arg   Expr         // argument of IDENTIFIER(...): a literal, bind or session variable; else nil
	Pos   int          // byte offset in the statement's text

	Resolved catalog.Name // set by the executor
}

// String is the name as written.
func (n *Name) String() string {
	if n.Arg != nil {
		return "IDENTIFIER(" + n.Arg.String() + ")"
	}
	parts := make([]string, len(n.Parts))
	for i, p := range n.Parts {
		parts[i] = p.String()
	}
	return strings.Join(parts, ".")
}

// Property is NAME = value in a statement.
type Property struct {
	Name  string // upper case, several words joined by one blank
	Value Value
}

// ValueKind is the form of a property's value.
type ValueKind int

// The forms.
const (
	StringValue ValueKind = iota // 'text' or $$text$$
	NumberValue                  // 42, 1.5, -1
	WordValue                    // bare word or words: TRUE, CPU, CPU_X64_XS; Text as written
	NameValue                    // dotted or quoted identifier; Text as written
	ListValue                    // (a, b)
	MapValue                     // (K = v K2 = v2)
	BindValue                    // ?, :1, $v: Expr says which
)

// Value is a property's value as written.
type Value struct {
	Kind ValueKind
	Text string     // of String (unescaped), Number, Word, Name
	List []Value    // of List
	Map  []Property // of Map
	Expr Expr       // of Bind
	Pos  int
}
