// SPDX-License-Identifier: Apache-2.0

package python

import (
	"bytes"
	"cmp"
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"

	"firn.dev/firn/internal/imagecheck/layer"
	"firn.dev/firn/internal/imagecheck/pep440"
	"firn.dev/firn/internal/imagecheck/pep508"
)

// dist is one distribution as it lies in a directory of sys.path, usable or not.
type dist struct {
	dir      string // of sys.path
	path     string // metadata directory or flat file
	kind     string // dist-info, egg-info, egg-link, egg
	entry    string // name in dir
	layer    int
	isFile   bool
	empty    bool // a directory without anything in it
	onPath   bool // an .egg that is itself in sys.path
	zipped   bool // in a zip archive
	inWheel  bool // in a .whl that is itself in sys.path
	hasMeta  bool
	bom      bool
	notUTF8  bool
	tooLong  bool
	meta     fields
	requires []field
	// requiresTxt is what an egg's requires.txt says, also when its metadata has requirements of its own.
	requiresTxt []field
	extras      []string
	tags        []string
	wheel       bool
	libraries   []string // shared libraries that its RECORD lists, absolute
	name        string   // canonical, from the metadata
	version     pep440.Version
	pkg         Package
}

// nameVersion gives what the directory's own name says: "x-1.0.dist-info" is x and 1.0.
func (d *dist) nameVersion() (name, version string) {
	stem := strings.TrimSuffix(d.entry, path.Ext(d.entry))
	name, version, _ = strings.Cut(stem, "-")
	if d.kind != "dist-info" {
		version, _, _ = strings.Cut(version, "-py")
	}
	return name, version
}

// inventory finds what is installed in an environment: the first directory of sys.path wins.
func (f *finder) inventory(e *Environment) {
	seenPath := map[string]bool{}
	for _, dir := range e.SysPath {
		for _, d := range f.distributions(dir, e) {
			if !seenPath[d.path] {
				seenPath[d.path] = true
				e.dists = append(e.dists, d)
			}
		}
	}
	var eggs []*dist
	for _, d := range e.dists {
		if d.kind == "egg" && !d.onPath {
			eggs = append(eggs, d)
			continue
		}
		f.count(e, d)
	}
	byName := func(a, b Package) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(e.Packages, byName)
	if pip, ok := e.Installed("pip"); ok {
		e.Pip.Version = &pip.Version
	}
	// Python itself does not see an .egg that no .pth names; some pips do.
	rules := e.pipRules()
	for _, d := range eggs {
		if !rules.skipsEgg(d) {
			f.count(e, d)
		}
	}
	slices.SortFunc(e.Packages, byName)
	slices.SortFunc(e.NotCounted, func(a, b NotCounted) int { return cmp.Compare(a.Path, b.Path) })
}

// count books a distribution as installed, or why it is not.
func (f *finder) count(e *Environment, d *dist) {
	out := NotCounted{Path: d.path, Name: optional(d.pkg.RawName), Version: optional(d.pkg.Version)}
	first := e.byName[d.name]
	switch {
	case d.name == "" || d.pkg.Version == "":
		out.Reason = "invalid"
	case first != nil && first.dir == d.dir:
		out.Reason = "duplicate"
	case first != nil:
		out.Reason = "shadowed"
	default:
		e.byName[d.name] = d
		e.Packages = append(e.Packages, d.pkg)
		return
	}
	e.NotCounted = append(e.NotCounted, out)
}

// distributions lists what lies in one directory, in the order in which pip looks: metadata, eggs, links.
func (f *finder) distributions(dir string, e *Environment) []*dist {
	var infos, eggs, links []*dist
	if strings.HasSuffix(dir, ".egg") {
		if d := f.egg(dir); d != nil {
			d.onPath = true
			infos = append(infos, d)
		}
	}
	for _, name := range f.files.children(dir) {
		full := path.Join(dir, name)
		switch path.Ext(name) {
		case ".dist-info", ".egg-info":
			if strings.HasPrefix(name, "~") {
				e.NotCounted = append(e.NotCounted, NotCounted{Path: full, Reason: "orphan"})
				continue
			}
			if d := f.load(dir, name, full, path.Ext(name)[1:]); d != nil {
				d.inWheel = d.zipped && wheelName.MatchString(path.Base(dir))
				infos = append(infos, d)
			}
		case ".egg":
			if d := f.egg(full); d != nil && !slices.Contains(e.SysPath, full) {
				eggs = append(eggs, d)
			}
		case ".egg-link":
			if d := f.followLink(dir, name); d != nil {
				links = append(links, d)
			}
		}
	}
	return slices.Concat(infos, eggs, links)
}

// wheelName is what pip takes for the name of a wheel.
var wheelName = regexp.MustCompile(`^[^\s-]+-[^\s-]+(-[0-9][^-]*)?-[^\s-]+-[^\s-]+-[^\s-]+\.whl$`)

// egg reads an .egg, a directory or an archive; nil when it has no metadata. Of an archive that is too large only the name is known.
func (f *finder) egg(full string) *dist {
	dir, name := path.Dir(full), path.Base(full)
	if d := f.load(dir, name, path.Join(full, "EGG-INFO"), "egg"); d != nil {
		return d
	}
	n, _ := f.files.resolve(full)
	if n.Entry == nil || n.Type != layer.File || !n.Has(layer.Archive|layer.TooLong) {
		return nil
	}
	d := &dist{dir: dir, path: full, kind: "egg", entry: name, layer: n.Layer, zipped: true, hasMeta: true, tooLong: true}
	project, version := d.nameVersion()
	d.meta = fields{{key: "name", value: project}, {key: "version", value: version}}
	f.describe(d)
	return d
}

// followLink reads the project an .egg-link names, nil when it is not there.
func (f *finder) followLink(dir, name string) *dist {
	body, _ := f.files.body(path.Join(dir, name))
	target, _, _ := strings.Cut(string(body), "\n")
	target = strings.TrimSpace(target)
	if !strings.HasPrefix(target, "/") {
		return nil
	}
	want := pep508.Canonical(strings.TrimSuffix(name, ".egg-link"))
	for _, child := range f.files.children(target) {
		if stem, ok := strings.CutSuffix(child, ".egg-info"); ok && pep508.Canonical(stem) == want {
			d := f.load(dir, child, path.Join(target, child), "egg-link")
			if d != nil {
				d.pkg.Editable = true
			}
			return d
		}
	}
	return nil
}

// load reads the metadata at a path, nil when nothing is there.
func (f *finder) load(dir, entry, at, kind string) *dist {
	n, ok := f.files.resolve(at)
	if !ok || n.Type != layer.File && n.Type != layer.Dir {
		return nil
	}
	d := &dist{dir: dir, path: at, kind: kind, entry: entry, layer: n.Layer, isFile: n.Type == layer.File}
	archive, _, _ := f.files.inside(at)
	d.zipped = archive != nil
	d.empty = !d.isFile && len(f.files.children(at)) == 0
	file := at
	if !d.isFile {
		file = path.Join(at, "PKG-INFO")
		if kind == "dist-info" {
			file = path.Join(at, "METADATA")
		}
	}
	if n, ok := f.files.resolve(file); ok && n.Has(layer.HasBody) && (!d.isFile || kind != "dist-info") {
		d.hasMeta, d.layer = true, n.Layer
		d.notUTF8, d.tooLong = n.Has(layer.NotUTF8), n.Has(layer.TooLong)
		d.bom = bytes.HasPrefix(n.Body, []byte("\xef\xbb\xbf"))
		d.meta = parseHeader(n.Body, false)
	}
	if body, ok := f.files.body(path.Join(at, "RECORD")); ok {
		for name := range strings.FieldsSeq(string(body)) {
			d.libraries = append(d.libraries, path.Join(dir, name))
		}
	}
	d.requires = d.meta.all("Requires-Dist")
	if body, ok := f.files.body(path.Join(at, "requires.txt")); ok && kind != "dist-info" {
		if d.requiresTxt = requiresTxt(body); len(d.requires) == 0 {
			d.requires = d.requiresTxt
		}
	}
	f.describe(d)
	return d
}

// describe fills what the report says of a distribution.
func (f *finder) describe(d *dist) {
	name := d.meta.first("Name")
	d.name = pep508.Canonical(name)
	d.pkg = Package{Name: d.name, RawName: name, Version: d.meta.first("Version"), Path: d.path, Type: d.kind}
	d.version = pep440.ParseLegacy(d.pkg.Version)
	d.pkg.Layer, d.pkg.Owner = f.in.LayerOf(d.layer)
	if body, ok := f.files.body(path.Join(d.path, "INSTALLER")); ok {
		d.pkg.Installer = optional(strings.TrimSpace(string(body)))
	}
	if deb, ok := f.debs[d.path]; ok {
		d.pkg.Deb = &deb
	}
	var direct struct {
		DirInfo struct {
			Editable bool `json:"editable"`
		} `json:"dir_info"`
	}
	if body, ok := f.files.body(path.Join(d.path, "direct_url.json")); ok && json.Unmarshal(body, &direct) == nil {
		d.pkg.Editable = direct.DirInfo.Editable
	}
	if body, ok := f.files.body(path.Join(d.path, "WHEEL")); ok {
		d.wheel = true
		for _, tag := range parseHeader(body, false).all("Tag") {
			d.tags = append(d.tags, strings.TrimSpace(tag.value))
		}
	}
	for _, extra := range d.meta.all("Provides-Extra") {
		d.extras = append(d.extras, pep508.Canonical(strings.TrimSpace(extra.value)))
	}
}
