// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// The arguments as snowflake.ml.jobs sends them, with keys of newer clients among them.
const (
	recordedSpec = `{"STAGE_PATH": "@payload_stage/myjob_d73a28ad", "ARGS": ["bash", "/mnt/job_stage/system/startup.sh", "/mnt/job_stage/app/myjob.py", "--a", "1"],
		"ENV_VARS": {"MLRS_STAGE_MOUNT_PATH": "/mnt/job_stage", "MLRS_PAYLOAD_DIR": "app", "MLRS_USE_EMBEDDED_SCRIPTS": "true", "K": "it's: \"yes\""},
		"ENABLE_METRICS": true, "SPEC_OVERRIDES": null, "RUNTIME": "cre@my_cre", "ENABLE_STAGE_MOUNT_V2": true, "ARTIFACT_REPOSITORIES": null, "NEWER": [1]}`
	recordedOptions = `{"EXTERNAL_ACCESS_INTEGRATIONS": ["PYPI"], "QUERY_WAREHOUSE": "\"WH1\"", "TARGET_INSTANCES": 1, "MIN_INSTANCES": 1, "GENERATE_SUFFIX": true,
		"ASYNC": true, "COMMENT": "SnowparkML"}`
)

func TestDecodeMLJobArguments(t *testing.T) {
	t.Parallel()
	spec, err := decodeMLJobSpec(recordedSpec)
	if err != nil {
		t.Fatal(err)
	}
	if spec.StagePath != "@payload_stage/myjob_d73a28ad" || len(spec.Args) != 5 || spec.Env["K"] != `it's: "yes"` || !spec.Metrics ||
		spec.Overrides != nil || spec.Runtime != "cre@my_cre" {
		t.Errorf("got %+v", spec)
	}
	options, err := decodeMLJobOptions(recordedOptions)
	want := mlJobOptions{Integrations: []string{"PYPI"}, Warehouse: `"WH1"`, Target: 1, Min: 1, Suffix: true, Async: true, Comment: "SnowparkML"}
	if err != nil || !reflect.DeepEqual(options, want) {
		t.Errorf("got %+v, %v", options, err)
	}
	options, err = decodeMLJobOptions(`{"TARGET_INSTANCES": 3, "QUERY_WAREHOUSE": null}`)
	if err != nil || options.Min != 3 || options.Async {
		t.Errorf("got %+v, %v", options, err)
	}
}

func TestDecodeMLJobArgumentsRefuse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{`[]`, "third argument is no JSON object"}, {`{`, "third argument is no JSON object"}, {`{} {}`, "third argument"},
		{`{}`, "'STAGE_PATH'"}, {`{"STAGE_PATH": 1}`, "'STAGE_PATH'"}, {`{"STAGE_PATH": "@s", "ARGS": "x"}`, "'ARGS'"},
		{`{"STAGE_PATH": "@s", "ARGS": [[]]}`, "'ARGS'"}, {`{"STAGE_PATH": "@s", "ENV_VARS": {"A": {}}}`, "'ENV_VARS.A'"},
		{`{"STAGE_PATH": "@s", "ENABLE_METRICS": "true"}`, "'ENABLE_METRICS'"}, {`{"STAGE_PATH": "@s", "SPEC_OVERRIDES": []}`, "'SPEC_OVERRIDES'"},
	} {
		if _, err := decodeMLJobSpec(c.text); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.text, err, c.want)
		}
	}
	for _, text := range []string{
		`{"TARGET_INSTANCES": "2"}`, `{"TARGET_INSTANCES": -1}`, `{"TARGET_INSTANCES": 2, "MIN_INSTANCES": 3}`, `{"TARGET_INSTANCES": 1.5}`,
		`{"ASYNC": 1}`, `{"EXTERNAL_ACCESS_INTEGRATIONS": "x"}`,
	} {
		if _, err := decodeMLJobOptions(text); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// TestMLJobDocHasWhatClientsRead reads the specification as snowflake/ml/jobs/job.py does.
func TestMLJobDocHasWhatClientsRead(t *testing.T) {
	t.Parallel()
	spec, err := decodeMLJobSpec(recordedSpec)
	if err != nil {
		t.Fatal(err)
	}
	options := mlJobOptions{Target: 2, Min: 2}
	size := instanceSize{cpu: 3, memory: 13 * gib}
	doc := mlJobDoc(spec, options, "/d/s/r/i:1", "@D.S.PAYLOAD_STAGE/myjob_d73a28ad", "MYJOB_1", size)
	if err := doc.complete(); err != nil {
		t.Fatal(err)
	}
	text, err := doc.text()
	if err != nil {
		t.Fatal(err)
	}
	var seen struct {
		Spec struct {
			Containers []struct {
				Name, Image  string
				Args         []string
				Env          map[string]string
				VolumeMounts []struct {
					Name      string
					MountPath string `yaml:"mountPath"`
				} `yaml:"volumeMounts"`
			}
			Volumes []struct {
				Name        string
				StageConfig struct{ Name string } `yaml:"stageConfig"`
			}
			Endpoints []struct {
				Name string
				Port int
			}
			ResourceManagement any `yaml:"resourceManagement"`
		}
	}
	if err := yaml.Unmarshal([]byte(text), &seen); err != nil {
		t.Fatal(err)
	}
	main := seen.Spec.Containers[0]
	stages := map[string]string{}
	for _, v := range seen.Spec.Volumes {
		stages[v.Name] = v.StageConfig.Name
	}
	switch {
	case main.Name != "main", main.Image != "/d/s/r/i:1", !reflect.DeepEqual(main.Args, spec.Args):
		t.Errorf("container: %+v", main)
	case main.Env["MLRS_RESULT_PATH"] != "/mnt/job_result/mljob_result", main.Env["MLRS_MIN_INSTANCES"] != "2", main.Env["K"] != `it's: "yes"`,
		main.Env["HEAD_GCS_PORT"] != "12001", main.Env["MLRS_USE_EMBEDDED_SCRIPTS"] != "true":
		t.Errorf("env: %v", main.Env)
	case stages["stage-volume"] != "@D.S.PAYLOAD_STAGE/myjob_d73a28ad", stages["result-volume"] != "@D.S.PAYLOAD_STAGE/myjob_d73a28ad/MYJOB_1":
		t.Errorf("volumes: %v", stages)
	case seen.Spec.ResourceManagement == nil:
		t.Error("no start order for two instances")
	}
	plan, err := doc.plan(&doc.Spec.Containers[0], size, []catalog.Mount{{Target: "/mnt/job_stage"}})
	if err != nil {
		t.Fatal(err)
	}
	if plan.CPU != 3 || plan.Memory != 13*gib || plan.SharedMem != 4*gib || len(plan.Command) != 0 || plan.Args[0] != "bash" || plan.Env["K"] != `it's: "yes"` {
		t.Errorf("plan: %+v", plan)
	}
}

func TestMountedArgs(t *testing.T) {
	t.Parallel()
	got := mountedArgs([]string{"bash", "@st/def/app/x.py", "@st/defother", "@st/def"}, "@st/def/")
	want := []string{"bash", "/mnt/job_stage/app/x.py", "@st/defother", "@st/def"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestWanted(t *testing.T) {
	t.Parallel()
	family := instanceSize{cpu: 4, memory: 16 * gib, gpus: 1}
	for _, c := range []struct {
		limits, requests string
		want             instanceSize
		fails            string
	}{
		{"{}", "{}", family, ""},
		{"{cpu: 500m, memory: 512Mi}", "{cpu: 2}", instanceSize{0.5, 512 << 20, 1}, ""},
		{"{}", "{cpu: 2, memory: 1G, nvidia.com/gpu: 0}", instanceSize{2, 1e9, 0}, ""},
		{"{cpu: 64, memory: 1Ti}", "{}", family, ""},
		{"{cpu: x}", "{}", family, "invalid cpu 'x'"},
		{"{memory: 1}", "{}", family, "invalid memory '1'"},
		{"{nvidia.com/gpu: 2}", "{}", family, "asks for 2 GPUs"},
		{"{cpu: Gi}", "{}", family, "invalid cpu"},
		{"{cpu: -1}", "{}", family, "invalid cpu"},
	} {
		doc, err := parseServiceDoc("spec: {containers: [{name: a, image: x, resources: {limits: " + c.limits + ", requests: " + c.requests + "}}]}")
		if err != nil {
			t.Fatal(err)
		}
		got, err := doc.Spec.Containers[0].wanted(family)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: got %v", c.limits, err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s %s: got %+v, %v", c.limits, c.requests, got, err)
		}
	}
}

func TestMountedStagesOuterFirst(t *testing.T) {
	t.Parallel()
	doc, err := parseServiceDoc(`
spec:
  containers: [{name: a, image: x, volumeMounts: [{name: r, mountPath: /m/inner/}, {name: l, mountPath: /l}, {name: s, mountPath: /m}]}]
  volumes: [{name: r, source: "@a/b/c"}, {name: l, source: local}, {name: s, source: stage, stageConfig: {name: "@a/b"}}]
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range doc.mountedStages(&doc.Spec.Containers[0]) {
		got = append(got, m.target+"="+m.volume.stageText())
	}
	if want := []string{"/m=@a/b", "/m/inner=@a/b/c"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
