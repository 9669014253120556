// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/session"
)

// house is an account with a manager whose clock the test moves.
type house struct {
	*session.Manager
	t     *testing.T
	store catalog.Store
	auth  *auth.Service
	now   time.Time
}

// newHouse has DAN with the roles ANALYST (default) and CHIEF, which is granted to ANALYST's heir; EVE with nothing; and the
// database ML with the schemas PUBLIC and CHURN, which ANALYST may use.
func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return h.now }
	store, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	h.store, h.auth = store, auth.New(store, "FIRN", clock, rand.Reader)
	h.Manager = session.New(store, h.auth, clock)
	h.update(fill)
	return h
}

func fill(tx catalog.Tx) error {
	ids := map[string]catalog.ID{}
	user := func(name string) *catalog.Object {
		return &catalog.Object{Kind: catalog.KindUser, Name: catalog.Name{Object: name}, Spec: &catalog.UserSpec{
			LoginName: name, DefaultRole: "ANALYST", DefaultNamespace: "ML.CHURN", DefaultWarehouse: "WH",
		}}
	}
	objects := []*catalog.Object{
		{ID: catalog.AccountID, Kind: catalog.KindAccount, Name: catalog.Name{Object: "FIRN"}, Spec: &catalog.AccountSpec{}}, user("DAN"), user("EVE"),
		{Kind: catalog.KindDatabase, Name: catalog.Name{Object: "ML"}, Owner: "BOSS", Spec: &catalog.DatabaseSpec{}},
		{Kind: catalog.KindDatabase, Name: catalog.Name{Object: "lower"}, Owner: "ANALYST", Spec: &catalog.DatabaseSpec{}},
		{Kind: catalog.KindSchema, Name: catalog.Name{Database: "ML", Object: "PUBLIC"}, Owner: "BOSS", Spec: &catalog.SchemaSpec{}},
		{Kind: catalog.KindSchema, Name: catalog.Name{Database: "ML", Object: "CHURN"}, Owner: "BOSS", Spec: &catalog.SchemaSpec{}},
		{Kind: catalog.KindSchema, Name: catalog.Name{Database: "ML", Object: "HIDDEN"}, Owner: "BOSS", Spec: &catalog.SchemaSpec{}},
		{Kind: catalog.KindWarehouse, Name: catalog.Name{Object: "WH"}, Owner: "BOSS", Spec: &catalog.WarehouseSpec{}},
	}
	for _, role := range []string{"PUBLIC", "ANALYST", "CHIEF", "BOSS"} {
		objects = append(objects, &catalog.Object{Kind: catalog.KindRole, Name: catalog.Name{Object: role}, Spec: &catalog.RoleSpec{}})
	}
	for _, o := range objects {
		if err := tx.CreateObject(o); err != nil {
			return err
		}
		ids[o.Name.Database+"."+o.Name.Object] = o.ID
	}
	for _, on := range []string{".ML", "ML.PUBLIC", "ML.CHURN", ".WH"} {
		if err := tx.PutGrant(catalog.Grant{Object: ids[on], Privilege: catalog.Usage, Role: "ANALYST"}); err != nil {
			return err
		}
	}
	for _, g := range []catalog.RoleGrant{{Role: "ANALYST", ToUser: "DAN"}, {Role: "ANALYST", ToRole: "CHIEF"}, {Role: "CHIEF", ToUser: "DAN"}} {
		if err := tx.PutRoleGrant(g); err != nil {
			return err
		}
	}
	return nil
}

func (h *house) update(fn func(catalog.Tx) error) {
	h.t.Helper()
	if err := h.store.Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// open opens a session that has to open.
func (h *house) open(l session.Login) (*catalog.Session, session.Tokens) {
	h.t.Helper()
	s, tokens, err := h.Open(h.t.Context(), l)
	if err != nil {
		h.t.Fatal(err)
	}
	return s, tokens
}

// numberOf gives the Snowflake number of an error.
func numberOf(err error) int {
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e.Number
	}
	return 0
}

func TestOpen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.update(func(tx catalog.Tx) error {
		return tx.SubmitJob(&catalog.Job{ID: "job", Owner: "BOSS", User: "EVE", Plan: catalog.Plan{Session: catalog.SessionDefaults{Database: "ML", Schema: "HIDDEN", Warehouse: "WH"}}})
	})
	dan, eve := auth.Identity{User: "DAN"}, auth.Identity{User: "EVE"}
	job := auth.Identity{User: "EVE", Role: "BOSS", JobID: "job"}
	type place struct{ Role, Database, Schema, Warehouse string }
	tests := []struct {
		name   string
		login  session.Login
		want   place
		number int // of the refusal
	}{
		{"defaults", session.Login{Identity: dan}, place{"ANALYST", "ML", "CHURN", "WH"}, 0},
		{"defaults that are not granted", session.Login{Identity: eve}, place{"PUBLIC", "", "", ""}, 0},
		{"role asked for", session.Login{Identity: dan, Role: "chief"}, place{"CHIEF", "ML", "CHURN", "WH"}, 0},
		{"quoted role", session.Login{Identity: dan, Role: `"CHIEF"`}, place{"CHIEF", "ML", "CHURN", "WH"}, 0},
		{"quoted role of another case", session.Login{Identity: dan, Role: `"chief"`}, place{}, 390189},
		{"role of others", session.Login{Identity: dan, Role: "BOSS"}, place{}, 390189},
		{"role that does not exist", session.Login{Identity: dan, Role: "NONE"}, place{}, 390189},
		{"role of others by default user", session.Login{Identity: eve, Role: "ANALYST"}, place{}, 390189},
		{"token bound to a role", session.Login{Identity: auth.Identity{User: "DAN", Role: "CHIEF"}}, place{"CHIEF", "ML", "CHURN", "WH"}, 0},
		{"token bound to a role, another asked for", session.Login{Identity: auth.Identity{User: "DAN", Role: "CHIEF"}, Role: "ANALYST"}, place{}, 390189},
		{"token bound to a role that was taken away", session.Login{Identity: auth.Identity{User: "EVE", Role: "CHIEF"}}, place{}, 390189},
		{"place asked for", session.Login{Identity: dan, Database: "ml", Schema: "public", Warehouse: "wh"}, place{"ANALYST", "ML", "PUBLIC", "WH"}, 0},
		{"database only", session.Login{Identity: dan, Database: "ML"}, place{"ANALYST", "ML", "PUBLIC", "WH"}, 0},
		{"quoted database without schemas", session.Login{Identity: dan, Database: `"lower"`}, place{"ANALYST", "lower", "", "WH"}, 0},
		{"a name in lower case is not quoted", session.Login{Identity: dan, Database: "lower"}, place{"ANALYST", "", "", "WH"}, 0},
		{"schema that is hidden", session.Login{Identity: dan, Database: "ML", Schema: "HIDDEN"}, place{"ANALYST", "ML", "", "WH"}, 0},
		{"schema that is hidden, validated", session.Login{Identity: dan, Database: "ML", Schema: "HIDDEN", Validate: true}, place{}, 390201},
		{"schema that is missing, validated", session.Login{Identity: dan, Database: "ML", Schema: "MISSING", Validate: true}, place{}, 390201},
		{"database that is missing", session.Login{Identity: dan, Database: "X"}, place{"ANALYST", "", "", "WH"}, 0},
		{"database that is missing, validated", session.Login{Identity: dan, Database: "X", Validate: true}, place{}, 390201},
		{"warehouse that is missing, validated", session.Login{Identity: dan, Warehouse: "X", Validate: true}, place{}, 390201},
		{"warehouse that is hidden, validated", session.Login{Identity: eve, Warehouse: "WH", Validate: true}, place{}, 390201},
		{"container", session.Login{Identity: job}, place{"BOSS", "ML", "HIDDEN", "WH"}, 0},
		{"container that asks for another role", session.Login{Identity: job, Role: "ANALYST"}, place{"BOSS", "ML", "HIDDEN", "WH"}, 0},
		{"container that asks for another place", session.Login{Identity: job, Database: "ML", Schema: "CHURN"}, place{"BOSS", "ML", "CHURN", "WH"}, 0},
	}
	for _, tt := range tests {
		s, tokens, err := h.Open(t.Context(), tt.login)
		if tt.number != 0 {
			if !errs.Is(err, errs.Unauthenticated) || numberOf(err) != tt.number || tokens != (session.Tokens{}) {
				t.Errorf("%s: %v, want number %d", tt.name, err, tt.number)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := (place{s.Role, s.Database, s.Schema, s.Warehouse}); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
		if s.ID <= 0 || s.ID >= 1<<53 || s.SecondaryRoles != "NONE" || s.User != tt.login.Identity.User || s.JobID != tt.login.Identity.JobID {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
	h.update(func(tx catalog.Tx) error { // a refused login leaves no session, a good one is noted
		_, spec, err := catalog.Get[*catalog.UserSpec](tx, catalog.Name{Object: "DAN"})
		if err == nil && !spec.LastLogin.Equal(h.now) {
			t.Errorf("last login %s", spec.LastLogin)
		}
		return err
	})
}

func TestOpenKeepsWhatTheClientSaid(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	given := map[string]string{"TIMEZONE": "Europe/Berlin", "CLIENT_FUTURE": "x"}
	s, _ := h.open(session.Login{Identity: auth.Identity{User: "DAN"}, Parameters: given, Client: "Test 1"})
	s.Parameters["TIMEZONE"] = "UTC"
	if given["TIMEZONE"] != "Europe/Berlin" || s.Client != "Test 1" {
		t.Errorf("%v, %q", given, s.Client)
	}
}

func TestLifeOfASession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s, tokens := h.open(session.Login{Identity: auth.Identity{User: "DAN"}})
	find := func(token errs.Secret) int {
		t.Helper()
		found, err := h.Find(t.Context(), token)
		if err == nil && found.ID != s.ID {
			t.Errorf("found %d, want %d", found.ID, s.ID)
		}
		if err != nil && !errs.Is(err, errs.Unauthenticated) {
			t.Error(err)
		}
		return numberOf(err)
	}
	for name, wrong := range map[string]errs.Secret{"empty": "", "unknown": "s.x", "master": tokens.Master, "cut": tokens.Session[:20]} {
		if n := find(wrong); n != 390104 {
			t.Errorf("%s token: %d", name, n)
		}
	}
	if n := find(tokens.Session); n != 0 {
		t.Errorf("fresh: %d", n)
	}
	h.now = h.now.Add(auth.SessionTTL)
	if n := find(tokens.Session); n != 390112 {
		t.Errorf("expired: %d", n)
	}
	if err := h.Heartbeat(t.Context(), tokens.Session); numberOf(err) != 390112 {
		t.Errorf("heartbeat of an expired token: %v", err)
	}
	if _, _, err := h.Renew(t.Context(), tokens.Session); numberOf(err) != 390104 {
		t.Errorf("renewal with the session token: %v", err)
	}
	_, second, err := h.Renew(t.Context(), tokens.Master)
	if err != nil || second.Session == tokens.Session || second.Master == tokens.Master {
		t.Fatalf("renewal: %v", err)
	}
	if n := find(second.Session); n != 0 {
		t.Errorf("renewed: %d", n)
	}
	_, third, err := h.Issue(t.Context(), second.Master)
	if err != nil || third.Master != second.Master || find(third.Session) != 0 || find(second.Session) != 0 {
		t.Errorf("one more token beside the other: %v", err)
	}
	h.now = h.now.Add(auth.MasterTTL)
	if _, _, err := h.Renew(t.Context(), second.Master); numberOf(err) != 390114 {
		t.Errorf("expired master token: %v", err)
	}
	if _, _, err := h.Issue(t.Context(), "m.x"); numberOf(err) != 390104 {
		t.Errorf("unknown master token: %v", err)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, tokens := h.open(session.Login{Identity: auth.Identity{User: "DAN"}})
	_, others := h.open(session.Login{Identity: auth.Identity{User: "DAN"}})
	for range 2 { // the second time is no error
		if err := h.Close(t.Context(), tokens.Session); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(t.Context(), "s.unknown"); err != nil {
		t.Error(err)
	}
	if _, err := h.Find(t.Context(), tokens.Session); numberOf(err) != 390104 {
		t.Errorf("closed session: %v", err)
	}
	if _, _, err := h.Renew(t.Context(), tokens.Master); numberOf(err) != 390104 {
		t.Errorf("master token of a closed session: %v", err)
	}
	if err := h.Close(t.Context(), others.Master); err != nil {
		t.Error(err)
	}
	if _, err := h.Find(t.Context(), others.Session); err != nil {
		t.Errorf("another session of the same user: %v", err)
	}
}

// Use moves the end of a session; without it the session is swept away, with its temporary objects and tokens.
func TestSweep(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	idle, idleTokens := h.open(session.Login{Identity: auth.Identity{User: "DAN"}})
	used, usedTokens := h.open(session.Login{Identity: auth.Identity{User: "DAN"}})
	h.update(func(tx catalog.Tx) error {
		return tx.CreateObject(&catalog.Object{
			Kind: catalog.KindStage, Name: catalog.Name{Database: "ML", Schema: "CHURN", Object: "TEMP"}, Session: idle.ID, Spec: &catalog.StageSpec{},
		})
	})
	sweep := func(want int) {
		t.Helper()
		if n, err := h.Sweep(t.Context()); n != want || err != nil {
			t.Errorf("at %s: %d sessions closed, want %d, %v", h.now, n, want, err)
		}
	}
	sweep(0)
	for range 9 {
		h.now = h.now.Add(50 * time.Minute)
		if err := h.Heartbeat(t.Context(), usedTokens.Session); err != nil {
			t.Fatal(err)
		}
		var err error
		if _, usedTokens, err = h.Renew(t.Context(), usedTokens.Master); err != nil {
			t.Fatal(err)
		}
	}
	h.now = h.now.Add(40 * time.Minute) // 8 h 10 min after the login
	if _, err := h.Find(t.Context(), usedTokens.Session); err != nil {
		t.Error(err)
	}
	sweep(1)
	sweep(0)
	if _, err := h.Find(t.Context(), usedTokens.Session); err != nil {
		t.Errorf("the session in use: %v", err)
	}
	if _, err := h.Find(t.Context(), idleTokens.Session); numberOf(err) != 390104 {
		t.Errorf("the idle session: %v", err)
	}
	h.update(func(tx catalog.Tx) error {
		for o, err := range tx.Objects(catalog.KindStage, catalog.Name{Database: "ML", Schema: "CHURN"}) {
			t.Errorf("%s is left, %v", o.Name, err)
		}
		s, err := tx.Session(used.ID)
		if err == nil && (!s.LastUsed.Equal(h.now) || !s.Expires.Equal(h.now.Add(auth.MasterTTL)) || !s.Closed.IsZero()) {
			t.Errorf("%+v", s)
		}
		return err
	})
}

// Requests in quick succession do not write.
func TestFindWritesSeldom(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s, tokens := h.open(session.Login{Identity: auth.Identity{User: "DAN"}})
	begun := h.now
	for _, tt := range []struct{ after, lastUsed time.Duration }{{0, 0}, {4 * time.Minute, 0}, {5 * time.Minute, 5 * time.Minute}, {9 * time.Minute, 5 * time.Minute}} {
		h.now = begun.Add(tt.after)
		if _, err := h.Find(t.Context(), tokens.Session); err != nil {
			t.Fatal(err)
		}
		h.update(func(tx catalog.Tx) error {
			row, err := tx.Session(s.ID)
			if err == nil && !row.LastUsed.Equal(begun.Add(tt.lastUsed)) {
				t.Errorf("after %s: last used %s after the login", tt.after, row.LastUsed.Sub(begun))
			}
			return err
		})
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "ml": "ML", "Ml": "ML", `"ml"`: "ml", `"a""b"`: `a"b`, `"`: `"`, `""`: "", `a"b`: `A"B`,
	} {
		if got := session.Canonical(in); got != want {
			t.Errorf("%s gives %s, want %s", in, got, want)
		}
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	s := &catalog.Session{Parameters: map[string]string{"TIMEZONE": "Europe/Berlin", "AUTOCOMMIT": "FALSE", "CLIENT_FUTURE": "7", "CLIENT_PREFETCH_THREADS": "many"}}
	got := session.ClientParameters(s)
	for name, want := range map[string]any{
		"TIMEZONE": "Europe/Berlin", "AUTOCOMMIT": false, "CLIENT_FUTURE": "7", "CLIENT_PREFETCH_THREADS": "many", "CLIENT_RESULT_CHUNK_SIZE": int64(160),
		"DATE_INPUT_FORMAT": nil,
	} {
		if got[name] != want {
			t.Errorf("%s is %#v, want %#v", name, got[name], want)
		}
	}
	if v := session.Value(s, "STATEMENT_TIMEOUT_IN_SECONDS"); v != "172800" {
		t.Error(v)
	}
	if v := session.Value(s, "UNKNOWN"); v != "" {
		t.Error(v)
	}
	known := session.Known()
	for i, p := range known {
		found, ok := session.Lookup(p.Name)
		if !ok || found != p || i > 0 && known[i-1].Name >= p.Name {
			t.Errorf("%s is not found, or not in order", p.Name)
		}
	}
	if _, ok := session.Lookup("UNKNOWN"); ok {
		t.Error("an unknown parameter is known")
	}
}
