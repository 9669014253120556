// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
)

// TestBootstrapTwice sees that a second start changes nothing, and that what an administrator took away stays away.
func TestBootstrapTwice(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	h.must(t, s, "REVOKE CREATE WAREHOUSE ON ACCOUNT FROM ROLE SYSADMIN", "REVOKE USAGE ON COMPUTE POOL SYSTEM_COMPUTE_POOL_CPU FROM ROLE PUBLIC")
	before := h.dump(t)
	if err := Bootstrap(t.Context(), h.store, "another hash", time.Now()); err != nil {
		t.Fatal(err)
	}
	if after := h.dump(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
