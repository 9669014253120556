// SPDX-License-Identifier: Apache-2.0

// Package pep440 reads and compares Python versions and version specifiers exactly as PyPA's packaging library does.
//
// It is a pure function of text: it knows no environment, no package and no index. The image check calls it through
// pep508 and directly. Two generations of specifier rules live here because pip carries its own copy of packaging, so
// the right answer depends on the pip inside an image; see Rules.
//
// https://peps.python.org/pep-0440/
package pep440

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/errs"
)

// Version is one parsed version. The zero value is not valid; get one from Parse. It is immutable.
type Version struct {
	text    string // as given, surrounding space removed
	epoch   number
	release []number
	pre     label // letters "a", "b", "rc" or ""
	post    label // letters "post" or ""
	dev     label // letters "dev" or ""
	local   []string
	legacy  []string // order key of a text that is no PEP 440 version, only from ParseLegacy
}

// label is an optional lettered segment such as rc1; letters == "" when it is absent.
type label struct {
	letters string
	n       number
}

// number is a decimal of any length without leading zeros; "" means 0.
type number string

func newNumber(digits string) number { return number(strings.TrimLeft(digits, "0")) }

func (n number) String() string {
	if n == "" {
		return "0"
	}
	return string(n)
}

func (n number) compare(o number) int {
	return cmp.Or(cmp.Compare(len(n), len(o)), cmp.Compare(n, o))
}

// Parse reads a version as PEP 440 writes it, in any of its spellings.
//
// Errors: Invalid when the text is no version.
func Parse(text string) (Version, error) {
	trimmed := strings.TrimFunc(text, isSpace)
	v, n := scanVersion(trimmed, true)
	if n == 0 || n != len(trimmed) {
		return Version{}, errs.New(errs.Invalid, "version %q does not follow PEP 440", text)
	}
	v.text = trimmed
	return v, nil
}

// ParseLegacy reads any text: a PEP 440 version when it is one, else a version of the old kind that sorts before all others.
// pip up to 24.0 accepts those.
func ParseLegacy(text string) Version {
	if v, err := Parse(text); err == nil {
		return v
	}
	return Version{text: text, legacy: legacyKey(text)}
}

// isSpace is the whitespace of Python's regular expressions.
func isSpace(r rune) bool {
	switch r {
	case ' ', '\t', '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x1f, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000:
		return true
	}
	return r >= 0x2000 && r <= 0x200a
}

// String gives the normalised spelling, for instance "1.0rc1" for "v1.0-C1".
func (v Version) String() string {
	if v.IsLegacy() {
		return v.text
	}
	return v.public() + v.localSuffix()
}

func (v Version) public() string {
	var b strings.Builder
	if v.epoch != "" {
		b.WriteString(v.epoch.String() + "!")
	}
	for i, n := range v.release {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(n.String())
	}
	if v.pre.letters != "" {
		b.WriteString(v.pre.letters + v.pre.n.String())
	}
	if v.post.letters != "" {
		b.WriteString(".post" + v.post.n.String())
	}
	if v.dev.letters != "" {
		b.WriteString(".dev" + v.dev.n.String())
	}
	return b.String()
}

func (v Version) localSuffix() string {
	if v.local == nil {
		return ""
	}
	return "+" + strings.Join(v.local, ".")
}

// Normal gives the same version as if it had been written in its normalised spelling. It matters only to "===".
func (v Version) Normal() Version {
	v.text = v.String()
	return v
}

// IsPrerelease tells whether the version is an alpha, beta, candidate or development release.
func (v Version) IsPrerelease() bool { return v.pre.letters != "" || v.dev.letters != "" }

// IsLegacy tells whether the version came from ParseLegacy and is none of PEP 440.
func (v Version) IsLegacy() bool { return v.legacy != nil }

// JustBelow gives the text of a final release shortly before v: "1.99999999" for "2.0". For 0 it gives "0".
func (v Version) JustBelow() string {
	release := slices.Clone(v.release)
	for len(release) > 1 && release[len(release)-1] == "" {
		release = release[:len(release)-1]
	}
	last, err := strconv.Atoi(release[len(release)-1].String())
	if err != nil || last == 0 {
		return "0"
	}
	release[len(release)-1] = newNumber(strconv.Itoa(last - 1))
	return Version{epoch: v.epoch, release: append(release, "99999999")}.String()
}

// Compare gives -1, 0 or 1 as v sorts before, equal to or after o.
func (v Version) Compare(o Version) int {
	if v.IsLegacy() || o.IsLegacy() {
		return v.compareLegacy(o)
	}
	return cmp.Or(v.comparePublic(o), compareLocal(v.local, o.local))
}

// comparePublic is Compare without the local part.
func (v Version) comparePublic(o Version) int {
	return cmp.Or(
		v.epoch.compare(o.epoch),
		compareRelease(v.release, o.release),
		cmp.Compare(v.preRank(), o.preRank()),
		v.pre.n.compare(o.pre.n),
		cmp.Compare(len(v.post.letters), len(o.post.letters)),
		v.post.n.compare(o.post.n),
		cmp.Compare(len(o.dev.letters), len(v.dev.letters)),
		v.dev.n.compare(o.dev.n),
	)
}

// preRank orders 1.0.dev1 < 1.0a < 1.0b < 1.0rc < 1.0.
func (v Version) preRank() int {
	switch v.pre.letters {
	case "a":
		return 1
	case "b":
		return 2
	case "rc":
		return 3
	}
	if v.dev.letters != "" && v.post.letters == "" {
		return 0
	}
	return 4
}

// compareRelease compares as if the shorter one were filled up with zeros.
func compareRelease(a, b []number) int {
	for i := range max(len(a), len(b)) {
		if c := segment(a, i).compare(segment(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

func segment(release []number, i int) number {
	if i < len(release) {
		return release[i]
	}
	return ""
}

// compareLocal puts the absent label first, words before numbers and shorter labels before longer ones.
func compareLocal(a, b []string) int {
	if a == nil || b == nil {
		return cmp.Compare(len(a), len(b))
	}
	return slices.CompareFunc(a, b, func(x, y string) int {
		xNumber, yNumber := isDigit(x[0]) && allDigits(x), isDigit(y[0]) && allDigits(y)
		switch {
		case xNumber && yNumber:
			return newNumber(x).compare(newNumber(y))
		case xNumber:
			return 1
		case yNumber:
			return -1
		}
		return cmp.Compare(x, y)
	})
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func allDigits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}
