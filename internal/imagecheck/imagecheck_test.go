// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

func options(t *testing.T, policy string) Options {
	t.Helper()
	p, err := Builtin(policy)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Policy: p, Ref: "img", Source: "test", Now: time.Now}
}

func run(t *testing.T, img Image, opts Options) *Report {
	t.Helper()
	r, err := Check(t.Context(), img, opts)
	if err != nil {
		t.Fatal(err)
	}
	checkSchema(t, r)
	return r
}

func result(t *testing.T, r *Report, id string) CheckResult {
	t.Helper()
	i := slices.IndexFunc(r.Checks, func(c CheckResult) bool { return c.ID == id })
	if i < 0 {
		t.Fatalf("report has no check %s", id)
	}
	return r.Checks[i]
}

func TestGoodImage(t *testing.T) {
	t.Parallel()
	r := run(t, fx.New(fx.Tar(fx.Good()...)), options(t, PolicyDefault))
	for _, c := range r.Checks {
		if c.Status != Pass && c.ID != "lineage" && c.ID != "vulnerability_scan" && !strings.HasPrefix(c.ID, "gpu_") {
			t.Errorf("%s is %s: %s", c.ID, c.Status, c.Message)
		}
	}
	if r.ExitCode != 0 || !r.Passed() || !slices.Equal(r.ReadyFor, []string{"ML Jobs", "Notebooks"}) || !r.Image.Verified {
		t.Errorf("exit %d, result %s, ready for %v", r.ExitCode, r.Result, r.ReadyFor)
	}
	var ids []string
	for _, c := range r.Checks {
		ids = append(ids, c.ID)
	}
	want := strings.Fields(`image_exists image_intact platform lineage user workdir entrypoint env_DASHBOARD_PORT python_environment
		pkg_snowflake-ml-python pkg_snowflake-snowpark-python pkg_ray pkg_jupyter-server pkg_notebook pkg_ipykernel pkg_ipython pkg_sqlparse
		pkg_jinja2 pkg_psutil dependency_health dependency_strict script_start_nbctl.sh
		gpu_cuda gpu_driver gpu_versions gpu_wheels gpu_files setuid secrets vulnerability_scan`)
	if !slices.Equal(ids, want) {
		t.Errorf("checks are %v", ids)
	}
}

// with is a good image with one more layer.
func with(entries ...fx.Entry) *fx.Image { return fx.New(fx.Tar(fx.Good()...), fx.Tar(entries...)) }

// configured is a good image with one changed field of its configuration.
func configured(key string, value any) *fx.Image {
	i := fx.New(fx.Tar(fx.Good()...))
	i.Config[key] = value
	return i
}

func TestRules(t *testing.T) {
	t.Parallel()
	const entrypoint = "usr/local/bin/entrypoint.sh"
	path := "PATH=/usr/local/bin:/usr/bin:/bin"
	arm := fx.New(fx.Tar(fx.Good()...))
	arm.Arch = "arm64"
	nonRoot := with(fx.Entry{Name: entrypoint, Body: "#!/bin/bash\n", Mode: 0o710, UID: 5, GID: 50})
	nonRoot.Config["User"] = "jovyan"
	owner := with(fx.Entry{Name: entrypoint, Body: "#!/bin/bash\n", Mode: 0o677, UID: 1000, GID: 7})
	owner.Config["User"] = "1000"
	for name, x := range map[string]struct {
		img     Image
		id      string
		status  Status
		message string
	}{
		"other platform":                {arm, "platform", Fail, "linux/arm64"},
		"python of another machine":     {with(fx.Program("usr/local/bin/python3.11", fx.ELF(183))), "platform", Fail, "arm64"},
		"interpreter of another one":    {with(fx.Program("usr/bin/bash", fx.ELF(183))), "platform", Fail, "/usr/bin/bash"},
		"user by name":                  {configured("User", "jovyan"), "user", Pass, "jovyan"},
		"user by number":                {configured("User", "4711:12"), "user", Pass, "4711"},
		"unknown user":                  {configured("User", "nobody"), "user", Fail, "/etc/passwd"},
		"unknown group":                 {configured("User", "jovyan:wheel"), "user", Fail, "/etc/group"},
		"relative workdir":              {configured("WorkingDir", "app"), "workdir", Fail, "relative"},
		"no entrypoint":                 {configured("Entrypoint", nil), "entrypoint", Fail, "not set"},
		"entrypoint as string":          {configured("Entrypoint", "/"+entrypoint), "entrypoint", Pass, ""},
		"entrypoint of a shell":         {configured("Entrypoint", []string{"/bin/sh", "-c", "/" + entrypoint}), "entrypoint", Fail, "/bin/sh"},
		"entrypoint with more":          {configured("Entrypoint", []string{"/" + entrypoint, "--x"}), "entrypoint", Warn, "--x"},
		"entrypoint deleted":            {with(fx.Whiteout(entrypoint)), "entrypoint", Fail, "does not exist"},
		"entrypoint not executable":     {with(fx.File(entrypoint, "#!/bin/bash\n")), "entrypoint", Fail, "0644"},
		"entrypoint is a directory":     {with(fx.Dir(entrypoint)), "entrypoint", Fail, "no regular file"},
		"entrypoint by link":            {with(fx.Symlink(entrypoint, "../../../opt/e"), fx.Program("opt/e", "#!/bin/bash\n")), "entrypoint", Pass, ""},
		"entrypoint by loop":            {with(fx.Symlink(entrypoint, "entrypoint.sh")), "entrypoint", Fail, "symbolic links"},
		"entrypoint by dangling link":   {with(fx.Symlink(entrypoint, "/opt/none")), "entrypoint", Fail, "/opt does not exist"},
		"entrypoint without #!":         {with(fx.Program(entrypoint, "echo\n")), "entrypoint", Fail, "exec format"},
		"entrypoint is ELF":             {with(fx.Program(entrypoint, fx.ELF(62))), "entrypoint", Pass, ""},
		"entrypoint with CRLF":          {with(fx.Program(entrypoint, "#!/bin/bash\r\n")), "entrypoint", Fail, `bash\r`},
		"interpreter missing":           {with(fx.Program(entrypoint, "#!/bin/zsh\n")), "entrypoint", Fail, "/bin/zsh"},
		"env without program":           {with(fx.Program(entrypoint, "#!/usr/bin/env fish\n")), "entrypoint", Fail, "fish is not on PATH"},
		"executable by group":           {nonRoot, "entrypoint", Pass, ""},
		"owner bits only":               {owner, "entrypoint", Fail, "0677"},
		"variable missing":              {configured("Env", []string{path}), "env_DASHBOARD_PORT", Fail, "not set"},
		"variable wrong":                {configured("Env", []string{path, "DASHBOARD_PORT=1"}), "env_DASHBOARD_PORT", Fail, `"1"`},
		"last duplicate wins":           {configured("Env", []string{path, "DASHBOARD_PORT=1", "DASHBOARD_PORT=12003"}), "env_DASHBOARD_PORT", Pass, ""},
		"no python":                     {configured("Env", []string{"PATH=/nowhere", "DASHBOARD_PORT=12003"}), "python_environment", Fail, "PATH"},
		"no python, package":            {configured("Env", []string{"PATH=/nowhere", "DASHBOARD_PORT=12003"}), "pkg_ray", Fail, "PATH"},
		"no python, dependencies":       {configured("Env", []string{"PATH=/nowhere", "DASHBOARD_PORT=12003"}), "dependency_health", Skip, "PATH"},
		"package deleted":               {with(fx.Whiteout(fx.Site + "/ray-1.0.dist-info")), "pkg_ray", Fail, "not installed"},
		"package in a vendored copy":    {with(fx.Whiteout(fx.Site+"/ray-1.0.dist-info"), fx.Wheel(fx.Site+"/x/_vendor", "ray", "1.0")), "pkg_ray", Fail, "not installed"},
		"extra unmet":                   {with(fx.Whiteout(fx.Site + "/pandas-2.1.0.dist-info")), "pkg_snowflake-snowpark-python", Fail, "pandas>=2"},
		"conflict":                      {with(fx.Wheel(fx.Site, "a", "1", "Requires-Dist: ray>=2")), "dependency_health", Fail, "a 1 requires ray>=2, but ray 1.0"},
		"missing":                       {with(fx.Wheel(fx.Site, "a", "1", "Requires-Dist: b")), "dependency_health", Fail, "not installed"},
		"missing but ignored":           {with(fx.Wheel(fx.Site, "a", "1", "Requires-Dist: jupyter-lsp")), "dependency_health", Pass, "1 ignored"},
		"extra of a dependency missing": {with(fx.Wheel(fx.Site, "a", "1", "Requires-Dist: b[x]"), fx.Wheel(fx.Site, "b", "1", "Provides-Extra: x", `Requires-Dist: c; extra == "x"`)), "dependency_strict", Warn, "c"},
		"script missing":                {with(fx.Whiteout("app/start_nbctl.sh")), "script_start_nbctl.sh", Warn, "/app/start_nbctl.sh"},
		"setuid":                        {with(fx.Entry{Name: "usr/bin/su2", Body: fx.ELF(62), Mode: 0o4755}), "setuid", Warn, "/usr/bin/su2"},
		"setuid of a Debian package": {
			with(fx.Entry{Name: "usr/bin/su", Body: fx.ELF(62), Mode: 0o4755}, fx.File("var/lib/dpkg/info/login.list", "/.\n/bin/su\n")), "setuid", Pass, "",
		},
		"key file":                      {with(fx.File("root/x.pem", "-----BEGIN PRIVATE KEY-----\n")), "secrets", Warn, "/root/x.pem"},
		"key file of a package's tests": {with(fx.File(fx.Site+"/x/x.pem", "-----BEGIN PRIVATE KEY-----\n")), "secrets", Pass, ""},
		"credentials file":              {with(fx.File("root/.aws/credentials", "x")), "secrets", Warn, "/root/.aws/credentials"},
		"credentials in ENV":            {configured("Env", []string{path, "DASHBOARD_PORT=12003", "HF_TOKEN=hunter2"}), "secrets", Warn, "HF_TOKEN"},
		"pip of another environment": {
			with(fx.Program("usr/local/bin/pip", "#!/opt/v/bin/python\n"), fx.Symlink("opt/v/bin/python", "/usr/local/bin/python3.11"),
				fx.File("opt/v/pyvenv.cfg", "home = /usr/local/bin\n"), fx.Dir("opt/v/lib/python3.11/site-packages")),
			"python_environment", Warn, "/opt/v",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := result(t, run(t, x.img, options(t, PolicyDefault)), x.id)
			if c.Status != x.status || !strings.Contains(c.Message, x.message) {
				t.Errorf("%s is %s: %s", x.id, c.Status, c.Message)
			}
			if (c.Status == Fail || c.Status == Warn) && c.Remedy == "" {
				t.Error("no remedy")
			}
			if strings.Contains(c.Message, "hunter2") {
				t.Error("the report tells the secret")
			}
		})
	}
}

func TestSecretThatALaterLayerDeletes(t *testing.T) {
	t.Parallel()
	img := fx.New(fx.Tar(fx.Good()...), fx.Tar(fx.File("root/.netrc", "machine x")), fx.Tar(fx.Whiteout("root/.netrc")))
	c := result(t, run(t, img, options(t, PolicyDefault)), "secrets")
	if c.Status != Warn || len(c.Evidence) != 1 || *c.Evidence[0].Layer != img.DiffIDs[1] {
		t.Errorf("got %+v", c)
	}
}

func TestScriptDecidesNotebooks(t *testing.T) {
	t.Parallel()
	r := run(t, with(fx.Whiteout("app/start_nbctl.sh")), options(t, PolicyDefault))
	if !slices.Equal(r.ReadyFor, []string{"ML Jobs"}) || r.ExitCode != 0 {
		t.Errorf("default: ready for %v, exit %d", r.ReadyFor, r.ExitCode)
	}
	r = run(t, with(fx.Whiteout("app/start_nbctl.sh")), options(t, PolicySnowCLI))
	if result(t, r, "script_start_nbctl.sh").Status != Fail || r.ExitCode != 1 {
		t.Errorf("snow-cli: exit %d", r.ExitCode)
	}
}

func TestLineage(t *testing.T) {
	t.Parallel()
	base, second := fx.Tar(fx.Good()...), fx.Tar(fx.File("base2", ""))
	img := fx.New(base, second, fx.Tar(fx.Entry{Name: "usr/bin/mine", Body: fx.ELF(62), Mode: 0o4755}))
	whole := []string{fx.Digest(base), fx.Digest(second)}
	other := []string{fx.Digest(base), fx.Digest(nil)}
	for name, x := range map[string]struct {
		bases   []Base
		want    string
		status  Status
		message string
	}{
		"whole":              {[]Base{{Ref: "cpu", Type: "CPU", Layers: whole}}, "", Pass, "cpu"},
		"right type":         {[]Base{{Ref: "cpu", Type: "CPU", Layers: whole}}, "CPU", Pass, "cpu"},
		"wrong type":         {[]Base{{Ref: "cpu", Type: "CPU", Layers: whole}, {Ref: "gpu", Type: "GPU", Layers: other}}, "GPU", Fail, "a CPU base; a GPU base is wanted"},
		"type decides":       {[]Base{{Ref: "cpu", Type: "CPU", Layers: whole}, {Ref: "gpu", Type: "GPU", Layers: whole}}, "GPU", Pass, "gpu"},
		"other revision":     {[]Base{{Ref: "cpu", Layers: other}}, "", Fail, "shares 1 of 2 layers"},
		"other or squashed":  {[]Base{{Ref: "cpu", Layers: []string{fx.Digest(nil)}}}, "", Fail, "no layer"},
		"no base given":      {nil, "", Skip, ""},
		"the longest counts": {[]Base{{Ref: "short", Layers: whole[:1]}, {Ref: "long", Layers: whole}}, "", Pass, "long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := options(t, PolicyDefault)
			opts.Bases, opts.BaseType = x.bases, x.want
			r := run(t, img, opts)
			if c := result(t, r, "lineage"); c.Status != x.status || !strings.Contains(c.Message, x.message) {
				t.Errorf("%s: %s", c.Status, c.Message)
			}
			owner := r.Image.Layers[2].Owner
			if (x.status == Pass) != (owner == "user") && name != "wrong type" {
				t.Errorf("top layer is owned by %s", owner)
			}
		})
	}
}

func TestUnreadableImages(t *testing.T) {
	t.Parallel()
	good := fx.Tar(fx.Good()...)
	swapped := fx.New(good)
	swapped.DiffIDs[0] = fx.Digest(nil)
	wrongBlob := fx.New(good)
	wrongBlob.Blobs = []string{fx.Digest(nil)}
	cut := fx.New(good)
	cut.Stored[0] = good[:len(good)/2]
	fewer := fx.New(good)
	fewer.DiffIDs = append(fewer.DiffIDs, fx.Digest(nil))
	noDigest := fx.New(good)
	noDigest.DiffIDs[0] = "sha256:zz"
	for name, img := range map[string]*fx.Image{"diffID": swapped, "blob digest": wrongBlob, "cut layer": cut, "layer count": fewer, "no digest": noDigest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, img, options(t, PolicyDefault))
			if r.ExitCode != 3 || r.Result != "error" || r.Error == nil || r.Error.Kind != "corrupt" || len(r.ReadyFor) > 0 {
				t.Fatalf("exit %d, error %+v", r.ExitCode, r.Error)
			}
			if c := result(t, r, "image_intact"); c.Status != Fail || result(t, r, "secrets").Status != Skip {
				t.Errorf("image_intact is %s", c.Status)
			}
		})
	}
	opts := options(t, PolicyDefault)
	opts.MaxUnpacked = 1024
	if r := run(t, fx.New(good), opts); r.Error == nil || r.Error.Kind != "limit" || r.Error.Layer == nil {
		t.Errorf("error is %+v", r.Error)
	}
}

func TestCacheSparesLayers(t *testing.T) {
	t.Parallel()
	opts := options(t, PolicyDefault)
	var err error
	if opts.Cache, err = OpenCache(t.TempDir(), time.Now); err != nil {
		t.Fatal(err)
	}
	good := fx.Tar(fx.Good()...)
	img := fx.New(good, good)
	img.Stored[1] = fx.Gzip(good)
	first, second := run(t, img, opts), run(t, img, opts)
	if first.Timing.LayersCached != 0 || second.Timing.LayersCached != 2 || second.Timing.ReadBytes != 0 {
		t.Errorf("first %+v, second %+v", first.Timing, second.Timing)
	}
	for _, r := range []*Report{first, second} {
		r.Timing = Timing{}
		for i := range r.Image.Layers {
			r.Image.Layers[i].Cached = false
		}
	}
	if a, b := asJSON(t, first), asJSON(t, second); a != b {
		t.Error("the cached report differs")
	}
	// A manifest that lies about a layer finds nothing in the cache: its blob was never seen to unpack to that diffID.
	liar := fx.New(good)
	liar.Stored[0] = fx.Tar(fx.File("evil", ""))
	if r := run(t, liar, opts); r.ExitCode != 3 {
		t.Errorf("a layer with another content passes: exit %d", r.ExitCode)
	}
}

func asJSON(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestJSONHasEveryKey(t *testing.T) {
	t.Parallel()
	r := run(t, fx.New(fx.Tar(fx.Good()...)), options(t, PolicyDefault))
	var m map[string]any
	if err := json.Unmarshal([]byte(asJSON(t, r)), &m); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"":      "schema firn_version result exit_code ready_for summary policy image checks environments vulnerabilities error timing",
		"image": "ref source digest index_digest config_digest platform created size unpacked_size entrypoint cmd user workdir labels verified layers base",
	} {
		object := m
		if key != "" {
			object = m[key].(map[string]any)
		}
		for _, k := range strings.Fields(want) {
			if _, ok := object[k]; !ok {
				t.Errorf("%s has no %s", key, k)
			}
		}
	}
}

func TestTextEscapesHostileNames(t *testing.T) {
	t.Parallel()
	img := configured("User", "x\x1b[31m\ny")
	var b bytes.Buffer
	if err := run(t, img, options(t, PolicyDefault)).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsRune(b.String(), '\x1b') || !strings.Contains(b.String(), "Status: VALIDATION FAILED") {
		t.Errorf("text is %q", b.String())
	}
}
