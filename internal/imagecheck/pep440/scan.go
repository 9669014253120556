// SPDX-License-Identifier: Apache-2.0

package pep440

import "strings"

// scanVersion reads the longest version at the start of s and gives its length, 0 when there is none.
func scanVersion(s string, withLocal bool) (Version, int) {
	v, at := scanRelease(s)
	if at == 0 {
		return Version{}, 0
	}
	v.pre, at = scanLabel(s, at, "alpha", "a", "beta", "b", "preview", "pre", "c", "rc")
	v.pre.letters = canonicalPre(v.pre.letters)
	v.post, at = scanPost(s, at)
	v.dev, at = scanLabel(s, at, "dev")
	if withLocal {
		v.local, at = scanLocal(s, at)
	}
	v.text = s[:at]
	return v, at
}

// scanRelease reads "v", the epoch and the dotted numbers.
func scanRelease(s string) (Version, int) {
	at := 0
	if at < len(s) && (s[at] == 'v' || s[at] == 'V') {
		at++
	}
	var v Version
	first, end := digits(s, at)
	if first == "" {
		return v, 0
	}
	if end < len(s) && s[end] == '!' {
		if second, next := digits(s, end+1); second != "" {
			v.epoch, first, end = newNumber(first), second, next
		}
	}
	v.release = append(v.release, newNumber(first))
	for end < len(s) && s[end] == '.' {
		more, next := digits(s, end+1)
		if more == "" {
			break
		}
		v.release, end = append(v.release, newNumber(more)), next
	}
	return v, end
}

func digits(s string, at int) (string, int) {
	end := at
	for end < len(s) && isDigit(s[end]) {
		end++
	}
	return s[at:end], end
}

func isSeparator(s string, at int) bool {
	return at < len(s) && (s[at] == '.' || s[at] == '-' || s[at] == '_')
}

// scanLabel reads an optional separator, one of the words, an optional separator and an optional number.
func scanLabel(s string, at int, words ...string) (label, int) {
	start := at
	if isSeparator(s, at) {
		at++
	}
	for _, w := range words {
		if len(s)-at < len(w) || !strings.EqualFold(s[at:at+len(w)], w) {
			continue
		}
		at += len(w)
		if isSeparator(s, at) {
			at++
		}
		n, end := digits(s, at)
		return label{letters: w, n: newNumber(n)}, end
	}
	return label{}, start
}

func canonicalPre(word string) string {
	switch word {
	case "alpha":
		return "a"
	case "beta":
		return "b"
	case "c", "pre", "preview":
		return "rc"
	}
	return word
}

// scanPost reads "-1" or a lettered post release.
func scanPost(s string, at int) (label, int) {
	if at < len(s) && s[at] == '-' {
		if n, end := digits(s, at+1); n != "" {
			return label{letters: "post", n: newNumber(n)}, end
		}
	}
	l, end := scanLabel(s, at, "post", "rev", "r")
	if l.letters != "" {
		l.letters = "post"
	}
	return l, end
}

// scanLocal reads "+ubuntu-1" and gives its parts in lower case, numbers without leading zeros.
func scanLocal(s string, at int) ([]string, int) {
	if at >= len(s) || s[at] != '+' {
		return nil, at
	}
	var parts []string
	for next := at + 1; ; {
		end := next
		for end < len(s) && isAlnum(s[end]) {
			end++
		}
		if end == next {
			return parts, at
		}
		part := strings.ToLower(s[next:end])
		if allDigits(part) {
			part = newNumber(part).String()
		}
		parts, at = append(parts, part), end
		if !isSeparator(s, end) {
			return parts, at
		}
		next = end + 1
	}
}

func isAlnum(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
