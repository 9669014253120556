// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// nameChecks are about what else changes when an object is renamed or dropped.
func nameChecks() []Check {
	return []Check{
		{"a new name of a database or schema reaches what is inside", checkRename},
		{"a new name of a role or user reaches what it has", checkRenameRole},
		{"a drop takes along what is inside", checkDrop},
		{"a dropped role or user leaves no rights behind", checkDropRole},
	}
}

func checkRename(t T, s catalog.Store) {
	w := newWorld(t, s)
	update(t, s, func(tx catalog.Tx) error {
		if err := create(tx, database("OTHER"), schema("OTHER", "S"), stage("OTHER", "S", "ST")); err != nil {
			return err
		}
		return tx.PutFile(&catalog.File{Stage: w.stage.ID, Path: "a.txt", Key: "k"})
	})
	update(t, s, func(tx catalog.Tx) error {
		w.schema.Name.Object = "S2"
		if err := tx.AlterObject(w.schema); err != nil {
			return err
		}
		w.database.Name.Object = "D2"
		return tx.AlterObject(w.database)
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "schemas", names(all(t, tx.Objects(catalog.KindSchema, catalog.Name{}))), []string{"D2.S2", "OTHER.S"})
		wantEqual(t, "stages", names(all(t, tx.Objects(catalog.KindStage, catalog.Name{}))), []string{"D2.S2.ST", "OTHER.S.ST"})
		wantEqual(t, "files", len(all(t, tx.Files(w.stage.ID, ""))), 1)
		return nil
	})
}

func checkRenameRole(t T, s catalog.Store) {
	w := newWorld(t, s)
	r, u := role("R"), user("U")
	session := &catalog.Session{User: "U", Role: "R"}
	job := &catalog.Job{Owner: "R"}
	update(t, s, func(tx catalog.Tx) error {
		if err := create(tx, r, role("OTHER"), u); err != nil {
			return err
		}
		for _, err := range []error{
			tx.PutGrant(catalog.Grant{Object: w.stage.ID, Privilege: catalog.Read, Role: "R", GrantedBy: "R"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "R", ToUser: "U", GrantedBy: "R"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "R", ToRole: "OTHER"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "OTHER", ToRole: "R"}),
			tx.PutSession(session),
			tx.PutToken(catalog.Token{Hash: "h", User: "U", Role: "R"}),
			tx.SubmitJob(job),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		r.Name.Object, u.Name.Object = "R2", "U2"
		if err := tx.AlterObject(r); err != nil {
			return err
		}
		return tx.AlterObject(u)
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "owner of a stage", must(tx.ObjectByID(w.stage.ID))(t).Owner, "R2")
		wantEqual(t, "grants of the old name", len(all(t, tx.GrantsTo("R"))), 0)
		for _, g := range all(t, tx.GrantsOn(w.stage.ID)) {
			wantEqual(t, "grantee and grantor", []string{g.Role, g.GrantedBy}, []string{"R2", "R2"})
		}
		wantEqual(t, "grants of the new name", len(all(t, tx.GrantsTo("R2"))), 1)
		var edges [][3]string
		for _, g := range all(t, tx.RoleGrants()) {
			edges = append(edges, [3]string{g.Role, g.ToRole, g.ToUser})
		}
		wantEqual(t, "role graph", edges, [][3]string{{"OTHER", "R2", ""}, {"R2", "OTHER", ""}, {"R2", "", "U2"}})
		got := must(tx.Session(session.ID))(t)
		wantEqual(t, "user and role of the session", []string{got.User, got.Role}, []string{"U2", "R2"})
		k := must(tx.Token("h"))(t)
		wantEqual(t, "user and role of the token", []string{k.User, k.Role}, []string{"U2", "R2"})
		wantEqual(t, "owner of the job", must(tx.Job(job.ID))(t).Owner, "R2")
		return nil
	})
}

func checkDrop(t T, s catalog.Store) {
	w := newWorld(t, s)
	other := stage("E", "S", "ST")
	update(t, s, func(tx catalog.Tx) error {
		if err := create(tx, database("E"), schema("E", "S"), other, role("D")); err != nil {
			return err
		}
		for _, o := range []catalog.ID{w.database.ID, w.schema.ID, w.stage.ID, other.ID} {
			if err := tx.PutGrant(catalog.Grant{Object: o, Privilege: catalog.Usage, Role: "G"}); err != nil {
				return err
			}
		}
		for _, f := range []*catalog.File{
			{Stage: w.stage.ID, Path: "alone", Key: "k1"}, {Stage: w.stage.ID, Path: "shared", Key: "k2"}, {Stage: other.ID, Path: "shared", Key: "k2"},
		} {
			if err := tx.PutFile(f); err != nil {
				return err
			}
		}
		return nil
	})
	update(t, s, func(tx catalog.Tx) error { return tx.DropObject(w.database.ID) })
	view(t, s, func(tx catalog.Tx) error {
		for _, o := range []*catalog.Object{w.database, w.schema, w.stage} {
			_, err := tx.ObjectByID(o.ID)
			wantCode(t, "lookup of "+o.Name.String(), err, errs.NotFound)
			wantEqual(t, "grants on "+o.Name.String(), len(all(t, tx.GrantsOn(o.ID))), 0)
		}
		grants := all(t, tx.GrantsTo("G"))
		if len(grants) != 1 || grants[0].Object != other.ID {
			t.Errorf("grants left: %v, want the one on %s", grants, other.Name)
		}
		wantEqual(t, "files of the dropped stage", len(all(t, tx.Files(w.stage.ID, ""))), 0)
		wantEqual(t, "files of the other stage", len(all(t, tx.Files(other.ID, ""))), 1)
		wantEqual(t, "orphans", all(t, tx.OrphanKeys(time.Now().Add(time.Hour))), []string{"k1"})
		must(tx.Object(catalog.KindRole, catalog.Name{Object: "D"}))(t)
		return nil
	})
	wantCode(t, "second drop", s.Update(t.Context(), func(tx catalog.Tx) error { return tx.DropObject(w.database.ID) }), errs.NotFound)
	update(t, s, func(tx catalog.Tx) error {
		return create(tx, database("D"), schema("D", "S"), stage("D", "S", "ST"), stage("D", "S", "ST2"))
	})
	update(t, s, func(tx catalog.Tx) error { // a schema of a name that another database has too
		return tx.DropObject(must(tx.Object(catalog.KindSchema, catalog.Name{Database: "D", Object: "S"}))(t).ID)
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "stages", names(all(t, tx.Objects(catalog.KindStage, catalog.Name{}))), []string{"E.S.ST"})
		wantEqual(t, "schemas", names(all(t, tx.Objects(catalog.KindSchema, catalog.Name{}))), []string{"E.S"})
		return nil
	})
}

func checkDropRole(t T, s catalog.Store) {
	w := newWorld(t, s)
	r, u := role("GONE"), user("GONE")
	update(t, s, func(tx catalog.Tx) error {
		if err := create(tx, r, role("KEPT"), u, user("STAYS")); err != nil {
			return err
		}
		for _, err := range []error{
			tx.PutGrant(catalog.Grant{Object: w.stage.ID, Privilege: catalog.Read, Role: "GONE"}),
			tx.PutGrant(catalog.Grant{Object: w.stage.ID, Privilege: catalog.Read, Role: "KEPT"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "GONE", ToRole: "KEPT"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "KEPT", ToRole: "GONE"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "KEPT", ToUser: "GONE"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "KEPT", ToUser: "STAYS"}),
			tx.PutToken(catalog.Token{Hash: "of-role", User: "STAYS", Role: "GONE"}),
			tx.PutToken(catalog.Token{Hash: "of-user", User: "GONE", Role: "KEPT"}),
			tx.PutToken(catalog.Token{Hash: "kept", User: "STAYS", Role: "KEPT"}),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	update(t, s, func(tx catalog.Tx) error { return tx.DropObject(r.ID) })
	view(t, s, func(tx catalog.Tx) error {
		_, err := tx.Token("of-role")
		wantCode(t, "token of the dropped role", err, errs.NotFound)
		must(tx.Token("of-user"))(t)
		wantEqual(t, "grants of the dropped role", len(all(t, tx.GrantsTo("GONE"))), 0)
		wantEqual(t, "edges", len(all(t, tx.RoleGrants())), 2)
		return nil
	})
	update(t, s, func(tx catalog.Tx) error { return tx.DropObject(u.ID) })
	view(t, s, func(tx catalog.Tx) error {
		_, err := tx.Token("of-user")
		wantCode(t, "token of the dropped user", err, errs.NotFound)
		must(tx.Token("kept"))(t)
		wantEqual(t, "grants of the other role", len(all(t, tx.GrantsTo("KEPT"))), 1)
		edges := all(t, tx.RoleGrants())
		if len(edges) != 1 || edges[0].ToUser != "STAYS" {
			t.Errorf("edges left: %v, want that of user STAYS", edges)
		}
		return nil
	})
}
