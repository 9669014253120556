// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"fmt"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
)

// fill adds n environments, every second of them granted to role R.
func fill(t testing.TB, h *house, n int) {
	t.Helper()
	err := h.store.Update(t.Context(), func(tx catalog.Tx) error {
		for i := range n {
			o := &catalog.Object{
				Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: fmt.Sprintf("ENV_%05d", i)}, Owner: catalog.RoleAccountAdmin,
				Spec: &catalog.RuntimeEnvironmentSpec{Image: "i", Tag: "v1", Digest: "sha256:0", Status: catalog.Resolved, BaseType: "CPU"},
			}
			if err := tx.CreateObject(o); err != nil {
				return err
			}
			if i%2 == 0 {
				if err := tx.PutGrant(catalog.Grant{Object: o.ID, Privilege: catalog.Usage, Role: "R"}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestShowManyObjects sees the cap and the filter over more environments than a SHOW gives.
func TestShowManyObjects(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	h.must(t, s, "CREATE ROLE r", "CREATE USER u", "GRANT ROLE r TO USER u")
	fill(t, h, mostRows+10)
	for _, c := range []struct {
		session *catalog.Session
		text    string
		want    int
	}{
		{s, "SHOW CUSTOM RUNTIME ENVIRONMENTS", mostRows},
		{s, "SHOW CUSTOM RUNTIME ENVIRONMENTS LIKE 'env_0001_'", 10},
		{s, "SHOW CUSTOM RUNTIME ENVIRONMENTS STARTS WITH 'ENV_1' LIMIT 100", 10},
		{s, "SHOW CUSTOM RUNTIME ENVIRONMENTS STARTS WITH 'env_1'", 0},
		{s, "SHOW CUSTOM RUNTIME ENVIRONMENTS LIMIT 7 FROM 'ENV_00100'", 7},
		{h.session(t, "U", "R"), "SHOW CUSTOM RUNTIME ENVIRONMENTS", (mostRows + 10) / 2},
		{h.session(t, "U", "PUBLIC"), "SHOW CUSTOM RUNTIME ENVIRONMENTS", 0},
	} {
		started := time.Now()
		result := h.must(t, c.session, c.text)
		t.Logf("%s as %s: %v", c.text, c.session.Role, time.Since(started))
		if got := len(result.Rowset.Rows); got != c.want {
			t.Errorf("%s as %s: %d rows, want %d", c.text, c.session.Role, got, c.want)
		}
	}
}

func BenchmarkShow10000(b *testing.B) {
	h := newHouse(b)
	s := h.session(b, AdminUser, catalog.RoleAccountAdmin)
	h.must(b, s, "CREATE ROLE r", "CREATE USER u", "GRANT ROLE r TO USER u")
	fill(b, h, mostRows)
	for name, session := range map[string]*catalog.Session{"owner": s, "grantee": h.session(b, "U", "R")} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				h.must(b, session, "SHOW CUSTOM RUNTIME ENVIRONMENTS")
			}
		})
	}
}
