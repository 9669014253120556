// SPDX-License-Identifier: Apache-2.0

package python

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"firn.dev/firn/internal/imagecheck/layer"
)

// finder holds what all environments of one image share.
type finder struct {
	tree  *layer.Tree
	in    Input
	debs  map[string]string // metadata path -> Debian package
	cfgs  []string          // paths of pyvenv.cfg
	conda []string          // prefixes with conda-meta
	dpkg  map[string]string // Debian package -> version
	uv    bool
}

// interpreter is one python of the image.
type interpreter struct {
	path    string // as it would be called
	prefix  string
	base    string // prefix of the standard library; differs from prefix in a venv
	kind    string
	minor   string // X.Y
	version string // X.Y.Z, "" when Z is unknown
	system  bool   // venv that sees the packages of its base
	primary bool
}

func newFinder(t *layer.Tree, in Input) *finder {
	f := &finder{tree: t, in: in, debs: map[string]string{}}
	t.Walk(func(n layer.Node) {
		dir, base := path.Split(n.Path)
		switch {
		case base == "pyvenv.cfg":
			f.cfgs = append(f.cfgs, "/"+n.Path)
		case base == "conda-meta" && n.Type == layer.Dir:
			f.conda = append(f.conda, path.Clean("/"+dir))
		case dir == "var/lib/dpkg/info/" && strings.HasSuffix(base, ".list"):
			f.readList(strings.TrimSuffix(base, ".list"), n.Body)
		}
	})
	slices.Sort(f.cfgs)
	slices.Sort(f.conda)
	f.dpkg = f.debianVersions()
	_, f.uv = f.onPath("uv")
	return f
}

// readList remembers which Debian package owns python metadata.
func (f *finder) readList(deb string, body []byte) {
	deb, _, _ = strings.Cut(deb, ":")
	for line := range strings.Lines(string(body)) {
		line = strings.TrimRight(line, "\n")
		if strings.HasSuffix(line, ".dist-info") || strings.HasSuffix(line, ".egg-info") {
			f.debs[line] = deb
		}
	}
}

// debianVersions reads which Debian packages of a python are installed, for the exact version of the interpreter.
func (f *finder) debianVersions() map[string]string {
	versions := map[string]string{}
	body, _ := f.tree.Body("/var/lib/dpkg/status")
	for stanza := range strings.SplitSeq(string(body), "\n\n") {
		if !strings.HasPrefix(stanza, "Package: libpython") && !strings.HasPrefix(stanza, "Package: python") {
			continue
		}
		h := parseHeader([]byte(stanza), false)
		versions[h.first("Package")] = h.first("Version")
	}
	return versions
}

// onPath gives the first executable file of the name on PATH.
func (f *finder) onPath(name string) (string, bool) {
	for _, dir := range f.in.Path {
		if p := path.Join("/", dir, name); f.isProgram(p) {
			return p, true
		}
	}
	return "", false
}

func (f *finder) isProgram(p string) bool {
	_, n, err := f.tree.Resolve(p)
	return err == nil && n.Type == layer.File && n.Mode&0o111 != 0
}

var pythonName = regexp.MustCompile(`^python([23](\.[0-9]+)?)?$`)

// interpreters gives every environment once: those on PATH first, in the order of PATH.
func (f *finder) interpreters() []interpreter {
	var list []interpreter
	add := func(p string) {
		id, ok := f.identify(p)
		if !ok || slices.ContainsFunc(list, func(o interpreter) bool { return o.prefix == id.prefix && o.minor == id.minor }) {
			return
		}
		id.primary = len(list) == 0
		list = append(list, id)
	}
	for _, dir := range f.in.Path {
		add(path.Join("/", dir, "python3"))
		add(path.Join("/", dir, "python"))
	}
	hasPrimary := len(list) > 0
	for _, dir := range f.in.Path {
		for _, name := range slices.Sorted(slices.Values(f.tree.Children(dir))) {
			if pythonName.MatchString(name) {
				add(path.Join("/", dir, name))
			}
		}
	}
	for _, cfg := range f.cfgs {
		for _, name := range []string{"bin/python3", "bin/python", "python3", "python"} {
			add(path.Join(path.Dir(cfg), name))
		}
	}
	for _, prefix := range f.conda {
		add(path.Join(prefix, "bin/python"))
	}
	if !hasPrimary && len(list) > 0 {
		list[0].primary = false
	}
	slices.SortStableFunc(list, func(a, b interpreter) int { return cmp.Compare(b2i(b.primary), b2i(a.primary)) })
	return list
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// identify tells which environment an interpreter belongs to; false when p is no python of which anything is known.
func (f *finder) identify(p string) (interpreter, bool) {
	resolved, n, err := f.tree.Resolve(p)
	if err != nil || n.Type != layer.File || n.Mode&0o111 == 0 {
		return interpreter{}, false
	}
	id := interpreter{path: p, base: path.Dir(path.Dir(resolved)), minor: minorOf(path.Base(resolved)), kind: "system"}
	id.prefix = id.base
	for _, dir := range []string{path.Dir(p), path.Dir(path.Dir(p))} {
		if cfg, ok := f.tree.Body(path.Join(dir, "pyvenv.cfg")); ok {
			f.readVenv(&id, path.Dir(path.Dir(p)), string(cfg))
			break
		}
	}
	if id.minor == "" {
		id.minor = f.minorOfLibrary(id.base, id.prefix)
	}
	if id.minor == "" || !f.tree.IsDir(path.Join(id.base, "lib/python"+id.minor)) {
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

// readVenv makes id the environment in dir that a pyvenv.cfg describes.
func (f *finder) readVenv(id *interpreter, dir, cfg string) {
	id.kind, id.prefix = "venv", dir
	for line := range strings.Lines(cfg) {
		key, val, _ := strings.Cut(line, "=")
		val = strings.TrimSpace(val)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "home":
			if resolved, _, err := f.tree.Resolve(val); err == nil {
				id.base = path.Dir(resolved)
			}
		case "include-system-site-packages":
			id.system = strings.EqualFold(val, "true")
		case "version", "version_info":
			if exact := exactVersion.FindString(val); exact != "" {
				id.version = exact
				id.minor = exact[:strings.LastIndexByte(exact, '.')]
			}
		}
	}
	// A version of another minor than the interpreter has is left over from an upgrade of the base.
	if lib := f.minorOfLibrary(dir, dir); lib != "" && lib != id.minor {
		id.minor, id.version = lib, ""
	}
}

var (
	minorName    = regexp.MustCompile(`^python([0-9]+\.[0-9]+)`)
	exactVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+`)
)

func minorOf(name string) string {
	if m := minorName.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

// minorOfLibrary reads X.Y off lib/pythonX.Y, of the first prefix that has one.
func (f *finder) minorOfLibrary(prefixes ...string) string {
	for _, prefix := range prefixes {
		for _, name := range slices.Sorted(slices.Values(f.tree.Children(path.Join(prefix, "lib")))) {
			if minor := minorOf(name); minor != "" && name == "python"+minor {
				return minor
			}
		}
	}
	return ""
}

// isDebian tells the python that Debian packages: it looks into dist-packages instead of site-packages.
func (f *finder) isDebian(prefix, minor string) bool {
	if prefix != "/usr" {
		return false
	}
	_, minimal := f.dpkg["python"+minor+"-minimal"]
	return minimal || f.tree.IsDir("/usr/lib/python3/dist-packages")
}

// exactVersion finds Z of X.Y.Z in what the installation left behind, "" when nothing says so.
func (f *finder) exactVersion(id interpreter) string {
	fits := func(v string) string {
		if v = exactVersion.FindString(v); strings.HasPrefix(v, id.minor+".") {
			return v
		}
		return ""
	}
	for _, name := range f.tree.Children(path.Join(id.base, "conda-meta")) {
		if rest, ok := strings.CutPrefix(name, "python-"); ok && strings.HasSuffix(name, ".json") && fits(rest) != "" {
			return fits(rest)
		}
	}
	if header, ok := f.tree.Body(path.Join(id.base, "include/python"+id.minor, "patchlevel.h")); ok {
		if m := patchlevel.FindSubmatch(header); m != nil && fits(string(m[1])) != "" {
			return fits(string(m[1]))
		}
	}
	if id.kind == "debian" || id.base == "/usr" {
		for _, deb := range []string{"libpython" + id.minor + "-stdlib", "python" + id.minor + "-minimal"} {
			if v := fits(f.dpkg[deb]); v != "" {
				return v
			}
		}
	}
	return fits(f.in.Env["PYTHON_VERSION"])
}

var patchlevel = regexp.MustCompile(`#define\s+PY_VERSION\s+"([0-9.]+)`)
