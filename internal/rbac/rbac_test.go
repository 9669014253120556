// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
)

// world builds a catalog for a test and asks questions of it.
type world struct {
	t     interface{ Fatal(args ...any) }
	store catalog.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	w := &world{t, store}
	w.update(t, func(tx catalog.Tx) error {
		return errors.Join(
			tx.CreateObject(&catalog.Object{ID: catalog.AccountID, Kind: catalog.KindAccount, Name: catalog.Name{Object: "FIRN"}, Spec: &catalog.AccountSpec{}}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "SYSADMIN", ToRole: "ACCOUNTADMIN"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "SECURITYADMIN", ToRole: "ACCOUNTADMIN"}),
			tx.PutGrant(catalog.Grant{Object: catalog.AccountID, Privilege: catalog.ManageGrants, Role: "SECURITYADMIN"}),
		)
	})
	return w
}

func (w *world) update(t *testing.T, fn func(catalog.Tx) error) {
	t.Helper()
	if err := w.store.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func add(tx catalog.Tx, kind catalog.Kind, name catalog.Name, owner string) (*catalog.Object, error) {
	o := &catalog.Object{Kind: kind, Name: name, Owner: owner, Spec: catalog.NewSpec(kind)}
	return o, tx.CreateObject(o)
}

var (
	database = catalog.Name{Object: "D"}
	schema   = catalog.Name{Database: "D", Object: "S"}
	stage    = catalog.Name{Database: "D", Schema: "S", Object: "ST"}
	env      = catalog.Name{Object: "ENV"}
)

// scene has objects of ENGINEER, used by SCIENTIST; CHILD is granted to SCIENTIST; ATTACKER has nothing.
func scene(t *testing.T) *world {
	w := newWorld(t)
	w.update(t, func(tx catalog.Tx) error {
		d, err1 := add(tx, catalog.KindDatabase, database, "ENGINEER")
		s, err2 := add(tx, catalog.KindSchema, schema, "ENGINEER")
		st, err3 := add(tx, catalog.KindStage, stage, "ENGINEER")
		e, err4 := add(tx, catalog.KindRuntimeEnvironment, env, "ENGINEER")
		temporary := &catalog.Object{Kind: catalog.KindStage, Name: catalog.Name{Database: "D", Schema: "S", Object: "TEMP"}, Owner: "ENGINEER", Session: 7, Spec: &catalog.StageSpec{}}
		return errors.Join(err1, err2, err3, err4, tx.CreateObject(temporary),
			tx.PutGrant(catalog.Grant{Object: d.ID, Privilege: catalog.Usage, Role: "CHILD"}),
			tx.PutGrant(catalog.Grant{Object: s.ID, Privilege: catalog.Usage, Role: "CHILD"}),
			tx.PutGrant(catalog.Grant{Object: st.ID, Privilege: catalog.Read, Role: "CHILD"}),
			tx.PutGrant(catalog.Grant{Object: st.ID, Privilege: catalog.Read, Role: "UNREACHING"}),
			tx.PutGrant(catalog.Grant{Object: e.ID, Privilege: catalog.Usage, Role: "SCIENTIST", GrantOption: true}),
			tx.PutGrant(catalog.Grant{Object: e.ID, Privilege: catalog.Monitor, Role: "PUBLIC"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "CHILD", ToRole: "SCIENTIST"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "ENGINEER", ToRole: "SYSADMIN"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "SCIENTIST", ToUser: "SAM"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "ATTACKER", ToUser: "MAL"}),
		)
	})
	return w
}

func TestCheck(t *testing.T) {
	t.Parallel()
	w := scene(t)
	sam := func(role string) Who { return Who{User: "SAM", Role: role} }
	on := func(kind catalog.Kind, name catalog.Name, any ...catalog.Privilege) catalog.Requirement {
		return catalog.Requirement{Any: any, Kind: kind, Name: name}
	}
	create := on(catalog.KindSchema, schema, catalog.CreatePrivilege(catalog.KindStage))
	missing := catalog.Name{Database: "D", Schema: "S", Object: "NONE"}
	temporary := catalog.Name{Database: "D", Schema: "S", Object: "TEMP"}
	for name, c := range map[string]struct {
		who  Who
		req  catalog.Requirement
		want errs.Code
		text string
	}{
		"owner":                        {Who{Role: "ENGINEER"}, on(catalog.KindStage, stage, catalog.Write), "", ""},
		"above the owner":              {Who{Role: "ACCOUNTADMIN"}, on(catalog.KindStage, stage, catalog.Ownership), "", ""},
		"granted below":                {sam("SCIENTIST"), on(catalog.KindStage, stage, catalog.Read), "", ""},
		"any of":                       {sam("SCIENTIST"), on(catalog.KindStage, stage, catalog.Write, catalog.Read), "", ""},
		"know of":                      {sam("SCIENTIST"), on(catalog.KindStage, stage), "", ""},
		"visible but lacking":          {sam("SCIENTIST"), on(catalog.KindStage, stage, catalog.Write), errs.Denied, "SQL access control error:\nInsufficient privileges to operate on stage 'ST'."},
		"not downwards":                {Who{Role: "CHILD"}, on(catalog.KindRuntimeEnvironment, env, catalog.Usage), errs.Denied, "SQL access control error:\nInsufficient privileges to operate on custom runtime environment 'ENV'."},
		"public":                       {Who{User: "MAL", Role: "ATTACKER"}, on(catalog.KindRuntimeEnvironment, env, catalog.Monitor), "", ""},
		"invisible":                    {Who{User: "MAL", Role: "ATTACKER"}, on(catalog.KindDatabase, database, catalog.Usage), errs.NotFound, "SQL compilation error:\nDatabase 'D' does not exist or not authorized."},
		"inside the invisible":         {Who{User: "MAL", Role: "ATTACKER"}, on(catalog.KindStage, stage), errs.NotFound, "SQL compilation error:\nDatabase 'D' does not exist or not authorized."},
		"optional but invisible":       {Who{User: "MAL", Role: "ATTACKER"}, catalog.Requirement{Any: []catalog.Privilege{catalog.Ownership}, Kind: catalog.KindDatabase, Name: database, Optional: true}, errs.NotFound, ""},
		"missing":                      {sam("SCIENTIST"), on(catalog.KindStage, missing, catalog.Read), errs.NotFound, "SQL compilation error:\nStage 'D.S.NONE' does not exist or not authorized."},
		"optional and missing":         {sam("SCIENTIST"), catalog.Requirement{Any: []catalog.Privilege{catalog.Ownership}, Kind: catalog.KindStage, Name: missing, Optional: true}, "", ""},
		"no usage of the schema":       {Who{Role: "UNREACHING"}, on(catalog.KindStage, stage, catalog.Read), errs.NotFound, ""},
		"create":                       {Who{Role: "ENGINEER"}, create, "", ""},
		"create without":               {sam("SCIENTIST"), create, errs.Denied, "SQL access control error:\nInsufficient privileges to operate on schema 'S'."},
		"account":                      {Who{Role: "ACCOUNTADMIN"}, on(catalog.KindAccount, catalog.Name{}, catalog.CreatePrivilege(catalog.KindDatabase)), "", ""},
		"account without":              {sam("SCIENTIST"), on(catalog.KindAccount, catalog.Name{}, catalog.CreatePrivilege(catalog.KindDatabase)), errs.Denied, "SQL access control error:\nInsufficient privileges to operate on account 'FIRN'."},
		"role that is not the user's":  {sam("ENGINEER"), on(catalog.KindStage, stage, catalog.Read), errs.NotFound, ""},
		"secondary roles":              {Who{User: "SAM", Role: "PUBLIC", Secondary: true}, on(catalog.KindStage, stage, catalog.Read), "", ""},
		"no secondary roles":           {Who{User: "SAM", Role: "PUBLIC"}, on(catalog.KindStage, stage, catalog.Read), errs.NotFound, ""},
		"own temporary":                {Who{Role: "ENGINEER", Session: 7}, on(catalog.KindStage, temporary, catalog.Read), "", ""},
		"temporary of another session": {Who{Role: "ENGINEER", Session: 8}, on(catalog.KindStage, temporary, catalog.Read), errs.NotFound, ""},
		"manage grants sees":           {Who{Role: "SECURITYADMIN"}, on(catalog.KindStage, stage), "", ""},
		"manage grants does not use":   {Who{Role: "SECURITYADMIN"}, on(catalog.KindStage, stage, catalog.Read), errs.Denied, ""},
		"nobody":                       {Who{}, on(catalog.KindStage, stage), errs.NotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := w.store.View(t.Context(), func(tx catalog.Tx) error { return Check(tx, c.who, []catalog.Requirement{c.req}) })
			if errs.CodeOf(err) != c.want || c.text != "" && errs.MessageOf(err) != c.text {
				t.Errorf("got %v, want %q %q", err, c.want, c.text)
			}
		})
	}
}

func TestCreatingNeedsThePrimaryRole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	create := catalog.CreatePrivilege(catalog.KindDatabase)
	w.update(t, func(tx catalog.Tx) error {
		return errors.Join(tx.PutGrant(catalog.Grant{Object: catalog.AccountID, Privilege: create, Role: "MAKER"}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "MAKER", ToUser: "U"}), tx.PutRoleGrant(catalog.RoleGrant{Role: "IDLE", ToUser: "U"}))
	})
	for role, want := range map[string]bool{"MAKER": true, "IDLE": false} {
		_ = w.store.View(t.Context(), func(tx catalog.Tx) error {
			if got := New(tx, Who{User: "U", Role: role, Secondary: true}).OnAccount(create); got != want {
				t.Errorf("%s: %v", role, got)
			}
			return nil
		})
	}
}

func TestCanGrant(t *testing.T) {
	t.Parallel()
	w := scene(t)
	for _, c := range []struct {
		role string
		p    catalog.Privilege
		want bool
	}{
		{"ENGINEER", catalog.Modify, true}, {"ENGINEER", catalog.Ownership, true}, {"SCIENTIST", catalog.Usage, true}, {"SCIENTIST", catalog.Monitor, false},
		{"SCIENTIST", catalog.Ownership, false}, {"ATTACKER", catalog.Monitor, false}, {"SECURITYADMIN", catalog.Ownership, true}, {"SYSADMIN", catalog.Usage, true},
	} {
		_ = w.store.View(t.Context(), func(tx catalog.Tx) error {
			o, err := tx.Object(catalog.KindRuntimeEnvironment, env)
			if err != nil {
				t.Fatal(err)
			}
			if got := CanGrant(tx, Who{Role: c.role}, c.p, o); got != c.want {
				t.Errorf("%s grants %s: %v", c.role, c.p, got)
			}
			return nil
		})
	}
}

// TestFailingCatalogAllowsNothing sees that a catalog that fails in the middle gives no right, and says so.
func TestFailingCatalogAllowsNothing(t *testing.T) {
	t.Parallel()
	w := scene(t)
	var dead *Guard
	var o *catalog.Object
	_ = w.store.View(t.Context(), func(tx catalog.Tx) (err error) {
		dead = New(tx, Who{Role: "CHILD"})
		o, err = tx.Object(catalog.KindStage, stage)
		return err
	})
	if dead.Holds(catalog.Read, o) || dead.Visible(o) || dead.CanGrant(catalog.Read, o) {
		t.Error("a right without a catalog")
	}
	err := dead.Check([]catalog.Requirement{{Kind: catalog.KindStage, Name: stage}})
	if dead.Err() == nil || err == nil || errs.Is(err, errs.NotFound) {
		t.Errorf("got %v, %v", dead.Err(), err)
	}
}

// errUndo takes back what a transaction has written.
var errUndo = errors.New("undo")

// TestNeverMoreThanTheGraph compares the guard with a plain reading of the rules, over random graphs, owners and grants.
func TestNeverMoreThanTheGraph(t *testing.T) {
	t.Parallel()
	store, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	rapid.Check(t, func(r *rapid.T) {
		err := store.Update(t.Context(), func(tx catalog.Tx) error {
			if err := compareWithRules(r, tx); err != nil {
				return err
			}
			return errUndo
		})
		if !errors.Is(err, errUndo) {
			r.Fatal(err)
		}
	})
}

func compareWithRules(r *rapid.T, tx catalog.Tx) error {
	roles := []string{"A", "B", "C", "D", "PUBLIC"}
	role := rapid.SampledFrom(roles)
	privilege := rapid.SampledFrom([]catalog.Privilege{catalog.Usage, catalog.Read, catalog.Write})
	err := tx.CreateObject(&catalog.Object{ID: catalog.AccountID, Kind: catalog.KindAccount, Name: catalog.Name{Object: "F"}, Spec: &catalog.AccountSpec{}})
	edges := map[[2]string]bool{}
	for range rapid.IntRange(0, 6).Draw(r, "edges") {
		granted, grantee := role.Draw(r, "granted"), role.Draw(r, "grantee")
		edges[[2]string{grantee, granted}] = true
		err = errors.Join(err, tx.PutRoleGrant(catalog.RoleGrant{Role: granted, ToRole: grantee}))
	}
	var objects []*catalog.Object
	for i, kind := range []catalog.Kind{catalog.KindDatabase, catalog.KindSchema, catalog.KindStage} {
		o, failed := add(tx, kind, []catalog.Name{database, schema, stage}[i], role.Draw(r, "owner"))
		objects, err = append(objects, o), errors.Join(err, failed)
	}
	grants := map[string]bool{}
	for range rapid.IntRange(0, 8).Draw(r, "grants") {
		o, p, to := rapid.SampledFrom(objects).Draw(r, "object"), privilege.Draw(r, "privilege"), role.Draw(r, "to")
		grants[fmt.Sprint(o.ID, p, to)] = true
		err = errors.Join(err, tx.PutGrant(catalog.Grant{Object: o.ID, Privilege: p, Role: to}))
	}
	if err != nil {
		return err
	}

	// The rules, said plainly.
	var reaches func(from, to string, depth int) bool
	reaches = func(from, to string, depth int) bool {
		if from == to || to == "PUBLIC" {
			return true
		}
		for e := range edges {
			if depth > 0 && (e[0] == from || e[0] == "PUBLIC") && reaches(e[1], to, depth-1) {
				return true
			}
		}
		return false
	}
	holds := func(who string, p catalog.Privilege, o *catalog.Object) bool {
		return slices.ContainsFunc(roles, func(x string) bool { return reaches(who, x, 6) && (o.Owner == x || grants[fmt.Sprint(o.ID, p, x)]) })
	}

	who, p := role.Draw(r, "who"), privilege.Draw(r, "asked")
	want := holds(who, catalog.Usage, objects[0]) && holds(who, catalog.Usage, objects[1]) && holds(who, p, objects[2])
	for _, preload := range []bool{false, true} {
		g := New(tx, Who{Role: who})
		if preload {
			g.Preload()
		}
		if got := g.Holds(p, objects[2]); got != want {
			return fmt.Errorf("%s holds %s: %v, want %v (preloaded: %v)", who, p, got, want, preload)
		}
		if g.Err() != nil {
			return g.Err()
		}
	}
	return nil
}
