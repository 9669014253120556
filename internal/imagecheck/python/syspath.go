// SPDX-License-Identifier: Apache-2.0

package python

import (
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// environment makes the report of an interpreter, still without its packages.
func (f *finder) environment(id interpreter) *Environment {
	e := &Environment{
		Prefix: id.prefix, Kind: id.kind, Python: id.path, Primary: id.primary, minor: id.minor, usesUV: f.uv,
		PythonVersion: id.version, VersionExact: id.version != "",
		Packages: []Package{}, NotCounted: []NotCounted{}, byName: map[string]*dist{},
	}
	_, e.musl = f.tree.Lookup("/lib/ld-musl-x86_64.so.1")
	if id.version == "" {
		e.PythonVersion = id.minor + ".0"
	}
	library := path.Join(id.base, "lib/python"+id.minor)
	_, _, err := f.tree.Resolve(path.Join(library, "EXTERNALLY-MANAGED"))
	e.ExternallyManaged = err == nil && id.kind != "venv"
	e.SysPath = f.sysPath(id, library)
	return e
}

// sysPath lists the directories Python would import from, in its order, only existing ones.
func (f *finder) sysPath(id interpreter, library string) []string {
	p := &pathList{f: f, seen: map[string]bool{}, list: []string{}, rules: pthRulesOf(id)}
	if text := f.in.Env["PYTHONPATH"]; text != "" {
		for entry := range strings.SplitSeq(text, ":") {
			if !strings.HasPrefix(entry, "/") { // also the empty one
				entry = path.Join("/", f.in.Work, entry)
			}
			p.add(entry)
		}
	}
	p.add(library)
	own := f.siteDirs(id.prefix, id.minor, id.kind == "debian")
	if id.kind != "venv" {
		p.addSite(f.userSite(id.minor))
		p.addSite(own...)
		return p.list
	}
	p.addSite(own...)
	if id.system {
		p.addSite(f.userSite(id.minor))
		p.addSite(f.siteDirs(id.base, id.minor, f.isDebian(id.base, id.minor))...)
	}
	return p.list
}

func (f *finder) siteDirs(prefix, minor string, debian bool) []string {
	if debian {
		return []string{"/usr/local/lib/python" + minor + "/dist-packages", "/usr/lib/python3/dist-packages", "/usr/lib/python" + minor + "/dist-packages"}
	}
	return []string{path.Join(prefix, "lib/python"+minor, "site-packages")}
}

func (f *finder) userSite(minor string) string {
	if f.in.Env["PYTHONNOUSERSITE"] != "" {
		return ""
	}
	base := f.in.Env["PYTHONUSERBASE"]
	if base == "" {
		home := f.in.Env["HOME"]
		if home == "" {
			home = f.in.Home
		}
		if home == "" {
			return ""
		}
		base = path.Join(home, ".local")
	}
	return path.Join(base, "lib/python"+minor, "site-packages")
}

// pathList is a sys.path in the making.
type pathList struct {
	f     *finder
	seen  map[string]bool
	list  []string
	rules pthRules
}

// pthRules is what interpreters do differently with .pth files.
type pthRules struct {
	hidden bool // reads those whose name starts with a dot
	bom    bool // takes the mark for a part of the first name
}

// hiddenUntil gives for 3.MINOR the first patch release that passes over hidden files.
var hiddenUntil = map[int]int{8: 19, 9: 19, 10: 14, 11: 8, 12: 2}

// pthRulesOf takes an interpreter of unknown patch for the newest.
func pthRulesOf(id interpreter) pthRules {
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			return math.MaxInt
		}
		return n
	}
	minor, patch := number(strings.TrimPrefix(id.minor, "3.")), math.MaxInt
	if rest, ok := strings.CutPrefix(id.version, id.minor+"."); ok {
		patch = number(rest)
	}
	first, fixed := hiddenUntil[minor]
	return pthRules{hidden: minor < 8 || fixed && patch < first, bom: minor < 13}
}

func (p *pathList) add(dir string) {
	dir = path.Clean(dir)
	if !p.seen[dir] && p.f.tree.IsDir(dir) {
		p.seen[dir] = true
		p.list = append(p.list, dir)
	}
}

// addSite adds directories together with what their .pth files name.
func (p *pathList) addSite(dirs ...string) {
	for _, dir := range dirs {
		if dir == "" || p.seen[path.Clean(dir)] || !p.f.tree.IsDir(dir) {
			continue
		}
		p.add(dir)
		for _, name := range slices.Sorted(slices.Values(p.f.tree.Children(dir))) {
			if strings.HasSuffix(name, ".pth") && (p.rules.hidden || !strings.HasPrefix(name, ".")) {
				p.addPth(dir, name)
			}
		}
	}
}

func (p *pathList) addPth(dir, name string) {
	body, _ := p.f.tree.Body(path.Join(dir, name))
	text := string(body)
	if !p.rules.bom {
		text = strings.TrimPrefix(text, "\ufeff")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "import ") || strings.HasPrefix(line, "import\t") {
			continue
		}
		if !strings.HasPrefix(line, "/") {
			line = path.Join(dir, line)
		}
		p.add(line)
	}
}
