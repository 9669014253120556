// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/errs"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

func policy(t *testing.T, text string) Policy {
	t.Helper()
	p, err := ParsePolicy("team.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPolicyFileErrorsNameThePlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                      "team.yaml is empty",
		"version: 2":                            "line 1, version: this Firn reads version 1",
		"name: x":                               "version: 1",
		"version: 1\nnane: x":                   "line 2, nane: the key is unknown: did you mean name?",
		"version: 1\npackages:\n  requird: [a]": "line 3, packages.requird: the key is unknown: did you mean required?",
		"version: 1\nignore:\n- {package: a, why: b}":                                "line 3, ignore.why: the key is unknown",
		"version: 1\nignore:\n- {package: a}":                                        "line 3, ignore: an entry needs package and reason",
		"version: 1\nname: a\nname: b":                                               "name: the key stands here twice",
		"version: 1\nextends: strict":                                                "line 2, extends: \"strict\" cannot be extended",
		"version: 1\npackages:\n  required:\n  - a\n  - 'a >= !!'":                   "line 5, packages.required:",
		"version: 1\npackages: [a]":                                                  "line 2, packages: keys with values are wanted",
		"version: 1\npackages: {required: a}":                                        "line 2, packages.required: a list is wanted",
		"version: 1\nname: [a]":                                                      "line 2, name: one value is wanted",
		"version: 1\nchecks: {setuidd: fail}":                                        "line 2, checks.setuidd: no check has that name: did you mean setuid?",
		"version: 1\nchecks:\n  setuid: error":                                       "line 3, checks.setuid: \"error\" is none of off, warn and fail",
		"version: 1\nchecks: {image_*: off}":                                         "cannot be changed",
		"version: 1\nscripts: {x: maybe}":                                            "scripts.x:",
		"version: 1\nmax_size: big":                                                  "line 2, max_size: \"big\" is no size",
		"version: 1\nplatform: amd64":                                                "platform:",
		"version: 1\nentrypoint: run.sh":                                             "entrypoint:",
		"version: 1\nuser: {root: never}":                                            "user.root:",
		"version: 1\nlicences: {unknown: maybe}":                                     "licences.unknown:",
		"version: 1\nlicences: {deny: ['[']}":                                        "licences.deny:",
		"version: 1\nfiles: {forbidden: ['']}":                                       "files.forbidden:",
		"version: 1\nvulnerabilities: {ignore: [{id: a, reason: b, expires: soon}]}": "vulnerabilities.ignore.expires: \"soon\" is no day",
		"version: 1\nbases: [{name: a, layers: [sha256:zz]}]":                        "bases.layers: \"sha256:zz\" is no diffID",
		"version: 1\nbases: [{name: a}]":                                             "a base needs name and layers",
		"version: 1\nname: &a x\nplatform: *a":                                       "aliases are not allowed",
		"version: 1\n---\nversion: 1":                                                "more than one document",
		"version: 1\n\tname: x":                                                      "team.yaml",
		"just text":                                                                  "keys with values are wanted",
		"version: one":                                                               "line 1",
	} {
		_, err := ParsePolicy("team.yaml", []byte(text))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(errs.MessageOf(err), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
		if err != nil && !strings.HasPrefix(errs.MessageOf(err), "policy file team.yaml") {
			t.Errorf("%q: the error does not name the file: %v", text, err)
		}
	}
}

func TestPolicyFileMerges(t *testing.T) {
	t.Parallel()
	p := policy(t, `
version: 1
extends: snow-cli
platform: linux/arm64
env: {DASHBOARD_PORT: 1, B: null}
packages: {required: ["Ray[default]>=2", "ray<9"], forbidden: [x]}
scripts: {start_nbctl.sh: off, other.sh: warn}
ignore: [{package: Foo_Bar, reason: because}]
vulnerabilities: {ignore: [{id: CVE-1, reason: r, expires: 2027-01-31}]}
checks: {pkg_*: warn, pkg_ray: fail, lineage: off}
`)
	base, err := Builtin(PolicySnowCLI)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "team" || p.Source != "file" || p.Platform != "linux/arm64" || p.Entrypoint != base.Entrypoint {
		t.Errorf("scalars of %+v", p)
	}
	if len(p.Env) != 2 || *p.Env[0].Value != "1" || p.Env[1].Value != nil || *base.Env[0].Value != "12003" {
		t.Errorf("env is %+v", p.Env)
	}
	if len(p.Required) != len(base.Required)+2 || len(p.Ignore) != 2 || p.Ignore[1].Package != "foo-bar" {
		t.Errorf("lists of %+v", p)
	}
	if len(p.Scripts) != 1 || p.Scripts[0] != (ScriptRule{Name: "other.sh", OnMissing: Warn}) {
		t.Errorf("scripts are %+v", p.Scripts)
	}
	if !p.Vulnerabilities.Ignore[0].Expires.Equal(time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("vulnerabilities are %+v", p.Vulnerabilities)
	}
	for id, want := range map[string]Status{"pkg_ray": Fail, "pkg_x": Warn, "lineage": Skip, "setuid": ""} {
		if got, _ := p.level(id); got != want {
			t.Errorf("level of %s is %q", id, got)
		}
	}
	if p.Sum() == base.Sum() || p.Sum() == policy(t, "version: 1").Sum() || policy(t, "version: 1\nname: default").Sum() != policy(t, "name: default\nversion: 1 # x").Sum() {
		t.Error("the digest does not tell policies apart")
	}
	none := policy(t, "version: 1\nextends: none")
	if len(none.Required)+len(none.Env)+len(none.Scripts) != 0 || none.Platform != "linux/amd64" {
		t.Errorf("none is %+v", none)
	}
}

func TestPolicyFileRules(t *testing.T) {
	t.Parallel()
	const head = "version: 1\nname: team\n"
	labelled := configured("Labels", map[string]string{"team": "ml"})
	user := configured("User", "jovyan")
	deleted := fx.New(fx.Tar(fx.Good()...), fx.Tar(fx.File("root/.ssh/id", "x")), fx.Tar(fx.Whiteout("root/.ssh")))
	licensed := func(line string) *fx.Image { return with(fx.Wheel(fx.Site, "lic", "1", line)) }
	setuid := with(fx.Entry{Name: "usr/bin/su2", Body: fx.ELF(62), Mode: 0o4755})
	good := with()
	for name, x := range map[string]struct {
		img     *fx.Image
		text    string
		id      string
		status  Status
		message string
	}{
		"label set":               {labelled, "labels: {team: }", "label_team", Pass, "ml"},
		"label has value":         {labelled, "labels: {team: ml}", "label_team", Pass, "ml"},
		"label has other value":   {labelled, "labels: {team: ops}", "label_team", Fail, `want "ops"`},
		"label missing":           {good, "labels: {team: }", "label_team", Fail, "not set"},
		"any value of a variable": {good, "env: {PATH: }", "env_PATH", Pass, "is set"},
		"root forbidden":          {good, "user: {root: forbidden}", "user", Fail, "runs as root"},
		"root forbidden, other":   {user, "user: {root: forbidden}", "user", Pass, "jovyan"},
		"root required":           {user, "user: {root: required}", "user", Fail, "wants root"},
		"small enough":            {good, "max_size: 1GiB", "size", Pass, "1.0 GiB"},
		"too large":               {good, "max_size: 1KiB", "size", Fail, "at most 1.0 KiB"},
		"version and extra":       {good, "packages: {required: ['ray[x]>=1']}", "pkg_ray", Fail, "extra [x]"},
		"version joined":          {good, "packages: {required: ['ray>=2']}", "pkg_ray", Fail, "want >=2"},
		"other spelling":          {good, "packages: {required: ['Jupyter_Server>=1']}", "pkg_jupyter-server", Pass, ""},
		"forbidden":               {good, "packages: {forbidden: [ray]}", "forbidden_ray", Fail, "forbidden by policy team"},
		"forbidden version":       {good, "packages: {forbidden: ['ray<1']}", "forbidden_ray", Pass, ""},
		"forbidden file, deleted": {deleted, "files: {forbidden: [/root/.ssh/**]}", "files", Fail, "/root/.ssh/id"},
		"forbidden at any depth":  {good, "files: {forbidden: ['METADATA']}", "files", Fail, "dist-info/METADATA"},
		"no forbidden file":       {good, "files: {forbidden: [/METADATA, '/usr/*.py']}", "files", Pass, ""},
		"setuid allowed":          {setuid, "files: {setuid_allowed: [/usr/bin/su?]}", "setuid", Pass, ""},
		"setuid is a failure":     {setuid, "checks: {setuid: fail}", "setuid", Fail, "su2"},
		"licence denied":          {licensed("License-Expression: AGPL-3.0-only"), "licences: {deny: [AGPL-*]}", "licences", Fail, "lic 1 (AGPL-3.0-only)"},
		"licence chosen":          {licensed("License: MIT OR AGPL-3.0-only"), "licences: {deny: [AGPL-*], unknown: pass}", "licences", Pass, ""},
		"licence not allowed":     {licensed("Classifier: License :: OSI Approved :: ISC License (ISCL)"), "licences: {allow: [MIT]}", "licences", Fail, "lic 1 (ISC)"},
		"licence unknown":         {good, "licences: {allow: [MIT]}", "licences", Warn, "without a licence"},
		"licence unknown fails":   {good, "licences: {unknown: fail}", "licences", Fail, "without a licence"},
		"licence ignored":         {licensed("License: ISC"), "licences: {allow: [MIT], ignore: [Lic], unknown: pass}", "licences", Pass, ""},
		"script warns":            {with(fx.Whiteout("app/start_nbctl.sh")), "scripts: {start_nbctl.sh: fail}", "script_start_nbctl.sh", Fail, ""},
		"ignored":                 {with(fx.Wheel(fx.Site, "a", "1", "Requires-Dist: gone")), "ignore: [{package: gone, reason: r}]", "dependency_health", Pass, "1 ignored"},
		"level by glob":           {with(fx.Whiteout(fx.Site + "/ray-1.0.dist-info")), "checks: {pkg_*: warn}", "pkg_ray", Warn, "not installed"},
		"off":                     {with(fx.Whiteout(fx.Site + "/ray-1.0.dist-info")), "checks: {pkg_ray: off}", "pkg_ray", Skip, "switches this check off"},
		"no entrypoint wanted":    {configured("Entrypoint", nil), "extends: none", "entrypoint", Skip, ""},
		"base":                    {good, "bases: [{name: b, layers: ['" + good.DiffIDs[0] + "']}]", "lineage", Pass, "b (1 layers)"},
		"other base":              {good, "bases: [{name: b, layers: ['" + good.DiffIDs[1] + "']}]", "lineage", Fail, "no layer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, x.img, Options{Policy: policy(t, head+x.text), Ref: "img", Now: time.Now})
			c := result(t, r, x.id)
			if c.Status != x.status || !strings.Contains(c.Message, x.message) {
				t.Errorf("%s is %s: %s", x.id, c.Status, c.Message)
			}
			var ids []string
			for _, c := range r.Checks {
				if slices.Contains(ids, c.ID) {
					t.Errorf("two checks are called %s", c.ID)
				}
				ids = append(ids, c.ID)
			}
		})
	}
}

// A policy that excuses the platform still wants the image read.
func TestExcusedPlatformIsRead(t *testing.T) {
	t.Parallel()
	arm := with(fx.Whiteout(fx.Site + "/ray-1.0.dist-info"))
	arm.Arch = "arm64"
	for level, status := range map[string]Status{"off": Skip, "warn": Warn} {
		r := run(t, arm, Options{Policy: policy(t, "version: 1\nchecks: {platform: "+level+"}"), Ref: "img"})
		if result(t, r, "platform").Status != status || result(t, r, "pkg_ray").Status != Fail {
			t.Errorf("%s: platform is %s, pkg_ray %s", level, result(t, r, "platform").Status, result(t, r, "pkg_ray").Status)
		}
	}
}

func TestExamplePolicy(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../examples/policy/team.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := policy(t, string(text))
	img := with(fx.Wheel(fx.Site, "numpy", "2"), fx.Whiteout(fx.Site+"/ray-1.0.dist-info"), fx.Wheel(fx.Site, "ray", "2.9"))
	img.Config["Env"] = append(img.Config["Env"].([]string), "LANG=C.UTF-8")
	img.Config["Labels"] = map[string]string{"org.opencontainers.image.title": "x"}
	if r := run(t, img, Options{Policy: p, Ref: "img"}); r.ExitCode != 0 {
		t.Errorf("failed: %+v", r.Failed())
	}
	for _, key := range []string{"version", "extends", "env", "labels", "user", "max_size", "packages", "scripts", "files", "licences", "ignore", "vulnerabilities", "bases", "checks"} {
		if !strings.Contains(string(text), "\n"+key+":") {
			t.Errorf("the example does not show %s", key)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte("version: 1\npackages: {required: [a]}\nchecks: {'pkg_*': warn}"))
	f.Add([]byte("&a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePolicy("f", data)
		if err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("error is %v", err)
		}
		if err == nil {
			if _, err := newChecker(Options{Policy: p}); err != nil {
				t.Errorf("an accepted policy cannot be used: %v", err)
			}
		}
	})
}
