// SPDX-License-Identifier: Apache-2.0

// Package pep508 reads Python requirements such as `ray[default]>=2.9; python_version < "3.13"` and evaluates their
// environment markers exactly as PyPA's packaging library does.
//
// It knows no installed package: the caller gives the environment. The python inventory of the image check calls it for
// every Requires-Dist line, the policies for their required packages.
//
// https://packaging.python.org/en/latest/specifications/dependency-specifiers/
package pep508

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/pep440"
)

// Requirement is one parsed requirement. It is immutable.
type Requirement struct {
	Name      string     // as written
	Extras    []string   // as written, in the order written
	Specifier pep440.Set // empty with a URL
	URL       string     // of a direct reference, else ""
	Marker    *Marker    // nil when there is none
}

// Canonical gives a project name in the one spelling of PEP 503: lower case, runs of "-", "_" and "." as one "-".
func Canonical(name string) string {
	var b strings.Builder
	separator := false
	for _, r := range strings.ToLower(name) {
		if r == '-' || r == '_' || r == '.' {
			if !separator {
				b.WriteByte('-')
			}
			separator = true
			continue
		}
		separator = false
		b.WriteRune(r)
	}
	return b.String()
}

// SafeName gives a project name as setuptools' pkg_resources compares it: lower case, runs of "-" and "_" as one "-".
func SafeName(name string) string { return strings.ToLower(unsafeName.ReplaceAllString(name, "-")) }

// SafeExtra gives the name of an extra as pkg_resources spells it: lower case, runs of "_" as one.
func SafeExtra(name string) string { return strings.ToLower(unsafeExtra.ReplaceAllString(name, "_")) }

var (
	unsafeName  = regexp.MustCompile(`[^A-Za-z0-9.]+`)
	unsafeExtra = regexp.MustCompile(`[^A-Za-z0-9.-]+`)
)

// Key is equal for requirements that differ in spelling only, such as "A-b>=1.0" and "a_b >=1". spelled gives the name of the project
// in one spelling, extra those of extras: Canonical both as packaging 26.3 does, SafeName and SafeExtra as pkg_resources does.
func (r Requirement) Key(rules pep440.Rules, spelled, extra func(name string) string) string {
	var extras, clauses []string
	for _, name := range r.Extras {
		extras = append(extras, extra(name))
	}
	for _, s := range r.Specifier {
		clauses = append(clauses, s.Key(rules))
	}
	slices.Sort(extras)
	slices.Sort(clauses)
	key := []string{spelled(r.Name), strings.Join(slices.Compact(extras), ","), strings.Join(slices.Compact(clauses), ","), r.URL}
	if r.Marker != nil {
		key = append(key, r.Marker.String())
	}
	return strings.Join(key, "\n")
}

// String gives the requirement as packaging prints it: sorted extras and clauses, no needless space.
func (r Requirement) String() string {
	var b strings.Builder
	b.WriteString(r.Name)
	if len(r.Extras) > 0 {
		extras := slices.Clone(r.Extras)
		slices.Sort(extras)
		b.WriteString("[" + strings.Join(slices.Compact(extras), ",") + "]")
	}
	b.WriteString(r.Specifier.String())
	if r.URL != "" {
		b.WriteString(" @ " + r.URL)
		if r.Marker != nil {
			b.WriteByte(' ')
		}
	}
	if r.Marker != nil {
		b.WriteString("; " + r.Marker.String())
	}
	return b.String()
}

// Parse reads one requirement under the rules of a generation of packaging. Only RulesLegacy accepts clauses that are no
// PEP 440, such as ">=1.0.x".
//
// Errors: Invalid, with the place where the text stops making sense.
func Parse(text string, rules pep440.Rules) (Requirement, error) {
	s := &scanner{text: text, rules: rules}
	r, err := s.requirement()
	if err != nil {
		return Requirement{}, errs.Wrap(err, errs.Invalid, "requirement %q", text)
	}
	return r, nil
}

func (s *scanner) requirement() (Requirement, error) {
	var r Requirement
	s.space()
	if r.Name = s.identifier(); r.Name == "" {
		return r, s.expected("a package name")
	}
	s.space()
	var err error
	if r.Extras, err = s.extras(); err != nil {
		return r, err
	}
	s.space()
	if s.take("@") {
		return s.reference(r)
	}
	if r.Specifier, err = s.specifiers(); err != nil {
		return r, err
	}
	s.space()
	if s.done() {
		return r, nil
	}
	return s.marked(r, "a version specifier, a semicolon or the end")
}

// reference reads what follows the "@" of a direct reference.
func (s *scanner) reference(r Requirement) (Requirement, error) {
	s.space()
	end := strings.IndexAny(s.rest(), " \t")
	if end < 0 {
		end = len(s.rest())
	}
	if end == 0 {
		return r, s.expected("a URL after @")
	}
	r.URL = s.rest()[:end]
	s.at += end
	s.space()
	if s.done() {
		return r, nil
	}
	return s.marked(r, "a semicolon after the URL and a space")
}

func (s *scanner) marked(r Requirement, expected string) (Requirement, error) {
	if !s.take(";") {
		return r, s.expected(expected)
	}
	m, err := s.marker(0)
	if err != nil {
		return r, err
	}
	s.space()
	if !s.done() {
		return r, s.expected("the end of the marker")
	}
	r.Marker = &Marker{root: m}
	return r, nil
}

func (s *scanner) extras() ([]string, error) {
	if !s.take("[") {
		return nil, nil
	}
	s.space()
	var extras []string
	for {
		name := s.identifier()
		if name == "" && len(extras) > 0 {
			return nil, s.expected("an extra name after the comma")
		}
		if name != "" {
			extras = append(extras, name)
		}
		s.space()
		if name == "" || !s.take(",") {
			break
		}
		s.space()
	}
	if !s.take("]") {
		return nil, s.expected("a closing ]")
	}
	return extras, nil
}

func (s *scanner) specifiers() (pep440.Set, error) {
	parenthesis := s.take("(")
	s.space()
	set, err := s.clauses()
	if err != nil {
		return nil, err
	}
	s.space()
	if parenthesis && !s.take(")") {
		return nil, s.expected("a closing )")
	}
	return set, nil
}

// clauses keeps the first of equal ones: the first written, or since RulesRanges the first of the sorted texts.
func (s *scanner) clauses() (pep440.Set, error) {
	all, err := s.allClauses()
	if s.rules >= pep440.RulesRanges {
		slices.SortStableFunc(all, func(a, b pep440.Specifier) int { return strings.Compare(a.String(), b.String()) })
	}
	var set pep440.Set
	for _, one := range all {
		if !slices.ContainsFunc(set, func(o pep440.Specifier) bool { return o.Key(s.rules) == one.Key(s.rules) }) {
			set = append(set, one)
		}
	}
	return set, err
}

func (s *scanner) allClauses() (pep440.Set, error) {
	var set pep440.Set
	legacy := s.rules == pep440.RulesLegacy
	for {
		scan := pep440.ScanSpecifier
		if legacy {
			scan = pep440.ParseLegacySpecifier
		}
		one, n := scan(s.rest())
		if n == 0 && legacy && len(set) > 0 {
			return nil, s.expected("a version specifier after the comma")
		}
		if n == 0 {
			return set, nil
		}
		// "===" takes everything, commas too; packaging then splits what it took once more.
		for part := range strings.SplitSeq(one.String(), ",") {
			again, m := scan(strings.TrimSpace(part))
			if m == 0 || m < len(strings.TrimSpace(part)) {
				if strings.TrimSpace(part) == "" {
					continue
				}
				return nil, s.expected("a version specifier instead of " + strconv.Quote(part))
			}
			set = append(set, again)
		}
		s.at += n
		if strings.HasPrefix(s.rest(), ".*") || strings.HasPrefix(s.rest(), "+") {
			return nil, s.expected("the end of the version: no .* and no local label fit here")
		}
		s.space()
		if !s.take(",") {
			return set, nil
		}
		s.space()
	}
}
