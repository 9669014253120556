// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"slices"
	"strings"
	"testing"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func TestEnvironmentLife(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	if got := b.cell(b.admin, "CREATE CUSTOM RUNTIME ENVIRONMENT e2\n BASE_IMAGE_TYPE = gpu IMAGE_PATH = '/D/S/REPO/app:v1'"); got != "Custom Runtime Environment E2 successfully created." {
		t.Errorf("got %q", got)
	}
	result, err := b.try(b.admin, "DESC CUSTOM RUNTIME ENVIRONMENT e2")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range result.Rowset.Columns {
		names = append(names, c.Name)
	}
	want := strings.Fields("name image_name tag digest created_on updated_on owner cre_status base_image_type image image_status")
	if !slices.Equal(names, want) {
		t.Errorf("columns %v", names)
	}
	row := table(result)[0]
	for column, want := range map[string]string{
		"name": "E2", "image_name": "app", "tag": "v1", "digest": "sha256:" + strings.Repeat("a", 64), "owner": "ACCOUNTADMIN", "cre_status": "RESOLVED",
		"base_image_type": "GPU", "image": "/d/s/repo/app:v1",
	} {
		if row[column] != want {
			t.Errorf("%s is %q, want %q", column, row[column], want)
		}
	}
	b.refuses(b.admin, 2002, "create custom runtime environment E2 image_path = '/d/s/repo/app:v1' base_image_type = CPU", "Object 'E2' already exists.")
	if got := b.cell(b.admin, "create custom runtime environment if not exists E2 image_path = '/d/s/repo/none:v1' base_image_type = CPU"); got != "E2 already exists, statement succeeded." {
		t.Errorf("got %q", got)
	}
	if got := b.cell(b.admin, "ALTER CUSTOM RUNTIME ENVIRONMENT E2 SET CRE_STATUS = DEPRECATED"); got != "Statement executed successfully." {
		t.Errorf("got %q", got)
	}
	rows := b.run(b.admin, "SHOW CUSTOM RUNTIME ENVIRONMENTS")
	if len(rows) != 2 || rows[0]["name"] != "E2" || rows[0]["cre_status"] != "DEPRECATED" || rows[1]["name"] != "MY_CRE" {
		t.Errorf("rows %v", rows)
	}
	if got := b.cell(b.admin, "DROP CUSTOM RUNTIME ENVIRONMENT E2"); got != "E2 successfully dropped." {
		t.Errorf("got %q", got)
	}
	if got := b.cell(b.admin, "DROP CUSTOM RUNTIME ENVIRONMENT IF EXISTS E2"); got != "Drop statement executed successfully (E2 already dropped)." {
		t.Errorf("got %q", got)
	}
	b.refuses(b.admin, 2003, "DROP CUSTOM RUNTIME ENVIRONMENT E2", "Custom Runtime Environment 'E2' does not exist or not authorized.")
	if images := b.run(b.admin, "show images in image repository D.S.REPO"); len(images) != 1 {
		t.Errorf("images %v", images)
	}
}

// TestEnvironmentKeepsTheOldOneWhenTheNewFails: OR REPLACE swaps only when the new image passed.
func TestEnvironmentKeepsTheOldOneWhenTheNewFails(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.run(b.admin, "grant usage on custom runtime environment MY_CRE to role SCIENTIST")
	unfit := error(errs.New(errs.Refused, "image is not fit: entrypoint"))
	b.check.Store(&unfit)
	const replace = "create or replace custom runtime environment MY_CRE image_path = '/d/s/repo/app:v1' base_image_type = GPU"
	b.refuses(b.admin, 0, replace, "entrypoint")
	b.refuses(b.admin, 0, strings.Replace(replace, "or replace ", "", 1), "already exists")
	b.refuses(b.admin, 0, strings.Replace(strings.Replace(replace, "MY_CRE", "NEW_ONE", 1), "or replace ", "", 1), "entrypoint")
	rows := b.run(b.admin, "show custom runtime environments")
	if len(rows) != 1 || rows[0]["base_image_type"] != "CPU" || rows[0]["cre_status"] != "RESOLVED" {
		t.Errorf("rows %v", rows)
	}
	if grants := b.run(b.admin, "show grants on custom runtime environment MY_CRE"); len(grants) != 2 {
		t.Errorf("grants %v", grants)
	}
	b.check.Store(nil)
	b.run(b.admin, "alter custom runtime environment MY_CRE set cre_status = DEPRECATED")
	b.run(b.admin, replace)
	if row := b.run(b.admin, "desc custom runtime environment MY_CRE")[0]; row["base_image_type"] != "GPU" || row["cre_status"] != "RESOLVED" {
		t.Errorf("row %v", row)
	}
	if grants := b.run(b.admin, "show grants on custom runtime environment MY_CRE"); len(grants) != 1 {
		t.Errorf("grants survive OR REPLACE: %v", grants)
	}
}

func TestEnvironmentPrivileges(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	const create = "create custom runtime environment MINE image_path = '/d/s/repo/app:v1' base_image_type = CPU"
	b.refuses(b.ann, 3001, create, "Insufficient privileges to operate on account")
	b.run(b.admin, "grant create custom runtime environment on account to role SCIENTIST")
	b.refuses(b.ann, 2003, create, "does not exist or not authorized")
	for _, g := range []string{"usage on database D", "usage on schema D.S"} {
		b.run(b.admin, "grant "+g+" to role SCIENTIST")
	}
	b.refuses(b.ann, 2003, create, "Image Repository 'D.S.REPO' does not exist or not authorized.")
	// Whether an image exists is told to those only who may read.
	b.refuses(b.ann, 2003, strings.Replace(create, "app:v1", "secret:v1", 1), "Image Repository 'D.S.REPO' does not exist or not authorized.")
	b.run(b.admin, "grant read on image repository D.S.REPO to role SCIENTIST")
	b.refuses(b.ann, 0, strings.Replace(create, "app:v1", "secret:v1", 1), "secret:v1 does not exist: push it first")
	b.run(b.ann, create)
	if row := b.run(b.ann, "desc custom runtime environment MINE")[0]; row["owner"] != "SCIENTIST" {
		t.Errorf("row %v", row)
	}
	b.refuses(b.ann, 2003, "desc custom runtime environment MY_CRE")
	b.run(b.admin, "grant usage on custom runtime environment MY_CRE to role SCIENTIST")
	b.refuses(b.ann, 3001, "desc custom runtime environment MY_CRE", "Insufficient privileges to operate on custom runtime environment 'MY_CRE'.")
	b.refuses(b.ann, 3001, "alter custom runtime environment MY_CRE set cre_status = DEPRECATED")
	b.refuses(b.ann, 3001, "drop custom runtime environment MY_CRE")
	if rows := b.run(b.ann, "show custom runtime environments"); len(rows) != 2 {
		t.Errorf("rows %v", rows)
	}
	b.run(b.admin, "revoke usage on custom runtime environment MY_CRE from role SCIENTIST")
	b.run(b.admin, "grant modify on custom runtime environment MY_CRE to role SCIENTIST")
	if rows := b.run(b.ann, "show custom runtime environments"); len(rows) != 1 {
		t.Errorf("MODIFY alone lists: %v", rows)
	}
	b.run(b.ann, "alter custom runtime environment MY_CRE set cre_status = DEPRECATED")
}

func TestEnvironmentStatementsRefused(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	const ok = " image_path = '/d/s/repo/app:v1' base_image_type = CPU"
	for _, c := range []struct {
		number     int
		text, want string
	}{
		{2029, "create custom runtime environment X", "IMAGE_PATH, BASE_IMAGE_TYPE"},
		{2029, "create custom runtime environment X image_path = '/d/s/repo/app:v1'", "BASE_IMAGE_TYPE"},
		{0, "create custom runtime environment X image_path = '/d/s/repo/app:v1' base_image_type = 'ML_RUNTIME'", "allowed: CPU, GPU"},
		{0, "create custom runtime environment X" + ok + " comment = 'c'", "invalid property 'COMMENT'"},
		{0, "create custom runtime environment X" + ok + " cre_status = RESOLVED", "invalid property 'CRE_STATUS'"},
		{904, `create custom runtime environment "my cre"` + ok, "my cre"},
		{0, "create or replace custom runtime environment if not exists X" + ok, "incompatible"},
		{0, "create custom runtime environment X image_path = 'app' base_image_type = CPU", "image path"},
		{0, "alter custom runtime environment MY_CRE set cre_status = GONE", "RESOLVED, DEPRECATED"},
		{0, "alter custom runtime environment MY_CRE set image_path = '/d/s/repo/app:v1'", "IMAGE_PATH"},
		{0, "alter custom runtime environment MY_CRE rename to X", ""},
	} {
		b.refuses(b.admin, c.number, c.text, c.want)
	}
	b.run(b.admin, `create custom runtime environment "PLAIN"`+ok)
}

// TestEnvironmentImageThatMovesWhileItIsChecked: what was judged must be what is registered.
func TestEnvironmentImageThatMovesWhileItIsChecked(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	o := &catalog.Object{Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: "X"}, Spec: &catalog.RuntimeEnvironmentSpec{
		Repository: b.repository(), Image: "app", Tag: "v1", TagDigest: "sha256:" + strings.Repeat("0", 64), Path: "/d/s/repo/app:v1",
	}}
	w := &work{Executor: b.e, session: b.admin}
	w.who.User, w.who.Role = b.admin.User, b.admin.Role
	b.update(func(tx catalog.Tx) error {
		if err := environmentCreated(w, tx, o); !errs.Is(err, errs.Conflict) {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

func (b *jobBench) repository() (id catalog.ID) {
	b.update(func(tx catalog.Tx) error { id = b.repositoryOf(tx); return nil })
	return id
}

func (b *jobBench) repositoryOf(tx catalog.Tx) catalog.ID {
	o, err := tx.Object(catalog.KindImageRepository, catalog.Name{Database: "D", Schema: "S", Object: "REPO"})
	if err != nil {
		b.t.Fatal(err)
	}
	return o.ID
}
