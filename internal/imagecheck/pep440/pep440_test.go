// SPDX-License-Identifier: Apache-2.0

package pep440

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"testing"
)

type vectors struct {
	Versions [][2]string
	Bad      []string
	Cmp      [][3]any
	Contains [][6]any
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	f, err := os.Open("testdata/pep440.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.NewDecoder(z).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVersionVectors(t *testing.T) {
	t.Parallel()
	vec := readVectors(t)
	for _, x := range vec.Versions {
		v, err := Parse(x[0])
		if err != nil {
			t.Errorf("Parse(%q): %v", x[0], err)
		} else if v.String() != x[1] {
			t.Errorf("Parse(%q) = %s, want %s", x[0], v, x[1])
		}
	}
	for _, x := range vec.Bad {
		if v, err := Parse(x); err == nil {
			t.Errorf("Parse(%q) = %s, want an error", x, v)
		}
	}
	for _, x := range vec.Cmp {
		a, err := Parse(x[0].(string))
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse(x[1].(string))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := a.Compare(b), int(x[2].(float64)); got != want {
			t.Errorf("Compare(%q, %q) = %d, want %d", x[0], x[1], got, want)
		}
	}
}

func TestContainsVectors(t *testing.T) {
	t.Parallel()
	// Column 0 is headed 24.2 and holds the answers of 26.3; packaging 24.2 itself answers as columns 1 and 2 do.
	columns := map[int]Rules{2: RulesParsed, 3: RulesClassic, 4: RulesClassic, 5: RulesRanges}
	wrong := 0
	for _, x := range readVectors(t).Contains {
		set, err := ParseSet(x[0].(string))
		if err != nil {
			t.Fatalf("ParseSet(%q): %v", x[0], err)
		}
		v, err := Parse(x[1].(string))
		if err != nil {
			t.Fatal(err)
		}
		// The raw text with its surrounding space is what the recorded run handed to packaging.
		v.text = x[1].(string)
		for i, r := range columns {
			if got := set.Contains(v, r); got != x[i].(bool) {
				if wrong++; wrong < 20 {
					t.Errorf("%q contains %q under rules %d (column %d) = %v", x[0], x[1], r, i, got)
				}
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d answers differ from packaging", wrong)
	}
}

func TestLegacy(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		clause, version string
		want            bool
	}{
		{">=1.0.x", "1.0.5", true},
		{">=1.0.x", "1.1", true},
		{"==darwin", "1.0", false},
		{"==1.0_x", "1.0_x", true},
		{"!=1.0_x", "1.0", true},
		{"<2011k", "2010", true},
	} {
		s, n := ParseLegacySpecifier(x.clause)
		if n != len(x.clause) {
			t.Errorf("ParseLegacySpecifier(%q) took %d bytes", x.clause, n)
		}
		if got := s.Contains(ParseLegacy(x.version), RulesLegacy); got != x.want {
			t.Errorf("%q contains %q = %v", x.clause, x.version, got)
		}
	}
	if ParseLegacy("zebra").Compare(ParseLegacy("0.dev0")) >= 0 {
		t.Error("a legacy version sorts before every PEP 440 version")
	}
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"1.0", "v1!2.0-rc.1.post2.dev3+ABC.01", "1.0a.", "1..0", ">=1.0,<2", "==1.*", "~=1.2b1", "===x"} {
		f.Add(s, ">=1,!=2.*")
	}
	f.Fuzz(func(t *testing.T, text, clauses string) {
		legacy := ParseLegacy(text)
		ParseLegacySpecifier(clauses)
		set, err := ParseSet(clauses)
		if err == nil {
			set.Contains(legacy, RulesLegacy)
			if again, err := ParseSet(set.String()); err != nil || again.String() != set.String() {
				t.Fatalf("set %q prints as %q, which reads as %q, %v", clauses, set, again, err)
			}
		}
		v, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(v.String())
		if err != nil || again.Compare(v) != 0 || again.String() != v.String() {
			t.Fatalf("%q prints as %q, which reads as %q, %v", text, v, again, err)
		}
		set.Contains(v, RulesClassic)
		set.Contains(v, RulesParsed)
	})
}
