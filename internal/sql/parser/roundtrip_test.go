// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"reflect"
	"strings"
	"testing"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

// forget clears what printing may change: positions and the text of select items.
func forget(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			forget(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			forget(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			name := v.Type().Field(i).Name
			if name == "Pos" || name == "Text" && v.Type() == reflect.TypeFor[ast.Item]() {
				f.SetZero()
				continue
			}
			forget(f)
		}
	}
}

// roundTrip prints a statement, reads that and wants the same tree and the same print.
func roundTrip(t testing.TB, p Parsed) {
	t.Helper()
	text := ast.Unmasked(p.Statement)
	again, err := Parse(text)
	if err != nil {
		t.Errorf("print of %q does not parse: %q: %v", p.Text, text, err)
		return
	}
	if len(again) != 1 || again[0].Binds != p.Binds {
		t.Errorf("print of %q is another statement: %q", p.Text, text)
		return
	}
	if second := ast.Unmasked(again[0].Statement); second != text {
		t.Errorf("print of %q is not stable: %q, then %q", p.Text, text, second)
	}
	forget(reflect.ValueOf(&p.Statement))
	forget(reflect.ValueOf(&again[0].Statement))
	if !reflect.DeepEqual(p.Statement, again[0].Statement) {
		t.Errorf("print of %q is another tree: %q", p.Text, text)
	}
	masked := p.Statement.String()
	if _, err := Parse(masked); err != nil {
		t.Errorf("masked print of %q does not parse: %q: %v", p.Text, masked, err)
	}
	p.Statement.Names()
	p.Statement.Requires()
}

func FuzzParse(f *testing.F) {
	for _, text := range corpus(f) {
		f.Add(text)
	}
	for _, s := range Synopses() {
		f.Add(s.Example)
	}
	for _, block := range goldens(f) {
		input, _, _ := strings.Cut(block, "\n----\n")
		f.Add(input)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse(text)
		if err != nil {
			if code := errs.CodeOf(err); code == errs.Internal {
				t.Fatalf("%q: error without a code: %v", text, err)
			}
			return
		}
		for _, p := range parsed {
			if !strings.Contains(text, p.Text) || text[p.Pos:p.Pos+len(p.Text)] != p.Text {
				t.Fatalf("%q: statement text %q is not at %d", text, p.Text, p.Pos)
			}
			roundTrip(t, p)
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, text := range []string{"a", `"a b".C`, "D.S.N", "o'hara; drop table t", `""`, `"a""b"`, "a.b.c.d", " a", "a--"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseName(text, catalog.KindStage)
		if err != nil {
			if want := "invalid identifier '" + text + "'"; !strings.Contains(err.Error(), want) {
				t.Fatalf("%q: error %q does not repeat the text", text, err)
			}
			return
		}
		if n.String() != text {
			again, err := ParseName(n.String(), catalog.KindStage)
			if err != nil || again.String() != n.String() {
				t.Fatalf("%q prints as %q, which is another name: %v", text, n, err)
			}
		}
	})
}
