// SPDX-License-Identifier: Apache-2.0

package sbom

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

// inventory reads an image with everything that a bill can tell: hostile names, odd licences, a Debian package that brings a Python
// distribution, and two environments that share one.
func inventory(t *testing.T) *imagecheck.Inventory {
	t.Helper()
	status := "Package: python3-owned\nStatus: install ok installed\nMaintainer: Some One <one@example.org>\nArchitecture: all\n" +
		"Pre-Depends: libplus++:any (>= 3)\nDepends: absent | python3-owned, virtual | libplus++\nSource: owned (2.0-1)\nVersion: 1:2.0-1+b1\n\n" +
		"Package: libplus++\nStatus: install ok installed\nMaintainer: Nobody <not an address>\nProvides: virtual (= 3), other\nDepends: other, absent [s390x]\nArchitecture: amd64\nVersion: 3~rc1\n\n"
	base := fx.Tar(append(fx.Good(),
		fx.File("etc/os-release", "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian 12\"\n"), fx.File("var/lib/dpkg/status", status),
		fx.File("var/lib/dpkg/info/python3-owned.list", "/"+fx.Site+"/owned-2.0.dist-info\n"), fx.Wheel(fx.Site, "owned", "2.0"),
		fx.File("var/lib/dpkg/info/python3-gone.list", "/"+fx.Site+"/left-1.dist-info\n"), fx.Wheel(fx.Site, "left", "1"))...)
	user := fx.Tar(
		fx.Wheel(fx.Site, "Mixed_Case.name", "1.0+local", "License: MIT", "Summary: does <things> & more", "Requires-Dist: owned", "Requires-Dist: pandas>=1",
			`Requires-Dist: absent; extra == "never"`, "Requires-Dist: mixed-case-name[never]"),
		fx.Wheel(fx.Site, "odd", "2!1.0.post1", "License-Expression: mit or (LicenseRef-My-Own AND Bespoke-9)", "Summary: \x1b[31m\u202e"),
		fx.File("opt/venv/pyvenv.cfg", "home = /usr/local/bin\ninclude-system-site-packages = true\nversion = 3.11.9\n"),
		fx.Symlink("opt/venv/bin/python3", "/usr/local/bin/python3"), fx.Dir("opt/venv/lib/python3.11/site-packages"),
		fx.Wheel("opt/venv/lib/python3.11/site-packages", "inner", "1", "Requires-Dist: odd"))
	policy, err := imagecheck.Builtin(imagecheck.PolicyDefault)
	if err != nil {
		t.Fatal(err)
	}
	contents, err := imagecheck.ReadContents(t.Context(), fx.New(base, user), imagecheck.Options{
		Policy: policy, Platform: policy.Platform, Ref: "team/image:v1", Bases: []imagecheck.Base{{Ref: "base", Layers: []string{fx.Digest(base)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return contents.Inventory()
}

func written(t *testing.T, format string) []byte {
	t.Helper()
	var b, again bytes.Buffer
	for _, out := range []*bytes.Buffer{&b, &again} {
		if err := Write(out, format, inventory(t), "1.2.3"); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Errorf("the same image gives two %s documents", format)
	}
	return b.Bytes()
}

// cycloneSchema compiles the published schema, which comes with the library.
func cycloneSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, pattern := range []string{"bom-1.6.schema.json", "spdx.schema.json", "jsf-*.json"} {
		files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "schema", pattern))
		if err != nil || len(files) != 1 {
			t.Fatal(pattern, files, err)
		}
		data, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(doc.(map[string]any)["$id"].(string), doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestCycloneDX(t *testing.T) {
	t.Parallel()
	text := written(t, CycloneDX)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	schema := cycloneSchema(t)
	if err := schema.Validate(doc); err != nil {
		t.Errorf("the document does not follow the schema: %v", err)
	}
	if schema.Validate(map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": "none"}) == nil {
		t.Fatal("the schema accepts anything")
	}
	var bom struct {
		Components []struct {
			Ref        string                `json:"bom-ref"`
			Purl       string                `json:"purl"`
			Licenses   []map[string]string   `json:"licenses"`
			Properties []map[string]string   `json:"properties"`
			Supplier   struct{ Name string } `json:"supplier"`
		} `json:"components"`
		Dependencies []struct {
			Ref       string   `json:"ref"`
			DependsOn []string `json:"dependsOn"`
		} `json:"dependencies"`
	}
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	type fact struct{ purl, licence, owner string }
	facts := map[string]fact{}
	for _, c := range bom.Components {
		f := fact{purl: c.Purl}
		if len(c.Licenses) > 0 {
			f.licence = c.Licenses[0]["expression"]
		}
		for _, p := range c.Properties {
			if p["name"] == "firn:owner" {
				f.owner = p["value"]
			}
		}
		facts[c.Ref] = f
	}
	site := "python:/" + fx.Site + "/"
	for ref, want := range map[string]fact{
		"os":                    {"", "", ""},
		"deb:python3-owned:all": {"pkg:deb/debian/python3-owned@1:2.0-1%2Bb1?arch=all&distro=debian-12", "", "base"},
		"deb:libplus++:amd64":   {"pkg:deb/debian/libplus%2B%2B@3~rc1?arch=amd64&distro=debian-12", "", "base"},
		site + "Mixed_Case.name-1.0+local.dist-info":                      {"pkg:pypi/mixed-case.name@1.0%2Blocal", "MIT", "user"},
		site + "odd-2!1.0.post1.dist-info":                                {"pkg:pypi/odd@2%211.0.post1", "MIT OR (LicenseRef-My-Own AND LicenseRef-Bespoke-9)", "user"},
		site + "left-1.dist-info":                                         {"pkg:pypi/left@1", "", "base"}, // dpkg does not have its package any more
		site + "ray-1.0.dist-info":                                        {"pkg:pypi/ray@1.0", "", "base"},
		"python:/opt/venv/lib/python3.11/site-packages/inner-1.dist-info": {"pkg:pypi/inner@1", "", "user"},
	} {
		if facts[ref] != want {
			t.Errorf("%s is %+v, want %+v", ref, facts[ref], want)
		}
	}
	if _, ok := facts[site+"owned-2.0.dist-info"]; ok || len(facts) != len(bom.Components) {
		t.Error("a distribution of a Debian package, or of two environments, is listed twice")
	}
	edges := map[string]string{}
	for _, d := range bom.Dependencies {
		edges[d.Ref] = strings.Join(d.DependsOn, " ")
	}
	for ref, want := range map[string]string{
		site + "Mixed_Case.name-1.0+local.dist-info":                      "deb:python3-owned:all " + site + "pandas-2.1.0.dist-info",
		"python:/opt/venv/lib/python3.11/site-packages/inner-1.dist-info": site + "odd-2!1.0.post1.dist-info",
		"deb:python3-owned:all":                                           "deb:libplus++:amd64",
		"deb:libplus++:amd64":                                             "",
	} {
		if got, ok := edges[ref]; !ok || got != want {
			t.Errorf("%s depends on %q, want %q", ref, got, want)
		}
	}
	if len(edges) != len(bom.Components)+1 || len(strings.Fields(edges["image"])) != len(bom.Components) {
		t.Error("the image does not have everything")
	}
}

func TestSPDX(t *testing.T) {
	t.Parallel()
	var doc spdxDocument
	text := written(t, SPDX)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`^SPDXRef-[a-zA-Z0-9.-]+$`)
	known := map[string]bool{documentID: true}
	for _, p := range doc.Packages {
		if known[p.ID] || !id.MatchString(p.ID) || p.Name == "" || p.Declared == "" || p.Location != noAssertion {
			t.Errorf("package %+v", p)
		}
		known[p.ID] = true
		for _, name := range references(p.Declared) {
			if !slices.ContainsFunc(doc.Licences, func(l spdxLicence) bool { return l.ID == name && l.Text != "" }) {
				t.Errorf("%s is not declared", name)
			}
		}
	}
	contained := 0
	for _, r := range doc.Relationships {
		if !known[r.From] || !known[r.To] {
			t.Errorf("relationship %+v leads nowhere", r)
		}
		if r.Type == "CONTAINS" && r.From == imageID {
			contained++
		}
	}
	if contained != len(doc.Packages)-1 || doc.Relationships[0] != (spdxRelationship{documentID, "DESCRIBES", imageID}) {
		t.Errorf("the image contains %d of %d packages", contained, len(doc.Packages)-1)
	}
	if doc.Creation.Created != "1970-01-01T00:00:00Z" || doc.Creation.Creators[0] != "Tool: firn-1.2.3" || !strings.HasPrefix(doc.Namespace, namespaceURL) {
		t.Errorf("creation is %+v, namespace %s", doc.Creation, doc.Namespace)
	}
	for _, want := range []string{`"Organization: Some One (one@example.org)"`, `"Organization: Nobody"`, `"LicenseRef-Bespoke-9"`, "firn:owner=user", "<things> & more"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	t.Parallel()
	if err := Write(&bytes.Buffer{}, "xml", inventory(t), ""); !errs.Is(err, errs.Invalid) {
		t.Errorf("error is %v", err)
	}
}

func TestNormal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "MIT": "MIT", "mit and apache-2.0": "MIT AND Apache-2.0", "( MIT OR isc )": "(MIT OR ISC)", "GPL-2.0+": "GPL-2.0+",
		"GPL-3.0-or-later with GCC-exception-3.1": "GPL-3.0-or-later WITH GCC-exception-3.1",
		"(gpl-2.0 WITH Odd) or MIT":               "(LicenseRef-GPL-2.0-with-Odd) OR MIT", "MIT WITH Apache-2.0": "LicenseRef-MIT-with-Apache-2.0",
		"GCC-exception-3.1": "LicenseRef-GCC-exception-3.1", "x WITH y": "LicenseRef-x-with-y", "LicenseRef-": "LicenseRef-unnamed", "Made Up": "LicenseRef-Made LicenseRef-Up",
		"LicenseRef-a_b": "LicenseRef-a-b", "zlib+": "Zlib+", "x/y": "LicenseRef-x-y",
	} {
		if got := normal(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
