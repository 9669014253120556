// SPDX-License-Identifier: Apache-2.0

package python

import (
	"path"
	"slices"
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
	p := &pathList{f: f, seen: map[string]bool{}, list: []string{}}
	for entry := range strings.SplitSeq(f.in.Env["PYTHONPATH"], ":") {
		if strings.HasPrefix(entry, "/") {
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
	f    *finder
	seen map[string]bool
	list []string
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
			if strings.HasSuffix(name, ".pth") && !strings.HasPrefix(name, ".") {
				p.addPth(dir, name)
			}
		}
	}
}

func (p *pathList) addPth(dir, name string) {
	body, _ := p.f.tree.Body(path.Join(dir, name))
	for line := range strings.Lines(strings.TrimPrefix(string(body), "\ufeff")) {
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
