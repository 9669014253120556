// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// drop runs DROP for every kind.
func (w *work) drop(ctx context.Context, s *ast.Drop) (*Result, error) {
	k, err := w.kindOf(s.Kind)
	if err != nil {
		return nil, err
	}
	name := s.Name.Resolved
	err = w.update(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		o, err := g.Find(s.Kind, name)
		if err != nil {
			return err
		}
		if k.dropping != nil {
			if err := k.dropping(w, tx, o); err != nil {
				return err
			}
		}
		if err := w.audit(tx, "drop", o, ""); err != nil {
			return err
		}
		return tx.DropObject(o.ID)
	})
	if s.IfExists && errs.Is(err, errs.NotFound) {
		return &Result{Rowset: alreadyDropped(name)}, nil
	}
	return &Result{Rowset: status(name.Object + " successfully dropped.")}, err
}

func alreadyDropped(name catalog.Name) *rowset.Rowset {
	return status("Drop statement executed successfully (" + name.Object + " already dropped).")
}

// absent tells whether a failed check means that DROP or ALTER ... IF EXISTS has nothing to do, and gives its answer.
func absent(s ast.Statement, err error) (*Result, bool) {
	if !errs.Is(err, errs.NotFound) {
		return nil, false
	}
	switch s := s.(type) {
	case *ast.Drop:
		if s.IfExists {
			return &Result{Rowset: alreadyDropped(s.Name.Resolved)}, true
		}
	case *ast.Alter:
		if s.IfExists {
			return &Result{Rowset: status(succeeded)}, true
		}
	}
	return nil, false
}

// describe runs DESCRIBE for every kind.
func (w *work) describe(ctx context.Context, s *ast.Describe) (*Result, error) {
	k, err := w.describable(s)
	if err != nil {
		return nil, err
	}
	out := &rowset.Rowset{Columns: k.describeColumns()}
	err = w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		o, err := g.Find(s.Kind, s.Name.Resolved)
		if err != nil {
			return err
		}
		l := newListing(w, tx, g, nil)
		if k.describe == nil {
			out.Rows = [][]*string{row(l, k.columns, o)}
			return l.done()
		}
		if out.Rows, err = k.describe.rows(l, o); err != nil {
			return err
		}
		return l.done()
	})
	return &Result{Rowset: out}, err
}

// describable gives the kind to describe. Connectors make DESCRIBE TABLE of every DESCRIBE <name>, and there are no tables.
func (w *work) describable(s *ast.Describe) (*kind, error) {
	if s.Kind == ast.KindTable {
		return nil, errs.New(errs.NotFound, "SQL compilation error:\nTable '%s' does not exist or not authorized.", strings.ToUpper(s.Name.String())).
			Numbered(2003, "42S02")
	}
	return w.kindOf(s.Kind)
}

func (k *kind) describeColumns() []rowset.Column {
	if k.describe != nil {
		return k.describe.columns
	}
	return headers(k.columns)
}

// describeShape gives the columns of DESCRIBE without running it.
func (w *work) describeShape(_ context.Context, s *ast.Describe) ([]rowset.Column, error) {
	k, err := w.describable(s)
	if err != nil {
		return nil, err
	}
	return k.describeColumns(), nil
}
