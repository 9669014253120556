// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func roleKind() *kind {
	return &kind{
		kind: catalog.KindRole, plural: "ROLES", replace: true, rename: true, comments: true, terse: true,
		columns: []column{
			createdOn(), nameColumn(),
			textOf("is_default", func(l *listing, o *catalog.Object) *string { return yesNo(l.user().DefaultRole == o.Name.Object) }),
			textOf("is_current", func(l *listing, o *catalog.Object) *string { return yesNo(l.w.session.Role == o.Name.Object) }),
			textOf("is_inherited", func(l *listing, o *catalog.Object) *string {
				return yesNo(l.w.session.Role != o.Name.Object && l.guard.Has(o.Name.Object))
			}),
			numberOf("assigned_to_users", func(l *listing, o *catalog.Object) *string {
				return l.edges(func(e catalog.RoleGrant) bool { return e.Role == o.Name.Object && e.ToUser != "" })
			}),
			numberOf("granted_to_roles", func(l *listing, o *catalog.Object) *string {
				return l.edges(func(e catalog.RoleGrant) bool { return e.Role == o.Name.Object && e.ToRole != "" })
			}),
			numberOf("granted_roles", func(l *listing, o *catalog.Object) *string {
				return l.edges(func(e catalog.RoleGrant) bool { return e.ToRole == o.Name.Object })
			}),
			owner(), comment(),
		},
		dropping: func(w *work, tx catalog.Tx, o *catalog.Object) error {
			if o.Spec.(*catalog.RoleSpec).BuiltIn {
				return errs.New(errs.Refused, "role '%s' belongs to Firn and cannot be dropped", o.Name)
			}
			heir := w.owner(tx)
			if heir == o.Name.Object {
				return errs.New(errs.Refused, "role '%s' is the one in use and cannot drop itself: USE ROLE another one first", o.Name)
			}
			return inherit(w, tx, o.Name.Object, heir)
		},
		renaming: func(w *work, tx catalog.Tx, o *catalog.Object, to catalog.Name) error {
			if o.Spec.(*catalog.RoleSpec).BuiltIn {
				return errs.New(errs.Refused, "role '%s' belongs to Firn and cannot be renamed", o.Name)
			}
			return w.change(tx, func(s *catalog.Session) {
				if s.Role == o.Name.Object {
					s.Role = to.Object
				}
			})
		},
	}
}

// edges counts the edges of the role graph that fit.
func (l *listing) edges(fits func(catalog.RoleGrant) bool) *string {
	n := 0
	for _, e := range l.guard.Graph().Edges {
		if fits(e) {
			n++
		}
	}
	return numberCell(n)
}

// inherit gives what a role owns to another role. The catalog takes away the rest when the role goes: what it holds, and where
// it is granted.
func inherit(w *work, tx catalog.Tx, role, heir string) error {
	for kind := range w.kinds {
		objects, err := collect(tx.Objects(kind, catalog.Name{}))
		if err != nil {
			return err
		}
		for _, o := range objects {
			if o.Owner != role {
				continue
			}
			o.Owner = heir
			if err := tx.AlterObject(o); err != nil {
				return err
			}
		}
	}
	return nil
}
