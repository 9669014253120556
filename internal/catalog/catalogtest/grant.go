// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func grantChecks() []Check {
	return []Check{
		{"grants come back in order, and change their grant option", checkGrants},
		{"grants are taken away one by one", checkDeleteGrant},
		{"the role graph keeps its edges in order", checkRoleGrants},
	}
}

func checkGrants(t T, s catalog.Store) {
	w := newWorld(t, s)
	var first, now time.Time
	update(t, s, func(tx catalog.Tx) error {
		first = tx.Now()
		return tx.PutGrant(catalog.Grant{Object: w.stage.ID, Privilege: catalog.Write, Role: "b", GrantedBy: "A"})
	})
	update(t, s, func(tx catalog.Tx) error {
		now = tx.Now()
		for _, g := range []catalog.Grant{
			{Object: w.stage.ID, Privilege: catalog.Write, Role: "b", GrantOption: true, GrantedBy: "SOMEBODY ELSE"},
			{Object: w.stage.ID, Privilege: catalog.Read, Role: "b", GrantedBy: "A", GrantOption: true},
			{Object: w.stage.ID, Privilege: catalog.Read, Role: "B", GrantedBy: "A"},
			{Object: w.database.ID, Privilege: catalog.Usage, Role: "b", GrantedBy: "A"},
		} {
			if err := tx.PutGrant(g); err != nil {
				return err
			}
		}
		wantCode(t, "grant on a missing object", tx.PutGrant(catalog.Grant{Object: "none", Privilege: catalog.Read, Role: "B"}), errs.NotFound)
		return nil
	})
	onStage := []catalog.Grant{
		{Object: w.stage.ID, Privilege: catalog.Read, Role: "B", GrantedBy: "A", Created: now},
		{Object: w.stage.ID, Privilege: catalog.Read, Role: "b", GrantedBy: "A", GrantOption: true, Created: now},
		{Object: w.stage.ID, Privilege: catalog.Write, Role: "b", GrantedBy: "A", GrantOption: true, Created: first},
	}
	onDatabase := catalog.Grant{Object: w.database.ID, Privilege: catalog.Usage, Role: "b", GrantedBy: "A", Created: now}
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "grants on the stage", all(t, tx.GrantsOn(w.stage.ID)), onStage)
		wantEqual(t, "grants to b", all(t, tx.GrantsTo("b")), []catalog.Grant{onDatabase, onStage[1], onStage[2]})
		wantEqual(t, "grants to nobody", len(all(t, tx.GrantsTo("NOBODY"))), 0)
		return nil
	})
}

func checkDeleteGrant(t T, s catalog.Store) {
	w := newWorld(t, s)
	update(t, s, func(tx catalog.Tx) error {
		for _, g := range []catalog.Grant{
			{Object: w.stage.ID, Privilege: catalog.Read, Role: "A"}, {Object: w.stage.ID, Privilege: catalog.Write, Role: "A"},
			{Object: w.stage.ID, Privilege: catalog.Read, Role: "B"}, {Object: w.schema.ID, Privilege: catalog.Read, Role: "A"},
		} {
			if err := tx.PutGrant(g); err != nil {
				return err
			}
		}
		return nil
	})
	for range 2 { // the second time nothing happens
		update(t, s, func(tx catalog.Tx) error { return tx.DeleteGrant(w.stage.ID, catalog.Read, "A") })
	}
	view(t, s, func(tx catalog.Tx) error {
		var left [][2]string
		for _, g := range append(all(t, tx.GrantsOn(w.stage.ID)), all(t, tx.GrantsOn(w.schema.ID))...) {
			left = append(left, [2]string{string(g.Privilege), g.Role})
		}
		wantEqual(t, "grants", left, [][2]string{{"READ", "B"}, {"WRITE", "A"}, {"READ", "A"}})
		return nil
	})
}

func checkRoleGrants(t T, s catalog.Store) {
	edge := func(role, toRole, toUser string) catalog.RoleGrant {
		return catalog.RoleGrant{Role: role, ToRole: toRole, ToUser: toUser, GrantedBy: "G"}
	}
	var now time.Time
	update(t, s, func(tx catalog.Tx) error {
		now = tx.Now()
		for _, g := range []catalog.RoleGrant{
			edge("b", "C", ""), edge("B", "", "M"), edge("B", "Z", ""), edge("B", "M", ""), edge("B", "", "A"), edge("B", "", "M"), edge("B", "a", ""),
		} {
			if err := tx.PutRoleGrant(g); err != nil {
				return err
			}
		}
		wantCode(t, "grant to nobody", tx.PutRoleGrant(edge("B", "", "")), errs.Invalid)
		wantCode(t, "grant to both", tx.PutRoleGrant(edge("B", "X", "Y")), errs.Invalid)
		wantCode(t, "revoke from both", tx.DeleteRoleGrant("B", "X", "Y"), errs.Invalid)
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		again := edge("B", "M", "")
		again.GrantedBy = "SOMEBODY ELSE"
		return tx.PutRoleGrant(again)
	})
	want := []catalog.RoleGrant{
		edge("B", "", "A"), edge("B", "M", ""), edge("B", "", "M"), edge("B", "Z", ""), edge("B", "a", ""), edge("b", "C", ""),
	}
	for i := range want {
		want[i].Created = now
	}
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "role graph", all(t, tx.RoleGrants()), want)
		return nil
	})
	for range 2 {
		update(t, s, func(tx catalog.Tx) error { return tx.DeleteRoleGrant("B", "", "M") })
	}
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "role graph after a revoke", all(t, tx.RoleGrants()), append(want[:2:2], want[3:]...))
		return nil
	})
}
