// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"maps"
	"slices"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// show is one SHOW statement: its columns, and how its rows are found.
type show struct {
	columns []rowset.Column
	// shape gives the columns of a SHOW that has several forms; nil: columns.
	shape func(s *ast.Show) []rowset.Column
	level catalog.Scope // where its objects live, which says what IN may name and what it is without IN
	// scope is the kind of object that IN must name, "" when IN is a place.
	scope catalog.Kind
	// rows adds the rows to the listing, which filters and counts.
	rows func(l *listing, scope showScope) error
}

// showScope is where a SHOW looks.
type showScope struct {
	statement *ast.Show
	in        catalog.Name    // database or schema; the zero Name is the account
	object    *catalog.Object // with show.scope, and for IN COMPUTE POOL
}

// showTable lists what can be shown: every kind of object, and what is not an object.
func (e *Executor) showTable() map[string]show {
	table := map[string]show{
		"IMAGES":                         showImages(),
		"GRANTS":                         showGrants(),
		"PARAMETERS":                     showParameters(),
		"VARIABLES":                      showVariables(),
		shownTokens:                      showTokens(),
		"REGIONS":                        showRegions(),
		"COMPUTE POOL INSTANCE FAMILIES": showFamilies(),
	}
	for what, columns := range emptyShows() {
		table[what] = nothing(columns)
	}
	for _, k := range e.kinds {
		table[k.plural] = k.show()
	}
	table["INTEGRATIONS"] = table["EXTERNAL ACCESS INTEGRATIONS"]
	maps.Copy(table, serviceShows())
	return table
}

func terseColumns() []rowset.Column {
	return []rowset.Column{
		rowset.TimestampColumn("created_on"), rowset.TextColumn("name"), rowset.TextColumn("kind"), rowset.TextColumn("database_name"),
		rowset.TextColumn("schema_name"),
	}
}

// show makes the SHOW statement of a kind.
func (k *kind) show() show {
	return show{
		level: k.kind.Scope(),
		shape: func(s *ast.Show) []rowset.Column {
			if s.Terse && k.terse {
				return terseColumns()
			}
			return headers(k.columns)
		},
		rows: func(l *listing, scope showScope) error {
			l.guard.Preload()
			for o, err := range l.tx.Objects(k.kind, scope.in) {
				if err != nil {
					return err
				}
				if !l.admits(o.Name.Object) || !k.lists(l, o) {
					continue
				}
				more := l.add(o.Name.Object, func() []*string {
					if scope.statement.Terse && k.terse {
						return terseRow(o)
					}
					return row(l, k.columns, o)
				})
				if !more {
					break
				}
			}
			return nil
		},
	}
}

func terseRow(o *catalog.Object) []*string {
	return []*string{timeCell(o.Created), textCell(o.Name.Object), textCell(string(o.Kind)), orNull(o.Name.Database), orNull(o.Name.Schema)}
}

// lists tells whether SHOW gives the object to who asks.
func (k *kind) lists(l *listing, o *catalog.Object) bool {
	if k.listedBy == nil {
		return l.guard.Visible(o)
	}
	return l.guard.Holds(catalog.Ownership, o) ||
		slices.ContainsFunc(k.listedBy, func(p catalog.Privilege) bool { return l.guard.Holds(p, o) })
}

// showOf finds the SHOW statement. What Firn does not have at all shows nothing, in the columns that most kinds have.
func (e *Executor) showOf(s *ast.Show) show {
	if sh, ok := e.shows[shownAs(s)]; ok {
		return sh
	}
	return nothing("created_on name database_name schema_name owner comment")
}

func (sh show) columnsOf(s *ast.Show) []rowset.Column {
	if sh.shape != nil {
		return sh.shape(s)
	}
	return sh.columns
}

// showColumns gives the columns of a SHOW without running it.
func (w *work) showColumns(_ context.Context, s *ast.Show) ([]rowset.Column, error) {
	return w.showOf(s).columnsOf(s), nil
}

// show runs SHOW.
func (w *work) show(ctx context.Context, s *ast.Show) (*Result, error) {
	sh := w.showOf(s)
	f, err := w.filterOf(s)
	if err != nil {
		return nil, err
	}
	out := &rowset.Rowset{Columns: sh.columnsOf(s)}
	err = w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		l := newListing(w, tx, g, f)
		scope, err := w.scopeOf(l, sh, s)
		if err != nil {
			return err
		}
		if f.limit > 0 {
			if err := sh.rows(l, scope); err != nil {
				return err
			}
		}
		out.Rows = l.rows
		return l.done()
	})
	return &Result{Rowset: out}, err
}

// scopeOf finds where a SHOW looks.
//
// Errors: NotFound for a place that does not exist or that the role may not know of; 90105 and 90106.
func (w *work) scopeOf(l *listing, sh show, s *ast.Show) (showScope, error) {
	scope := showScope{statement: s}
	if s.What == "GRANTS" || s.What == "PARAMETERS" || s.What == shownTokens {
		return scope, nil
	}
	if sh.scope != "" {
		if s.In == nil || s.In.Name == nil {
			return scope, errs.New(errs.Syntax, "SQL compilation error:\nSHOW %s needs IN %s <name>", s.What, sh.scope).Numbered(1003, "42000")
		}
		name, err := w.qualify(s.In.Name.Parts, sh.scope)
		if err == nil {
			scope.object, err = l.guard.Find(sh.scope, name)
		}
		return scope, err
	}
	if s.In == nil {
		return scope, w.defaultScope(&scope, sh.level)
	}
	return scope, w.namedScope(l, &scope, sh)
}

// defaultScope is where a SHOW without IN looks: the current schema, or database, else the account.
func (w *work) defaultScope(scope *showScope, level catalog.Scope) error {
	if level == catalog.InAccount || w.session.Database == "" {
		return nil
	}
	scope.in = catalog.Name{Object: w.session.Database}
	if level == catalog.InSchema && w.session.Schema != "" {
		scope.in = catalog.Name{Database: w.session.Database, Object: w.session.Schema}
	}
	return nil
}

// namedScope reads IN.
func (w *work) namedScope(l *listing, scope *showScope, sh show) error {
	in := scope.statement.In
	kind := in.Kind
	switch {
	case kind == catalog.KindAccount || in.Session:
		return nil
	case kind == "" && in.Name != nil && sh.level == catalog.InDatabase:
		kind = catalog.KindDatabase
	case kind == "" && in.Name != nil:
		kind = catalog.KindSchema
	}
	var name catalog.Name
	var err error
	switch {
	case in.Name != nil:
		name, err = w.qualify(in.Name.Parts, kind)
	case kind == catalog.KindDatabase && w.session.Database != "":
		name = catalog.Name{Object: w.session.Database}
	case kind == catalog.KindSchema && w.session.Schema != "":
		name = catalog.Name{Database: w.session.Database, Object: w.session.Schema}
	case w.session.Database == "":
		err = w.noCurrent("database", 90105)
	default:
		err = w.noCurrent("schema", 90106)
	}
	if err != nil {
		return err
	}
	o, err := l.guard.Find(kind, name)
	if in.Kind == "" && kind == catalog.KindSchema && len(in.Name.Parts) == 1 && err != nil {
		kind, name = catalog.KindDatabase, catalog.Name{Object: name.Object}
		if database, databaseErr := l.guard.Find(kind, name); databaseErr == nil {
			o, err = database, nil
		}
	}
	if err != nil {
		return err
	}
	if kind != catalog.KindDatabase && kind != catalog.KindSchema {
		scope.object = o
		return nil
	}
	scope.in = o.Name
	return nil
}
