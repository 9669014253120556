// SPDX-License-Identifier: Apache-2.0

package ast

import (
	"strconv"
	"strings"
)

// Unmasked is the statement as canonical SQL with its secrets. It is for code that must run or compare the text; everything that
// shows or stores a statement uses String.
func Unmasked(s Statement) string { return printStatement(s, true) }

func printStatement(s Statement, secrets bool) string {
	p := printer{secrets: secrets}
	p.statement(s)
	return p.String()
}

// printer writes canonical SQL: upper-case keywords, one blank between words.
type printer struct {
	strings.Builder
	secrets bool // print them
	tail    byte // last byte written
	binds   int  // highest place of a bind so far
}

// raw writes s with nothing before it.
func (p *printer) raw(s string) {
	if s == "" {
		return
	}
	p.WriteString(s)
	p.tail = s[len(s)-1]
}

// word writes s after a blank, unless it begins the text or a bracket.
func (p *printer) word(s string) {
	if p.Len() > 0 && p.tail != '(' && p.tail != ' ' {
		p.raw(" ")
	}
	p.raw(s)
}

// words writes all that are not "".
func (p *printer) words(all ...string) {
	for _, s := range all {
		if s != "" {
			p.word(s)
		}
	}
}

// when writes s if on.
func (p *printer) when(on bool, s string) {
	if on {
		p.word(s)
	}
}

// list writes n items separated by commas.
func (p *printer) list(n int, item func(i int)) {
	for i := range n {
		if i > 0 {
			p.raw(", ")
		}
		item(i)
	}
}

// brackets writes n items separated by commas in brackets that follow the word before directly.
func (p *printer) brackets(n int, item func(i int)) {
	p.raw("(")
	p.list(n, item)
	p.raw(")")
}

func (p *printer) name(n *Name) {
	if n == nil {
		return
	}
	p.word("")
	p.rawName(n)
}

func (p *printer) rawName(n *Name) {
	if n.Arg == nil {
		p.raw(n.String())
		return
	}
	p.raw("IDENTIFIER(")
	p.expr(n.Arg, precOr)
	p.raw(")")
}

// bind writes ? where that gives the bind its place, else :n.
func (p *printer) bind(b *Bind) {
	switch {
	case b.Name != "":
		p.raw(":" + b.Name)
	case b.Index == p.binds+1:
		p.binds++
		p.raw("?")
	default:
		p.binds = max(p.binds, b.Index)
		p.raw(":" + strconv.Itoa(b.Index))
	}
}

func (p *printer) idents(ids []Ident) {
	p.word("(")
	p.list(len(ids), func(i int) { p.raw(ids[i].String()) })
	p.raw(")")
}

func dotted(ids []Ident) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = id.String()
	}
	return strings.Join(parts, ".")
}

// quoted is s as a string literal.
func quoted(s string) string {
	if !strings.ContainsAny(s, `'\`) {
		return "'" + s + "'"
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// isSecret tells whether the value of a property must not be shown.
func isSecret(property string) bool {
	if strings.HasSuffix(property, "PUBLIC_KEY") || strings.HasSuffix(property, "PUBLIC_KEY_2") {
		return false
	}
	for _, end := range []string{"PASSWORD", "SECRET_STRING", "SECRET", "TOKEN", "SECRET_KEY", "PRIVATE_KEY", "PASSPHRASE", "API_KEY", "MASTER_KEY"} {
		if property == end || strings.HasSuffix(property, "_"+end) {
			return true
		}
	}
	return false
}

// hidesSecret tells whether SQL text inside a literal may set a secret.
func hidesSecret(text string) bool {
	upper := strings.ToUpper(text)
	for _, word := range []string{"PASSWORD", "SECRET", "TOKEN", "PRIVATE_KEY", "PASSPHRASE"} {
		if strings.Contains(upper, word) {
			return true
		}
	}
	return false
}

func (p *printer) property(x Property) {
	p.words(x.Name, "=", "")
	p.word("")
	if !p.secrets && isSecret(x.Name) && !x.Value.isOpen() {
		p.raw("'***'")
		return
	}
	p.value(x.Value)
}

// isOpen tells whether the value cannot be a secret itself: a bind, or TRUE and FALSE as of MUST_CHANGE_PASSWORD.
func (v Value) isOpen() bool {
	return v.Kind == BindValue || v.Kind == WordValue && (strings.EqualFold(v.Text, "TRUE") || strings.EqualFold(v.Text, "FALSE"))
}

func (p *printer) properties(all []Property) {
	for _, x := range all {
		p.property(x)
	}
}

func (p *printer) value(v Value) {
	switch v.Kind {
	case StringValue:
		p.raw(quoted(v.Text))
	case ListValue:
		p.brackets(len(v.List), func(i int) { p.value(v.List[i]) })
	case MapValue:
		p.brackets(len(v.Map), func(i int) { p.property(v.Map[i]) })
	case BindValue:
		p.expr(v.Expr, precOr)
	default:
		p.raw(v.Text)
	}
}

func (p *printer) stage(s *StageRef) {
	if s == nil {
		return
	}
	p.word("")
	if s.Arg != nil {
		p.expr(s.Arg, precPrimary)
		return
	}
	p.raw(s.String())
}

// String is the reference as it must be written: bare when that is unambiguous, else as a string literal.
func (s *StageRef) String() string {
	if s.Arg != nil {
		return s.Arg.String()
	}
	text := "@~"
	if !s.User {
		text = "@" + s.Name.String()
	}
	if s.Path != "" {
		text += "/" + s.Path
	}
	for _, r := range text {
		plain := r == '@' || r == '_' || r == '.' || r == '/' || r == '-' || r == '~' || r == '$' || r == '"' ||
			r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !plain {
			return quoted(text)
		}
	}
	if strings.Contains(s.Path, `"`) {
		return quoted(text)
	}
	return text
}

func (p *printer) argument(a Argument) {
	if a.Name != "" {
		p.raw(a.Name + " => ")
	}
	p.expr(a.Value, precOr)
}

func (p *printer) arguments(args []Argument) {
	p.brackets(len(args), func(i int) { p.argument(args[i]) })
}

func (t Type) String() string {
	if len(t.Args) == 0 {
		return t.Name
	}
	args := make([]string, len(t.Args))
	for i, a := range t.Args {
		args[i] = strconv.Itoa(a)
	}
	return t.Name + "(" + strings.Join(args, ", ") + ")"
}
