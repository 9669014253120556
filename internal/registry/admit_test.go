// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/registry"
)

// takeAccess commits something that takes access from somebody.
func (d *door) takeAccess(t *testing.T) {
	t.Helper()
	if err := d.store.Update(t.Context(), func(tx catalog.Tx) error {
		return errors.Join(tx.DeleteRoleGrant("R", "", "NOBODY"), tx.AddEvent(catalog.Event{Action: "revoke"}))
	}); err != nil {
		t.Fatal(err)
	}
}

// TestAdmissionIsRemembered: who somebody is and what he may do is looked up again when this process took access from somebody, and
// after a second. The test changes rights without a commit, as another replica does it as far as this process can see.
func TestAdmissionIsRemembered(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	d := serveAt(t, c.read)
	nobody := d.as(t, "")
	login := func(user string) []string {
		token, _, err := d.people.IssueRegistryToken(t.Context(), identity(user), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return []string{"Authorization", "Bearer " + token.Reveal()}
	}
	begin := func(status int, login []string) {
		t.Helper()
		nobody.want(status, "POST", "/v2/"+image+"/blobs/uploads/", nil, login...)
	}
	lose := func(right bool) {
		d.people.mu.Lock()
		defer d.people.mu.Unlock()
		if right {
			d.people.rights["writer"] = nil
		} else {
			d.people.tokens = map[string]registry.Identity{}
		}
	}
	for _, right := range []bool{true, false} {
		refused := map[bool]int{true: http.StatusNotFound, false: http.StatusUnauthorized}[right]
		for _, soon := range []bool{true, false} {
			d.people.mu.Lock()
			d.people.rights["writer"] = map[string]catalog.Privilege{"DB.S.REPO": catalog.Write}
			d.people.mu.Unlock()
			d.takeAccess(t)
			writer := login("writer")
			begin(http.StatusAccepted, writer)
			lose(right)
			begin(http.StatusAccepted, writer)
			if soon {
				d.takeAccess(t)
			} else {
				c.advance(time.Second)
			}
			begin(refused, writer)
			begin(refused, writer) // a refusal is not remembered either
		}
	}
}

// TestRuleOfAnotherReplica: a quota that another replica sets counts at once for what is committed here, and a repository that it
// dropped takes nothing.
func TestRuleOfAnotherReplica(t *testing.T) {
	t.Parallel()
	for database, source := range catalogtest.Databases() {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			dsn := source(t)
			d := serveOn(t, dsn, t.TempDir(), time.Now)
			store, err := sqlstore.Open(t.Context(), dsn, sqlstore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() })
			other := &door{store: store}
			w := d.as(t, "writer")
			w.pushBlob(image, randomBytes(1, 1000))
			put := func(seed uint64) reply {
				content := randomBytes(seed, 1000)
				return w.do("POST", "/v2/"+image+"/blobs/uploads/?digest="+sha256Of(content), bytes.NewReader(content))
			}
			other.rule(t, func(s *catalog.ImageRepositorySpec) { s.Quota = 1500 })
			if r := put(2); r.StatusCode != http.StatusForbidden || r.code() != "DENIED" {
				t.Errorf("push over a quota of another replica: %d %s", r.StatusCode, r.body)
			}
			other.rule(t, func(s *catalog.ImageRepositorySpec) { s.Quota = 0 })
			d.takeAccess(t)
			if r := put(2); r.StatusCode != http.StatusCreated {
				t.Errorf("push without a quota: %d %s", r.StatusCode, r.body)
			}
			err = store.Update(t.Context(), func(tx catalog.Tx) error {
				o, err := tx.Object(catalog.KindImageRepository, catalog.Name{Database: "DB", Schema: "S", Object: "REPO"})
				if err != nil {
					return err
				}
				return tx.DropObject(o.ID)
			})
			if err != nil {
				t.Fatal(err)
			}
			if r := put(3); r.StatusCode != http.StatusNotFound || r.code() != "NAME_UNKNOWN" {
				t.Errorf("push to a repository that another replica dropped: %d %s", r.StatusCode, r.body)
			}
		})
	}
}
