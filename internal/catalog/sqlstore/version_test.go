// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/catalog/sqlstore"
)

// TestVersion: the number changes with every commit, also of another process, and with nothing else.
func TestVersion(t *testing.T) {
	t.Parallel()
	source := "sqlite:" + filepath.Join(t.TempDir(), "firn.db")
	var stores [2]*sqlstore.Store
	for i := range stores {
		s, err := sqlstore.Open(t.Context(), source, sqlstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		stores[i] = s
	}
	version := func() int64 {
		t.Helper()
		n, ok, err := stores[0].Version(t.Context())
		if err != nil || !ok {
			t.Fatalf("no version: %v, %v", ok, err)
		}
		return n
	}
	write := func(tx catalog.Tx) error { return tx.AddEvent(catalog.Event{Action: "test"}) }
	failure := errors.New("no")
	last := version()
	for _, step := range []struct {
		name    string
		do      func() error
		changes bool
	}{
		{"nothing", func() error { return nil }, false},
		{"commit", func() error { return stores[0].Update(t.Context(), write) }, true},
		{"commit elsewhere", func() error { return stores[1].Update(t.Context(), write) }, true},
		{"view", func() error {
			return stores[0].View(t.Context(), func(tx catalog.Tx) error {
				for _, err := range tx.RoleGrants() {
					return err
				}
				return nil
			})
		}, false},
		{"rollback", func() error {
			err := stores[0].Update(t.Context(), func(tx catalog.Tx) error { return errors.Join(write(tx), failure) })
			if errors.Is(err, failure) {
				return nil
			}
			return err
		}, false},
		{"second commit", func() error { return stores[0].Update(t.Context(), write) }, true},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		now := version()
		if (now != last) != step.changes {
			t.Errorf("after %s the version went from %d to %d", step.name, last, now)
		}
		last = now
	}
}

// TestAccessVersion: the number changes with all that takes access from somebody, before the update returns, and with nothing else.
func TestAccessVersion(t *testing.T) {
	t.Parallel()
	for name, source := range catalogtest.Databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := sqlstore.Open(t.Context(), source(t), sqlstore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			user := &catalog.Object{Kind: catalog.KindUser, Name: catalog.Name{Object: "U"}, Spec: &catalog.UserSpec{}}
			token := catalog.Token{Hash: "h", Use: catalog.TokenProgram, User: "U", Name: "T"}
			grant := catalog.RoleGrant{Role: "R", ToUser: "U"}
			for _, step := range []struct {
				name  string
				takes bool
				do    func(catalog.Tx) error
			}{
				{"nothing", false, func(catalog.Tx) error { return nil }},
				{"create", false, func(tx catalog.Tx) error { return tx.CreateObject(user) }},
				{"alter", true, func(tx catalog.Tx) error { return tx.AlterObject(user) }},
				{"grant", false, func(tx catalog.Tx) error {
					return tx.PutGrant(catalog.Grant{Object: user.ID, Privilege: catalog.Usage, Role: "R"})
				}},
				{"revoke", true, func(tx catalog.Tx) error { return tx.DeleteGrant(user.ID, catalog.Usage, "R") }},
				{"grant of a role", false, func(tx catalog.Tx) error { return tx.PutRoleGrant(grant) }},
				{"revoke of a role", true, func(tx catalog.Tx) error { return tx.DeleteRoleGrant("R", "", "U") }},
				{"token", false, func(tx catalog.Tx) error { return tx.PutToken(token) }},
				{"token altered", true, func(tx catalog.Tx) error { return tx.AlterToken(token) }},
				{"token removed", true, func(tx catalog.Tx) error { return tx.DeleteToken("h") }},
				{"tokens removed", true, func(tx catalog.Tx) error { _, err := tx.DeleteTokens(0, "", "U"); return err }},
				{"sessions expired", true, func(tx catalog.Tx) error { _, err := tx.ExpireSessions(time.Now()); return err }},
				{"event", false, func(tx catalog.Tx) error { return tx.AddEvent(catalog.Event{Action: "test"}) }},
				{"drop", true, func(tx catalog.Tx) error { return tx.DropObject(user.ID) }},
			} {
				before := s.AccessVersion()
				if err := s.Update(t.Context(), step.do); err != nil {
					t.Fatalf("%s: %v", step.name, err)
				}
				if changed := s.AccessVersion() != before; changed != step.takes {
					t.Errorf("%s: the version changed: %v, want %v", step.name, changed, step.takes)
				}
			}
		})
	}
}
