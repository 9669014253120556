// SPDX-License-Identifier: Apache-2.0

package pep440

import "testing"

// FuzzOrder holds what an order must be: the same both ways, and carried on from one to the next.
func FuzzOrder(f *testing.F) {
	for _, s := range [][3]string{{"1.0", "1.0.0", "1"}, {"1.0.dev1", "1.0a1.dev1", "1.0a1"}, {"1.0+a.1", "1.0+a.b", "1.0.post1"}, {"1!0", "99999999999999999999", "2"}} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, first, second, third string) {
		a, errA := Parse(first)
		b, errB := Parse(second)
		c, errC := Parse(third)
		if errA != nil || errB != nil || errC != nil {
			return
		}
		if a.Compare(a) != 0 || a.Compare(b) != -b.Compare(a) {
			t.Fatalf("%q against %q is %d, the other way %d", a, b, a.Compare(b), b.Compare(a))
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Fatalf("%q <= %q <= %q, but the first is above the last", a, b, c)
		}
	})
}

// FuzzSpecifier holds that a clause and its opposite never agree, by any rules.
func FuzzSpecifier(f *testing.F) {
	for _, s := range [][2]string{{"==1.*", "1.0"}, {"~=1.2b1", "1.3"}, {">1.0.post1", "1.0.post2"}, {"<1!2", "1"}, {"===X", "x"}, {"==1.0+l", "1.0"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, text, version string) {
		s, err := ParseSpecifier(text)
		v, errV := Parse(version)
		if err != nil || errV != nil {
			return
		}
		again, err := ParseSpecifier(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q prints as %q, which reads as %q, %v", text, s, again, err)
		}
		for _, rules := range []Rules{RulesLegacy, RulesClassic, RulesParsed} {
			in := s.Contains(v, rules)
			if in != again.Contains(v, rules) {
				t.Fatalf("%q and its own text disagree about %s", text, v)
			}
			opposite := map[string]string{"==": "!=", "!=": "=="}[s.Op]
			if not, err := ParseSpecifier(opposite + s.Operand); opposite != "" && err == nil && in == not.Contains(v, rules) {
				t.Fatalf("%s and %s agree about %s", s, not, v)
			}
		}
	})
}
