// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"firn.dev/firn/internal/errs"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

func contents(t *testing.T, img Image) *Contents {
	t.Helper()
	opts := options(t, PolicyDefault)
	opts.Platform = "linux/amd64"
	c, err := ReadContents(t.Context(), img, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const dpkgStatus = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"

func TestDiff(t *testing.T) {
	t.Parallel()
	a := with(fx.File("var/lib/dpkg/status", strings.ReplaceAll(dpkgStatus, "%s", "5.1")))
	b := with(append(owning("nvidia-cuda-runtime-cu12", "12.4.127", "nvidia/cuda_runtime/lib/libcudart.so.12"), fx.Whiteout(fx.Site+"/ray-1.0.dist-info"),
		fx.Whiteout(fx.Site+"/psutil-1.0.dist-info"), fx.Wheel(fx.Site, "psutil", "2"),
		fx.File("var/lib/dpkg/status", strings.ReplaceAll(dpkgStatus, "%s", "5.2\x1b")))...)
	b.Config["Env"] = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HF_TOKEN=hunter2"}
	b.Config["Labels"] = map[string]string{"a": "1"}
	b.Config["Entrypoint"] = []string{"/x"}
	d := Diff(contents(t, a), contents(t, b))
	var j, text bytes.Buffer
	if err := d.Write(&j, FormatJSON); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(&text, FormatText); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"the first 1 are shared", "  + nvidia-cuda-runtime-cu12 12.4.127\n", "  - ray 1.0\n", "  ~ psutil 1.0 -> 2\n", `  ~ bash 5.1 -> 5.2\x1b`,
		"  - DASHBOARD_PORT=12003\n", "  + HF_TOKEN=***\n", "  + a=1\n", `  ~ entrypoint: ["/usr/local/bin/entrypoint.sh"] -> ["/x"]`,
		"  + version: 12.4\n", "  + driver: >= 525.60.13\n", "Python packages: 1 added, 1 removed, 1 changed",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("text lacks %q", want)
		}
	}
	if strings.Contains(j.String()+text.String(), "hunter2") || strings.ContainsRune(text.String(), '\x1b') {
		t.Error("the comparison tells a secret or a control character")
	}
	var back ImageDiff
	if err := json.Unmarshal(j.Bytes(), &back); err != nil || !back.Different || len(back.Packages) != 3 || len(back.Debs) != 1 || len(back.Layers) != 2 {
		t.Errorf("json is %+v, %v", back, err)
	}
	if d.Write(&j, FormatSARIF) == nil {
		t.Error("a comparison has no SARIF form")
	}
	if t.Failed() {
		t.Log(text.String())
	}
}

func TestDiffOfTheSame(t *testing.T) {
	t.Parallel()
	d := Diff(contents(t, with()), contents(t, with()))
	var j, text bytes.Buffer
	if d.Write(&j, FormatJSON) != nil || d.Write(&text, FormatText) != nil {
		t.Fatal("cannot be written")
	}
	if d.Different || !strings.HasSuffix(text.String(), "No difference.\n") || strings.Contains(j.String(), "null,") && !strings.Contains(j.String(), `"packages": []`) {
		t.Errorf("%s%s", text.String(), j.String())
	}
}

func TestContentsOfAnotherPlatform(t *testing.T) {
	t.Parallel()
	img := with()
	img.Arch = "arm64"
	opts := options(t, PolicyDefault)
	opts.Platform = "linux/amd64"
	if _, err := ReadContents(t.Context(), img, opts); !errs.Is(err, errs.Unsupported) {
		t.Errorf("error is %v", err)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	img := with(fx.Wheel(fx.Site, "leaf", "1", "Summary: a leaf\x1b", "License: MIT", "Requires-Dist: ray"), fx.Wheel(fx.Site, "mid", "2", "Requires-Dist: Leaf>=1"),
		fx.Wheel(fx.Site, "top", "3", "Requires-Dist: mid", "Requires-Dist: leaf>=2"), fx.File("var/lib/dpkg/status", strings.ReplaceAll(dpkgStatus, "%s", "5.1")))
	c := contents(t, img)
	e := Explain(c, "LEAF")
	if !e.Found() || len(e.Python) != 1 || len(e.Debian) != 0 {
		t.Fatalf("got %+v", e)
	}
	p := e.Python[0]
	if p.From == nil || p.From.DiffID != img.DiffIDs[1] || p.From.Index != 1 || *p.Licence != "MIT" || len(p.RequiredBy) != 2 || len(p.Chains) != 2 || len(p.Problems) != 1 {
		t.Errorf("got %+v", p)
	}
	var text, j bytes.Buffer
	if e.Write(&text, FormatText) != nil || e.Write(&j, FormatJSON) != nil {
		t.Fatal("cannot be written")
	}
	for _, want := range []string{"leaf 1 (Python package in /usr/local)", `a leaf\x1b`, "layer      2 of 2", "    top 3 -> leaf>=2\n", "    top 3 -> mid 2 -> Leaf>=1\n", "needs      ray", "problem    top 3 requires leaf>=2, but leaf 1 is installed"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("text lacks %q:\n%s", want, text.String())
		}
	}
	if deb := Explain(c, "bash"); len(deb.Debian) != 1 || deb.Debian[0].Version != "5.1" || deb.Debian[0].From.Index != 1 {
		t.Errorf("bash: %+v", deb)
	}
	if none := Explain(c, "gone"); none.Found() {
		t.Errorf("gone: %+v", none)
	}
	if near := Explain(c, "ipykernal"); near.Found() || len(near.Nearest) != 1 || near.Nearest[0] != "ipykernel" {
		t.Errorf("ipykernal: %+v", near)
	}
	if top := Explain(c, "top"); len(top.Python[0].Chains) != 0 {
		t.Errorf("top: %+v", top.Python[0].Chains)
	}
}
