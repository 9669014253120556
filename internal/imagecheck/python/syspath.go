// SPDX-License-Identifier: Apache-2.0

package python

import (
	"path"
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
	p := f.sysPath(id, library, e.musl)
	e.SysPath, e.deadSite = p.list, p.dead
	return e
}

// sysPath lists the directories and archives Python would import from, in its order, only existing ones.
func (f *finder) sysPath(id interpreter, library string, musl bool) *pathList {
	p := &pathList{f: f, seen: map[string]bool{}, list: []string{}, rules: f.pthRules(id, musl)}
	if text := f.in.Env["PYTHONPATH"]; text != "" {
		for entry := range strings.SplitSeq(text, ":") {
			if !strings.HasPrefix(entry, "/") { // also the empty one
				entry = path.Join("/", f.in.Work, entry)
			}
			p.add(entry)
		}
	}
	p.add(library)
	debian := f.isDebian(id.base, id.minor)
	if id.kind != "venv" {
		p.addSite(f.userSite(id.minor))
		p.addSite(siteDirs(id.prefix, id.minor, debian, false)...)
		return p
	}
	p.addSite(siteDirs(id.prefix, id.minor, debian, true)...)
	if id.system {
		p.addSite(f.userSite(id.minor))
		p.addSite(siteDirs(id.base, id.minor, debian, true)...)
	}
	return p
}

// siteDirs lists the directories for packages below a prefix. Debian's python has others, in a virtual environment both.
func siteDirs(prefix, minor string, debian, venv bool) []string {
	own := path.Join(prefix, "lib/python"+minor, "site-packages")
	if !debian {
		return []string{own}
	}
	dirs := []string{
		path.Join(prefix, "local/lib/python"+minor, "dist-packages"), path.Join(prefix, "lib/python3/dist-packages"), path.Join(prefix, "lib/python"+minor, "dist-packages"),
	}
	if venv {
		return append([]string{own}, dirs...)
	}
	return dirs
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
