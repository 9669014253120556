// SPDX-License-Identifier: Apache-2.0

package pep508

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/pep440"
)

// maxDepth bounds nested parentheses, so that a hostile marker cannot exhaust the stack.
const maxDepth = 100

// scanner walks over the text of one requirement.
type scanner struct {
	text  string
	at    int
	rules pep440.Rules
}

func (s *scanner) rest() string { return s.text[s.at:] }
func (s *scanner) done() bool   { return s.at == len(s.text) }

func (s *scanner) expected(what string) error {
	return errs.New(errs.Invalid, "expected %s at byte %d", what, s.at)
}

func (s *scanner) space() {
	for !s.done() && (s.text[s.at] == ' ' || s.text[s.at] == '\t') {
		s.at++
	}
}

func (s *scanner) take(token string) bool {
	if !strings.HasPrefix(s.rest(), token) {
		return false
	}
	s.at += len(token)
	return true
}

// boundary is \b of a Python regular expression at position i.
func (s *scanner) boundary(i int) bool {
	before, _ := utf8.DecodeLastRuneInString(s.text[:i])
	after, _ := utf8.DecodeRuneInString(s.text[i:])
	return wordRune(before) != wordRune(after)
}

func wordRune(r rune) bool {
	return r != utf8.RuneError && (r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r))
}

// identifier reads a name, "" when there is none.
func (s *scanner) identifier() string {
	end := s.at
	for end < len(s.text) && nameByte(s.text[end]) {
		end++
	}
	if end == s.at || !alnum(s.text[s.at]) || !s.boundary(s.at) {
		return ""
	}
	for end > s.at && !s.boundary(end) {
		end--
	}
	name := s.text[s.at:end]
	s.at = end
	return name
}

func nameByte(c byte) bool { return alnum(c) || c == '.' || c == '_' || c == '-' }

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// word takes one of the words when it stands alone, and gives it, else "". packaging 21.3 does not mind what it touches.
func (s *scanner) word(words ...string) string {
	for _, w := range words {
		if strings.HasPrefix(s.rest(), w) && (s.rules == pep440.RulesLegacy || s.boundary(s.at) && s.boundary(s.at+len(w))) {
			s.at += len(w)
			return w
		}
	}
	return ""
}

// quoted reads a string literal and gives its value.
func (s *scanner) quoted() (string, bool) {
	if s.done() || s.text[s.at] != '\'' && s.text[s.at] != '"' {
		return "", false
	}
	end := strings.IndexByte(s.text[s.at+1:], s.text[s.at])
	if end < 0 {
		return "", false
	}
	value, ok := unescape(s.text[s.at+1 : s.at+1+end])
	if !ok {
		return "", false
	}
	s.at += end + 2
	return value, true
}

// unescape resolves the escapes of a Python string literal. It is false for what Python itself refuses.
func unescape(raw string) (string, bool) {
	if strings.ContainsAny(raw, "\n\r\x00") {
		return "", false
	}
	if !strings.Contains(raw, `\`) {
		return raw, true
	}
	var b strings.Builder
	for at := 0; at < len(raw); {
		if raw[at] != '\\' {
			b.WriteByte(raw[at])
			at++
			continue
		}
		if at+1 == len(raw) {
			return "", false
		}
		text, n, ok := escape(raw[at+1:])
		if !ok {
			return "", false
		}
		b.WriteString(text)
		at += 1 + n
	}
	return b.String(), true
}

// escape resolves what follows one backslash and gives how many bytes that took.
func escape(s string) (text string, n int, ok bool) {
	simple := map[byte]string{'\\': `\`, '\'': `'`, '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v"}
	if t, found := simple[s[0]]; found {
		return t, 1, true
	}
	width, base := 0, rune(16)
	switch s[0] {
	case 'x':
		width = 2
	case 'u':
		width = 4
	case 'U':
		width = 8
	case 'N':
		return "", 0, false
	default:
		base = 8
	}
	if base == 8 {
		r, n := number(s, 3, 8)
		if n == 0 {
			return `\`, 0, true
		}
		return string(r), n, true
	}
	r, n := number(s[1:], width, base)
	return string(r), 1 + n, n == width && r <= unicode.MaxRune
}

// number reads at most width digits of a base.
func number(s string, width int, base rune) (r rune, n int) {
	for n < width && n < len(s) {
		d := strings.IndexByte("0123456789abcdef", s[n]|0x20)
		if s[n] >= '0' && s[n] <= '9' {
			d = int(s[n] - '0')
		}
		if d < 0 || d >= int(base) {
			break
		}
		r = r*base + rune(d)
		n++
	}
	return r, n
}
