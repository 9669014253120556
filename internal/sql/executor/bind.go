// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/parser"
	"firn.dev/firn/internal/sql/rowset"
)

// bind resolves the names of the statement with the session's database and schema, and notes what it requires.
func (w *work) bind() error {
	for _, n := range w.statement.Names() {
		resolve := w.resolve
		if s, ok := w.statement.(*ast.Show); ok && s.In != nil && s.In.Name == n {
			resolve = w.evaluate // a bare name after IN may be a schema or a database: scopeOf finds out
		}
		if err := resolve(n); err != nil {
			return err
		}
	}
	w.requires = append(w.requires, w.statement.Requires()...)
	return nil
}

// resolve sets the canonical name.
//
// Errors: Invalid (904) for text that is no name; 90105 and 90106 when the session has no database or schema.
func (w *work) resolve(n *ast.Name) error {
	if err := w.evaluate(n); err != nil {
		return err
	}
	name, err := w.qualify(n.Parts, n.Kind)
	n.Resolved = name
	return err
}

// evaluate gives IDENTIFIER(...) its parts.
func (w *work) evaluate(n *ast.Name) error {
	if n.Arg == nil {
		return nil
	}
	text, err := w.scalarText(n.Arg)
	if err != nil {
		return err
	}
	read, err := parser.ParseName(text, n.Kind)
	if err == nil {
		n.Parts = read.Parts
	}
	return err
}

// qualify gives the canonical name of an object of the kind.
func (w *work) qualify(parts []ast.Ident, kind catalog.Kind) (catalog.Name, error) {
	want := 1 + int(kind.Scope()) // catalog.InAccount, InDatabase and InSchema have one, two and three parts
	if len(parts) == 0 || len(parts) > want {
		written := make([]string, len(parts))
		for i, p := range parts {
			written[i] = p.String()
		}
		return catalog.Name{}, invalidIdentifier(strings.Join(written, "."))
	}
	name := catalog.Name{Object: parts[len(parts)-1].Canonical()}
	before := parts[:len(parts)-1]
	if kind.Scope() == catalog.InSchema {
		if len(before) > 0 {
			name.Schema, before = before[len(before)-1].Canonical(), before[:len(before)-1]
		} else {
			name.Schema = w.session.Schema
		}
	}
	if kind.Scope() != catalog.InAccount {
		if len(before) > 0 {
			name.Database = before[0].Canonical()
		} else {
			name.Database = w.session.Database
		}
		if name.Database == "" {
			return name, w.noCurrent("database", 90105)
		}
	}
	if kind.Scope() == catalog.InSchema && name.Schema == "" {
		return name, w.noCurrent("schema", 90106)
	}
	return name, nil
}

// noCurrent is the error for a name that needs the session's database or schema when it has none.
func (w *work) noCurrent(what string, number int) error {
	return errs.New(errs.Invalid, "Cannot perform %s. This session does not have a current %s. Call 'USE %s', or use a qualified name.",
		verbOf(w.statement), what, strings.ToUpper(what)).Numbered(number, "22000")
}

// verbOf is what a statement does, for messages: "CREATE STAGE", "DROP", "SELECT".
func verbOf(s ast.Statement) string {
	switch s := s.(type) {
	case *ast.Create:
		return "CREATE " + string(s.Kind)
	case *ast.Alter:
		return "ALTER " + string(s.Kind)
	case *ast.Drop:
		return "DROP " + string(s.Kind)
	case *ast.Describe:
		return "DESCRIBE " + string(s.Kind)
	case *ast.Show:
		return "SHOW " + s.What
	case *ast.Query:
		return "SELECT"
	}
	word, _, _ := strings.Cut(s.String(), " ")
	return strings.ToUpper(word)
}

func invalidIdentifier(text string) error {
	return errs.New(errs.Invalid, "SQL compilation error:\ninvalid identifier '%s'", text).Numbered(904, "42000")
}

// parseName gives the canonical name that a text of a property or argument means.
//
// Errors: Invalid (904) with the text as it was given; 90105; 90106.
func (w *work) parseName(text string, kind catalog.Kind) (catalog.Name, error) {
	n, err := parser.ParseName(text, kind)
	if err != nil {
		return catalog.Name{}, err
	}
	return w.qualify(n.Parts, kind)
}

// canonicalName gives the stored form of an account-level name: upper case unless quoted.
func canonicalName(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	n, err := parser.ParseName(text, catalog.KindRole)
	if err != nil {
		return "", err
	}
	if len(n.Parts) != 1 {
		return "", invalidIdentifier(text)
	}
	return n.Parts[0].Canonical(), nil
}

// scalarText gives the text of an expression without tables: a literal, bind or variable.
//
// Errors: Invalid for NULL and for what cannot be evaluated.
func (w *work) scalarText(x ast.Expr) (string, error) {
	v, err := w.scalar(context.Background(), x)
	if err != nil {
		return "", err
	}
	if v.IsNull() {
		return "", errs.New(errs.Invalid, "SQL compilation error:\n%s is NULL where a value is needed", x).Numbered(1015, "22023")
	}
	return v.Text(), nil
}

// dealBinds gives statement number i of a request its own binds: the text's placeholders are numbered through.
func dealBinds(all map[string]rowset.Bind, statements []parser.Parsed, i int) map[string]rowset.Bind {
	if len(statements) == 1 || len(all) == 0 {
		return all
	}
	before := 0
	for _, p := range statements[:i] {
		before += p.Binds
	}
	own := map[string]rowset.Bind{}
	for key, b := range all {
		n, err := strconv.Atoi(key)
		switch {
		case err != nil:
			own[key] = b
		case n > before && n <= before+statements[i].Binds:
			own[strconv.Itoa(n-before)] = b
		}
	}
	return own
}

// stageID gives the stage that a reference means: a named one, or the session user's own.
//
// Errors: NotFound (2003); Invalid (904).
func (w *work) stageID(ctx context.Context, ref *ast.StageRef) (catalog.ID, error) {
	if ref.Arg != nil {
		text, err := w.scalarText(ref.Arg)
		if err != nil {
			return "", err
		}
		read, err := parser.ParseStageRef(text)
		if err != nil {
			return "", err
		}
		*ref = *read
		if ref.Name != nil {
			if err := w.resolve(ref.Name); err != nil {
				return "", err
			}
		}
	}
	var id catalog.ID
	err := w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		kind, name := catalog.KindUser, catalog.Name{Object: w.session.User}
		if ref.Name != nil {
			kind, name = catalog.KindStage, ref.Name.Resolved
		}
		o, err := g.Find(kind, name)
		if err == nil {
			id = o.ID
		}
		return err
	})
	return id, err
}
