// SPDX-License-Identifier: Apache-2.0

package pep440

import (
	"slices"
	"strings"

	"firn.dev/firn/internal/errs"
)

// Rules is a generation of specifier semantics of the packaging library.
type Rules int

// The generations, oldest first.
const (
	// RulesLegacy is packaging 21.3, which pip carries up to 24.0: as RulesClassic, and texts that are no PEP 440 are compared
	// in the way of setuptools of old.
	RulesLegacy Rules = iota
	// RulesClassic is packaging 22.0 to 25.0, in pip 24.1 to 25.3.
	RulesClassic
	// RulesWritten is packaging 26.0, in pip 26.0: as RulesClassic, and clauses with "===" or ".*" are equal only as written.
	RulesWritten
	// RulesRanges is packaging 26.1 and 26.2, in pip 26.1 and 26.2: as RulesWritten, ">V" and "<V.postN" cut exactly the family of V,
	// "===" compares the text as written.
	RulesRanges
	// RulesParsed is packaging 26.3, in pip 26.3: as RulesRanges, and "~=v1.2" is "~=1.2".
	RulesParsed
)

// Specifier is one clause such as ">=1.2". It is immutable.
type Specifier struct {
	Op       string // "===", "==", "!=", "~=", "<=", ">=", "<", ">"
	Operand  string // as written, without surrounding space; may end in ".*"
	version  Version
	wildcard bool
}

// Set is a comma-separated list of clauses that must all hold. The empty set holds every version.
type Set []Specifier

// ParseSpecifier reads one clause.
//
// Errors: Invalid.
func ParseSpecifier(text string) (Specifier, error) {
	trimmed := strings.TrimFunc(text, isSpace)
	s, n := ScanSpecifier(trimmed)
	if n == 0 || n != len(trimmed) {
		return Specifier{}, errs.New(errs.Invalid, "version specifier %q does not follow PEP 440", text)
	}
	return s, nil
}

// ParseSet reads a list of clauses; empty elements are skipped, as packaging does.
//
// Errors: Invalid.
func ParseSet(text string) (Set, error) {
	var set Set
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimFunc(part, isSpace); part == "" {
			continue
		}
		s, err := ParseSpecifier(part)
		if err != nil {
			return nil, err
		}
		set = append(set, s)
	}
	return set, nil
}

// ScanSpecifier reads the longest clause at the start of s and gives its length, 0 when there is none.
func ScanSpecifier(s string) (Specifier, int) {
	op := operatorAt(s)
	if op == "" {
		return Specifier{}, 0
	}
	at := len(s) - len(strings.TrimLeftFunc(s[len(op):], isSpace))
	if op == "===" {
		end := at + len(s[at:])
		if i := strings.IndexFunc(s[at:], func(r rune) bool { return isSpace(r) || r == ';' || r == ')' }); i >= 0 {
			end = at + i
		}
		return Specifier{Op: op, Operand: s[at:end]}, end
	}
	equality := op == "==" || op == "!="
	release, n := scanRelease(s[at:])
	if n == 0 || op == "~=" && len(release.release) < 2 {
		return Specifier{}, 0
	}
	if equality && strings.HasPrefix(s[at+n:], ".*") {
		return Specifier{Op: op, Operand: s[at : at+n+2], version: release, wildcard: true}, at + n + 2
	}
	v, n := scanVersion(s[at:], equality)
	return Specifier{Op: op, Operand: s[at : at+n], version: v}, at + n
}

func operatorAt(s string) string {
	for _, op := range []string{"===", "==", "~=", "!=", "<=", ">=", "<", ">"} {
		if strings.HasPrefix(s, op) {
			return op
		}
	}
	return ""
}

// Key is equal for clauses that packaging holds equal: trailing zeros do not count, except after "~=" since RulesClassic.
func (s Specifier) Key(r Rules) string {
	v := s.version
	if s.Op == "===" || v.IsLegacy() { // "<1.0+local" is no PEP 440, but what follows the "<" is
		v = ParseLegacy(s.Operand)
	}
	if s.wildcard || v.IsLegacy() || s.Op == "===" && r >= RulesWritten {
		return s.Op + s.Operand
	}
	for (s.Op != "~=" || r == RulesLegacy) && len(v.release) > 1 && v.release[len(v.release)-1] == "" {
		v.release = v.release[:len(v.release)-1]
	}
	return s.Op + v.String()
}

// String gives the clause as written, without space.
func (s Specifier) String() string { return s.Op + s.Operand }

// String gives the clauses sorted and joined by commas, each once, as packaging prints them.
func (s Set) String() string {
	texts := make([]string, 0, len(s))
	for _, one := range s {
		texts = append(texts, one.String())
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), ",")
}

// Contains tells whether every clause holds for v. Pre-releases count like any other version.
func (s Set) Contains(v Version, r Rules) bool {
	for _, one := range s {
		if !one.Contains(v, r) {
			return false
		}
	}
	return true
}

// Contains tells whether the clause holds for v. Pre-releases count like any other version.
func (s Specifier) Contains(v Version, r Rules) bool {
	if s.Op == "===" {
		text := v.String()
		if r >= RulesRanges {
			text = v.text
		}
		return strings.EqualFold(text, s.Operand)
	}
	if s.version.IsLegacy() {
		return s.containsLegacy(v)
	}
	if v.IsLegacy() {
		return false
	}
	if r == RulesLegacy && (s.Op == "~=" || s.wildcard) {
		return s.containsPrefixText(v)
	}
	switch s.Op {
	case "==":
		return s.equals(v)
	case "!=":
		return !s.equals(v)
	case "~=":
		// packaging 24.1 to 26.2 writes the prefix of "v1.2" as "0!v1.*", which is no version.
		if r >= RulesClassic && r < RulesParsed && strings.HasPrefix(strings.ToLower(s.Operand), "v") && !strings.Contains(s.Operand, "!") {
			return false
		}
		return v.comparePublic(s.version) >= 0 && hasPrefix(v, s.version.epoch, s.version.release[:len(s.version.release)-1])
	case ">=":
		return v.comparePublic(s.version) >= 0
	case "<=":
		return v.comparePublic(s.version) <= 0
	case "<":
		return s.above(v, r)
	default:
		return s.below(v, r)
	}
}

func (s Specifier) equals(v Version) bool {
	if s.wildcard {
		return hasPrefix(v, s.version.epoch, s.version.release)
	}
	if s.version.local == nil {
		return v.comparePublic(s.version) == 0
	}
	return v.Compare(s.version) == 0
}

func hasPrefix(v Version, epoch number, release []number) bool {
	if v.epoch != epoch {
		return false
	}
	for i, n := range release {
		if segment(v.release, i) != n {
			return false
		}
	}
	return true
}

// sameBase tells whether both are variants (pre, post, dev, local) of one release.
func sameBase(a, b Version) bool {
	return a.epoch == b.epoch && compareRelease(a.release, b.release) == 0
}

// above is "<V": is V above v.
func (s Specifier) above(v Version, r Rules) bool {
	if r < RulesRanges {
		return v.Compare(s.version) < 0 && (s.version.IsPrerelease() || !v.IsPrerelease() || !sameBase(v, s.version))
	}
	bound := s.version
	if !bound.IsPrerelease() {
		bound.dev = label{letters: "dev"}
	}
	return v.Compare(bound) < 0 && !isLowest(bound)
}

// isLowest tells whether nothing sorts before v.
func isLowest(v Version) bool {
	return v.epoch == "" && compareRelease(v.release, nil) == 0 && v.preRank() == 0 && v.dev.n == ""
}

// below is ">V": is V below v.
func (s Specifier) below(v Version, r Rules) bool {
	spec := s.version
	if r < RulesRanges {
		if v.Compare(spec) <= 0 {
			return false
		}
		return !sameBase(v, spec) || v.local == nil && (v.post.letters == "" || spec.post.letters != "")
	}
	if v.comparePublic(spec) <= 0 {
		return false
	}
	if spec.dev.letters != "" || spec.post.letters != "" {
		return true
	}
	return !sameBase(v, spec) || v.pre != spec.pre || v.post.letters == ""
}
