// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// showGrants is SHOW GRANTS in all its forms: ON an object, TO or OF a role, TO a user, and without more: of the current user.
func showGrants() show {
	return show{
		shape: func(s *ast.Show) []rowset.Column {
			names := []string{"privilege", "granted_on", "name", "granted_to", "grantee_name", "grant_option", "granted_by"}
			if listsRoles(s) {
				names = []string{"role", "granted_to", "grantee_name", "granted_by"}
			}
			columns := []rowset.Column{rowset.TimestampColumn("created_on")}
			for _, name := range names {
				columns = append(columns, rowset.TextColumn(name))
			}
			return columns
		},
		rows: func(l *listing, scope showScope) error {
			s := scope.statement
			switch {
			case s.GrantsOf != nil:
				return l.grantsOf(s.GrantsOf.Resolved)
			case s.GrantsTo != nil && s.GrantsTo.Kind == catalog.KindUser:
				return l.grantsToUser(s.GrantsTo.Resolved)
			case s.GrantsTo != nil:
				return l.grantsToRole(s.GrantsTo.Resolved)
			case s.In != nil:
				return l.grantsOn(s.In)
			}
			return l.grantsToUser(catalog.Name{Object: l.w.session.User})
		},
	}
}

// listsRoles tells whether the rows are grants of roles, not of privileges.
func listsRoles(s *ast.Show) bool {
	return s.GrantsOf != nil || s.GrantsTo != nil && s.GrantsTo.Kind == catalog.KindUser || s.GrantsTo == nil && s.In == nil
}

// grantRow adds one privilege.
func (l *listing) grantRow(o *catalog.Object, g catalog.Grant) {
	name := o.Name.String()
	l.add(name, func() []*string {
		return []*string{
			timeCell(g.Created), textCell(string(g.Privilege)), textCell(underscored(o.Kind)), textCell(name), textCell("ROLE"), textCell(g.Role),
			boolText(g.GrantOption), textCell(g.GrantedBy),
		}
	})
}

// edgeRow adds one grant of a role.
func (l *listing) edgeRow(e catalog.RoleGrant) {
	to, grantee := "ROLE", e.ToRole
	if e.ToUser != "" {
		to, grantee = "USER", e.ToUser
	}
	l.add(e.Role, func() []*string {
		return []*string{timeCell(e.Created), textCell(e.Role), textCell(to), textCell(grantee), textCell(e.GrantedBy)}
	})
}

func (l *listing) grantsOn(in *ast.Scope) error {
	var o *catalog.Object
	var err error
	if in.Name == nil {
		o, err = l.tx.ObjectByID(catalog.AccountID)
	} else {
		var name catalog.Name
		if name, err = l.w.qualify(in.Name.Parts, in.Kind); err == nil {
			o, err = l.guard.Find(in.Kind, name)
		}
	}
	if err != nil {
		return err
	}
	if o.Owner != "" {
		l.grantRow(o, catalog.Grant{Privilege: catalog.Ownership, Role: o.Owner, GrantOption: true, GrantedBy: o.Owner, Created: o.Created})
	}
	for g, err := range l.tx.GrantsOn(o.ID) {
		if err != nil {
			return err
		}
		l.grantRow(o, g)
	}
	return nil
}

// mayLookInto tells whether who asks may know what a role has and who has it: it is one of the own roles, or managed by them.
//
// Errors: NotFound; Denied.
func (l *listing) mayLookInto(role catalog.Name) error {
	o, err := l.guard.Find(catalog.KindRole, role)
	if err == nil && !l.guard.Has(role.Object) && !l.guard.Holds(catalog.Ownership, o) && !l.guard.ManagesGrants() {
		err = rbac.Insufficient(catalog.KindRole, role)
	}
	return err
}

func (l *listing) grantsOf(role catalog.Name) error {
	if err := l.mayLookInto(role); err != nil {
		return err
	}
	for _, e := range l.guard.Graph().Edges {
		if e.Role == role.Object {
			l.edgeRow(e)
		}
	}
	return nil
}

func (l *listing) grantsToUser(user catalog.Name) error {
	if _, err := l.guard.Find(catalog.KindUser, user); err != nil {
		return err
	}
	for _, e := range l.guard.Graph().Edges {
		if e.ToUser == user.Object {
			l.edgeRow(e)
		}
	}
	return nil
}

// grantsToRole lists what a role owns, holds, and the roles granted to it.
func (l *listing) grantsToRole(role catalog.Name) error {
	if err := l.mayLookInto(role); err != nil {
		return err
	}
	for g, err := range l.tx.GrantsTo(role.Object) {
		if err != nil {
			return err
		}
		o, err := l.tx.ObjectByID(g.Object)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		l.grantRow(o, g)
	}
	for kind := range l.w.kinds {
		for o, err := range l.tx.Objects(kind, catalog.Name{}) {
			if err != nil {
				return err
			}
			if o.Owner == role.Object {
				l.grantRow(o, catalog.Grant{Privilege: catalog.Ownership, Role: o.Owner, GrantOption: true, GrantedBy: o.Owner, Created: o.Created})
			}
		}
	}
	return l.rolesHeld(role)
}

func (l *listing) rolesHeld(role catalog.Name) error {
	for _, e := range l.guard.Graph().Edges {
		if e.ToRole != role.Object {
			continue
		}
		l.grantRow(&catalog.Object{Kind: catalog.KindRole, Name: catalog.Name{Object: e.Role}},
			catalog.Grant{Privilege: catalog.Usage, Role: e.ToRole, GrantedBy: e.GrantedBy, Created: e.Created})
	}
	return nil
}
