// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"firn.dev/firn/internal/catalog"
)

// submitText is the statement that snowflake.ml.jobs sends, with its escapes.
func submitText(runtime, options string) string {
	return `CALL SYSTEM$EXECUTE_ML_JOB('D.S.myjob_d73a28ad_', 'POOL1', '{"STAGE_PATH": "@st/myjob_d73a28ad", "ARGS": ["bash", "/mnt/job_stage/system/startup.sh", "--function_args={\\"kind\\": \\"base\\"}"], ` +
		`"ENV_VARS": {"MLRS_PAYLOAD_DIR": "app", "MLRS_USE_EMBEDDED_SCRIPTS": "true", "K": "it\'s"}, "ENABLE_METRICS": true, "SPEC_OVERRIDES": null, ` +
		`"RUNTIME": ` + runtime + `, "ENABLE_STAGE_MOUNT_V2": true}', '{"EXTERNAL_ACCESS_INTEGRATIONS": ["PYPI"], "QUERY_WAREHOUSE": "\\"WH1\\"", ` +
		`"TARGET_INSTANCES": 1, "MIN_INSTANCES": 1, "GENERATE_SUFFIX": true, "ASYNC": true` + options + `}')`
}

var jobID = regexp.MustCompile(`^D\.S\.MYJOB_D73A28AD_[0-9A-F]{12}$`)

// TestMLJobFromSubmissionToDrop follows one job through the statements of the client.
func TestMLJobFromSubmissionToDrop(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.grantAll()
	if got := b.cell(b.ann, "CALL SYSTEM$GET_ML_JOB_RUNTIME('POOL1', 'cre@my_cre')"); got != "cre@my_cre" {
		t.Errorf("runtime %q", got)
	}
	id := b.cell(b.ann, submitText(`"cre@my_cre"`, `, "COMMENT": "SnowparkML"`))
	if !jobID.MatchString(id) {
		t.Fatalf("id %q", id)
	}
	if b.woken.Load() == 0 {
		t.Error("the scheduler was not woken")
	}

	rows := b.run(b.ann, "DESCRIBE SERVICE IDENTIFIER(?)", strings.ToLower(id))
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	for column, want := range map[string]string{
		"status": "PENDING", "owner": "SCIENTIST", "compute_pool": "POOL1", "target_instances": "1", "is_job": "true", "is_async_job": "true",
		"query_warehouse": "WH1", "external_access_integrations": `["PYPI"]`, "comment": "SnowparkML", "database_name": "D", "schema_name": "S",
	} {
		if rows[0][column] != want {
			t.Errorf("%s is %q, want %q", column, rows[0][column], want)
		}
	}
	checkSpec(t, rows[0]["spec"], id)
	checkPlan(t, b, id)

	b.refuses(b.ann, 0, "SELECT SYSTEM$GET_SERVICE_LOGS('"+id+"', 0, 'main')", "Container Status: PENDING")
	b.refuses(b.ann, 0, "call "+id+"!spcs_wait_for('DONE', 0)", "PENDING")
	b.move(id, catalog.JobRunning, func(j *catalog.Job) {
		j.Instances = []catalog.Instance{{Index: 0, Status: "READY", IP: "172.20.0.2", Started: time.Now()}}
	})
	name := id[strings.LastIndexByte(id, '.')+1:]
	b.logs[name] = "one\ntwo\nthree\n"
	if got := b.cell(b.ann, "SELECT SYSTEM$GET_SERVICE_LOGS(?, ?, ?, ?)", id, "0", "main", "2"); got != "two\nthree" {
		t.Errorf("logs %q", got)
	}
	logs := b.run(b.ann, "SELECT LOG FROM table("+id+"!spcs_get_logs(\n))\nWHERE INSTANCE_ID = 0 AND CONTAINER_NAME = 'main'\nORDER BY TIMESTAMP ASC\n LIMIT 10")
	if len(logs) != 3 || logs[0]["LOG"] != "one" || logs[2]["LOG"] != "three" {
		t.Errorf("logs %v", logs)
	}
	inst := b.run(b.ann, "SHOW SERVICE INSTANCES IN SERVICE IDENTIFIER(?)", id)
	if len(inst) != 1 || inst[0]["instance_id"] != "0" || inst[0]["ip_address"] != "172.20.0.2" || inst[0]["status"] != "READY" {
		t.Errorf("instances %v", inst)
	}
	if pools := b.run(b.ann, "SHOW COMPUTE POOLS LIKE ?", "POOL1"); len(pools) != 1 || pools[0]["active_nodes"] != "1" || pools[0]["num_jobs"] != "1" {
		t.Errorf("pools %v", pools)
	}

	checkListings(t, b, name)
	b.cell(b.ann, "CALL "+strings.Replace(id, "D.", `"D".`, 1)+"!spcs_cancel_job()")
	if got := b.run(b.ann, "DESCRIBE SERVICE IDENTIFIER(?)", id)[0]["status"]; got != "CANCELLING" {
		t.Errorf("status %s after the cancel", got)
	}
	b.move(id, catalog.JobCancelled, nil)
	b.refuses(b.ann, 0, "call "+id+"!spcs_wait_for('DONE', 30)", "CANCELLED")
	b.cell(b.ann, "CALL "+id+"!spcs_cancel_job()")

	history := "select DATABASE_NAME, SCHEMA_NAME, NAME, STATUS, COMPUTE_POOL_NAME, PARAMETERS\n from table(snowflake.spcs.get_job_history())\n where database_name = ? and schema_name = ? and name = ?"
	b.run(b.ann, "DROP SERVICE IDENTIFIER(?)", id)
	b.refuses(b.ann, 2003, "DESCRIBE SERVICE "+id, "does not exist")
	after := b.run(b.ann, history, "D", "S", name)
	if len(after) != 1 || after[0]["STATUS"] != "CANCELLED" || after[0]["COMPUTE_POOL_NAME"] != "POOL1" || !strings.Contains(after[0]["PARAMETERS"], `"REPLICAS": 1`) {
		t.Errorf("history %v", after)
	}
	if left := b.run(b.ann, "select * from table(snowflake.spcs.get_job_history(\n\n))\nWHERE DATABASE_NAME = 'D' AND SCHEMA_NAME = 'S' AND DELETED_TIME IS NULL\nLIMIT 5"); len(left) != 0 {
		t.Errorf("a dropped job is listed: %v", left)
	}
}

// checkListings runs what list_jobs of the client runs, its fallback too.
func checkListings(t *testing.T, b *jobBench, name string) {
	t.Helper()
	const history = "select * from table(snowflake.spcs.get_job_history(\n\n))\nWHERE DATABASE_NAME = 'D' AND SCHEMA_NAME = 'S' AND DELETED_TIME IS NULL\nLIMIT 5"
	rows := b.run(b.ann, `SELECT "NAME" AS "name", "STATUS" AS "status", "MESSAGE" AS "message", "OWNER" AS "owner", "COMPUTE_POOL_NAME" AS "compute_pool", `+
		`coalesce("PARAMETERS"['REPLICAS'], 1) AS "target_instances", "CREATED_TIME" AS "created_time", "COMPLETED_TIME" AS "completed_time" FROM (`+history+`)`)
	if len(rows) != 1 || rows[0]["name"] != name || rows[0]["status"] != "RUNNING" || rows[0]["target_instances"] != "1" || rows[0]["owner"] != "SCIENTIST" {
		t.Errorf("history %v", rows)
	}
	if rows := b.run(b.ann, "select NAME from table(snowflake.spcs.get_job_history(created_time_end => TO_TIMESTAMP_LTZ('2020-01-01'), result_limit => 3))"); len(rows) != 0 {
		t.Errorf("jobs of the past: %v", rows)
	}
	b.refuses(b.ann, 1015, "select * from table(snowflake.spcs.get_job_history(result_limit => 0))", "RESULT_LIMIT")
	b.refuses(b.ann, 1015, "select * from table(snowflake.spcs.get_job_history(nothing => 1))", "NOTHING")
	if rows := b.run(b.admin, history); len(rows) != 0 {
		t.Errorf("ACCOUNTADMIN does not inherit SCIENTIST, and sees %v", rows)
	}
	result, err := b.try(b.ann, `SHOW JOB SERVICES LIKE 'MYJOB_%' IN "D"."S" LIMIT 5`)
	if err != nil {
		t.Fatal(err)
	}
	rows = b.run(b.ann, `SELECT  *  FROM ( SELECT "name", "status", NULL AS "message", "target_instances", "created_on" AS "created_time",  CASE  WHEN "status" IN ('DONE', 'FAILED') `+
		`THEN "updated_on" ELSE NULL END  AS "completed_time" FROM ( SELECT  *  FROM  TABLE ( RESULT_SCAN('`+result.QueryID+`')))) ORDER BY "created_time" DESC NULLS LAST`)
	if len(rows) != 1 || rows[0]["name"] != name || rows[0]["completed_time"] != "" {
		t.Errorf("fallback %v", rows)
	}
}

// checkSpec reads the specification as the client does.
func checkSpec(t *testing.T, text, id string) {
	t.Helper()
	var doc struct {
		Spec struct {
			Containers []struct {
				Name, Image string
				Env         map[string]string
				Args        []string
			}
			Volumes []struct {
				Name        string
				StageConfig struct{ Name string } `yaml:"stageConfig"`
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	stages := map[string]string{}
	for _, v := range doc.Spec.Volumes {
		stages[v.Name] = v.StageConfig.Name
	}
	main := doc.Spec.Containers[0]
	switch name := id[strings.LastIndexByte(id, '.')+1:]; {
	case main.Image != "/d/s/repo/app:v1", main.Name != "main", main.Env["K"] != "it's", main.Env["MLRS_RESULT_PATH"] != "/mnt/job_result/mljob_result",
		main.Args[2] != `--function_args={"kind": "base"}`:
		t.Errorf("container %+v", main)
	case stages["stage-volume"] != "@D.S.ST/myjob_d73a28ad", stages["result-volume"] != "@D.S.ST/myjob_d73a28ad/"+name:
		t.Errorf("stages %v", stages)
	}
}

// checkPlan looks at the row that the scheduler gets.
func checkPlan(t *testing.T, b *jobBench, id string) {
	t.Helper()
	j := b.job(id)
	if j.Digest != "sha256:"+strings.Repeat("a", 64) || j.Environment != "MY_CRE" || j.Kind != "ML JOB" || j.Owner != "SCIENTIST" || j.User != "ANN" {
		t.Errorf("job %+v", j)
	}
	if j.Plan.CPU != 4 || j.Plan.Memory != 16*gib || !strings.Contains(j.Message, "28 GiB") {
		t.Errorf("size %v CPU, %d bytes, message %q", j.Plan.CPU, j.Plan.Memory, j.Message)
	}
	if j.Plan.Session != (catalog.SessionDefaults{Database: "D", Schema: "S", Warehouse: "WH1"}) {
		t.Errorf("session %+v", j.Plan.Session)
	}
	var targets []string
	for _, m := range j.Plan.Mounts {
		targets = append(targets, m.Target+"="+m.Path)
	}
	want := []string{"/mnt/job_result=myjob_d73a28ad/" + j.Name, "/mnt/job_stage=myjob_d73a28ad"}
	if !reflect.DeepEqual(targets, want) {
		t.Errorf("mounts %v", targets)
	}
}

// TestJobNeedsEveryPrivilege takes one privilege away at a time.
func TestJobNeedsEveryPrivilege(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.grantAll()
	// What each lack says: where nothing else shows that the object exists it does not exist.
	want := []struct {
		number int
		text   string
	}{
		{2003, "'D'"}, {2003, "'D.S'"}, {3001, "schema 'S'"}, {2003, "'POOL1'"}, {3001, "stage 'ST'"}, {3001, "stage 'ST'"}, {2003, "'MY_CRE'"},
		{2003, "'D.S.REPO'"}, {2003, "'WH1'"}, {2003, "'PYPI'"},
	}
	for i, grant := range jobGrants() {
		b.run(b.admin, "revoke "+grant+" from role SCIENTIST")
		b.refuses(b.ann, want[i].number, submitText(`"cre@my_cre"`, ""), want[i].text)
		b.run(b.admin, "grant "+grant+" to role SCIENTIST")
	}
	if id := b.cell(b.ann, submitText(`"cre@my_cre"`, "")); !jobID.MatchString(id) {
		t.Errorf("id %q", id)
	}
	b.run(b.admin, "revoke usage on custom runtime environment MY_CRE from role SCIENTIST")
	b.run(b.admin, "grant monitor on custom runtime environment MY_CRE to role SCIENTIST")
	b.refuses(b.ann, 3001, submitText(`"cre@my_cre"`, ""), "custom runtime environment 'MY_CRE'")
	refused := 0
	b.update(func(tx catalog.Tx) error {
		for e, err := range tx.Events(time.Time{}, 1000) {
			if err != nil {
				return err
			}
			if e.Action == "refuse" && !e.Allowed && e.User == "ANN" {
				refused++
			}
		}
		return nil
	})
	if refused == 0 {
		t.Error("no refusal in the audit trail")
	}
}

func TestEnvironmentThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.grantAll()
	submit := submitText(`"cre@my_cre"`, "")
	b.run(b.admin, "alter custom runtime environment MY_CRE set cre_status = deprecated")
	b.refuses(b.ann, 0, submit, "'MY_CRE' is deprecated", "SET CRE_STATUS = RESOLVED")
	b.run(b.admin, "alter custom runtime environment MY_CRE set cre_status = RESOLVED")

	moved := "sha256:" + strings.Repeat("c", 64)
	b.push(catalog.Name{Database: "D", Schema: "S", Object: "REPO"}, "app", "v1", moved)
	b.refuses(b.ann, 0, submit, "the image /d/s/repo/app:v1 changed after the environment was registered (registered sha256:aaaa", "now "+moved,
		"CREATE OR REPLACE CUSTOM RUNTIME ENVIRONMENT MY_CRE")
	b.run(b.admin, "create or replace custom runtime environment MY_CRE image_path = 'd/S/repo/app:v1' base_image_type = 'cpu'")
	b.refuses(b.ann, 2003, submit, "'MY_CRE'") // grants are lost
	b.run(b.admin, "grant usage on custom runtime environment MY_CRE to role SCIENTIST")
	if got := b.job(b.cell(b.ann, submit)).Digest; got != moved {
		t.Errorf("the job runs %s", got)
	}
	b.refuses(b.ann, 2003, strings.Replace(submit, "POOL1", "GPUS", 1), "GPUS")
	b.run(b.admin, "grant usage on compute pool GPUS to role SCIENTIST")
	b.refuses(b.ann, 0, strings.Replace(submit, "POOL1", "GPUS", 1), "GPU_NV_S", "this host has no GPU")
	b.run(b.admin, "create or replace custom runtime environment MY_CRE image_path = '/d/s/repo/app:v1' base_image_type = gpu")
	b.run(b.admin, "grant usage on custom runtime environment MY_CRE to role SCIENTIST")
	b.refuses(b.ann, 0, submit, "is for GPU compute pools", "CPU_X64_M")
	b.run(b.admin, "drop custom runtime environment MY_CRE")
	b.refuses(b.ann, 2003, submit, "Custom Runtime Environment 'MY_CRE' does not exist or not authorized")
	b.refuses(b.ann, 904, submitText(`"cre@a b"`, ""), "invalid identifier 'a b'")
}

func TestRuntimes(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.grantAll()
	const path = "/snowflake/images/snowflake_images/container_runtime/cpu_x86_64:1.0"
	for selector, want := range map[string]string{
		``: path, `{"pythonVersion": "3.11"}`: path, `3.11`: path, `1.0`: path, path: path, `{"pythonVersion": "3.11", "runtimeEnvironment": "1.0"}`: path,
		`{"pythonVersion": "3.11", "runtimeEnvironment": "cre@my_cre"}`: "cre@my_cre", `CRE@x`: "CRE@x", `@nonsense`: "@nonsense",
		`/d/s/repo/app:v1`: "/d/s/repo/app:v1", `/d/s/repo/app`: "/d/s/repo/app",
	} {
		if got := b.cell(b.ann, "CALL SYSTEM$GET_ML_JOB_RUNTIME('POOL1', '"+selector+"')"); got != want {
			t.Errorf("%s: got %q, want %q", selector, got, want)
		}
	}
	b.refuses(b.ann, 0, `CALL SYSTEM$GET_ML_JOB_RUNTIME('POOL1', '{"pythonVersion": "3.9"}')`, "Python 3.9", "1.0 (Python 3.11)")
	b.refuses(b.ann, 0, `CALL SYSTEM$GET_ML_JOB_RUNTIME('POOL1', '9.9')`, "'9.9'", "available: 1.0")
	b.refuses(b.ann, 0, `CALL SYSTEM$GET_ML_JOB_RUNTIME('POOL1', '/d/s/repo/none:v1')`, "none:v1")
	b.refuses(b.ann, 2003, `CALL SYSTEM$GET_ML_JOB_RUNTIME('NOPOOL', '')`, "NOPOOL")
	// The specification shows what was asked for, the row what runs.
	written := b.job(b.cell(b.ann, submitText(`"D/S/REPO/app:v1"`, "")))
	if written.Image != "/d/s/repo/app:v1" || !strings.Contains(b.run(b.ann, "DESCRIBE SERVICE "+written.Name)[0]["spec"], `image: "D/S/REPO/app:v1"`) {
		t.Errorf("image %s", written.Image)
	}
	job := b.job(b.cell(b.ann, submitText(`null`, "")))
	if job.Image != path || job.Environment != "" || job.Digest != "sha256:"+strings.Repeat("b", 64) {
		t.Errorf("default runtime: %+v", job)
	}
}

// TestSubmissionRepeatsNamesAsWritten: clients look for what the user wrote in the message.
func TestSubmissionRepeatsNamesAsWritten(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	submit := submitText(`"cre@my_cre"`, "")
	for _, c := range []struct {
		number        int
		old, new, say string
	}{
		{2003, "'POOL1'", "'nopool'", "nopool"},
		{904, "'POOL1'", `'o\'hara; drop table t'`, "invalid identifier 'o'hara; drop table t'"},
		{2003, "'D.S.", "'nodb.S.", "nodb"},
		{2003, "'D.S.", "'D.nosc.", "nosc"},
		{2003, `\\"WH1\\"`, `\\"nowh\\"`, "nowh"},
		{2003, `"PYPI"`, `"NOEAI"`, "NOEAI"},
		{2003, "@st/", "@nostage/", "nostage"},
		{904, "@st/", "st/", "invalid identifier 'st/"},
		{904, "@st/myjob_d73a28ad", "@st/../x", ".."},
	} {
		b.refuses(b.admin, c.number, strings.Replace(submit, c.old, c.new, 1), c.say)
	}
	override := func(text string) string {
		return strings.Replace(submit, `"SPEC_OVERRIDES": null`, `"SPEC_OVERRIDES": `+text, 1)
	}
	b.refuses(b.admin, 2003, override(`{"spec": {"containers": [{"name": "main", "secrets": [{"snowflakeSecret": "D.S.NOSECRET", "envVarName": "X", "secretKeyRef": "secret_string"}]}]}}`), "NOSECRET")
	b.refuses(b.admin, 0, override(`{"spec": {"volumes": [{"name": "stage-volume", "source": "@D.S.OTHER"}]}}`), "stage-volume")
	if jobs := b.run(b.admin, "SHOW JOB SERVICES IN ACCOUNT"); len(jobs) != 0 {
		t.Errorf("refused jobs exist: %v", jobs)
	}
}

func TestSpecOverrides(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.run(b.admin, "create secret KEY type = generic_string secret_string = 'hush'")
	text := strings.Replace(submitText(`"cre@my_cre"`, ""), `"SPEC_OVERRIDES": null`,
		`"SPEC_OVERRIDES": {"capabilities": {"securityContext": {"executeAsCaller": true}}, "spec": {"containers": [{"name": "main", "env": {"K": "2", "NEW": 3},
		 "image": "/snowflake/images/snowflake_images/container_runtime/cpu_x86_64:1.0", "secrets": [{"snowflakeSecret": "D.S.KEY", "envVarName": "X", "secretKeyRef": "secret_string"}]}]}}`, 1)
	id := b.cell(b.admin, text)
	job := b.job(id)
	if job.Plan.Env["K"] != "2" || job.Plan.Env["NEW"] != "3" || job.Plan.Env["X"] != "hush" || job.Environment != "" || job.Digest != "sha256:"+strings.Repeat("b", 64) {
		t.Errorf("job %+v", job)
	}
	spec := b.run(b.admin, "DESCRIBE SERVICE "+id)[0]["spec"]
	if strings.Contains(spec, "hush") || !strings.Contains(spec, "executeAsCaller: true") {
		t.Errorf("spec\n%s", spec)
	}
}

// TestFirstClients runs what clients before SYSTEM$EXECUTE_ML_JOB sent.
func TestFirstClients(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	if got := b.cell(b.admin, "CALL SYSTEM$NOTEBOOKS_FIND_LABELED_RUNTIMES()"); !strings.Contains(got, `"pythonVersion":"3.11"`) {
		t.Errorf("runtimes %s", got)
	}
	b.run(b.admin, "EXECUTE JOB SERVICE\nIN COMPUTE POOL IDENTIFIER(?)\nFROM SPECIFICATION $$\nspec:\n  containers:\n  - name: main\n    image: /d/s/repo/app:v1\n"+
		"    command: [/usr/local/bin/_entrypoint.sh]\n    args: [\"@st/x/app/main.py\"]\n    volumeMounts: [{name: stage-volume, mountPath: /mnt/app}]\n"+
		"  volumes:\n  - name: stage-volume\n    source: '@st/x'\n$$\nNAME = IDENTIFIER(?)\nASYNC = TRUE\nEXTERNAL_ACCESS_INTEGRATIONS = (pypi)\nQUERY_WAREHOUSE = IDENTIFIER(?)\nREPLICAS = ?",
		"POOL1", "d.s.mljob_1", "WH1", "2")
	job := b.job("MLJOB_1")
	if job.Replicas != 2 || job.Plan.Session.Warehouse != "WH1" || job.Plan.Command[0] != "/usr/local/bin/_entrypoint.sh" || job.Plan.Mounts[0].Path != "x" {
		t.Errorf("job %+v", job)
	}
	if got := b.cell(b.admin, "SELECT d.s.mljob_1!SPCS_CANCEL_JOB()"); !strings.Contains(got, "cancel") || b.job("MLJOB_1").State != catalog.JobCancelled {
		t.Errorf("got %q", got)
	}
}

// TestSynchronousJobs waits for the end of jobs that something else ends.
func TestSynchronousJobs(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	const yaml = "spec:\n  containers:\n  - name: c\n    image: /d/s/repo/app:v1\n    env: {N: 1}\n    resources: {requests: {cpu: 1, memory: 1Gi}}\n"
	for _, c := range []struct {
		end  catalog.JobState
		want string
		fail bool
	}{
		{catalog.JobDone, "Job J completed successfully with status: DONE.", false},
		{catalog.JobFailed, "Job D.S.J failed with status: FAILED. exit code 3", true},
	} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			result, err := b.try(b.session("ADMIN", "ACCOUNTADMIN"), "EXECUTE JOB SERVICE\nIN COMPUTE POOL POOL1\nFROM SPECIFICATION $$\n"+yaml+"\n$$\nNAME = D.S.J")
			got := fmt.Sprint(err)
			if err == nil {
				got = *result.Rowset.Rows[0][0]
			}
			if (err != nil) != c.fail || !strings.Contains(got, c.want) {
				t.Errorf("got %s", got)
			}
		}()
		deadline := time.Now().Add(10 * time.Second)
		for len(b.run(b.admin, "SHOW JOB SERVICES LIKE 'J' IN D.S")) == 0 {
			if time.Now().After(deadline) {
				t.Fatal("the job does not appear")
			}
		}
		job := b.job("D.S.J")
		if job.Plan.CPU != 1 || job.Plan.Memory != gib || job.Plan.Env["N"] != "1" || job.Kind != "JOB SERVICE" {
			t.Errorf("job %+v", job)
		}
		b.move("D.S.J", catalog.JobRunning, nil)
		b.move("D.S.J", c.end, func(j *catalog.Job) {
			if c.fail {
				j.Message = "exit code 3"
			}
		})
		<-done
		b.run(b.admin, "DROP SERVICE D.S.J")
		b.update(func(tx catalog.Tx) error { // the next round looks for its own
			return tx.TransitionJob(job.ID, c.end, c.end, func(j *catalog.Job) { j.Name = "OLD" })
		})
	}
}

func TestExecuteJobService(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.grantAll()
	const head = "EXECUTE JOB SERVICE IN COMPUTE POOL POOL1 FROM SPECIFICATION $$ "
	spec := `{"spec": {"containers": [{"name": "c", "image": "/d/s/repo/app:v1", "args": ["x"], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}], ` +
		`"volumes": [{"name": "v", "source": "@st/in"}], "endpoints": [{"name": "web", "port": 80, "public": true}]}}`
	if got := b.cell(b.ann, head+spec+" $$ NAME = J2 ASYNC = TRUE REPLICAS = 2 QUERY_WAREHOUSE = WH1 EXTERNAL_ACCESS_INTEGRATIONS = (PYPI) COMMENT = 'c'"); !strings.Contains(got, "J2") {
		t.Errorf("got %q", got)
	}
	row := b.run(b.ann, "DESCRIBE SERVICE J2")[0]
	if row["target_instances"] != "2" || row["comment"] != "c" || !strings.Contains(row["spec"], "@D.S.ST/in") {
		t.Errorf("described %v", row)
	}
	if n := len(b.run(b.ann, "SHOW SERVICE CONTAINERS IN SERVICE J2")); n != 2 {
		t.Errorf("%d containers", n)
	}
	if rows := b.run(b.ann, "SHOW ENDPOINTS IN SERVICE J2"); len(rows) != 1 || rows[0]["name"] != "web" || rows[0]["ingress_url"] != "" {
		t.Errorf("endpoints %v", rows)
	}
	if rows := b.run(b.ann, "SHOW ROLES IN SERVICE J2"); len(rows) != 1 || rows[0]["name"] != "ALL_ENDPOINTS_USAGE" {
		t.Errorf("roles %v", rows)
	}
	if got := b.cell(b.ann, "CALL SYSTEM$GET_SERVICE_STATUS('J2')"); !strings.Contains(got, `"status":"PENDING"`) || !strings.Contains(got, `"instanceId":"1"`) {
		t.Errorf("status %s", got)
	}
	b.refuses(b.ann, 2002, head+spec+" $$ NAME = J2 ASYNC = TRUE", "already exists")
	b.refuses(b.ann, 0, head+strings.Replace(spec, "/d/s/repo/app:v1", "/d/s/repo/nope:v1", 1)+" $$ NAME = J3", "nope:v1")
	b.refuses(b.ann, 2003, head+strings.Replace(spec, "/d/s/repo/app:v1", "/d/s/other/nope:v1", 1)+" $$ NAME = J3", "D.S.OTHER")
	b.refuses(b.ann, 0, head+`{"spec": {}} $$ NAME = J3`, "spec.containers")
	b.refuses(b.ann, 0, head+spec+" $$ NAME = J3 ASYNCH = TRUE", "did you mean 'ASYNC'")
	for what, want := range map[string]int{
		"SHOW SERVICES": 1, "SHOW SERVICES EXCLUDE JOBS": 0, "SHOW JOB SERVICES LIKE 'J%' IN D.S LIMIT 5": 1, "SHOW SERVICES IN COMPUTE POOL POOL1": 1,
		"SHOW JOB SERVICES IN ACCOUNT": 1, "SHOW SERVICES LIKE 'X%'": 0,
	} {
		if rows := b.run(b.ann, what); len(rows) != want {
			t.Errorf("%s: %d rows", what, len(rows))
		}
	}
	if got := b.cell(b.ann, head+spec+" $$ ASYNC = TRUE"); !strings.HasPrefix(got, "Job JOB_") {
		t.Errorf("default name: %q", got)
	}
	b.run(b.admin, "drop custom runtime environment MY_CRE")
	b.run(b.admin, "drop database D cascade")
	if job := b.job("J2"); job.State != catalog.JobCancelled || job.Deleted.IsZero() {
		t.Errorf("job after DROP DATABASE: %s, deleted %s", job.State, job.Deleted)
	}
}
