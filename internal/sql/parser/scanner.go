// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	endToken      tokenKind = iota
	wordToken               // unquoted identifier or keyword
	quotedToken             // "identifier"
	numberToken             // 1, 1.5e3
	stringToken             // 'text' or $$text$$
	opToken                 // punctuation: text is the operator itself
	variableToken           // $name
	columnToken             // $1
	stageToken              // @stage/path up to a blank
	urlToken                // file://path or snow://path up to a blank
	badToken                // what no rule reads: an open literal, a stray character
)

// token is one lexical unit.
type token struct {
	kind     tokenKind
	pos, end int32
	text     string // without quotes and escapes; of a word as written
	word     string // of a word: in upper case; else ""
}

// scan gives the tokens of the text; the last is an endToken. It never fails: what it cannot read is a badToken, so that the parser
// reports it where it stands.
func scan(text string) []token {
	s := scanner{text: text, tokens: make([]token, 0, min(8+len(text)/4, 256))}
	for s.next() {
	}
	return s.tokens
}

type scanner struct {
	text   string
	at     int
	tokens []token
}

func (s *scanner) emit(kind tokenKind, from int, text string) {
	s.tokens = append(s.tokens, token{kind: kind, pos: int32(from), end: int32(s.at), text: text})
}

func (s *scanner) byteAt(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

// next reads one token; it gives false after the last.
func (s *scanner) next() bool {
	s.skipBlanks()
	if s.at >= len(s.text) {
		s.emit(endToken, s.at, "")
		return false
	}
	from, c := s.at, s.text[s.at]
	switch {
	case isLetter(c):
		s.scanWord()
	case isDigit(c), c == '.' && isDigit(s.byteAt(s.at+1)):
		s.scanNumber()
	case c == '\'':
		s.scanString()
	case c == '"':
		text, ok := s.scanQuoted()
		if !ok {
			s.bad(from)
			break
		}
		s.emit(quotedToken, from, text)
	case c == '$':
		s.scanDollar()
	case c == '@':
		s.scanStage()
	default:
		s.scanOperator()
	}
	return true
}

// bad gives up on the literal that begins here: its first character is the token and nothing after it is read.
func (s *scanner) bad(from int) {
	_, size := utf8.DecodeRuneInString(s.text[from:])
	s.at = from + size
	s.emit(badToken, from, s.text[from:s.at])
	s.at = len(s.text)
}

func isLetter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isPart(c byte) bool   { return isLetter(c) || isDigit(c) || c == '$' }
func isBlank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func (s *scanner) skipBlanks() {
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		switch {
		case isBlank(rest[0]):
			s.at++
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			s.at += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return // scanOperator makes a badToken of it
			}
			s.at += end + 4
		case strings.HasPrefix(rest, "\u00a0"), strings.HasPrefix(rest, "\ufeff"):
			_, size := utf8.DecodeRuneInString(rest)
			s.at += size
		default:
			return
		}
	}
}

func (s *scanner) scanWord() {
	from := s.at
	for s.at < len(s.text) && isPart(s.text[s.at]) {
		s.at++
	}
	text := s.text[from:s.at]
	if s.byteAt(s.at) == ':' && strings.HasPrefix(s.text[s.at:], "://") &&
		(strings.EqualFold(text, "file") || strings.EqualFold(text, "snow")) {
		s.scanURL(from)
		return
	}
	s.emit(wordToken, from, text)
	s.tokens[len(s.tokens)-1].word = strings.ToUpper(text)
}

// afterPutPath is how what follows the local path of a PUT begins: a location, or a value that holds one.
var afterPutPath = regexp.MustCompile(`^(?:'?@|'?(?i:snow)://|[?$:])`)

// scanURL reads on up to a blank. The local path of a PUT may have blanks in it, as clients that ask for a link for each file of a
// pattern put its bare name there: it goes up to the location.
// snowflake-connector-python gcs_storage_client.py (_update_presigned_url).
func (s *scanner) scanURL(from int) {
	end := func(at int) int {
		for at < len(s.text) && !isBlank(s.text[at]) && s.text[at] != ';' {
			at++
		}
		return at
	}
	s.at = end(from)
	if n := len(s.tokens); n > 0 && s.tokens[n-1].word == "PUT" {
		for at := s.at; at < len(s.text) && isBlank(s.text[at]); at = end(at) {
			last := at
			for at < len(s.text) && isBlank(s.text[at]) {
				at++
			}
			if afterPutPath.MatchString(s.text[at:]) {
				s.at = last
				break
			}
		}
	}
	s.emit(urlToken, from, s.text[from:s.at])
}

func (s *scanner) scanNumber() {
	from := s.at
	s.digits()
	if s.byteAt(s.at) == '.' {
		s.at++
		s.digits()
	}
	if c := s.byteAt(s.at); c == 'e' || c == 'E' {
		after := s.at + 1
		if sign := s.byteAt(after); sign == '+' || sign == '-' {
			after++
		}
		if isDigit(s.byteAt(after)) {
			s.at = after
			s.digits()
		}
	}
	s.emit(numberToken, from, s.text[from:s.at])
}

func (s *scanner) digits() {
	for isDigit(s.byteAt(s.at)) {
		s.at++
	}
}

// scanQuoted reads "..." where "" is a quote.
func (s *scanner) scanQuoted() (string, bool) {
	start := s.at + 1
	for i := start; i < len(s.text); i++ {
		if s.text[i] != '"' {
			continue
		}
		if s.byteAt(i+1) == '"' {
			i++
			continue
		}
		s.at = i + 1
		return strings.ReplaceAll(s.text[start:i], `""`, `"`), true
	}
	return "", false
}

// scanString reads '...' where ” is a quote and \ begins an escape.
func (s *scanner) scanString() {
	from := s.at
	start := from + 1
	plain := true
	for i := start; i < len(s.text); i++ {
		switch {
		case s.text[i] == '\\':
			plain = false
			i++
		case s.text[i] != '\'':
		case s.byteAt(i+1) == '\'':
			plain = false
			i++
		default:
			s.at = i + 1
			text := s.text[start:i]
			if !plain {
				text = unescape(text)
			}
			s.emit(stringToken, from, text)
			return
		}
	}
	s.bad(from)
}

// unescape undoes doubled quotes and the escapes of https://docs.snowflake.com/en/sql-reference/data-types-text#escape-sequences.
func unescape(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\'' {
			i++ // the second of two
		}
		if c != '\\' || i+1 == len(s) {
			b.WriteByte(c)
			continue
		}
		i++
		i += writeEscape(&b, s[i:])
	}
	return b.String()
}

// writeEscape writes what the escape after a backslash means and gives the number of bytes it has beyond the first.
func writeEscape(b *strings.Builder, s string) int {
	switch c := s[0]; c {
	case 'n':
		b.WriteByte('\n')
	case 'r':
		b.WriteByte('\r')
	case 't':
		b.WriteByte('\t')
	case 'b':
		b.WriteByte('\b')
	case 'f':
		b.WriteByte('\f')
	case 'x':
		return writeRune(b, s, 2, 16)
	case 'u':
		return writeRune(b, s, 4, 16)
	case '0', '1', '2', '3':
		if len(s) >= 3 {
			if n, err := strconv.ParseUint(s[:3], 8, 32); err == nil {
				b.WriteRune(rune(n))
				return 2
			}
		}
		if c == '0' {
			b.WriteByte(0)
			return 0
		}
		b.WriteByte(c)
	default:
		b.WriteByte(c)
	}
	return 0
}

func writeRune(b *strings.Builder, s string, digits, base int) int {
	if len(s) > digits {
		if n, err := strconv.ParseUint(s[1:1+digits], base, 32); err == nil {
			b.WriteRune(rune(n))
			return digits
		}
	}
	b.WriteByte(s[0])
	return 0
}

// scanDollar reads $$text$$, $name or $1.
func (s *scanner) scanDollar() {
	from := s.at
	if s.byteAt(from+1) == '$' {
		end := strings.Index(s.text[from+2:], "$$")
		if end < 0 {
			s.bad(from)
			return
		}
		s.at = from + end + 4
		s.emit(stringToken, from, s.text[from+2:from+2+end])
		return
	}
	s.at++
	kind := columnToken
	if isLetter(s.byteAt(s.at)) {
		kind = variableToken
		for isPart(s.byteAt(s.at)) {
			s.at++
		}
	} else {
		s.digits()
	}
	if s.at == from+1 {
		s.bad(from)
		return
	}
	s.emit(kind, from, s.text[from+1:s.at])
}

// scanStage reads @stage/path up to a blank, bracket, quote or semicolon, or a comma before the path; parts of the name in double
// quotes may have any of them.
func (s *scanner) scanStage() {
	from := s.at
	inPath := false
	for s.at++; s.at < len(s.text); s.at++ {
		c := s.text[s.at]
		if c == '"' && !inPath {
			begin := s.at
			if _, ok := s.scanQuoted(); !ok {
				s.bad(begin)
				return
			}
			s.at--
			continue
		}
		if isBlank(c) || c == ';' || c == '(' || c == ')' || c == '\'' || c == ',' && !inPath {
			break
		}
		inPath = inPath || c == '/'
	}
	s.emit(stageToken, from, s.text[from:s.at])
}

func (s *scanner) scanOperator() {
	from := s.at
	rest := s.text[from:]
	size := 1
	switch {
	case strings.HasPrefix(rest, "->>"):
		size = 3
	case len(rest) > 1:
		switch rest[:2] {
		case "::", "||", "<=", ">=", "<>", "!=", "=>", ":=", "->":
			size = 2
		}
	}
	if strings.HasPrefix(rest, "/*") || !strings.ContainsRune("()[]{},;.:?!=<>+-*/%|", rune(rest[0])) {
		s.bad(from)
		return
	}
	s.at += size
	s.emit(opToken, from, rest[:size])
}
