// SPDX-License-Identifier: Apache-2.0

// Package dpkg reads which Debian packages an image has and which release it is, from the files that dpkg leaves behind. It runs
// nothing and knows no advisory. Package imagecheck calls it for vulnerabilities and for the bill of materials.
package dpkg

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"firn.dev/firn/internal/imagecheck/layer"
)

// Package is one installed binary package.
type Package struct {
	Name, Version, Arch   string
	Source, SourceVersion string // what it was built from; equal to Name and Version unless the package says otherwise
	Maintainer            string
	Depends               [][]string // names, one of each list must be there; Pre-Depends too
	Provides              []string   // names that it stands in for
	Path                  string     // of the file that lists its content, or else of the one that describes it
	Layer                 int        // index of the layer that has Path
}

const (
	statusFile = "/var/lib/dpkg/status"
	statusDir  = "/var/lib/dpkg/status.d"
	infoDir    = "/var/lib/dpkg/info"
)

// Installed lists the packages that are installed, by name and architecture.
func Installed(t *layer.Tree) []Package {
	var list []Package
	if body, ok := t.Body(statusFile); ok {
		text := strings.ReplaceAll(string(body), "\r\n", "\n")
		for stanza := range strings.SplitSeq(text, "\n\n") {
			list = add(list, t, stanza, statusFile)
		}
	}
	// Images without a package manager have one file per package.
	for _, name := range t.Children(statusDir) {
		if file := path.Join(statusDir, name); path.Ext(name) != ".md5sums" {
			body, _ := t.Body(file)
			list = add(list, t, string(body), file)
		}
	}
	slices.SortStableFunc(list, func(a, b Package) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Arch, b.Arch)) })
	return slices.CompactFunc(list, func(a, b Package) bool { return a.Name == b.Name && a.Arch == b.Arch })
}

// add reads one stanza; packages that were removed and left their configuration are not installed.
func add(list []Package, t *layer.Tree, stanza, file string) []Package {
	p := Package{Path: file, Layer: -1}
	state := "installed"
	for line := range strings.Lines(stanza) {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(key) {
		case "package":
			p.Name = value
		case "version":
			p.Version = value
		case "architecture":
			p.Arch = value
		case "maintainer":
			p.Maintainer = value
		case "depends", "pre-depends":
			for clause := range strings.SplitSeq(value, ",") {
				if names := relations(clause, "|"); len(names) > 0 {
					p.Depends = append(p.Depends, names)
				}
			}
		case "provides":
			p.Provides = append(p.Provides, relations(value, ",")...)
		case "source":
			p.Source, p.SourceVersion, _ = strings.Cut(value, " ")
			p.SourceVersion = strings.Trim(p.SourceVersion, " ()")
		case "status":
			state = value[strings.LastIndexByte(value, ' ')+1:]
		}
	}
	if p.Name == "" || p.Version == "" || state != "installed" {
		return list
	}
	p.Source, p.SourceVersion = cmp.Or(p.Source, p.Name), cmp.Or(p.SourceVersion, p.Version)
	for _, candidate := range []string{path.Join(infoDir, p.Name+".list"), path.Join(infoDir, p.Name+":"+p.Arch+".list"), file} {
		if _, n, err := t.Resolve(candidate); err == nil {
			p.Path, p.Layer = candidate, n.Layer
			break
		}
	}
	return append(list, p)
}

// relations gives the names of "libc6:any (>= 2.34) | libc" without what is said of versions and architectures.
func relations(text, separator string) []string {
	var names []string
	for one := range strings.SplitSeq(text, separator) {
		one = strings.TrimSpace(one)
		if end := strings.IndexAny(one, ":([ "); end >= 0 {
			one = one[:end]
		}
		if one != "" {
			names = append(names, one)
		}
	}
	return names
}

// Release is what /etc/os-release says.
type Release struct {
	ID        string // "debian", "ubuntu"; "" when the image does not say
	VersionID string // "12"; "" for a release in the making
	Name      string // for people
}

// ReadRelease reads which distribution the image is.
func ReadRelease(t *layer.Tree) Release {
	body, ok := t.Body("/etc/os-release")
	if !ok {
		body, _ = t.Body("/usr/lib/os-release")
	}
	var r Release
	for line := range strings.Lines(string(body)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			r.ID = strings.ToLower(value)
		case "VERSION_ID":
			r.VersionID = value
		case "PRETTY_NAME":
			r.Name = value
		}
	}
	return r
}

// Ecosystem is the name under which advisories know the release, such as "Debian:12"; "" for another distribution or no number.
func (r Release) Ecosystem() string {
	if r.ID != "debian" || r.VersionID == "" {
		return ""
	}
	return "Debian:" + r.VersionID
}

// String names the release for people.
func (r Release) String() string {
	return cmp.Or(r.Name, strings.TrimSpace(r.ID+" "+r.VersionID), "an unknown distribution")
}
