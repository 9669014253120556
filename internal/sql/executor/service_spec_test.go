// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"firn.dev/firn/internal/errs"
)

func TestServiceDocKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	doc, err := parseServiceDoc(`{"spec": {"containers": [{"name": "main", "image": "/d/s/r/i:1", "env": {"A": 1, "B": true, "C": "it's"},
		"readinessProbe": {"port": 8080, "path": "/ok"}, "args": ["x", 2]}], "platformMonitor": {"metricConfig": {"groups": ["system"]}}},
		"capabilities": {"securityContext": {"executeAsCaller": true}}, "serviceRoles": [{"name": "r"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	text, err := doc.text()
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := yaml.Unmarshal([]byte(text), &back); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"spec": map[string]any{
			"containers": []any{map[string]any{
				"name": "main", "image": "/d/s/r/i:1", "env": map[string]any{"A": "1", "B": "true", "C": "it's"}, "args": []any{"x", "2"},
				"readinessProbe": map[string]any{"port": 8080, "path": "/ok"},
			}},
			"volumes":         []any{},
			"platformMonitor": map[string]any{"metricConfig": map[string]any{"groups": []any{"system"}}},
		},
		"capabilities": map[string]any{"securityContext": map[string]any{"executeAsCaller": true}},
		"serviceRoles": []any{map[string]any{"name": "r"}},
	}
	if !reflect.DeepEqual(back, want) {
		t.Errorf("got %v\nwant %v", back, want)
	}
}

func TestServiceDocRefuses(t *testing.T) {
	t.Parallel()
	container := func(rest string) string { return "spec: {containers: [{name: a, image: /d/s/r/i:1" + rest + "}]}" }
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "missing 'spec.containers'"},
		{"no yaml", "spec: [", "line"},
		{"no image", "spec: {containers: [{name: a}]}", "missing 'image' of container 'a'"},
		{"no name", "spec: {containers: [{image: x}]}", "'spec.containers[0]' needs a 'name'"},
		{"twice", "spec: {containers: [{name: a, image: x}, {name: a, image: x}]}", "'spec.containers[1]' needs a 'name'"},
		{"volume", container(", volumeMounts: [{name: v, mountPath: /v}]"), "mounts the volume 'v'"},
		{"path", "spec: {containers: [{name: a, image: x, volumeMounts: [{name: v, mountPath: v}]}], volumes: [{name: v, source: local}]}", "absolute path"},
		{"root", "spec: {containers: [{name: a, image: x, volumeMounts: [{name: v, mountPath: /x/..}]}], volumes: [{name: v, source: local}]}", "absolute path"},
		{"stage", "spec: {containers: [{name: a, image: x}], volumes: [{name: v, source: stage}]}", "missing 'stageConfig.name'"},
		{"env", container(", env: {A: [1]}"), "expected a text"},
		{"secret", container(", secrets: [{snowflakeSecret: s}]"), "missing or invalid 'envVarName'"},
		{"variable", container(", env: {'A=B': 1}"), "invalid environment variable"},
		{"NUL", container(`, args: ["a\0"]`), "NUL"},
		{"laughs", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n" +
			"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n", "alias"},
		{"directory", container(", secrets: [{snowflakeSecret: {objectName: s}, directoryPath: /x}]"), "directoryPath is not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseServiceDoc(c.text)
			if err == nil || !strings.Contains(errs.MessageOf(err), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestMerged(t *testing.T) {
	t.Parallel()
	base := `
spec:
  containers:
  - {name: main, image: /d/s/r/i:1, args: [a, b], env: {A: "1", B: "2"}, volumeMounts: [{name: stage-volume, mountPath: /mnt}]}
  volumes:
  - {name: stage-volume, source: stage, stageConfig: {name: "@D.S.ST/x"}}
`
	for _, c := range []struct {
		name  string
		patch map[string]any
		want  func(*serviceDoc) bool
	}{
		{"nothing", nil, func(d *serviceDoc) bool { return len(d.Spec.Containers) == 1 }},
		{"env", spec("containers", []any{map[string]any{"name": "main", "env": map[string]any{"B": "3", "C": int64(4), "A": nil}}}), func(d *serviceDoc) bool {
			return reflect.DeepEqual(d.Spec.Containers[0].Env, map[string]scalar{"B": "3", "C": "4"}) && d.Spec.Containers[0].Image == "/d/s/r/i:1"
		}},
		{"args replace", spec("containers", []any{map[string]any{"name": "main", "args": []any{"c"}}}), func(d *serviceDoc) bool {
			return reflect.DeepEqual(d.Spec.Containers[0].Args, []scalar{"c"})
		}},
		{"second volume", spec("volumes", []any{map[string]any{"name": "more", "source": "local"}}), func(d *serviceDoc) bool {
			return len(d.Spec.Volumes) == 2 && d.Spec.Volumes[0].stageText() == "@D.S.ST/x" && d.Spec.Volumes[1].Name == "more"
		}},
		{"beside spec", map[string]any{"capabilities": map[string]any{"x": true}}, func(d *serviceDoc) bool {
			return reflect.DeepEqual(d.Rest["capabilities"], map[string]any{"x": true})
		}},
		{"secret", spec("containers", []any{map[string]any{"name": "main", "secrets": []any{
			map[string]any{"snowflakeSecret": "d.s.x", "envVarName": "X"},
		}}}), func(d *serviceDoc) bool { return d.Spec.Containers[0].Secrets[0].Secret == "d.s.x" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			doc, err := parseServiceDoc(base)
			if err != nil {
				t.Fatal(err)
			}
			got, err := doc.merged(c.patch)
			if err != nil {
				t.Fatal(err)
			}
			if !c.want(got) {
				text, _ := got.text()
				t.Errorf("got\n%s", text)
			}
		})
	}
}

// TestManagedVolumesStay: whoever deletes a job removes the stage directory that its volume names, so no patch may move it.
func TestManagedVolumesStay(t *testing.T) {
	t.Parallel()
	doc, err := parseServiceDoc("spec: {containers: [{name: main, image: x}], volumes: [{name: stage-volume, source: '@D.S.ST/x'}]}")
	if err != nil {
		t.Fatal(err)
	}
	for name, volumes := range map[string]any{
		"moved": []any{map[string]any{"name": "stage-volume", "source": "@D.S.OTHER"}}, "result": []any{map[string]any{"name": "result-volume"}},
		"deleted": nil, "replaced": []any{map[string]any{"source": "local"}}, "text": "x",
	} {
		if _, err := doc.merged(spec("volumes", volumes)); !errs.Is(err, errs.Refused) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}

func spec(key string, value any) map[string]any {
	return map[string]any{"spec": map[string]any{key: value}}
}

// FuzzServiceDoc: what is printed reads back as the same.
func FuzzServiceDoc(f *testing.F) {
	f.Add("spec: {containers: [{name: a, image: /d/s/r/i:1, env: {A: 1, B: yes, C: 012, D: ~, E: '1:30'}, x: {on: off}}], volumes: [{name: v, source: '@s/p'}]}")
	f.Add(`{"spec": {"containers": [{"name": "a", "image": "i", "args": ["it's\n\u2028", "\ud83d\ude00"]}]}, "capabilities": {"a": [1, 2.5, null, true]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := parseServiceDoc(text)
		if err != nil {
			return
		}
		once, err := doc.text()
		if err != nil {
			return // a value that YAML reads and cannot print
		}
		again, err := parseServiceDoc(once)
		if err != nil {
			t.Fatalf("%q gives %q: %v", text, once, err)
		}
		twice, err := again.text()
		if err != nil || once != twice {
			t.Errorf("%q gives %q, then %q, %v", text, once, twice, err)
		}
	})
}
