// SPDX-License-Identifier: Apache-2.0

package python

import (
	"slices"
	"strings"
	"testing"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"github.com/google/go-cmp/cmp"
)

const site = "usr/local/lib/python3.11/site-packages"

func installedIn(e *Environment) []string {
	var list []string
	for _, p := range e.Packages {
		list = append(list, p.Name+" "+p.Version)
	}
	return list
}

func TestEnvironments(t *testing.T) {
	t.Parallel()
	local := interpreterFiles("3.11", "3.11.9")
	debian := []fx.Entry{
		fx.Program("usr/bin/python3.11", fx.ELF(62)), fx.Symlink("usr/bin/python3", "python3.11"), fx.File("usr/lib/python3.11/os.py", ""),
		fx.File("usr/lib/python3.11/site.py", `path = os.path.join(prefix, "local/lib", "dist-packages")`), fx.File("var/lib/dpkg/status", "Package: libpython3.11-stdlib\nStatus: install ok installed\nVersion: 3.11.2-6+deb12u6\n\nPackage: x\n"),
		fx.Wheel("usr/lib/python3/dist-packages", "six", "1.16.0"), fx.File("var/lib/dpkg/info/python3-six.list", "/usr/lib/python3/dist-packages/six-1.16.0.dist-info\n"),
		fx.Wheel("usr/local/lib/python3.11/dist-packages", "ray", "2.0"), fx.File("usr/lib/python3.11/EXTERNALLY-MANAGED", ""),
		fx.Wheel("usr/local/lib/python3.11/dist-packages", "six", "1.17.0"),
	}
	venv := append(slices.Clone(debian), fx.File("opt/v/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n"),
		fx.Symlink("opt/v/bin/python3", "/usr/bin/python3"), fx.Wheel("opt/v/lib/python3.11/site-packages", "own", "1"))
	open := append(slices.Clone(venv), fx.File("opt/v/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = True\nversion_info = 3.11.2.final.0\n"))
	conda := []fx.Entry{
		fx.Program("opt/conda/bin/python3.11", fx.ELF(62)), fx.Symlink("opt/conda/bin/python", "python3.11"), fx.File("opt/conda/lib/python3.11/os.py", ""),
		fx.File("opt/conda/conda-meta/python-3.11.5-h1_0.json", "{}"), fx.Wheel("opt/conda/lib/python3.11/site-packages", "numpy", "1.26"),
	}
	for name, x := range map[string]struct {
		entries             []fx.Entry
		env                 map[string]string
		kind, prefix, exact string
		packages, sysPath   []string
	}{
		"system": {append(local, fx.Wheel(site, "a", "1")), nil, "system", "/usr/local", "3.11.9", []string{"a 1"}, []string{"/usr/local/lib/python3.11", "/" + site}},
		"debian, local before system": {
			debian, nil, "debian", "/usr", "3.11.2", []string{"ray 2.0", "six 1.17.0"},
			[]string{"/usr/lib/python3.11", "/usr/local/lib/python3.11/dist-packages", "/usr/lib/python3/dist-packages"},
		},
		"venv": {
			venv, map[string]string{"PATH": "/opt/v/bin:/usr/bin"}, "venv", "/opt/v", "3.11.2", []string{"own 1"},
			[]string{"/usr/lib/python3.11", "/opt/v/lib/python3.11/site-packages"},
		},
		"venv with system site": {
			open, map[string]string{"PATH": "/opt/v/bin:/usr/bin"}, "venv", "/opt/v", "3.11.2", []string{"own 1", "ray 2.0", "six 1.17.0"},
			[]string{"/usr/lib/python3.11", "/opt/v/lib/python3.11/site-packages", "/usr/local/lib/python3.11/dist-packages", "/usr/lib/python3/dist-packages"},
		},
		"conda": {
			conda, map[string]string{"PATH": "/opt/conda/bin"}, "conda", "/opt/conda", "3.11.5", []string{"numpy 1.26"},
			[]string{"/opt/conda/lib/python3.11", "/opt/conda/lib/python3.11/site-packages"},
		},
		"PYTHONPATH first": {
			append(slices.Clone(local), fx.Wheel(site, "a", "1"), fx.Wheel("opt/pp", "a", "2")), map[string]string{"PYTHONPATH": "/opt/pp:/nowhere"}, "system", "/usr/local",
			"3.11.9", []string{"a 2"}, []string{"/opt/pp", "/usr/local/lib/python3.11", "/" + site},
		},
		"user site before site": {
			append(slices.Clone(local), fx.Wheel(site, "a", "1"), fx.Wheel("root/.local/lib/python3.11/site-packages", "a", "3")), nil, "system", "/usr/local",
			"3.11.9", []string{"a 3"}, []string{"/usr/local/lib/python3.11", "/root/.local/lib/python3.11/site-packages", "/" + site},
		},
		"no user site": {
			append(slices.Clone(local), fx.Wheel(site, "a", "1"), fx.Wheel("root/.local/lib/python3.11/site-packages", "a", "3")),
			map[string]string{"PYTHONNOUSERSITE": "1"}, "system", "/usr/local", "3.11.9", []string{"a 1"}, []string{"/usr/local/lib/python3.11", "/" + site},
		},
		"pth": {
			append(slices.Clone(local), fx.File(site+"/x.pth", "# no\nimport os\n/opt/pth\n../../../../src\nmissing\n"), fx.Wheel("opt/pth", "p", "1"), fx.Wheel("usr/src", "q", "1")),
			nil, "system", "/usr/local", "3.11.9", []string{"p 1", "q 1"},
			[]string{"/usr/local/lib/python3.11", "/" + site, "/opt/pth", "/usr/src"},
		},
		"hidden pth, and one with a mark": {
			append(slices.Clone(local), fx.File(site+"/.x.pth", "/opt/pth\n"), fx.File(site+"/y.pth", "\ufeff/usr/src\n"), fx.Dir("opt/pth"), fx.Dir("usr/src")),
			nil, "system", "/usr/local", "3.11.9", nil, []string{"/usr/local/lib/python3.11", "/" + site},
		},
		"hidden pth of an older python": {
			append(interpreterFiles("3.11", "3.11.7"), fx.File(site+"/.x.pth", "/opt/pth\n"), fx.Dir("opt/pth")),
			nil, "system", "/usr/local", "3.11.7", nil, []string{"/usr/local/lib/python3.11", "/" + site, "/opt/pth"},
		},
		"pth with a mark for a newer python": {
			append(interpreterFiles("3.13", "3.13.0"), fx.File("usr/local/lib/python3.13/site-packages/y.pth", "\ufeff/usr/src\n"), fx.Dir("usr/src")),
			nil, "system", "/usr/local", "3.13.0", nil, []string{"/usr/local/lib/python3.13", "/usr/local/lib/python3.13/site-packages", "/usr/src"},
		},
		"relative PYTHONPATH": {
			append(slices.Clone(local), fx.Dir("src")), map[string]string{"PYTHONPATH": "src:"}, "system", "/usr/local", "3.11.9", nil,
			[]string{"/src", "/", "/usr/local/lib/python3.11"},
		},
		"version from PYTHON_VERSION": {
			[]fx.Entry{fx.Program("usr/local/bin/python3", fx.ELF(62)), fx.File("usr/local/lib/python3.12/os.py", "")}, map[string]string{"PYTHON_VERSION": "3.12.4"},
			"system", "/usr/local", "3.12.4", nil, []string{"/usr/local/lib/python3.12"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			envs := inspect(t, x.env, x.entries...)
			if len(envs) == 0 || !envs[0].Primary {
				t.Fatal("no primary environment")
			}
			e := envs[0]
			if e.Kind != x.kind || e.Prefix != x.prefix || e.PythonVersion != x.exact || !e.VersionExact {
				t.Errorf("got %s %s %s exact=%v", e.Kind, e.Prefix, e.PythonVersion, e.VersionExact)
			}
			if d := cmp.Diff(x.packages, installedIn(e)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(x.sysPath, e.SysPath); d != "" {
				t.Error(d)
			}
		})
	}
	e := inspect(t, nil, debian...)[0]
	if !e.ExternallyManaged || len(e.NotCounted) != 1 || e.NotCounted[0].Reason != "shadowed" {
		t.Errorf("externally managed %v, not counted %+v", e.ExternallyManaged, e.NotCounted)
	}
	if n := len(inspect(t, nil, venv...)); n != 2 {
		t.Errorf("%d environments, want the system's and the venv", n)
	}
}

func TestInventory(t *testing.T) {
	t.Parallel()
	e := inspect(t, nil, append(interpreterFiles("3.11", "3.11.9"),
		fx.Wheel(site, "A.B__c", "1"), fx.File(site+"/crlf-1.dist-info/METADATA", "\xef\xbb\xbfNAME: crlf\r\nVersion: 1\r\n\r\nName: body\r\n"),
		fx.File(site+"/latin-1.dist-info/METADATA", "Name: latin\nAuthor: \xe9\nVersion: 1\n\n"),
		fx.File(site+"/flat-2.egg-info", "Name: flat\nVersion: 2\n"), fx.File(site+"/dir-2.egg-info/PKG-INFO", "Name: dir\nVersion: 2\n"),
		fx.File(site+"/old-1.egg/EGG-INFO/PKG-INFO", "Name: old\nVersion: 1\n"),
		fx.File(site+"/dev.egg-link", "/src/dev\n."), fx.File("src/dev/dev.egg-info/PKG-INFO", "Name: dev\nVersion: 9\n"), fx.File(site+"/dead.egg-link", "/src/none\n"),
		fx.Wheel(site, "ed", "1"), fx.File(site+"/ed-1.dist-info/direct_url.json", `{"dir_info":{"editable":true}}`), fx.File(site+"/ed-1.dist-info/INSTALLER", "uv\n"),
		fx.Wheel(site+"/x/_vendor", "vendored", "1"), fx.Dir(site+"/empty-1.dist-info"), fx.Dir(site+"/~rphan-1.dist-info"),
		fx.Wheel(site, "twice", "1"), fx.Wheel(site, "twice", "2"), fx.Wheel(site, "pip", "25.0"),
	)...)[0]
	want := []string{"a-b-c 1", "crlf 1", "dev 9", "dir 2", "ed 1", "flat 2", "latin 1", "old 1", "pip 25.0", "twice 1"}
	if d := cmp.Diff(want, installedIn(e)); d != "" {
		t.Error(d)
	}
	reasons := map[string]string{}
	for _, n := range e.NotCounted {
		reasons[strings.TrimPrefix(n.Path, "/"+site+"/")] = n.Reason
	}
	if d := cmp.Diff(map[string]string{"empty-1.dist-info": "invalid", "~rphan-1.dist-info": "orphan", "twice-2.dist-info": "duplicate"}, reasons); d != "" {
		t.Error(d)
	}
	newer := inspect(t, nil, append(interpreterFiles("3.11", "3.11.9"), fx.File(site+"/old-1.egg/EGG-INFO/PKG-INFO", "Name: old\nVersion: 1\n"), fx.Wheel(site, "pip", "25.1"))...)[0]
	if d := cmp.Diff([]string{"pip 25.1"}, installedIn(newer)); d != "" {
		t.Errorf("an .egg that newer pips and Python do not see: %s", d)
	}
	ed, _ := e.Installed("ed")
	dev, _ := e.Installed("dev")
	if !ed.Editable || value(ed.Installer) != "uv" || !dev.Editable || dev.Type != "egg-link" {
		t.Errorf("ed %+v, dev %+v", ed, dev)
	}
}

func TestStrict(t *testing.T) {
	t.Parallel()
	e := inspect(t, nil, append(interpreterFiles("3.11", "3.11.9"),
		fx.Wheel(site, "app", "1", "Requires-Dist: mid"), fx.Wheel(site, "mid", "1", "Requires-Dist: leaf>=2,<3", "Requires-Dist: gone>=1", "Requires-Dist: ext[x]"),
		fx.Wheel(site, "other", "1", "Requires-Dist: leaf!=2.0", "Requires-Dist: torn<1"), fx.Wheel(site, "third", "1", "Requires-Dist: torn>=1", "Requires-Dist: ignored"),
		fx.Wheel(site, "leaf", "1"), fx.Wheel(site, "torn", "1"), fx.Wheel(site, "ext", "1", "Provides-Extra: x", `Requires-Dist: under; extra == "x"`),
		fx.Wheel(site, "py", "1", "Requires-Python: <3"), fx.Wheel(site, "bad", "1", "Requires-Dist: !!"),
		fx.Wheel(site, "kernel", "1", `Requires-Dist: k5; platform_release >= "5"`),
		fx.Wheel(site, "pip", "24.0"),
	)...)[0]
	var got []string
	for _, p := range e.Problems {
		got = append(got, strings.Join(append([]string{p.Kind, p.Package, value(p.Dependency)}, p.Columns...), " "))
	}
	want := []string{
		"invalid_requirement bad  pip strict",
		"missing kernel k5 pip strict", "undecidable kernel k5 strict",
		"missing mid gone pip strict", "conflict mid leaf pip strict", "extra_missing mid under strict",
		"conflict other torn pip strict", "requires_python py  strict", "missing third ignored pip strict",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	i := slices.IndexFunc(e.Problems, func(p Problem) bool { return p.Kind == "conflict" && p.Package == "mid" })
	chain := []Hop{{"app", "1", "mid"}, {"mid", "1", "leaf<3,>=2"}}
	if d := cmp.Diff(chain, e.Problems[i].Why); d != "" {
		t.Error(d)
	}
	if e.Fix == nil || e.Fix.Command == nil || *e.Fix.Command != "pip install 'gone>=1' 'k5' 'leaf!=2.0,<3,>=2' 'under'" {
		t.Errorf("fix is %+v", e.Fix)
	}
	if len(e.Fix.Unsatisfiable) != 1 || e.Fix.Unsatisfiable[0].Dependency != "torn" || len(e.Fix.Unsatisfiable[0].Requirers) != 2 {
		t.Errorf("unsatisfiable is %+v", e.Fix.Unsatisfiable)
	}
	if len(e.Pip.Ignored) != 1 || !strings.Contains(e.Pip.Ignored[0], "ignored") {
		t.Errorf("ignored lines are %q", e.Pip.Ignored)
	}
}

func TestUnknownPatch(t *testing.T) {
	t.Parallel()
	e := inspect(t, nil, fx.Program("usr/local/bin/python3.11", fx.ELF(62)), fx.Symlink("usr/local/bin/python3", "python3.11"), fx.File("usr/local/lib/python3.11/os.py", ""),
		fx.Wheel(site, "a", "1", `Requires-Dist: b; python_full_version < "3.11.4"`, `Requires-Dist: c; python_full_version < "3.11"`))[0]
	if e.VersionExact || e.PythonVersion != "3.11.0" || len(e.Problems) != 2 || e.Problems[1].Kind != "undecidable" || value(e.Problems[0].Dependency) != "b" {
		t.Errorf("exact %v, %s, %+v", e.VersionExact, e.PythonVersion, e.Problems)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	e := &Environment{minor: "3.11"}
	for tag, want := range map[string]bool{
		"py3-none-any": true, "py2.py3-none-any": true, "py2-none-any": false, "py311-none-any": true, "py312-none-any": false, "py39-none-any": true,
		"cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64": true, "cp310-cp310-manylinux_2_17_x86_64": false, "cp38-abi3-linux_x86_64": true,
		"cp312-abi3-linux_x86_64": false, "cp311-cp311-manylinux_2_17_aarch64": false, "cp311-cp311-musllinux_1_1_x86_64": false, "nonsense": false,
		"cp311-cp311-win_amd64": false, "py3-none-manylinux1_x86_64": true,
	} {
		if e.supportsAny([]string{tag}) != want {
			t.Errorf("%s: %v", tag, !want)
		}
	}
}
