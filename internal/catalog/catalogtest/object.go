// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"slices"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func objectChecks() []Check {
	return []Check{
		{"objects of every kind come back as they were stored", checkKinds},
		{"listings are in byte order", checkOrder},
		{"listings are of the place asked for", checkPlaces},
		{"names are unique per kind", checkUnique},
		{"one of many creates of one name wins", checkUniqueRace},
		{"an object needs its schema and database", checkParents},
		{"altered objects come back as they were stored", checkAlter},
		{"a taken name cannot be taken again", checkAlterTaken},
	}
}

// everyKind lists an object of each kind with its properties set, in an order in which they can be made.
func everyKind() []*catalog.Object {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	inside := func(name string) catalog.Name { return catalog.Name{Database: "D", Schema: "S", Object: name} }
	var all []*catalog.Object
	for _, o := range []struct {
		name catalog.Name
		spec catalog.Spec
	}{
		{catalog.Name{Object: "ACCOUNT"}, &catalog.AccountSpec{Parameters: map[string]string{"TIMEZONE": "UTC"}}},
		{catalog.Name{Object: "ROLE"}, &catalog.RoleSpec{BuiltIn: true}},
		{catalog.Name{Object: "USER"}, &catalog.UserSpec{
			LoginName: "USER", DisplayName: "Üser", FirstName: "U", LastName: "S", Email: "u@example.org", Type: "PERSON", PasswordHash: "$argon2id$",
			PublicKey: "MII", PublicKey2: "MIJ", DefaultRole: "ROLE", DefaultWarehouse: "W", DefaultNamespace: "D.S", Disabled: true,
			MustChangePassword: true, LastLogin: at,
		}},
		{catalog.Name{Object: "D"}, &catalog.DatabaseSpec{RetentionDays: 7, Transient: true, Personal: "USER", ImageQuota: 1 << 40}},
		{catalog.Name{Database: "D", Object: "S"}, &catalog.SchemaSpec{RetentionDays: 3}},
		{inside("STAGE"), &catalog.StageSpec{Encryption: "SNOWFLAKE_FULL", Directory: true}},
		{inside("REPO"), &catalog.ImageRepositorySpec{
			Encryption: "SNOWFLAKE_SSE", ImmutableTags: []string{"v*", "r"}, RetentionCount: 3, RetentionDays: 30, Quota: 1 << 40,
			MediaTypes: []string{"application/*"}, Upstream: "https://registry.example/team", UpstreamSecret: catalog.Name{Database: "D", Schema: "S", Object: "SECRET"},
		}},
		{inside("SERVICE"), &catalog.ServiceSpec{
			JobID: "0193", IsJob: true, IsAsync: true, ComputePool: "P", QueryWarehouse: "W", Integrations: []string{"I"},
			YAML: "spec:\n  containers: []\n", MinInstances: 1, MaxInstances: 2,
		}},
		{inside("SECRET"), &catalog.SecretSpec{Type: "PASSWORD", Username: "u", Value: "p\"'\\\n"}},
		{inside("RULE"), &catalog.NetworkRuleSpec{Mode: "EGRESS", Type: "HOST_PORT", Values: []string{"index.example:443"}}},
		{catalog.Name{Object: "POOL"}, &catalog.ComputePoolSpec{
			InstanceFamily: "CPU_X64_XS", MinNodes: 1, MaxNodes: 2, AutoResume: true, AutoSuspendSecs: 3600, Suspended: true, Resumed: at, System: true,
		}},
		{catalog.Name{Object: "WAREHOUSE"}, &catalog.WarehouseSpec{Size: "X-Small", AutoSuspendSecs: 60, AutoResume: true, Suspended: true, Resumed: at}},
		{catalog.Name{Object: "INTEGRATION"}, &catalog.IntegrationSpec{Rules: []string{"D.S.RULE"}, Secrets: []string{"D.S.SECRET"}, Enabled: true}},
		{catalog.Name{Object: "ENVIRONMENT"}, &catalog.RuntimeEnvironmentSpec{
			Repository: "0194", Image: "img", Tag: "v1", Digest: "sha256:aa", TagDigest: "sha256:bb", Path: "/d/s/repo/img:v1", BaseType: "CPU",
			BaseImage: "/snowflake/images/base:1", Python: "3.12", Status: catalog.Deprecated,
		}},
	} {
		all = append(all, &catalog.Object{Kind: o.spec.Kind(), Name: o.name, Owner: "OWNER", Comment: "it's Ünïcode 日本 😀\n", Spec: o.spec})
	}
	return all
}

func checkKinds(t T, s catalog.Store) {
	objects := everyKind()
	objects[0].ID = catalog.AccountID
	objects[5].Session = 1<<53 - 1
	var now time.Time
	update(t, s, func(tx catalog.Tx) error {
		now = tx.Now()
		return create(tx, objects...)
	})
	wantEqual(t, "id that was given", objects[0].ID, catalog.AccountID)
	ids := map[catalog.ID]bool{}
	for i, o := range objects {
		ids[o.ID] = true
		if o.ID == "" || !o.Created.Equal(now) || !o.Altered.Equal(now) {
			t.Errorf("%s has id %q, created %v, altered %v; want them filled, with the time %v", o.Kind, o.ID, o.Created, o.Altered, now)
		}
		if i > 1 && o.ID <= objects[i-1].ID {
			t.Errorf("id %s was made after %s and does not sort behind it", o.ID, objects[i-1].ID)
		}
	}
	wantEqual(t, "number of ids", len(ids), len(objects))
	view(t, s, func(tx catalog.Tx) error {
		for _, o := range objects {
			wantEqual(t, "object by name", must(tx.Object(o.Kind, o.Name))(t), o)
			wantEqual(t, "object by id", must(tx.ObjectByID(o.ID))(t), o)
			wantEqual(t, "objects of kind "+string(o.Kind), all(t, tx.Objects(o.Kind, catalog.Name{})), []*catalog.Object{o})
		}
		_, spec, err := catalog.Get[*catalog.StageSpec](tx, catalog.Name{Database: "D", Schema: "S", Object: "STAGE"})
		wantCode(t, "error of Get", err, "")
		wantEqual(t, "stage by Get", spec, objects[5].Spec)
		_, err = tx.Object(catalog.KindStage, catalog.Name{Object: "STAGE"})
		wantCode(t, "stage without its schema", err, errs.NotFound)
		_, err = tx.Object(catalog.KindStage, catalog.Name{Database: "D", Schema: "S", Object: "stage"})
		wantCode(t, "stage in another case", err, errs.NotFound)
		_, err = tx.ObjectByID("none")
		wantCode(t, "object by an unknown id", err, errs.NotFound)
		return nil
	})
}

func checkOrder(t T, s catalog.Store) {
	// Go compares strings by bytes. A dictionary's order, UTF-16's, and one that ignores case all differ on these.
	want := []string{"Z", "a", "A", "_", "b", "é", "e\u0301", "日本", "😀", "～", "ZZ", "a b", "a.b", "a\"b", "Ab", "0", "z"}
	update(t, s, func(tx catalog.Tx) error {
		for _, n := range want {
			if err := create(tx, database(n)); err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(want)
	wantEqual(t, "databases", databases(t, s), want)

	var schemas [][2]string
	update(t, s, func(tx catalog.Tx) error {
		for _, d := range []string{"z", "Z", "é"} {
			for _, n := range []string{"b", "B", "_"} {
				schemas = append(schemas, [2]string{d, n})
				if err := create(tx, schema(d, n)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	slices.SortFunc(schemas, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	view(t, s, func(tx catalog.Tx) error {
		var got [][2]string
		for _, o := range all(t, tx.Objects(catalog.KindSchema, catalog.Name{})) {
			got = append(got, [2]string{o.Name.Database, o.Name.Object})
		}
		wantEqual(t, "schemas", got, schemas)
		return nil
	})
}

func checkPlaces(t T, s catalog.Store) {
	update(t, s, func(tx catalog.Tx) error {
		return create(tx, database("D"), database("E"), schema("D", "S"), schema("D", "T"), schema("E", "S"),
			stage("D", "S", "X"), stage("D", "T", "X"), stage("D", "S", "A"), stage("E", "S", "X"))
	})
	view(t, s, func(tx catalog.Tx) error {
		for _, c := range []struct {
			kind catalog.Kind
			in   catalog.Name
			want []string
		}{
			{catalog.KindStage, catalog.Name{}, []string{"D.S.A", "D.S.X", "D.T.X", "E.S.X"}},
			{catalog.KindStage, catalog.Name{Object: "D"}, []string{"D.S.A", "D.S.X", "D.T.X"}},
			{catalog.KindStage, catalog.Name{Database: "D", Object: "S"}, []string{"D.S.A", "D.S.X"}},
			{catalog.KindStage, catalog.Name{Database: "E", Object: "T"}, nil},
			{catalog.KindSchema, catalog.Name{Object: "D"}, []string{"D.S", "D.T"}},
			{catalog.KindSchema, catalog.Name{}, []string{"D.S", "D.T", "E.S"}},
			{catalog.KindSecret, catalog.Name{Object: "D"}, nil},
		} {
			wantEqual(t, string(c.kind)+" in "+c.in.String(), names(all(t, tx.Objects(c.kind, c.in))), c.want)
		}
		return nil
	})
}

func checkUnique(t T, s catalog.Store) {
	w := newWorld(t, s)
	update(t, s, func(tx catalog.Tx) error {
		again := stage("D", "S", "ST")
		again.Comment = "second"
		wantCode(t, "second stage of a name", tx.CreateObject(again), errs.Exists)
		again.Session = 7
		wantCode(t, "temporary stage of a taken name", tx.CreateObject(again), errs.Exists)
		taken := role("FREE")
		taken.ID = w.stage.ID
		wantCode(t, "second object of an id", tx.CreateObject(taken), errs.Exists)
		secret := &catalog.Object{Kind: catalog.KindSecret, Name: w.stage.Name, Spec: &catalog.SecretSpec{Type: "GENERIC_STRING"}}
		return create(tx, stage("D", "S", "st"), schema("D", "T"), stage("D", "T", "ST"), secret)
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "the first of the name", must(tx.Object(catalog.KindStage, w.stage.Name))(t), w.stage)
		wantEqual(t, "stages", names(all(t, tx.Objects(catalog.KindStage, catalog.Name{}))), []string{"D.S.ST", `D.S."st"`, "D.T.ST"})
		return nil
	})
}

func checkUniqueRace(t T, s catalog.Store) {
	newWorld(t, s)
	for range 5 {
		errors := together(8, func(int) error {
			return s.Update(t.Context(), func(tx catalog.Tx) error { return create(tx, stage("D", "S", "RACE")) })
		})
		wantOneWinner(t, "create", errors, errs.Exists)
		update(t, s, func(tx catalog.Tx) error {
			o, err := tx.Object(catalog.KindStage, catalog.Name{Database: "D", Schema: "S", Object: "RACE"})
			if err != nil {
				return err
			}
			return tx.DropObject(o.ID)
		})
	}
}

func checkParents(t T, s catalog.Store) {
	newWorld(t, s)
	update(t, s, func(tx catalog.Tx) error {
		wantCode(t, "schema in no database", create(tx, schema("NONE", "S")), errs.NotFound)
		wantCode(t, "stage in no schema", create(tx, stage("D", "NONE", "X")), errs.NotFound)
		wantCode(t, "stage in no database", create(tx, stage("NONE", "S", "X")), errs.NotFound)
		wantCode(t, "stage without a schema", create(tx, stage("D", "", "X")), errs.Invalid)
		wantCode(t, "schema without a database", create(tx, schema("", "X")), errs.Invalid)
		wantCode(t, "database without a name", create(tx, database("")), errs.Invalid)
		inSchema := role("X")
		inSchema.Name = catalog.Name{Database: "D", Schema: "S", Object: "X"}
		wantCode(t, "role in a schema", create(tx, inSchema), errs.Invalid)
		return nil
	})
}

func checkAlter(t T, s catalog.Store) {
	w := newWorld(t, s)
	created := w.stage.Created
	changed := *w.stage
	changed.Name.Object, changed.Owner, changed.Comment = "ST2", "OTHER", "new"
	changed.Spec = &catalog.StageSpec{Encryption: "SNOWFLAKE_FULL", Directory: true}
	changed.Created = created.Add(-time.Hour)
	var now time.Time
	update(t, s, func(tx catalog.Tx) error {
		now = tx.Now()
		return tx.AlterObject(&changed)
	})
	if !changed.Altered.Equal(now) {
		t.Errorf("altered is %v, want %v", changed.Altered, now)
	}
	view(t, s, func(tx catalog.Tx) error {
		want := changed
		want.Created = created
		wantEqual(t, "altered object", must(tx.Object(catalog.KindStage, changed.Name))(t), &want)
		_, err := tx.Object(catalog.KindStage, w.stage.Name)
		wantCode(t, "old name", err, errs.NotFound)
		return nil
	})
	update(t, s, func(tx catalog.Tx) error { // as often as it likes in one transaction
		parent := must(tx.Object(catalog.KindSchema, w.stage.Name.Parent()))(t)
		for range 3 {
			before := must(tx.ObjectByID(w.stage.ID))(t)
			wantEqual(t, "unchanged", must(tx.Unchanged(before, parent))(t), true)
			wantEqual(t, "unchanged, in the other order", must(tx.Unchanged(parent, before))(t), true)
			after := *before
			if err := tx.AlterObject(&after); err != nil {
				return err
			}
			wantEqual(t, "unchanged after it was altered", must(tx.Unchanged(before, parent))(t), false)
			wantEqual(t, "unchanged since it was altered", must(tx.Unchanged(&after, parent))(t), true)
		}
		gone := must(tx.ObjectByID(w.stage.ID))(t)
		if err := tx.DropObject(w.stage.ID); err != nil {
			return err
		}
		wantEqual(t, "unchanged after it was dropped", must(tx.Unchanged(parent, gone))(t), false)
		return nil
	})
	missing := stage("D", "S", "X")
	missing.ID = "none"
	wantCode(t, "alter of a missing object", s.Update(t.Context(), func(tx catalog.Tx) error { return tx.AlterObject(missing) }), errs.NotFound)
}

func checkAlterTaken(t T, s catalog.Store) {
	w := newWorld(t, s)
	update(t, s, func(tx catalog.Tx) error { return create(tx, stage("D", "S", "TAKEN")) })
	update(t, s, func(tx catalog.Tx) error {
		changed := *w.stage
		changed.Name.Object = "TAKEN"
		wantCode(t, "rename to a taken name", tx.AlterObject(&changed), errs.Exists)
		changed.Name = catalog.Name{Database: "D", Schema: "NONE", Object: "ST"}
		wantCode(t, "move to a missing schema", tx.AlterObject(&changed), errs.NotFound)
		return nil
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "stages", names(all(t, tx.Objects(catalog.KindStage, catalog.Name{}))), []string{"D.S.ST", "D.S.TAKEN"})
		return nil
	})
}
