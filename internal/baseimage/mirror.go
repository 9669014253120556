// SPDX-License-Identifier: Apache-2.0

package baseimage

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// mirrors are the archives that a Debian system installs from, "" for one that is not known.
type mirrors struct {
	main     string
	security string
}

// debianSuites tells Debian's archive from other distributions' and vendors' in apt's configuration.
var debianSuites = []string{"bullseye", "bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable"}

// hostMirrors reads apt's configuration (the tree of /etc/apt) and gives the Debian archives that this machine uses
// itself, so that a site's own mirror is used without being asked for. On anything but Debian it gives none:
// root.sh then takes debootstrap's own.
func hostMirrors(apt fs.FS) mirrors {
	var found mirrors
	var entries []aptEntry
	names, _ := fs.Glob(apt, "sources.list.d/*")
	for _, name := range append([]string{"sources.list"}, names...) {
		content, err := fs.ReadFile(apt, name)
		if err != nil {
			continue
		}
		switch path.Ext(name) {
		case ".list":
			entries = append(entries, parseList(string(content))...)
		case ".sources":
			entries = append(entries, parseSources(string(content))...)
		}
	}
	// Backwards, so that the first entry of the configuration wins.
	for _, e := range slices.Backward(entries) {
		release, isSecurity := strings.CutSuffix(e.suite, "-security")
		switch {
		case !slices.Contains(debianSuites, release) || !strings.HasPrefix(e.uri, "http"):
		case isSecurity:
			found.security = e.uri
		default:
			found.main = e.uri
		}
	}
	return found
}

// aptEntry is one archive and one of its suites.
type aptEntry struct{ uri, suite string }

// parseList reads the one-line format: deb [options] URI SUITE COMPONENT...
func parseList(text string) []aptEntry {
	var entries []aptEntry
	for line := range strings.Lines(text) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		if _, after, ok := strings.Cut(line, "]"); ok && strings.HasPrefix(strings.TrimSpace(line), "[") {
			line = after
		}
		if fields := strings.Fields(line); len(fields) >= 2 {
			entries = append(entries, aptEntry{uri: fields[0], suite: fields[1]})
		}
	}
	return entries
}

// parseSources reads the deb822 format: paragraphs with Types, URIs, Suites, Enabled.
func parseSources(text string) []aptEntry {
	var entries []aptEntry
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		fields := map[string][]string{}
		for line := range strings.Lines(paragraph) {
			if key, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
				fields[strings.ToLower(key)] = strings.Fields(value)
			}
		}
		if !slices.Contains(fields["types"], "deb") || slices.Contains(fields["enabled"], "no") {
			continue
		}
		for _, uri := range fields["uris"] {
			for _, suite := range fields["suites"] {
				entries = append(entries, aptEntry{uri: uri, suite: suite})
			}
		}
	}
	return entries
}
