// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"testing"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/errs"
)

// What only happens where transactions run beside each other: on PostgreSQL.

func TestUpdateThatAlwaysConflicts(t *testing.T) {
	t.Parallel()
	s := open(t, catalogtest.Postgres(t)) // on SQLite no other writer can get between
	role := &catalog.Object{Kind: catalog.KindRole, Name: catalog.Name{Object: "R"}, Spec: &catalog.RoleSpec{}}
	if err := s.Update(t.Context(), func(tx catalog.Tx) error { return tx.CreateObject(role) }); err != nil {
		t.Fatal(err)
	}
	attempts := 0
	err := s.Update(t.Context(), func(tx catalog.Tx) error {
		attempts++
		mine, err := tx.ObjectByID(role.ID)
		if err != nil {
			return err
		}
		between := make(chan error)
		go func() {
			theirs := *mine
			theirs.Comment += "x"
			between <- s.Update(context.Background(), func(tx catalog.Tx) error { return tx.AlterObject(&theirs) })
		}()
		if err := <-between; err != nil {
			return err
		}
		mine.Comment = "mine"
		return tx.AlterObject(mine)
	})
	if !errs.Is(err, errs.Conflict) || attempts < 2 {
		t.Errorf("update that always conflicts: got error %v after %d attempts, want Conflict after several", err, attempts)
	}
}

func TestTextThatPostgresRefuses(t *testing.T) {
	t.Parallel()
	s := open(t, catalogtest.Postgres(t)) // SQLite takes any text
	for _, text := range []string{"a\x00b", "a\xffb"} {
		err := s.Update(t.Context(), func(tx catalog.Tx) error {
			if err := tx.PutToken(catalog.Token{Hash: "before"}); err != nil {
				return err
			}
			_ = tx.PutToken(catalog.Token{Hash: text}) // swallowed, and still the transaction is lost
			return tx.PutToken(catalog.Token{Hash: "after"})
		})
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("text %q: got error %v, want Invalid", text, err)
		}
	}
	err := s.View(t.Context(), func(tx catalog.Tx) error { _, err := tx.Token("before"); return err })
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("what came before the error: got error %v, want NotFound", err)
	}
}
