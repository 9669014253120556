// SPDX-License-Identifier: Apache-2.0

package pep508

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"firn.dev/firn/internal/imagecheck/pep440"
)

type vectors struct {
	Env     map[string]string
	Markers [][2]json.RawMessage
	Reqs    [][6]any
	Bad     []string
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	f, err := os.Open("testdata/pep508.json.gz")
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

func TestMarkerVectors(t *testing.T) {
	t.Parallel()
	vec := readVectors(t)
	env := Environment{}
	for k, v := range vec.Env {
		env[k] = []string{v}
	}
	for _, x := range vec.Markers {
		var text string
		var answers map[string]any
		if err := json.Unmarshal(x[0], &text); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(x[1], &answers); err != nil {
			t.Fatal(err)
		}
		m, err := ParseMarker(text)
		if err != nil {
			t.Errorf("ParseMarker(%q): %v", text, err)
			continue
		}
		for extra, want := range answers {
			got, err := m.Evaluate(env, extra)
			if b, ok := want.(bool); ok && (err != nil || (got == True) != b || got == Undecidable) {
				t.Errorf("%q with extra %q = %v, %v, want %v", text, extra, got, err, want)
			} else if !ok && err == nil {
				t.Errorf("%q with extra %q = %v, want an error as packaging raises %v", text, extra, got, want)
			}
		}
	}
}

func TestRequirementVectors(t *testing.T) {
	t.Parallel()
	vec := readVectors(t)
	for _, x := range vec.Reqs {
		text := x[0].(string)
		r, err := Parse(text, pep440.RulesParsed)
		if err != nil {
			t.Errorf("Parse(%q): %v", text, err)
			continue
		}
		var extras []string
		for _, e := range x[2].([]any) {
			extras = append(extras, e.(string))
		}
		got := slices.Sorted(slices.Values(r.Extras))
		slices.Sort(extras)
		url, _ := x[4].(string)
		marker, _ := x[5].(string)
		gotMarker := ""
		if r.Marker != nil {
			gotMarker = r.Marker.String()
		}
		if r.Name != x[1] || !slices.Equal(got, extras) || r.Specifier.String() != x[3] || r.URL != url || gotMarker != marker {
			t.Errorf("Parse(%q) = %q %q %q %q %q, want %q", text, r.Name, got, r.Specifier, r.URL, gotMarker, x[1:])
		}
	}
	for _, x := range vec.Bad {
		if r, err := Parse(x, pep440.RulesParsed); err == nil {
			t.Errorf("Parse(%q) = %q, want an error", x, r)
		}
	}
}

func TestUndecidable(t *testing.T) {
	t.Parallel()
	env := Environment{"python_version": {"3.11"}, "python_full_version": {"3.11.0", "3.11.9"}, "platform_release": nil}
	for _, x := range []struct {
		marker string
		want   Truth
	}{
		{`platform_release >= "5"`, Undecidable},
		{`platform_release >= "5" or python_version == "3.11"`, True},
		{`platform_release >= "5" and python_version == "3.10"`, False},
		{`python_full_version >= "3.11.4"`, Undecidable},
		{`python_full_version >= "3.11"`, True},
		{`python_full_version < "3.11"`, False},
	} {
		m, err := ParseMarker(x.marker)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.Evaluate(env, ""); err != nil || got != x.want {
			t.Errorf("%s = %v, %v, want %v", x.marker, got, err, x.want)
		}
	}
}

func TestLegacyClause(t *testing.T) {
	t.Parallel()
	const text = `pywin32 (==darwin) ; sys_platform == "win32"`
	if _, err := Parse(text, pep440.RulesLegacy); err != nil {
		t.Errorf("packaging 21.3 accepts %q: %v", text, err)
	}
	if _, err := Parse(text, pep440.RulesClassic); err == nil {
		t.Errorf("packaging 22 refuses %q", text)
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"Snowflake.Core": "snowflake-core", "A.B__-c": "a-b-c", "x": "x", "_x_": "-x-"} {
		if got := Canonical(in); got != want {
			t.Errorf("Canonical(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzRequirement(f *testing.F) {
	for _, s := range []string{
		`a[b,c]>=1,<2; python_version<"3" and (os_name=="x" or extra=='y')`, "a @ https://x ; extra == 'z'", "a (>=1.0.x)",
		`a; '\x41' in platform_version`, "a[", "((((", `a;"\`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text, pep440.RulesParsed)
		if err == nil {
			if r.Marker != nil {
				_, _ = r.Marker.Evaluate(Environment{"python_version": {"3.11"}}, "x")
			}
			_ = r.String()
		}
		if r, err := Parse(text, pep440.RulesLegacy); err == nil {
			_ = r.String()
		}
	})
}
