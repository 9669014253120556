// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"iter"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const (
	grantColumns     columns = "object, privilege, role, grant_option, granted_by, created"
	roleGrantColumns columns = "role, to_role, to_user, granted_by, created"
)

func readGrant(row scan) (g catalog.Grant, err error) {
	return g, row(&g.Object, &g.Privilege, &g.Role, boolColumn{&g.GrantOption}, &g.GrantedBy, stamp{&g.Created})
}

func readRoleGrant(row scan) (g catalog.RoleGrant, err error) {
	return g, row(&g.Role, &g.ToRole, &g.ToUser, &g.GrantedBy, stamp{&g.Created})
}

// PutGrant implements catalog.Grants.
func (t *tx) PutGrant(g catalog.Grant) error {
	if _, err := t.ObjectByID(g.Object); err != nil {
		return err
	}
	_, err := t.exec("INSERT INTO privilege ("+string(grantColumns)+") VALUES ("+grantColumns.places()+`)
		ON CONFLICT (object, privilege, role) DO UPDATE SET grant_option = excluded.grant_option`,
		string(g.Object), string(g.Privilege), g.Role, number(g.GrantOption), g.GrantedBy, micros(t.now))
	return err
}

// DeleteGrant implements catalog.Grants.
func (t *tx) DeleteGrant(object catalog.ID, p catalog.Privilege, role string) error {
	_, err := t.exec("DELETE FROM privilege WHERE object = $1 AND privilege = $2 AND role = $3", string(object), string(p), role)
	return err
}

// GrantsOn implements catalog.Grants.
func (t *tx) GrantsOn(object catalog.ID) iter.Seq2[catalog.Grant, error] {
	return list(t, readGrant, "SELECT "+string(grantColumns)+" FROM privilege WHERE object = $1 ORDER BY privilege, role", string(object))
}

// GrantsTo implements catalog.Grants.
func (t *tx) GrantsTo(role string) iter.Seq2[catalog.Grant, error] {
	return list(t, readGrant, "SELECT "+string(grantColumns)+" FROM privilege WHERE role = $1 ORDER BY object, privilege", role)
}

// PutRoleGrant implements catalog.Grants.
func (t *tx) PutRoleGrant(g catalog.RoleGrant) error {
	if err := oneGrantee(g.Role, g.ToRole, g.ToUser); err != nil {
		return err
	}
	_, err := t.exec("INSERT INTO role_grant ("+string(roleGrantColumns)+") VALUES ("+roleGrantColumns.places()+") ON CONFLICT DO NOTHING",
		g.Role, g.ToRole, g.ToUser, g.GrantedBy, micros(t.now))
	return err
}

// DeleteRoleGrant implements catalog.Grants.
func (t *tx) DeleteRoleGrant(role, toRole, toUser string) error {
	if err := oneGrantee(role, toRole, toUser); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM role_grant WHERE role = $1 AND to_role = $2 AND to_user = $3", role, toRole, toUser)
	return err
}

func oneGrantee(role, toRole, toUser string) error {
	if (toRole == "") == (toUser == "") {
		return errs.New(errs.Invalid, "role %s is granted to either a role or a user", role)
	}
	return nil
}

// RoleGrants implements catalog.Grants. A role comes before a user of the same name.
func (t *tx) RoleGrants() iter.Seq2[catalog.RoleGrant, error] {
	return list(t, readRoleGrant, "SELECT "+string(roleGrantColumns)+" FROM role_grant ORDER BY role, to_role || to_user, to_user")
}
