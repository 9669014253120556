// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

// property is one NAME = value that a kind of object understands.
type property struct {
	name string
	// decode checks a value and gives the change that it makes. It runs outside of transactions, so it may take its time; the
	// change may be made several times.
	decode func(ctx context.Context, w *work, v ast.Value) (change, error)
	reset  change // of UNSET; nil when it cannot be unset
	once   bool   // in CREATE only
	later  bool   // in ALTER only
}

// change is one change to an object that is not stored yet.
type change func(o *catalog.Object)

// commentProperty is the property that nearly every kind has.
func commentProperty() property {
	return property{
		name: "COMMENT",
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			text, err := w.textValue("COMMENT", v)
			return func(o *catalog.Object) { o.Comment = text }, err
		},
		reset: func(o *catalog.Object) { o.Comment = "" },
	}
}

// textProperty takes a string (a word or name too, as written).
func textProperty[S catalog.Spec](name string, field func(S) *string) property {
	return property{
		name: name,
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			text, err := w.textValue(name, v)
			return func(o *catalog.Object) { *field(o.Spec.(S)) = text }, err
		},
		reset: func(o *catalog.Object) { *field(o.Spec.(S)) = "" },
	}
}

// identProperty takes the name of an account-level object, bare or as a string, and keeps its canonical form.
func identProperty[S catalog.Spec](name string, field func(S) *string) property {
	return property{
		name: name,
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			text, err := w.textValue(name, v)
			if err != nil {
				return nil, err
			}
			canonical, err := canonicalName(text)
			return func(o *catalog.Object) { *field(o.Spec.(S)) = canonical }, err
		},
		reset: func(o *catalog.Object) { *field(o.Spec.(S)) = "" },
	}
}

// wordProperty takes one of the allowed words, in any case, bare or as a string.
func wordProperty[S catalog.Spec](name, initial string, field func(S) *string, allowed ...string) property {
	return property{
		name: name,
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			word, err := w.wordValue(name, v, allowed)
			return func(o *catalog.Object) { *field(o.Spec.(S)) = word }, err
		},
		reset: func(o *catalog.Object) { *field(o.Spec.(S)) = initial },
	}
}

// boolProperty takes TRUE or FALSE.
func boolProperty[S catalog.Spec](name string, initial bool, field func(S) *bool) property {
	return property{
		name: name,
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			word, err := w.wordValue(name, v, []string{"TRUE", "FALSE"})
			return func(o *catalog.Object) { *field(o.Spec.(S)) = word == "TRUE" }, err
		},
		reset: func(o *catalog.Object) { *field(o.Spec.(S)) = initial },
	}
}

// numberProperty takes a whole number between two bounds.
func numberProperty[S catalog.Spec](name string, low, high, initial int, field func(S) *int) property {
	return property{
		name: name,
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			n, err := w.numberValue(name, v, low, high)
			return func(o *catalog.Object) { *field(o.Spec.(S)) = n }, err
		},
		reset: func(o *catalog.Object) { *field(o.Spec.(S)) = initial },
	}
}

// ignoredProperty is accepted and has no meaning in Firn.
func ignoredProperty(name string) property {
	return property{
		name:   name,
		decode: func(context.Context, *work, ast.Value) (change, error) { return func(*catalog.Object) {}, nil },
		reset:  func(*catalog.Object) {},
	}
}

// required is the property without UNSET.
func (p property) required() property {
	p.reset = nil
	return p
}

// atCreation is the property in CREATE only.
func (p property) atCreation() property {
	p.reset, p.once = nil, true
	return p
}

// decode turns the properties of a statement into changes, in the order in which the kind has the properties, whatever the statement's.
//
// Errors: Invalid for an unknown or repeated property, naming the nearest known one, and for a wrong value, naming the
// allowed ones.
func (k *kind) decode(ctx context.Context, w *work, given []ast.Property, altering bool) ([]change, error) {
	changes := map[string]change{}
	for _, g := range given {
		p, err := k.property(g.Name, altering)
		if err != nil {
			return nil, err
		}
		if changes[g.Name] != nil {
			return nil, errs.New(errs.Invalid, "SQL compilation error:\nduplicate property '%s'", g.Name).Numbered(1003, "42000")
		}
		if changes[g.Name], err = p.decode(ctx, w, g.Value); err != nil {
			return nil, err
		}
	}
	var ordered []change
	for _, p := range k.allProperties() {
		if c := changes[p.name]; c != nil {
			ordered = append(ordered, c)
		}
	}
	return ordered, nil
}

// allProperties gives the properties of the kind with the comment.
func (k *kind) allProperties() []property {
	if !k.comments {
		return k.properties
	}
	return append(slices.Clone(k.properties), commentProperty())
}

// property finds a property by name.
func (k *kind) property(name string, altering bool) (property, error) {
	var names []string
	for _, p := range k.allProperties() {
		if altering && p.once || !altering && p.later {
			continue
		}
		if p.name == name {
			return p, nil
		}
		names = append(names, p.name)
	}
	return property{}, unknown("property", name, names)
}

// unknown is the error for a name that is not one of the known ones.
func unknown(what, name string, known []string) error {
	hint := ""
	if near := errs.Nearest(name, known); near != "" {
		hint = "; did you mean '" + near + "'?"
	} else if len(known) > 0 {
		slices.Sort(known)
		hint = "; known are " + strings.Join(known, ", ")
	}
	return errs.New(errs.Invalid, "SQL compilation error:\ninvalid %s '%s'%s", what, name, hint).Numbered(1008, "22023")
}

// badValue is the error for a value that a property does not take.
func badValue(name, value, allowed string) error {
	return errs.New(errs.Invalid, "SQL compilation error:\ninvalid value '%s' for property '%s'; allowed: %s",
		strings.ToUpper(value), name, allowed).Numbered(1008, "22023")
}

// textValue gives a value as text: a string, number, word or name as written, or what a bind holds.
func (w *work) textValue(name string, v ast.Value) (string, error) {
	switch v.Kind {
	case ast.ListValue, ast.MapValue:
		return "", badValue(name, "(...)", "a text")
	case ast.BindValue:
		return w.scalarText(v.Expr)
	}
	return v.Text, nil
}

// wordValue gives a value that must be one of the allowed words, in upper case.
func (w *work) wordValue(name string, v ast.Value, allowed []string) (string, error) {
	text, err := w.textValue(name, v)
	if err != nil {
		return "", err
	}
	word := strings.ToUpper(text)
	if !slices.Contains(allowed, word) {
		return "", badValue(name, text, strings.Join(allowed, ", "))
	}
	return word, nil
}

// numberValue gives a whole number between two bounds.
func (w *work) numberValue(name string, v ast.Value, low, high int) (int, error) {
	text, err := w.textValue(name, v)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, badValue(name, text, "a whole number from "+strconv.Itoa(low)+" to "+strconv.Itoa(high))
	}
	return n, nil
}

// listValue gives a list of texts; a single value is a list of one.
func (w *work) listValue(name string, v ast.Value) ([]string, error) {
	if v.Kind != ast.ListValue {
		v = ast.Value{Kind: ast.ListValue, List: []ast.Value{v}}
	}
	out := []string{}
	for _, item := range v.List {
		text, err := w.textValue(name, item)
		if err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, nil
}

// mapValue gives the inner properties of NAME = (K = v ...), each of which must be one of the allowed.
func (w *work) mapValue(name string, v ast.Value, allowed ...string) (map[string]ast.Value, error) {
	if v.Kind == ast.ListValue && len(v.List) == 0 {
		return map[string]ast.Value{}, nil
	}
	if v.Kind != ast.MapValue {
		return nil, badValue(name, v.Text, "("+strings.Join(allowed, " = ..., ")+" = ...)")
	}
	out := map[string]ast.Value{}
	for _, p := range v.Map {
		if !slices.Contains(allowed, p.Name) {
			return nil, unknown("property", p.Name, slices.Clone(allowed))
		}
		out[p.Name] = p.Value
	}
	return out, nil
}
