// SPDX-License-Identifier: Apache-2.0

package python

import (
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pathList is a sys.path in the making.
type pathList struct {
	f     *finder
	seen  map[string]bool
	list  []string
	rules pthRules
	dead  string // .pth file at which the interpreter ends with a traceback when it starts, "" for none
}

// pthRules is what interpreters do differently with .pth files.
type pthRules struct {
	hidden  bool    // reads those whose name starts with a dot
	newer   bool    // reads UTF-8 first, with or without a mark, and ends lines where Python's splitlines does
	charset charset // how else the file is read
}

// charset is what a locale makes of bytes, as far as it matters to paths.
type charset int

const (
	utf8Only charset = iota // other bytes cannot be decoded
	ascii                   // bytes above 127 cannot be decoded
	anyByte                 // such as ISO 8859-1
)

// hiddenUntil gives for 3.MINOR the first patch release that passes over hidden files.
var hiddenUntil = map[int]int{8: 19, 9: 19, 10: 14, 11: 8, 12: 2}

// pthRules takes an interpreter of unknown patch for the newest.
func (f *finder) pthRules(id interpreter, musl bool) pthRules {
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
	return pthRules{hidden: minor < 8 || fixed && patch < first, newer: minor >= 13, charset: f.charset(minor, musl)}
}

// charset gives the encoding in which python 3.MINOR reads .pth files: that of the locale. A locale that is C, or is not installed, becomes
// C.UTF-8 unless LC_ALL or PYTHONCOERCECLOCALE forbid it. Up to 3.10 the UTF-8 mode counts as well, which is on for C.
func (f *finder) charset(minor int, musl bool) charset {
	env := f.in.Env
	locale := ""
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale = env[name]; locale != "" {
			break
		}
	}
	of, installed := f.localeCharset(locale, musl)
	switch {
	case minor <= 10 && (env["PYTHONUTF8"] == "1" || !installed && env["PYTHONUTF8"] != "0"):
		return utf8Only
	case installed:
		return of
	case env["LC_ALL"] == "" && env["PYTHONCOERCECLOCALE"] != "0":
		return utf8Only
	}
	return ascii
}

// localeCharset tells what a locale is; false for C and for one that is not there, which is the same to Python.
func (f *finder) localeCharset(locale string, musl bool) (charset, bool) {
	switch {
	case musl:
		return utf8Only, locale != "C" && locale != "POSIX"
	case locale == "" || locale == "C" || locale == "POSIX":
		return ascii, false
	}
	name, modifier, _ := strings.Cut(locale, "@")
	name, code, _ := strings.Cut(name, ".")
	code = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, code)
	if name == "C" && code == "utf8" {
		return utf8Only, true
	}
	dir := name
	if code != "" {
		dir += "." + code
	}
	if modifier != "" {
		dir += "@" + modifier
	}
	// Which locales are in the archive is not read: one that ENV names is taken to be there.
	_, _, archive := f.tree.Resolve("/usr/lib/locale/locale-archive")
	if archive != nil && !f.tree.IsDir(path.Join("/usr/lib/locale", dir)) {
		return ascii, false
	}
	if code == "utf8" {
		return utf8Only, true
	}
	return anyByte, true
}

// add appends a directory or an archive.
func (p *pathList) add(dir string) {
	dir = path.Clean(dir)
	if !p.seen[dir] && p.f.files.importable(dir) {
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
	lines, ok := p.rules.lines(string(body))
	if !ok && p.dead == "" {
		p.dead = path.Join(dir, name)
	}
	for _, line := range lines {
		line = strings.TrimRightFunc(line, isSpace)
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "import ") || strings.HasPrefix(line, "import\t") {
			continue
		}
		if !strings.HasPrefix(line, "/") {
			line = path.Join(dir, line)
		}
		p.add(line)
	}
}

// lines decodes a .pth file; false when the interpreter cannot.
func (r pthRules) lines(text string) ([]string, bool) {
	valid := utf8.ValidString(text)
	if r.newer && valid {
		return strings.FieldsFunc(strings.TrimPrefix(text, "\ufeff"), endsLine), true
	}
	switch {
	case r.charset == utf8Only && !valid, r.charset == ascii && strings.ContainsFunc(text, func(c rune) bool { return c >= utf8.RuneSelf }):
		return nil, false
	}
	return strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == '\r' }), true
}

// endsLine tells where Python's splitlines cuts.
func endsLine(c rune) bool {
	return c >= '\n' && c <= '\r' || c >= 0x1c && c <= 0x1e || c == 0x85 || c == 0x2028 || c == 0x2029
}

// isSpace tells what Python's strip takes off.
func isSpace(c rune) bool { return unicode.IsSpace(c) || c >= 0x1c && c <= 0x1f }
