// SPDX-License-Identifier: Apache-2.0

package ast

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firn.dev/firn/internal/catalog"
)

func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]bool{
		"PASSWORD": true, "SECRET_STRING": true, "OAUTH_REFRESH_TOKEN": true, "OAUTH_CLIENT_SECRET": true, "PRIVATE_KEY": true,
		"RSA_PUBLIC_KEY": false, "RSA_PUBLIC_KEY_2": false, "COMMENT": false, "SECRET_TYPE": false, "USERNAME": false, "TOKEN_LIFETIME": false,
	} {
		s := &Create{
			Kind: catalog.KindUser, Name: &Name{Kind: catalog.KindUser, Parts: []Ident{{Text: "u"}}},
			Properties: []Property{{Name: name, Value: Value{Text: "hunter2"}}},
		}
		if got := strings.Contains(s.String(), "hunter2"); got == secret {
			t.Errorf("%s: %s", name, s)
		}
		if !strings.Contains(Unmasked(s), "hunter2") {
			t.Errorf("%s: %s", name, Unmasked(s))
		}
		if got := fmt.Sprint(s); got != s.String() {
			t.Errorf("%s prints as %s", name, got)
		}
	}
}

// TestInspectVisitsEverything fills every field of every node with a marked column and looks for all marks.
func TestInspectVisitsEverything(t *testing.T) {
	t.Parallel()
	marks := 0
	mark := func() Expr {
		marks++
		return &Column{Index: marks}
	}
	small := func() *Query { return &Query{Body: &Select{Items: []Item{{Expr: mark()}}}} }
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		for i := range v.NumField() {
			f := v.Field(i)
			switch f.Interface().(type) {
			case []Expr:
				f.Set(reflect.ValueOf([]Expr{mark(), mark()}))
			case [][]Expr:
				f.Set(reflect.ValueOf([][]Expr{{mark()}, {mark()}}))
			case []Argument:
				f.Set(reflect.ValueOf([]Argument{{Value: mark()}}))
			case []Order:
				f.Set(reflect.ValueOf([]Order{{Expr: mark()}}))
			case []When:
				f.Set(reflect.ValueOf([]When{{If: mark(), Then: mark()}}))
			case []Item:
				f.Set(reflect.ValueOf([]Item{{Expr: mark()}}))
			case []CTE:
				f.Set(reflect.ValueOf([]CTE{{Query: small()}}))
			case []Table:
				f.Set(reflect.ValueOf([]Table{&Derived{Query: small()}}))
			case *Query:
				f.Set(reflect.ValueOf(small()))
			case *Name:
				f.Set(reflect.ValueOf(&Name{Arg: mark()}))
			case *Window:
				f.Set(reflect.ValueOf(&Window{Partition: []Expr{mark()}, Order: []Order{{Expr: mark()}}}))
			case nil:
				switch f.Type() {
				case reflect.TypeFor[Expr]():
					f.Set(reflect.ValueOf(mark()))
				case reflect.TypeFor[Body]():
					f.Set(reflect.ValueOf(small()))
				case reflect.TypeFor[Table]():
					f.Set(reflect.ValueOf(&Derived{Query: small()}))
				}
			}
		}
	}
	nodes := []any{
		&Query{}, &Select{}, &SetOperation{}, &Values{}, &TableName{}, &TableFunction{}, &Derived{}, &Join{},
		&Unary{}, &Binary{}, &IsNull{}, &IsDistinct{}, &In{}, &Between{}, &Like{}, &Case{}, &Cast{}, &Function{}, &Method{}, &Subquery{},
		&Exists{}, &Path{}, &Array{}, &ObjectLiteral{}, &Tuple{},
	}
	for _, node := range nodes {
		marks = 0
		fill(reflect.ValueOf(node).Elem())
		var found []int
		Inspect(node, func(n any) bool {
			if c, ok := n.(*Column); ok {
				found = append(found, c.Index)
			}
			return true
		})
		slices.Sort(found)
		if len(found) != marks || len(slices.Compact(found)) != marks {
			t.Errorf("%T: visited %v of %d", node, found, marks)
		}
	}
}

func TestInspectStops(t *testing.T) {
	t.Parallel()
	e := &Binary{Op: "+", L: &Unary{Op: "-", X: &Literal{}}, R: &Literal{}}
	visited := 0
	Inspect(e, func(n any) bool {
		visited++
		_, isUnary := n.(*Unary)
		return !isUnary
	})
	if visited != 3 {
		t.Errorf("visited %d nodes", visited)
	}
	Inspect(nil, func(any) bool {
		t.Error("visited nil")
		return true
	})
}

func TestBindsKeepTheirPlace(t *testing.T) {
	t.Parallel()
	e := &Array{Items: []Expr{&Bind{Index: 1}, &Bind{Index: 3}, &Bind{Index: 4}, &Bind{Index: 2}, &Bind{Name: "N"}}}
	if got := e.String(); got != "[?, :3, ?, :2, :N]" {
		t.Errorf("got %s", got)
	}
}
