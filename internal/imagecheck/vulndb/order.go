// SPDX-License-Identifier: Apache-2.0

package vulndb

import (
	"strings"

	"firn.dev/firn/internal/imagecheck/pep440"
	debversion "github.com/knqyf263/go-deb-version"
)

// order compares the versions of one ecosystem. It remembers what it has parsed and is for one goroutine.
type order interface {
	// compare gives a negative number, 0 or a positive one; false when one of them is no version.
	compare(a, b string) (int, bool)
	// comparable gives what is to be compared of an installed version.
	comparable(version string) string
	// same gives a spelling that all equal versions share.
	same(version string) string
}

// orderOf gives the order of an ecosystem, nil for one that is not supported.
func orderOf(ecosystem string) order {
	switch {
	case ecosystem == PyPI:
		return pythonOrder{}
	case strings.HasPrefix(ecosystem, debian):
		return debianOrder{parsed: map[string]*debversion.Version{}, compared: map[[2]string]int{}}
	}
	return nil
}

// pythonOrder is that of PEP 440; texts that do not follow it sort before all others.
type pythonOrder map[string]pep440.Version

func (o pythonOrder) parse(text string) pep440.Version {
	v, ok := o[text]
	if !ok {
		v = pep440.ParseLegacy(text)
		o[text] = v
	}
	return v
}

func (o pythonOrder) compare(a, b string) (int, bool) { return o.parse(a).Compare(o.parse(b)), true }

// comparable leaves the local part away: torch 2.1.0+cu118 has the flaws of 2.1.0.
func (o pythonOrder) comparable(version string) string {
	v := o.parse(version)
	if v.IsLegacy() {
		return version
	}
	public, _, _ := strings.Cut(v.String(), "+")
	return public
}

// same normalises and takes the zeros off the end of the release, because 1.0 equals 1.0.0.
func (o pythonOrder) same(version string) string {
	v := o.parse(version)
	if v.IsLegacy() {
		return version
	}
	text := v.String()
	end := strings.IndexFunc(text, func(r rune) bool { return r != '.' && r != '!' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(text)
	}
	rest := text[end:]
	release := text[:end]
	// "1.0.post1" ends its release before the dot of ".post1".
	if strings.HasSuffix(release, ".") {
		release, rest = release[:len(release)-1], "."+rest
	}
	for strings.HasSuffix(release, ".0") {
		release = release[:len(release)-2]
	}
	return release + rest
}

// debianOrder is that of dpkg.
type debianOrder struct {
	parsed   map[string]*debversion.Version
	compared map[[2]string]int // thousands of advisories of one source name the same few versions
}

func (o debianOrder) parse(text string) *debversion.Version {
	v, ok := o.parsed[text]
	if !ok {
		if parsed, err := debversion.NewVersion(text); err == nil {
			v = &parsed
		}
		o.parsed[text] = v
	}
	return v
}

func (o debianOrder) compare(a, b string) (int, bool) {
	if a == b {
		return 0, true
	}
	x, y := o.parse(a), o.parse(b)
	if x == nil || y == nil {
		return 0, false
	}
	pair := [2]string{a, b}
	sign, ok := o.compared[pair]
	if !ok {
		sign = x.Compare(*y)
		o.compared[pair] = sign
	}
	return sign, true
}

func (o debianOrder) comparable(version string) string { return version }

func (o debianOrder) same(version string) string { return version }
