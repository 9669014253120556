// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
)

// TestReopen checks that a catalog which is closed and opened again has kept every noun. open opens the same catalog each
// time; the first time it is empty.
func TestReopen(t *testing.T, open func(t *testing.T) catalog.Store) {
	s := open(t)
	fillEverything(t, s)
	before := everything(t, s)
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	s = open(t)
	wantEqual(t, "the catalog after it was opened again", everything(t, s), before)
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// fillEverything adds rows of every noun.
func fillEverything(t T, s catalog.Store) {
	t.Helper()
	objects := everyKind()
	objects[0].ID = catalog.AccountID
	update(t, s, func(tx catalog.Tx) error { return create(tx, objects...) })
	update(t, s, func(tx catalog.Tx) error {
		for _, err := range []error{
			tx.PutGrant(catalog.Grant{Object: objects[5].ID, Privilege: catalog.Read, Role: "ROLE", GrantOption: true}),
			tx.PutRoleGrant(catalog.RoleGrant{Role: "ROLE", ToUser: "USER"}),
			tx.PutSession(&catalog.Session{ID: 1, User: "USER", Parameters: map[string]string{"A": "b"}}),
			tx.PutToken(catalog.Token{Hash: "h", Use: catalog.TokenSession, Session: 1}),
			tx.BeginStatement(&catalog.Statement{ID: "q", RequestID: "r", Session: 1, Text: "SELECT 1"}),
			tx.EndStatement(&catalog.Statement{ID: "q", Status: catalog.StatementSuccess, Result: []byte("[1]")}),
			tx.SubmitJob(fullJob()),
			tx.PutFile(&catalog.File{Stage: objects[5].ID, Path: "a", Key: "k1"}),
			tx.PutFile(&catalog.File{Stage: objects[5].ID, Path: "a", Key: "k2"}),
			tx.AddEvent(catalog.Event{Action: "create", Allowed: true}),
			tx.AddPastEnvironment(past("r", "E", "one")),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if _, err := claim(t, s, "w", time.Hour); err != nil {
		t.Fatalf("claim: %v", err)
	}
}

// everything reads what fillEverything added.
func everything(t T, s catalog.Store) map[string]any {
	t.Helper()
	found := map[string]any{}
	view(t, s, func(tx catalog.Tx) error {
		for _, o := range everyKind() {
			kept := must(tx.Object(o.Kind, o.Name))(t)
			found["object "+string(o.Kind)] = kept
			if o.Kind == catalog.KindStage {
				found["files"] = all(t, tx.Files(kept.ID, ""))
				found["grants"] = all(t, tx.GrantsOn(kept.ID))
			}
		}
		found["role graph"] = all(t, tx.RoleGrants())
		found["session"] = must(tx.Session(1))(t)
		found["token"] = must(tx.Token("h"))(t)
		found["statement"] = must(tx.StatementByRequest(1, "r"))(t)
		found["jobs"] = all(t, tx.FindJobs(catalog.JobFilter{Worker: "w"}))
		found["orphans"] = all(t, tx.OrphanKeys(tx.Now().Add(time.Hour)))
		found["history"] = all(t, tx.PastEnvironments())
		found["events"] = all(t, tx.Events(time.Time{}, 100))
		return nil
	})
	for noun, rows := range found {
		if list, ok := rows.([]*catalog.Job); ok && len(list) != 1 {
			t.Errorf("%s: got %d rows, want 1", noun, len(list))
		}
	}
	return found
}
