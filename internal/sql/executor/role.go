// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"slices"

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
			return moveRole(w, tx, o.Name.Object, "", heir)
		},
		renaming: func(w *work, tx catalog.Tx, o *catalog.Object, to catalog.Name) error {
			if o.Spec.(*catalog.RoleSpec).BuiltIn {
				return errs.New(errs.Refused, "role '%s' belongs to Firn and cannot be renamed", o.Name)
			}
			err := moveRole(w, tx, o.Name.Object, to.Object, to.Object)
			if err != nil {
				return err
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

// moveRole gives what a role holds to another role, or to nobody when to is "", and what it owns to a new owner. Nothing is
// left under the old name that a role made later with that name would get.
func moveRole(w *work, tx catalog.Tx, role, to, owner string) error {
	grants, err := collect(tx.GrantsTo(role))
	if err != nil {
		return err
	}
	for _, g := range grants {
		if err := tx.DeleteGrant(g.Object, g.Privilege, role); err != nil {
			return err
		}
		if g.Role = to; to != "" {
			if err := tx.PutGrant(g); err != nil {
				return err
			}
		}
	}
	if err := moveEdges(tx, role, to); err != nil {
		return err
	}
	for kind := range w.kinds {
		objects, err := collect(tx.Objects(kind, catalog.Name{}))
		if err != nil {
			return err
		}
		for _, o := range objects {
			if o.Owner != role {
				continue
			}
			o.Owner = owner
			if err := tx.AlterObject(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// moveEdges puts another role in the place of one in the role graph, or takes it out when to is "".
func moveEdges(tx catalog.Tx, role, to string) error {
	edges, err := collect(tx.RoleGrants())
	if err != nil {
		return err
	}
	edges = slices.DeleteFunc(edges, func(e catalog.RoleGrant) bool { return e.Role != role && e.ToRole != role })
	for _, e := range edges {
		if err := tx.DeleteRoleGrant(e.Role, e.ToRole, e.ToUser); err != nil {
			return err
		}
		if to == "" {
			continue
		}
		if e.Role == role {
			e.Role = to
		}
		if e.ToRole == role {
			e.ToRole = to
		}
		if err := tx.PutRoleGrant(e); err != nil {
			return err
		}
	}
	return nil
}
