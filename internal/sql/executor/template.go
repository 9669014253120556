// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"regexp"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/query"
)

// templateMark is the first line of a script file that is a template.
// https://docs.snowflake.com/en/sql-reference/sql/execute-immediate-from
const templateMark = "--!jinja"

// templateTags matches {{ expression }}, {% statement %} and {# comment #}.
var templateTags = regexp.MustCompile(`(?s)\{\{(.*?)\}\}|\{%-?(.*?)-?%\}|\{#.*?#\}`)

// templateTest matches [not] name, name == value and name != value.
var templateTest = regexp.MustCompile(`^(not\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*(?:(==|!=)\s*(.+))?$`)

// branch is one {% if %} that is open.
type branch struct {
	outer bool // what surrounds it is wanted
	taken bool // one of its parts was wanted already
	now   bool // the present part is wanted
}

// render fills a template: {{ name }}, and {% if %}, {% elif %}, {% else %}, {% endif %} over names compared with texts and
// numbers. Names are those of USING, in any case.
//
// Errors: Invalid for an unknown name or an open if; Unsupported for every other tag.
func render(text string, values map[string]query.Value) (string, error) {
	var out strings.Builder
	var open []branch
	wanted := func() bool { return len(open) == 0 || open[len(open)-1].now }
	at := 0
	for _, m := range templateTags.FindAllStringSubmatchIndex(text, -1) {
		if wanted() {
			out.WriteString(text[at:m[0]])
		}
		at = m[1]
		var err error
		switch {
		case m[2] >= 0 && wanted():
			var value string
			if value, err = templateValue(text[m[2]:m[3]], values); err == nil {
				out.WriteString(value)
			}
		case m[4] >= 0:
			open, err = templateStatement(strings.TrimSpace(text[m[4]:m[5]]), open, values)
		}
		if err != nil {
			return "", err
		}
	}
	if len(open) > 0 {
		return "", badTemplate("an if has no endif")
	}
	out.WriteString(text[at:])
	return out.String(), nil
}

func templateStatement(tag string, open []branch, values map[string]query.Value) ([]branch, error) {
	word, rest, _ := strings.Cut(tag, " ")
	if word != "if" && len(open) == 0 && (word == "elif" || word == "else" || word == "endif") {
		return nil, badTemplate(word + " without if")
	}
	switch word {
	case "if":
		b := branch{outer: len(open) == 0 || open[len(open)-1].now}
		open = append(open, b)
	case "elif", "else":
	case "endif":
		return open[:len(open)-1], nil
	default:
		return nil, errs.New(errs.Unsupported, "SQL compilation error:\nUnsupported feature 'template tag %s'.", word).Numbered(2, "0A000")
	}
	b := &open[len(open)-1]
	b.now = false
	if b.outer && !b.taken {
		holds, err := word == "else", error(nil)
		if !holds {
			holds, err = templateHolds(strings.TrimSpace(rest), values)
		}
		if err != nil {
			return nil, err
		}
		b.now, b.taken = holds, holds
	}
	return open, nil
}

func templateHolds(test string, values map[string]query.Value) (bool, error) {
	m := templateTest.FindStringSubmatch(test)
	if m == nil {
		return false, errs.New(errs.Unsupported, "SQL compilation error:\nUnsupported feature 'template condition %s'.", test).Numbered(2, "0A000")
	}
	v, known := values[strings.ToUpper(m[2])]
	if !known {
		return false, badTemplate("'" + m[2] + "' is undefined")
	}
	holds := !v.IsNull() && v.Text() != "" && v.Text() != "false" && v.Text() != "0"
	if m[3] != "" {
		text, err := templateValue(m[2], values)
		if err != nil {
			return false, err
		}
		holds = (text == strings.Trim(strings.TrimSpace(m[4]), `'"`)) == (m[3] == "==")
	}
	return holds != (m[1] != ""), nil
}

// templateValue writes a value as the template language does.
func templateValue(name string, values map[string]query.Value) (string, error) {
	name = strings.TrimSpace(name)
	v, known := values[strings.ToUpper(name)]
	switch {
	case !known:
		return "", badTemplate("'" + name + "' is undefined")
	case v.IsNull():
		return "None", nil
	case v.Column.Type == "boolean":
		if v.Text() == "true" {
			return "True", nil
		}
		return "False", nil
	}
	return v.Text(), nil
}

func badTemplate(reason string) error {
	return errs.New(errs.Invalid, "SQL compilation error:\nError in the template: %s", reason).Numbered(1003, "42000")
}
