// SPDX-License-Identifier: Apache-2.0

// Package parser makes a tree of SQL text: a hand-written scanner and recursive descent. It knows no session and no rows of the
// catalog; names stay as written. It does not resolve, check or run anything. The executor calls Parse for requests, ParseScript for files and texts that are executed, and
// ParseName and ParseStageRef for names that arrive as values.
//
// parser.go holds the entry points and what all rules share; each statement family has its own file with its synopses beside the
// rules that read it.
package parser

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

// Parsed is one statement of a text.
type Parsed struct {
	Statement ast.Statement
	Text      string // as written, without the closing semicolon; positions in the tree are byte offsets in it
	Binds     int    // number of ? in it, or the highest n of :n
	Pos       int    // byte offset of Text in the text given to Parse
}

// Parse gives the statements of a text, at least one. Positions in errors count from the beginning of the statement, lines from 1,
// characters from 0; the first statement begins where the text begins.
//
// Errors: Syntax with number 1003 (900 for a text without a statement) and state 42000; Unsupported with number 2 and state 0A000
// for statements that Firn does not have.
func Parse(text string) ([]Parsed, error) { return parse(text, false) }

// ParseScript is Parse for the text of EXECUTE IMMEDIATE and for script files: it also reads BEGIN ... END around plain statements.
//
// Errors: as Parse.
func ParseScript(text string) ([]Parsed, error) { return parse(text, true) }

func parse(text string, script bool) ([]Parsed, error) {
	if len(text) > maxText {
		return nil, errs.New(errs.Invalid, "SQL text of %d bytes is too long: at most %d bytes", len(text), maxText).Numbered(1003, "42000")
	}
	p := parser{text: text, tokens: scan(text)}
	if script {
		p.unwrapBlock()
	}
	all := make([]Parsed, 0, 1)
	for !p.is(endToken) {
		if p.takeOp(";") {
			p.base = p.statementStart()
			continue
		}
		p.binds, p.chains, p.secret = 0, 0, false
		s := p.statement()
		if p.err == nil && !p.atEnd() {
			p.unexpected("")
		}
		if p.err != nil {
			return nil, p.err
		}
		end := int(p.tokens[p.at].pos)
		all = append(all, Parsed{Statement: s, Text: strings.TrimRight(text[p.base:end], " \t\r\n\f\v"), Binds: p.binds, Pos: p.base})
	}
	if len(all) == 0 {
		return nil, errs.New(errs.Syntax, "SQL compilation error:\nEmpty SQL statement.").Numbered(900, "42000")
	}
	return all, nil
}

const (
	maxText  = 8 << 20 // bytes
	maxDepth = 1000    // nesting of brackets, sub-queries and operators
	maxChain = 50000   // operators, joins and set operations side by side in a statement: each nests the tree one level
	anyChain = 16      // as many side by side are not counted
)

// parser reads one text. The first failure is kept in err; from then on every rule sees the end of the text and returns.
type parser struct {
	text   string
	tokens []token
	at     int
	base   int // where the statement being read begins
	binds  int
	depth  int
	chains int        // operators side by side, beyond anyChain each time
	secret bool       // the statement has named a secret
	topped *ast.Query // stands for the SELECT TOP n read last
	err    error
}

// statementStart is where the text after a semicolon begins: at its first character that is not blank.
func (p *parser) statementStart() int {
	start := int(p.tokens[p.at-1].end)
	rest := p.text[start:]
	return start + len(rest) - len(strings.TrimLeft(rest, " \t\r\n\f\v"))
}

// unwrapBlock drops BEGIN and END around plain statements.
func (p *parser) unwrapBlock() {
	if !p.isWords("BEGIN") || !p.opensBlock(1) {
		return
	}
	last := len(p.tokens) - 2
	for last > 0 && p.tokens[last].text == ";" && p.tokens[last].kind == opToken {
		last--
	}
	if p.tokens[last].word != "END" || p.tokens[last-1].text != ";" {
		return
	}
	p.tokens[last].kind, p.tokens[last].text, p.tokens[last].word = opToken, ";", ""
	p.at++
	p.base = int(p.tokens[p.at].pos)
}

func (p *parser) tok() *token { return &p.tokens[p.at] }

// peek is the token n places ahead.
func (p *parser) peek(n int) *token { return &p.tokens[min(p.at+n, len(p.tokens)-1)] }

// advance steps over the token and gives it.
func (p *parser) advance() *token {
	t := &p.tokens[p.at]
	if p.at < len(p.tokens)-1 {
		p.at++
	}
	return t
}

func (p *parser) is(kind tokenKind) bool { return p.tok().kind == kind }

// atEnd tells whether the statement ends here.
func (p *parser) atEnd() bool { return p.is(endToken) || p.isOp(";") || p.isOp("->>") }

func (p *parser) isOp(op string) bool { return p.tok().kind == opToken && p.tok().text == op }

func (p *parser) takeOp(op string) bool {
	if !p.isOp(op) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) expectOp(op string) {
	if !p.takeOp(op) {
		p.unexpected(op)
	}
}

// isWords tells whether the next tokens are these words.
func (p *parser) isWords(words ...string) bool {
	for i, w := range words {
		if p.peek(i).word != w {
			return false
		}
	}
	return true
}

// isAny tells whether the next token is one of the words.
func (p *parser) isAny(words ...string) bool {
	word := p.tok().word
	if word == "" {
		return false
	}
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

func (p *parser) take(words ...string) bool {
	if !p.isWords(words...) {
		return false
	}
	p.at += len(words)
	return true
}

// takeAny steps over the next token when it is one of the words and gives that word, else "".
func (p *parser) takeAny(words ...string) string {
	if !p.isAny(words...) {
		return ""
	}
	return p.advance().word
}

func (p *parser) expect(words ...string) {
	for i, w := range words {
		if !p.take(w) {
			p.unexpected(strings.Join(words[i:], " "))
			return
		}
	}
}

// expectString reads a string literal.
func (p *parser) expectString() string {
	if !p.is(stringToken) {
		p.unexpected("a string in single quotes")
		return ""
	}
	return p.advance().text
}

// nest counts one level of nesting; the caller gives it back with unnest.
func (p *parser) nest() bool {
	p.depth++
	if p.depth > maxDepth {
		p.refuse(errs.Syntax, 1003, "42000", "statement is nested too deeply: more than %d levels", maxDepth)
	}
	return p.err == nil
}

func (p *parser) unnest() { p.depth-- }

// chain counts the n-th operator side by side and refuses too many: whoever walks the tree goes one level down for each.
func (p *parser) chain(n int) bool {
	if n > anyChain {
		p.chains++
	}
	if p.chains > maxChain {
		p.refuse(errs.Syntax, 1003, "42000", "statement is too long: more than %d operators in a row", maxChain)
	}
	return p.err == nil
}

// stop keeps the first failure and moves to the end.
func (p *parser) stop(err error) {
	if p.err == nil {
		p.err = err
	}
	p.at = len(p.tokens) - 1
}

// refuse fails with a message after the prefix that clients know.
func (p *parser) refuse(code errs.Code, number int, state, format string, args ...any) {
	p.stop(errs.New(code, "SQL compilation error:\n"+format, args...).Numbered(number, state))
}

// unexpected fails at the current token; want says what would have been right, "" when that is no short list.
func (p *parser) unexpected(want string) {
	if p.err != nil {
		return
	}
	t := p.tok()
	text := p.text[t.pos:t.end]
	switch {
	case t.kind == endToken:
		text = "<EOF>"
	case t.kind == stringToken && p.secret:
		text = "'***'"
	}
	line, column := Position(p.text[p.base:], int(t.pos)-p.base)
	hint := ""
	if want != "" {
		hint = "\nexpected " + want
	}
	p.refuse(errs.Syntax, 1003, "42000", "syntax error line %d at position %d unexpected '%s'.%s", line, column, text, hint)
}

// unsupported fails for a statement that Firn knows of and does not have.
func (p *parser) unsupported(what string) {
	p.refuse(errs.Unsupported, 2, "0A000", "unsupported statement '%s'", what)
}

// Position turns a byte offset in a statement's text into the line, from 1, and the character in it, from 0, as errors name them.
func Position(text string, offset int) (line, column int) {
	before := text[:min(max(offset, 0), len(text))]
	line = 1 + strings.Count(before, "\n")
	return line, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// number reads digits; what it stands for must fit an int.
func (p *parser) number() int {
	n, err := strconv.Atoi(p.tok().text)
	if !p.is(numberToken) || err != nil {
		p.unexpected("a whole number")
		return 0
	}
	p.advance()
	return n
}
