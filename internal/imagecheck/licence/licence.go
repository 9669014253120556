// SPDX-License-Identifier: Apache-2.0

// Package licence reads what Python packages say of their licence, as an SPDX expression, and judges such expressions by a rule on
// single ids. It knows the spellings that are common in package metadata and guesses nothing: what it does not know is unknown.
//
// It reads no files and knows no policy. The image check calls it.
//
// https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/
package licence

import (
	"slices"
	"strings"

	"firn.dev/firn/internal/errs"
)

// Of gives the SPDX expression of a package, "" when it names none that is known: its License-Expression, else its License field,
// else its classifiers, of which the user may choose.
func Of(expression, field string, classifiers []string) string {
	if expression = strings.TrimSpace(expression); expression != "" {
		if _, err := Allowed(expression, func(string) bool { return true }); err == nil {
			return expression
		}
	}
	if id := known(field); id != "" {
		return id
	}
	var ids []string
	for _, c := range classifiers {
		parts := strings.Split(c, "::")
		if id := byClassifier[strings.TrimSpace(parts[len(parts)-1])]; id != "" && strings.TrimSpace(parts[0]) == "License" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return strings.Join(ids, " OR ")
}

// known reads a License field: an alias, or an expression of ids that are well formed.
func known(field string) string {
	field = strings.Join(strings.Fields(field), " ")
	if field == "" || len(field) > 100 {
		return "" // a whole licence text
	}
	if id := byAlias[strings.ToLower(strings.TrimSuffix(field, "."))]; id != "" {
		return id
	}
	sound := true
	_, err := Allowed(field, func(id string) bool {
		sound = sound && isID(id)
		return true
	})
	if err != nil || !sound {
		return ""
	}
	return field
}

// isID tells ids of the SPDX list, by family, and references to own licences.
func isID(id string) bool {
	if strings.HasPrefix(id, "LicenseRef-") {
		return true
	}
	id = strings.TrimSuffix(strings.TrimSuffix(id, "-only"), "-or-later")
	return slices.ContainsFunc(families, func(f string) bool { return id == f || strings.HasSuffix(f, "-") && strings.HasPrefix(id, f) })
}

var families = strings.Fields(`MIT MIT- 0BSD BSD- Apache- PSF- Python- ISC MPL- LGPL- GPL- AGPL- EPL- EUPL- CC0- CC-BY- Unlicense Zlib ZPL- WTFPL HPND HPND-
	BSL- OpenSSL OFL- CDDL- Artistic- NCSA UPL- AFL- Unicode- X11 BlueOak- MulanPSL- Intel CNRI-`)

// Allowed evaluates an expression: id says whether one licence is allowed, AND wants both sides, OR either. WITH adds an exception
// to an id and takes nothing away.
//
// Errors: Invalid for what is no expression.
func Allowed(expression string, id func(id string) bool) (bool, error) {
	text := strings.NewReplacer("(", " ( ", ")", " ) ").Replace(expression)
	p := &parser{tokens: strings.Fields(text), id: id}
	ok, err := p.either()
	if err == nil && len(p.tokens) > 0 {
		err = p.fault()
	}
	if err != nil {
		return false, errs.New(errs.Invalid, "%.100q is no licence expression: %s", expression, errs.MessageOf(err))
	}
	return ok, nil
}

// parser reads an expression from the left.
type parser struct {
	tokens []string
	id     func(string) bool
	depth  int
}

const depthMax = 50

func (p *parser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

// word takes an operator, in any case.
func (p *parser) word(operator string) bool {
	if !strings.EqualFold(p.peek(), operator) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *parser) fault() error {
	if len(p.tokens) == 0 {
		return errs.New(errs.Invalid, "it ends too early")
	}
	return errs.New(errs.Invalid, "%.50q is not expected", p.peek())
}

func (p *parser) either() (bool, error) {
	ok, err := p.both()
	for err == nil && p.word("OR") {
		var right bool
		right, err = p.both()
		ok = ok || right
	}
	return ok, err
}

func (p *parser) both() (bool, error) {
	ok, err := p.one()
	for err == nil && p.word("AND") {
		var right bool
		right, err = p.one()
		ok = ok && right
	}
	return ok, err
}

func (p *parser) one() (bool, error) {
	if p.word("(") {
		if p.depth++; p.depth > depthMax {
			return false, errs.New(errs.Invalid, "it is nested too deep")
		}
		ok, err := p.either()
		if err == nil && !p.word(")") {
			err = p.fault()
		}
		p.depth--
		return ok, err
	}
	name := p.peek()
	if !isWord(name) {
		return false, p.fault()
	}
	p.tokens = p.tokens[1:]
	if p.word("WITH") {
		if !isWord(p.peek()) {
			return false, p.fault()
		}
		p.tokens = p.tokens[1:]
	}
	return p.id(name), nil
}

// isWord tells what may be an id: letters, digits, "-", ".", "+" and ":", and no operator.
func isWord(s string) bool {
	for _, operator := range []string{"", "AND", "OR", "WITH"} {
		if strings.EqualFold(s, operator) {
			return false
		}
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-.+:", r)
	}) < 0
}
