// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// kind is everything in which one kind of object differs from the others. CREATE, ALTER, DROP, DESCRIBE and SHOW are written
// once over this table; a new kind is one more entry of kindTable.
type kind struct {
	kind   catalog.Kind
	plural string // as SHOW names it: "COMPUTE POOLS"
	label  string // in the success text of CREATE; "" is the kind's title

	plain    bool // names are unquoted identifiers
	replace  bool // CREATE OR REPLACE is allowed
	rename   bool // ALTER ... RENAME TO is allowed
	comments bool // COMMENT is a property

	properties []property
	columns    []column            // of SHOW
	describe   *description        // nil: one row with the columns of SHOW
	listedBy   []catalog.Privilege // privileges that SHOW asks for, OWNERSHIP apart; nil: any
	terse      bool                // SHOW TERSE exists
	actions    map[string]action   // of ALTER: "SUSPEND", ...

	// check looks at a new or changed object as a whole: required and contradictory properties.
	check func(o *catalog.Object) error
	// prepare completes a new object outside of any transaction: images are judged here.
	prepare func(ctx context.Context, w *work, o *catalog.Object) error
	// created runs in the transaction that created the object.
	created func(w *work, tx catalog.Tx, o *catalog.Object) error
	// dropping runs in the transaction before the object is dropped or replaced; it may refuse.
	dropping func(w *work, tx catalog.Tx, o *catalog.Object) error
	// renaming runs in the transaction before the object, still under its old name, gets the new one; it may refuse.
	renaming func(w *work, tx catalog.Tx, o *catalog.Object, to catalog.Name) error
}

// action is what ALTER <kind> <name> <words> does: a change of the object, or the whole statement.
type action struct {
	run     func(w *work, tx catalog.Tx, g *rbac.Guard, o *catalog.Object) error
	answer  func(ctx context.Context, w *work, s *ast.Alter) (*Result, error)
	columns []rowset.Column // of answer; nil: one text column "status"
}

// description is the form of DESCRIBE for kinds that do not answer with one row like SHOW.
type description struct {
	columns []rowset.Column
	rows    func(l *listing, o *catalog.Object) ([][]*string, error)
}

// kindTable lists the kinds that have statements.
func kindTable() map[catalog.Kind]*kind {
	table := map[catalog.Kind]*kind{}
	for _, k := range []*kind{
		databaseKind(), schemaKind(), roleKind(), userKind(), warehouseKind(), poolKind(), repositoryKind(), stageKind(),
		secretKind(), networkRuleKind(), integrationKind(), environmentKind(), serviceKind(),
	} {
		table[k.kind] = k
	}
	return table
}

// kindOf gives the entry of a kind.
//
// Errors: Unsupported.
func (e *Executor) kindOf(name catalog.Kind) (*kind, error) {
	if k, ok := e.kinds[name]; ok {
		return k, nil
	}
	return nil, errs.New(errs.Unsupported, "SQL compilation error:\nUnsupported feature '%s'.", name).Numbered(2, "0A000")
}

// created gives the success text of CREATE.
func (k *kind) createdText(name string) string {
	label := k.label
	if label == "" {
		label = k.kind.Title()
	}
	return label + " " + name + " successfully created."
}
