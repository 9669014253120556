// SPDX-License-Identifier: Apache-2.0

package pep508

import (
	"slices"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/pep440"
)

// Marker is the condition of a requirement. It is immutable.
type Marker struct{ root node }

// node is a comparison, or the "and"/"or" of others.
type node struct {
	op       string // "and", "or", "group" or a comparison operator
	children []node
	left     operand
	right    operand
}

type operand struct {
	value    string
	variable bool
}

// Environment gives the possible values of each marker variable: one when it is known, several when it is one of these,
// none when nothing is known of it.
type Environment map[string][]string

// Truth is the answer of a marker.
type Truth int

// The answers. Undecidable means that the answer hangs on a variable whose value is not known.
const (
	False Truth = iota
	Undecidable
	True
)

// variables are listed with the longest of a common prefix first.
var variables = []string{
	"python_version", "python_full_version", "os_name", "os.name", "sys_platform", "sys.platform", "platform_release",
	"platform_system", "platform_version", "platform.version", "platform_machine", "platform.machine",
	"platform_python_implementation", "platform.python_implementation", "python_implementation", "implementation_name",
	"implementation_version", "extras", "extra", "dependency_groups",
}

// ParseMarker reads a condition without its semicolon.
//
// Errors: Invalid.
func ParseMarker(text string) (*Marker, error) {
	s := &scanner{text: text}
	m, err := s.marker(0)
	if err == nil && !s.done() {
		err = s.expected("the end of the marker")
	}
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "marker %q", text)
	}
	return &Marker{root: m}, nil
}

// marker reads atoms joined by "and" and "or", "and" binding closer.
func (s *scanner) marker(depth int) (node, error) {
	if depth > maxDepth {
		return node{}, s.expected("fewer nested parentheses")
	}
	or, and := node{op: "or"}, node{op: "and"}
	for {
		atom, err := s.atom(depth)
		if err != nil {
			return node{}, err
		}
		and.children = append(and.children, atom)
		switch s.word("or", "and") {
		case "or":
			or.children, and = append(or.children, and), node{op: "and"}
		case "":
			or.children = append(or.children, and)
			return or, nil
		}
	}
}

func (s *scanner) atom(depth int) (node, error) {
	s.space()
	if s.take("(") {
		inner, err := s.marker(depth + 1)
		if err != nil {
			return node{}, err
		}
		s.space()
		if !s.take(")") {
			return node{}, s.expected("a closing )")
		}
		s.space()
		return node{op: "group", children: []node{inner}}, nil
	}
	var n node
	var err error
	if n.left, err = s.operand(); err != nil {
		return n, err
	}
	s.space()
	if n.op = s.operator(); n.op == "" {
		return n, s.expected("a comparison operator")
	}
	s.space()
	if n.right, err = s.operand(); err != nil {
		return n, err
	}
	s.space()
	canonicalExtra(&n)
	return n, nil
}

// canonicalExtra normalises what is compared with extra; PEP 685.
func canonicalExtra(n *node) {
	for _, pair := range [][2]*operand{{&n.left, &n.right}, {&n.right, &n.left}} {
		name := pair[0].value
		if pair[0].variable && (name == "extra" || name == "extras" || name == "dependency_groups") && !pair[1].variable {
			pair[1].value = Canonical(pair[1].value)
		}
	}
}

func (s *scanner) operand() (operand, error) {
	if name := s.word(variables...); name != "" {
		name = strings.ReplaceAll(name, ".", "_")
		if name == "python_implementation" {
			name = "platform_python_implementation"
		}
		return operand{value: name, variable: true}, nil
	}
	value, ok := s.quoted()
	if !ok {
		return operand{}, s.expected("a marker variable or a quoted string")
	}
	return operand{value: value}, nil
}

func (s *scanner) operator() string {
	if s.word("in") != "" {
		return "in"
	}
	start := s.at
	if s.word("not") != "" {
		before := s.at
		if s.space(); s.at > before && s.word("in") != "" {
			return "not in"
		}
		s.at = start
		return ""
	}
	for _, op := range []string{"===", "==", "~=", "!=", "<=", ">=", "<", ">"} {
		if s.take(op) {
			return op
		}
	}
	return ""
}

// String gives the condition as packaging prints it.
func (m *Marker) String() string { return m.root.text(true) }

func (n node) text(top bool) string {
	switch n.op {
	case "group":
		return n.children[0].text(top)
	case "or", "and":
		if len(n.children) == 1 {
			return n.children[0].text(top)
		}
		parts := make([]string, len(n.children))
		for i, c := range n.children {
			parts[i] = c.text(n.op == "or" && c.op == "and")
		}
		joined := strings.Join(parts, " "+n.op+" ")
		if top {
			return joined
		}
		return "(" + joined + ")"
	}
	return n.left.text() + " " + n.op + " " + n.right.text()
}

func (o operand) text() string {
	switch {
	case o.variable:
		return o.value
	case strings.Contains(o.value, `"`):
		return "'" + o.value + "'"
	}
	return `"` + o.value + `"`
}

// Evaluate answers the condition. extra is the extra that was asked for, "" for none.
//
// Errors: Invalid when the condition compares what cannot be compared, such as `os_name ~= "posix"`; packaging raises there.
func (m *Marker) Evaluate(env Environment, extra string) (Truth, error) {
	return m.root.evaluate(env, Canonical(extra))
}

// AsksExtra tells whether the condition names the variable extra.
func (m *Marker) AsksExtra() bool { return m.root.asksExtra() }

func (n node) asksExtra() bool {
	return n.left.variable && n.left.value == "extra" || n.right.variable && n.right.value == "extra" ||
		slices.ContainsFunc(n.children, node.asksExtra)
}

func (n node) evaluate(env Environment, extra string) (Truth, error) {
	switch n.op {
	case "group":
		return n.children[0].evaluate(env, extra)
	case "or", "and":
		return n.combine(env, extra)
	}
	variable, literal := n.left, n.right
	if !variable.variable {
		variable, literal = n.right, n.left
	}
	if !variable.variable || n.left.variable && n.right.variable {
		return False, errs.New(errs.Invalid, "marker compares %s with %s", n.left.text(), n.right.text())
	}
	values := env[variable.value]
	if variable.value == "extra" {
		values = []string{extra}
	}
	var answers []bool
	for _, value := range values {
		left, right := value, literal.value
		if !n.left.variable {
			left, right = right, left
		}
		answer, err := compare(left, n.op, right, variable.value)
		if err != nil {
			return False, err
		}
		answers = append(answers, answer)
	}
	switch answers = slices.Compact(answers); {
	case len(answers) != 1:
		return Undecidable, nil
	case answers[0]:
		return True, nil
	}
	return False, nil
}

// combine evaluates every child, as packaging does, so that a comparison that cannot be made is always an error.
func (n node) combine(env Environment, extra string) (Truth, error) {
	result := True
	if n.op == "or" {
		result = False
	}
	for _, c := range n.children {
		one, err := c.evaluate(env, extra)
		if err != nil {
			return False, err
		}
		if n.op == "or" {
			result = max(result, one)
		} else {
			result = min(result, one)
		}
	}
	return result, nil
}

// compare is one comparison: by version where the variable is one and the right side is a version, else by text.
func compare(left, op, right, variable string) (bool, error) {
	switch variable {
	case "implementation_version", "platform_release", "python_full_version", "python_version":
		if s, err := pep440.ParseSpecifier(op + right); err == nil {
			v, err := pep440.Parse(left)
			return err == nil && s.Contains(v, pep440.RulesParsed), nil
		}
	}
	switch op {
	case "in":
		return strings.Contains(right, left), nil
	case "not in":
		return !strings.Contains(right, left), nil
	case "==", "<=", ">=":
		return left == right, nil
	case "!=":
		return left != right, nil
	case "<", ">":
		return false, nil
	}
	return false, errs.New(errs.Invalid, "marker variable %s has no order that %s could compare", variable, op)
}
