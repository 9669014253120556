// SPDX-License-Identifier: Apache-2.0

package pep440

import (
	"slices"
	"strings"
)

// ParseLegacySpecifier reads a clause that is no PEP 440 one, such as ">=1.0.x" or "==darwin", as packaging 21.3 does, and gives
// its length at the start of s, 0 when there is none. A clause that is PEP 440 comes out as ScanSpecifier gives it.
func ParseLegacySpecifier(s string) (Specifier, int) {
	strict, strictEnd := ScanSpecifier(s)
	op := operatorAt(s)
	if op == "" || op == "~=" {
		return strict, strictEnd
	}
	at := len(s) - len(strings.TrimLeftFunc(s[len(op):], isSpace))
	end := len(s)
	if op == "===" {
		// It took everything up to the next space, a closing parenthesis and a semicolon too.
		if i := strings.IndexFunc(s[at:], isSpace); i >= 0 {
			end = at + i
		}
		return Specifier{Op: op, Operand: s[at:end]}, end
	}
	if i := strings.IndexFunc(s[at:], func(r rune) bool { return isSpace(r) || strings.ContainsRune(",;)", r) }); i >= 0 {
		end = at + i
	}
	if strictEnd >= end && strictEnd > 0 {
		return strict, strictEnd
	}
	return Specifier{Op: op, Operand: s[at:end], version: Version{text: s[at:end], legacy: legacyKey(s[at:end])}}, end
}

// containsLegacy compares both sides in the old way, as packaging 21.3 does for a clause that is no PEP 440.
func (s Specifier) containsLegacy(v Version) bool {
	c := slices.Compare(legacyKey(v.String()), s.version.legacy)
	switch s.Op {
	case "==":
		return c == 0
	case "!=":
		return c != 0
	case "<=":
		return c <= 0
	case ">=":
		return c >= 0
	case "<":
		return c < 0
	default:
		return c > 0
	}
}

// containsPrefixText decides "~=" and ".*" as packaging 21.3 does: it compares the parts of both texts, so "v1" and "01" count as
// written.
func (s Specifier) containsPrefixText(v Version) bool {
	want := versionParts(strings.TrimSuffix(s.Operand, ".*"))
	if s.Op == "~=" {
		for i, part := range want {
			if slices.ContainsFunc([]string{"dev", "a", "b", "rc", "post"}, func(p string) bool { return strings.HasPrefix(part, p) }) {
				want = want[:i]
				break
			}
		}
		want = want[:max(0, len(want)-1)]
	}
	have := versionParts(v.public())
	have = have[:min(len(have), len(want))]
	// Numbers at the start are filled up with zeros, before whatever follows them.
	wantRelease, haveRelease := releaseParts(want), releaseParts(have)
	for i := wantRelease; i < haveRelease; i++ {
		want = slices.Insert(slices.Clone(want), i, "0")
	}
	for i := haveRelease; i < wantRelease; i++ {
		have = slices.Insert(slices.Clone(have), i, "0")
	}
	same := slices.Equal(want, have)
	switch s.Op {
	case "~=":
		return same && v.comparePublic(s.version) >= 0
	case "!=":
		return !same
	}
	return same
}

// versionParts splits "1.0rc1.post2" into "1", "0", "rc1" and "post2".
func versionParts(text string) []string {
	var parts []string
	for part := range strings.SplitSeq(text, ".") {
		_, end := digits(part, 0)
		letters := strings.TrimLeft(part[end:], "abcr")
		if rest := part[end:]; end > 0 && letters != rest && letters != "" && strings.Trim(letters, "0123456789") == "" &&
			slices.Contains([]string{"a", "b", "c", "rc"}, strings.TrimSuffix(rest, letters)) {
			parts = append(parts, part[:end], rest)
			continue
		}
		parts = append(parts, part)
	}
	return parts
}

// releaseParts counts the numbers at the start.
func releaseParts(parts []string) int {
	n := 0
	for n < len(parts) && parts[n] != "" && strings.Trim(parts[n], "0123456789") == "" {
		n++
	}
	return n
}

// compareLegacy sorts every text that is no PEP 440 before every version that is.
func (v Version) compareLegacy(o Version) int {
	switch {
	case !v.IsLegacy():
		return 1
	case !o.IsLegacy():
		return -1
	}
	return slices.Compare(v.legacy, o.legacy)
}

// legacyKey is the order of setuptools before PEP 440: numbers filled to eight digits, words marked with a star, "final"
// between post and pre releases.
func legacyKey(text string) []string {
	key := []string{}
	for _, part := range append(legacyParts(strings.ToLower(text)), "*final") {
		if strings.HasPrefix(part, "*") {
			if part < "*final" {
				for len(key) > 0 && key[len(key)-1] == "*final-" {
					key = key[:len(key)-1]
				}
			}
			for len(key) > 0 && key[len(key)-1] == "00000000" {
				key = key[:len(key)-1]
			}
		}
		key = append(key, part)
	}
	return key
}

func legacyParts(s string) []string {
	words := map[string]string{"pre": "c", "preview": "c", "-": "final-", "rc": "c", "dev": "@"}
	var parts []string
	for at := 0; at < len(s); {
		end := at + 1
		switch {
		case isDigit(s[at]):
			_, end = digits(s, at)
			parts = append(parts, strings.Repeat("0", max(0, 8-(end-at)))+s[at:end])
		case s[at] == '.':
		default:
			for end < len(s) && legacyKind(s[end]) == legacyKind(s[at]) && s[at] != '-' {
				end++
			}
			word := s[at:end]
			if w, ok := words[word]; ok {
				word = w
			}
			parts = append(parts, "*"+word)
		}
		at = end
	}
	return parts
}

// legacyKind tells what forms a part together: letters, or else what is no digit, dot or hyphen.
func legacyKind(c byte) int {
	switch {
	case isDigit(c):
		return 0
	case c == '.' || c == '-':
		return 1
	case c >= 'a' && c <= 'z':
		return 2
	}
	return 3
}
