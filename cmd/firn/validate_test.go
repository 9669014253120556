// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

// archive writes a `docker save` file of an image.
func archive(t *testing.T, entries ...fx.Entry) string {
	t.Helper()
	layer := fx.Tar(entries...)
	config, err := fx.New(layer).RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	content := fx.Tar(fx.File("c.json", string(config)), fx.File("l/layer.tar", string(layer)),
		fx.File("manifest.json", `[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l/layer.tar"]}]`))
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestValidate(t *testing.T) {
	t.Setenv("FIRN_CACHE_DIR", t.TempDir())
	good, bad := archive(t, fx.Good()...), archive(t)
	junk := filepath.Join(t.TempDir(), "junk.tar")
	if err := os.WriteFile(junk, bytes.Repeat([]byte("junk"), 999), 0o600); err != nil {
		t.Fatal(err)
	}
	policy, wrong := filepath.Join(t.TempDir(), "p.yaml"), filepath.Join(t.TempDir(), "w.yaml")
	for file, text := range map[string]string{policy: "version: 1\nchecks: {pkg_ray: off}\n", wrong: "version: 1\nchekcs: {}\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, x := range map[string]struct {
		args []string
		code int
		out  string
	}{
		"sarif":           {[]string{"docker-archive:" + bad, "--format", "sarif"}, 1, `"version": "2.1.0"`},
		"junit":           {[]string{"docker-archive:" + bad, "--format", "junit"}, 1, "<testsuites"},
		"github":          {[]string{"docker-archive:" + bad, "--format", "github"}, 1, "::error title=firn validate (entrypoint)::"},
		"sarif, missing":  {[]string{"docker-archive:" + junk, "--format", "sarif"}, 3, `"ruleId": "image_intact"`},
		"policy file":     {[]string{"docker-archive:" + good, "--policy", policy}, 0, "[SKIP] pkg_ray: policy p switches"},
		"wrong policy":    {[]string{"docker-archive:" + good, "--policy", wrong}, 2, ""},
		"schema":          {[]string{"--schema"}, 0, `"firn.validate/1"`},
		"schema of image": {[]string{"--schema", good}, 2, ""},
		"passes":          {[]string{"docker-archive:" + good}, 0, "ALL CHECKS PASSED"},
		"base is itself":  {[]string{"docker-archive:" + good, "--base", "docker-archive:" + good}, 0, "[PASS] lineage"},
		"other base":      {[]string{"docker-archive:" + good, "--base", "docker-archive:" + bad}, 1, "[FAIL] lineage"},
		"fails":           {[]string{"docker-archive:" + bad}, 1, "VALIDATION FAILED"},
		"other policy":    {[]string{"docker-archive:" + good, "--policy", "snow-cli"}, 1, "pkg_lightgbm-ray"},
		"unreadable":      {[]string{"docker-archive:" + junk}, 3, "IMAGE UNREADABLE"},
		"missing":         {[]string{"docker-archive:" + junk + "x"}, 3, "[FAIL] image_exists"},
		"missing base":    {[]string{"docker-archive:" + good, "--base", "docker-archive:" + junk + "x"}, 3, "IMAGE UNREADABLE"},
		"limit":           {[]string{"docker-archive:" + good, "--max-unpacked", "1KiB"}, 3, "--max-unpacked"},
		"json":            {[]string{"docker-archive:" + good, "--format", "json", "--no-cache"}, 0, `"schema": "firn.validate/1"`},
		"trusted layers":  {[]string{"docker-archive:" + good, "--trust-layers"}, 0, "[WARN] image_intact: 1 layers decode; 1 of them were taken on trust"},
		"unknown policy":  {[]string{"docker-archive:" + good, "--policy", "nope"}, 2, ""},
		"unknown format":  {[]string{"docker-archive:" + good, "--format", "nope"}, 2, ""},
		"unknown flag":    {[]string{"docker-archive:" + good, "--nope"}, 2, ""},
		"bad size":        {[]string{"docker-archive:" + good, "--max-unpacked", "-1"}, 2, ""},
		"bad platform":    {[]string{"docker-archive:" + good, "--platform", "amd64"}, 2, ""},
		"no image":        {nil, 2, ""},
		"file, no prefix": {[]string{good}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := newValidateCommand()
			var out, errOut bytes.Buffer
			cmd.SetOut(&out)
			cmd.SetErr(&errOut)
			cmd.SetArgs(x.args)
			if code := exitCode(cmd.ExecuteContext(t.Context())); code != x.code || !strings.Contains(out.String(), x.out) {
				t.Errorf("exit %d, want %d; output:\n%s%s", code, x.code, out.String(), errOut.String())
			}
			if x.code == 2 && out.Len() > 0 {
				t.Errorf("a usage error writes a report: %s", out.String())
			}
			if name == "json" && !json.Valid(out.Bytes()) {
				t.Error("output is no JSON")
			}
		})
	}
}

func TestImage(t *testing.T) {
	t.Setenv("FIRN_CACHE_DIR", t.TempDir())
	good, bad := "docker-archive:"+archive(t, fx.Good()...), "docker-archive:"+archive(t)
	for name, x := range map[string]struct {
		args []string
		code int
		out  string
	}{
		"diff":                {[]string{"diff", good, bad}, 0, "  - ray 1.0"},
		"diff with exit code": {[]string{"diff", good, bad, "--exit-code"}, 1, "  - ray 1.0"},
		"no diff":             {[]string{"diff", good, good, "--exit-code"}, 0, "No difference"},
		"diff in json":        {[]string{"diff", good, bad, "--format", "json"}, 0, `"firn.image-diff/1"`},
		"diff of one":         {[]string{"diff", good}, 2, ""},
		"diff with nothing":   {[]string{"diff", good, good + "x"}, 3, ""},
		"explain":             {[]string{"explain", "Ray", good}, 0, "ray 1.0 (Python package in /usr/local)"},
		"explain in json":     {[]string{"explain", "ray", good, "--format", "json"}, 0, `"firn.image-explain/1"`},
		"explain unknown":     {[]string{"explain", "rai", good}, 1, "did you mean ray?"},
		"unknown format":      {[]string{"explain", "ray", good, "--format", "xml"}, 2, ""},
		"no command":          {nil, 2, ""},
		"unknown flag":        {[]string{"diff", "--x"}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := newImageCommand()
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			var out bytes.Buffer
			cmd.SetOut(&out)
			cmd.SetErr(&bytes.Buffer{})
			cmd.SetArgs(x.args)
			if code := exitCode(cmd.ExecuteContext(t.Context())); code != x.code || !strings.Contains(out.String(), x.out) {
				t.Errorf("exit %d, want %d; output:\n%s", code, x.code, out.String())
			}
		})
	}
}
