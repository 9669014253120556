// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firn.dev/firn/internal/catalog"
)

// dump writes all objects, grants and edges of the role graph, one per line.
func (h *house) dump(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := h.store.View(t.Context(), func(tx catalog.Tx) error {
		for kind := range h.kinds {
			objects, err := collect(tx.Objects(kind, catalog.Name{}))
			if err != nil {
				return err
			}
			for _, o := range objects {
				fmt.Fprintf(&b, "%s %s %s %q %+v\n", o.Kind, o.Name, o.Owner, o.Comment, o.Spec)
				grants, err := collect(tx.GrantsOn(o.ID))
				if err != nil {
					return err
				}
				fmt.Fprintln(&b, grants)
			}
		}
		edges, err := collect(tx.RoleGrants())
		fmt.Fprintln(&b, edges)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(slices.Sorted(strings.SplitSeq(b.String(), "\n")), "\n")
}

// TestAttackerChangesNothing lets a user with no grants try every verb on every kind of object: nothing may change, and no
// answer may tell an object that is there from one that is not.
func TestAttackerChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	h.must(t, admin, "CREATE ROLE attacker", "CREATE USER mal", "GRANT ROLE attacker TO USER mal", "CREATE DATABASE d", "CREATE SCHEMA s")
	objects := map[string]string{
		"DATABASE": "vdb", "SCHEMA": "d.victim", "STAGE": "d.s.victim", "IMAGE REPOSITORY": "d.s.victim", "SECRET": "d.s.victim", "NETWORK RULE": "d.s.victim",
		"COMPUTE POOL": "victim", "WAREHOUSE": "victim", "ROLE": "victim", "USER": "victim", "EXTERNAL ACCESS INTEGRATION": "victim",
	}
	create := map[string]string{
		"SECRET": "TYPE = GENERIC_STRING SECRET_STRING = 'x'", "NETWORK RULE": "MODE = EGRESS TYPE = HOST_PORT VALUE_LIST = ('h')",
		"COMPUTE POOL": "MIN_NODES = 1 MAX_NODES = 1 INSTANCE_FAMILY = CPU_X64_S", "EXTERNAL ACCESS INTEGRATION": "ALLOWED_NETWORK_RULES = (d.s.victim) ENABLED = TRUE",
	}
	for _, kind := range []string{
		"DATABASE", "SCHEMA", "STAGE", "IMAGE REPOSITORY", "SECRET", "NETWORK RULE", "COMPUTE POOL", "WAREHOUSE", "ROLE", "USER", "EXTERNAL ACCESS INTEGRATION",
	} {
		h.must(t, admin, "CREATE "+kind+" "+objects[kind]+" "+create[kind])
	}
	before := h.dump(t)
	mal := h.session(t, "MAL", "ATTACKER")
	for kind, name := range objects {
		missing := strings.ReplaceAll(strings.ReplaceAll(name, "victim", "absent"), "vdb", "absent")
		for _, verb := range []string{
			"CREATE " + kind + " %s " + create[kind], "CREATE OR REPLACE " + kind + " %s " + create[kind], "CREATE " + kind + " IF NOT EXISTS %s " + create[kind],
			"ALTER " + kind + " %s SET COMMENT = 'mine'", "ALTER " + kind + " IF EXISTS %s SET COMMENT = 'mine'", "ALTER " + kind + " %s RENAME TO %s2",
			"ALTER " + kind + " %s UNSET COMMENT", "DROP " + kind + " %s", "DROP " + kind + " IF EXISTS %s", "DESCRIBE " + kind + " %s", "SHOW GRANTS ON " + kind + " %s",
			"GRANT OWNERSHIP ON " + kind + " %s TO ROLE attacker", "GRANT ALL ON " + kind + " %s TO ROLE attacker", "GRANT USAGE ON " + kind + " %s TO ROLE attacker",
			"REVOKE ALL ON " + kind + " %s FROM ROLE ACCOUNTADMIN",
		} {
			ask := func(name string) string {
				text := strings.ReplaceAll(verb, "%s", name)
				answer := h.answer(t, mal, text, nil)
				// The name itself is the only difference that is allowed.
				return strings.NewReplacer("VICTIM", "*", "ABSENT", "*", "VDB", "*", "victim", "*", "absent", "*", "vdb", "*").Replace(answer)
			}
			there, absent := ask(name), ask(missing)
			if diff := cmp.Diff(absent, there); diff != "" {
				t.Errorf("%s on %s tells what is there:\n%s", verb, kind, diff)
			}
		}
	}
	for _, text := range []string{
		"GRANT ROLE victim TO USER mal", "GRANT ROLE ACCOUNTADMIN TO ROLE attacker", "REVOKE ROLE ACCOUNTADMIN FROM USER ADMIN", "USE ROLE victim", "USE ROLE ACCOUNTADMIN",
		"GRANT MANAGE GRANTS ON ACCOUNT TO ROLE attacker", "GRANT OWNERSHIP ON ROLE victim TO ROLE attacker", "ALTER ACCOUNT SET TIMEZONE = 'UTC'",
		"GRANT ALL ON ALL STAGES IN SCHEMA d.s TO ROLE attacker", "ALTER USER victim SET PASSWORD = 'x'", "EXECUTE IMMEDIATE 'DROP STAGE d.s.victim'",
		"SHOW DATABASES ->> DROP DATABASE vdb", "DROP DATABASE SNOWFLAKE", "DROP COMPUTE POOL SYSTEM_COMPUTE_POOL_CPU", "CREATE STAGE snowflake.images.mine",
		"CREATE STAGE snowflake.information_schema.mine", "CREATE IMAGE REPOSITORY snowflake.images.mine",
	} {
		if got := h.answer(t, mal, text, nil); !strings.HasPrefix(got, "error ") {
			t.Errorf("%s: %s", text, got)
		}
	}
	for _, text := range []string{"SHOW STAGES IN ACCOUNT", "SHOW SECRETS IN ACCOUNT", "SHOW NETWORK RULES IN ACCOUNT", "SHOW EXTERNAL ACCESS INTEGRATIONS", "SHOW WAREHOUSES LIKE 'V%'",
		"SHOW SCHEMAS LIKE 'VICTIM' IN ACCOUNT", "SHOW ROLES LIKE 'VICTIM'", "SHOW USERS LIKE 'V%'", "SHOW COMPUTE POOLS LIKE 'V%'"} {
		if got := h.answer(t, mal, text, nil); got != "" {
			t.Errorf("%s: %s", text, got)
		}
	}
	if diff := cmp.Diff(before, h.dump(t)); diff != "" {
		t.Error(diff)
	}
}
