// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/imagecheck"
)

// onEveryStore runs a test on each database.
func onEveryStore(t *testing.T, test func(t *testing.T, b *jobBench)) {
	for database, source := range catalogtest.Databases() {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			test(t, newJobBenchOn(t, source(t)))
		})
	}
}

const teamPolicy = "version: 1\nname: team\npackages:\n  forbidden: [tensorflow]  # über\n"

// policyRow is what SHOW PARAMETERS says of the policy.
func policyRow(b *jobBench) map[string]string {
	rows := b.run(b.admin, "SHOW PARAMETERS LIKE 'runtime_environment_policy' IN ACCOUNT")
	if len(rows) != 1 {
		b.t.Fatalf("rows %v", rows)
	}
	return rows[0]
}

func TestAccountPolicyLife(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, b *jobBench) {
		if row := policyRow(b); row["value"] != "default" || row["level"] != "" {
			t.Errorf("unset: %v", row)
		}
		b.run(b.admin, "ALTER ACCOUNT SET RUNTIME_ENVIRONMENT_POLICY = $$"+teamPolicy+"$$")
		want, err := imagecheck.AccountPolicy(teamPolicy)
		if err != nil {
			t.Fatal(err)
		}
		title := "team (sha256 " + want.Sum() + ")"
		if row := policyRow(b); row["value"] != title || row["level"] != "ACCOUNT" {
			t.Errorf("set: %v", row)
		}
		// A bad one is refused with its line, and the good one stays.
		for text, says := range map[string]string{
			"$$version: 1\npackages:\n  forbidde: [x]$$": "policy file account, line 3, packages.forbidde: the key is unknown: did you mean forbidden?",
			"'nope'":              `policy "nope" does not exist`,
			"'@st/policy.yaml'":   "or the text of a policy file",
			"(a = b)":             "a text",
			"$$version: 1\n- x$$": "line 2",
		} {
			b.refuses(b.admin, 0, "alter account set runtime_environment_policy = "+text, says)
		}
		if row := policyRow(b); row["value"] != title {
			t.Errorf("after bad ones: %v", row)
		}
		for _, text := range []string{"alter account set runtime_environment_policy = 'snow-cli'", "alter account unset runtime_environment_policy"} {
			b.refuses(b.ann, 3001, text, "Insufficient privileges")
		}
		b.refuses(b.admin, 1008, "alter session set runtime_environment_policy = 'snow-cli'", "write ALTER ACCOUNT SET")
		var terms imagecheck.Terms
		if err := json.Unmarshal([]byte(b.cell(b.ann, "SELECT SYSTEM$GET_RUNTIME_ENVIRONMENT_POLICY()")), &terms); err != nil {
			t.Fatal(err)
		}
		if terms.Policy.Text != teamPolicy || terms.Policy.SHA256 != want.Sum() {
			t.Errorf("terms %+v", terms)
		}
		b.run(b.admin, "alter account set runtime_environment_policy = 'snow-cli'")
		if row := policyRow(b); !strings.HasPrefix(row["value"], "snow-cli (sha256 ") {
			t.Errorf("built in: %v", row)
		}
		b.run(b.admin, "alter account unset runtime_environment_policy")
		if row := policyRow(b); row["value"] != "default" || row["level"] != "" {
			t.Errorf("unset again: %v", row)
		}
		var details []string
		b.update(func(tx catalog.Tx) error {
			for e, err := range tx.Events(time.Time{}, 1000) {
				if err != nil {
					return err
				}
				if e.Kind == catalog.KindAccount {
					details = append(details, e.Detail)
				}
			}
			return nil
		})
		if all := strings.Join(details, "\n"); !strings.Contains(all, "RUNTIME_ENVIRONMENT_POLICY set to "+title) || !strings.Contains(all, "RUNTIME_ENVIRONMENT_POLICY unset") {
			t.Errorf("audit says %q", details)
		}
	})
}

// An environment never gets a policy that was replaced while its image was checked.
func TestPolicyThatChangesDuringTheCheck(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, b *jobBench) {
		const create = "create or replace custom runtime environment MY_CRE image_path = '/d/s/repo/app:v1' base_image_type = GPU"
		swap := func() { b.run(b.admin, "alter account set runtime_environment_policy = $$"+teamPolicy+"$$") }
		b.meanwhile.Store(&swap)
		b.refuses(b.admin, 0, create, "RUNTIME_ENVIRONMENT_POLICY changed while the image was checked: run the statement again")
		if row := b.run(b.admin, "desc custom runtime environment MY_CRE")[0]; row["base_image_type"] != "CPU" {
			t.Errorf("row %v", row)
		}
		b.run(b.admin, create) // the policy is set to what it is already
		if row := b.run(b.admin, "desc custom runtime environment MY_CRE")[0]; row["base_image_type"] != "GPU" {
			t.Errorf("row %v", row)
		}
	})
}
