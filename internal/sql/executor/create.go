// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
)

// create runs CREATE for every kind.
func (w *work) create(ctx context.Context, s *ast.Create) (*Result, error) {
	k, err := w.kindOf(s.Kind)
	if err != nil {
		return nil, err
	}
	if err := k.allows(s); err != nil {
		return nil, err
	}
	changes, err := k.decode(ctx, w, s.Properties, false)
	if err != nil {
		return nil, err
	}
	fresh := func() *catalog.Object {
		o := &catalog.Object{Kind: s.Kind, Name: s.Name.Resolved, Spec: k.initial()}
		for _, c := range changes {
			c(o)
		}
		if s.Temporary {
			o.Session = w.session.ID
		}
		return o
	}
	made := fresh()
	if k.check != nil {
		if err := k.check(made); err != nil {
			return nil, err
		}
	}
	there := s.Name.Resolved.Object + " already exists, statement succeeded."
	err = w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error { return w.place(tx, g, s, k, true) })
	if errs.Is(err, errs.Exists) && s.IfNotExists {
		return &Result{Rowset: status(there)}, nil
	}
	if err == nil && k.prepare != nil {
		err = k.prepare(ctx, w, made)
	}
	if err != nil {
		return nil, err
	}
	err = w.update(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		if err := w.place(tx, g, s, k, false); err != nil {
			return err
		}
		o := *made // the transaction may run again
		o.Owner = g.Primary()
		if err := tx.CreateObject(&o); err != nil {
			return alreadyExists(err, o.Name)
		}
		if k.created != nil {
			if err := k.created(w, tx, &o); err != nil {
				return err
			}
		}
		return w.audit(tx, "create", &o, "")
	})
	if errs.Is(err, errs.Exists) && s.IfNotExists {
		return &Result{Rowset: status(there)}, nil
	}
	return &Result{Rowset: status(k.createdText(s.Name.Resolved.Object))}, err
}

// allows checks the form of CREATE against what the kind knows.
func (k *kind) allows(s *ast.Create) error {
	switch {
	case s.OrReplace && s.IfNotExists:
		return errs.New(errs.Invalid, "SQL compilation error:\noptions IF NOT EXISTS and OR REPLACE are incompatible.").Numbered(1003, "42000")
	case s.OrReplace && !k.replace:
		return errs.New(errs.Unsupported, "SQL compilation error:\nUnsupported feature 'CREATE OR REPLACE %s'.", k.kind).Numbered(2, "0A000")
	case s.Temporary && k.kind != catalog.KindStage:
		return errs.New(errs.Unsupported, "SQL compilation error:\nUnsupported feature 'CREATE TEMPORARY %s'.", k.kind).Numbered(2, "0A000")
	}
	for _, part := range s.Name.Parts {
		if k.plain && part.Quoted && catalog.Quote(part.Text) != part.Text {
			return errs.New(errs.Invalid, "SQL compilation error:\ninvalid identifier '%s': names of %ss are not quoted", part, k.kind.Title()).
				Numbered(904, "42000")
		}
	}
	return nil
}

// initial gives the spec that a new object starts from: what every UNSET would leave.
func (k *kind) initial() catalog.Spec {
	o := &catalog.Object{Kind: k.kind, Spec: catalog.NewSpec(k.kind)}
	for _, p := range k.properties {
		if p.reset != nil {
			p.reset(o)
		}
	}
	return o.Spec
}

// place makes room for a new object: nothing may have its name, or with OR REPLACE the role must own what has it. With look
// nothing is changed.
//
// Errors: Exists (2002; 3041 when the role may not know of the object); Denied; Refused by the kind.
func (w *work) place(tx catalog.Tx, g *rbac.Guard, s *ast.Create, k *kind, look bool) error {
	old, err := tx.Object(s.Kind, s.Name.Resolved)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	switch {
	case err != nil:
		return err
	case s.IfNotExists && g.Visible(old), !s.OrReplace && g.Visible(old):
		return existsError(s.Name.Resolved)
	case !g.Visible(old):
		return errs.New(errs.Exists, "SQL compilation error:\nObject '%s' already exists, but current role has no privileges on it. "+
			"If this is unexpected and you cannot resolve this problem, contact your system administrator.", s.Name.Resolved.Object).Numbered(3041, "42710")
	case !g.Holds(catalog.Ownership, old):
		return rbac.Insufficient(old.Kind, old.Name)
	case look:
		return nil
	}
	if k.dropping != nil {
		if err := k.dropping(w, tx, old); err != nil {
			return err
		}
	}
	if err := w.audit(tx, "replace", old, ""); err != nil {
		return err
	}
	return tx.DropObject(old.ID)
}

func existsError(name catalog.Name) error {
	return errs.New(errs.Exists, "SQL compilation error:\nObject '%s' already exists.", name.Object).Numbered(2002, "42710")
}

// alreadyExists gives Exists of the catalog in the words of clients.
func alreadyExists(err error, name catalog.Name) error {
	if errs.Is(err, errs.Exists) {
		return existsError(name)
	}
	return err
}
