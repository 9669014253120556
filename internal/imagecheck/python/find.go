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
	files *archives // of tree
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
	f := &finder{tree: t, files: &archives{tree: t, open: map[string]*layer.Tree{}}, in: in, debs: map[string]string{}}
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
		if !ok || slices.ContainsFunc(list, func(o interpreter) bool { return f.real(o.prefix) == f.real(id.prefix) && o.minor == id.minor }) {
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
	if f.isDebian(id.base, id.minor) {
		for _, deb := range []string{"libpython" + id.minor + "-stdlib", "python" + id.minor + "-minimal"} {
			if v := fits(f.dpkg[deb]); v != "" {
				return v
			}
		}
	}
	return fits(f.in.Env["PYTHON_VERSION"])
}

var patchlevel = regexp.MustCompile(`#define\s+PY_VERSION\s+"([0-9.]+)`)
