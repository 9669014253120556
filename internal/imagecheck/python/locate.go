// SPDX-License-Identifier: Apache-2.0

package python

import (
	"path"
	"slices"
	"strings"

	"firn.dev/firn/internal/imagecheck/layer"
)

// An interpreter finds its library by itself when it starts: it goes up from its own place until lib/pythonX.Y/os.py is there. This file
// does the same, so that an installation that was copied or is reached through links is what Python takes it for.

// identify tells which environment an interpreter belongs to; false when p is no python of which anything is known.
func (f *finder) identify(p string) (interpreter, bool) {
	if !f.isProgram(p) {
		return interpreter{}, false
	}
	program := f.program(p)
	id := interpreter{path: p, minor: minorOf(path.Base(program)), kind: "system"}
	id.base, id.minor = f.landmark(path.Dir(program), id.minor)
	id.prefix = id.base
	for _, dir := range []string{path.Dir(p), path.Dir(path.Dir(p))} {
		if cfg, ok := f.tree.Body(path.Join(dir, "pyvenv.cfg")); ok {
			f.readVenv(&id, path.Dir(path.Dir(p)), string(cfg))
			break
		}
	}
	if id.base == "" || id.minor == "" {
		return interpreter{}, false
	}
	switch {
	case id.kind == "venv":
	case f.tree.IsDir(path.Join(id.prefix, "conda-meta")):
		id.kind = "conda"
	case f.isDebian(id.prefix, id.minor):
		id.kind = "debian"
	}
	if id.version == "" {
		id.version = f.exactVersion(id)
	}
	return id, true
}

// program follows the links of a program's own name, as Python does; those of the directories above it stay as they are written.
func (f *finder) program(p string) string {
	for range maxHops {
		dir, _, err := f.tree.Resolve(path.Dir(p))
		if err != nil {
			return p
		}
		n, ok := f.tree.Lookup(path.Join(dir, path.Base(p)))
		switch {
		case !ok || n.Type != layer.Symlink:
			return p
		case strings.HasPrefix(n.Link, "/"):
			p = path.Clean(n.Link)
		default:
			p = path.Join(path.Dir(p), n.Link)
		}
	}
	return p
}

// compiledIn are prefixes that pythons are built with: where they look when nothing is found above them.
var compiledIn = []string{"/usr/local", "/usr"}

// landmark gives the first directory from dir upwards that has the library of a python, and its X.Y; minor is "" when any will do.
// Python does not look into the root.
func (f *finder) landmark(dir, minor string) (prefix, found string) {
	for ; dir != "/" && dir != "."; dir = path.Dir(dir) {
		if found := f.minorOfLibrary(dir, minor); found != "" {
			return dir, found
		}
	}
	for _, prefix := range compiledIn {
		if found := f.minorOfLibrary(prefix, minor); found != "" {
			return prefix, found
		}
	}
	return "", minor
}

// minorOfLibrary reads X.Y off a lib/pythonX.Y that is the library of a python; minor is "" when any will do.
func (f *finder) minorOfLibrary(prefix, minor string) string {
	for _, name := range slices.Sorted(slices.Values(f.tree.Children(path.Join(prefix, "lib")))) {
		found := minorOf(name)
		if found == "" || name != "python"+found || minor != "" && found != minor {
			continue
		}
		for _, os := range []string{"os.py", "os.pyc"} {
			if _, n, err := f.tree.Resolve(path.Join(prefix, "lib", name, os)); err == nil && n.Type == layer.File {
				return found
			}
		}
	}
	return ""
}

// readVenv makes id the environment in dir that a pyvenv.cfg describes.
func (f *finder) readVenv(id *interpreter, dir, cfg string) {
	id.kind, id.prefix = "venv", dir
	home := false
	for line := range strings.Lines(cfg) {
		key, val, _ := strings.Cut(line, "=")
		val = strings.TrimSpace(val)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "home":
			if !home && val != "" {
				id.base, id.minor = f.landmark(path.Clean("/"+val), id.minor)
			}
			home = true
		case "include-system-site-packages":
			id.system = strings.EqualFold(val, "true")
		case "version", "version_info":
			if exact := exactVersion.FindString(val); strings.HasPrefix(exact, id.minor+".") {
				id.version = exact // of another minor it is left over from an upgrade of the base
			}
		}
	}
}

// isDebian tells the python that Debian packages, wherever it was put: its site.py looks into dist-packages instead of site-packages.
func (f *finder) isDebian(prefix, minor string) bool {
	_, n, err := f.tree.Resolve(path.Join(prefix, "lib/python"+minor, "site.py"))
	return err == nil && n.Has(layer.DistPackages)
}

// real is a path with its links followed, for comparing.
func (f *finder) real(p string) string {
	if resolved, _, err := f.tree.Resolve(p); err == nil {
		return resolved
	}
	return p
}
