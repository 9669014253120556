// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/rowset"
)

// https://docs.snowflake.com/en/sql-reference/functions-semistructured
func variantFunctions() map[string]builder {
	j1 := []rowset.Column{anyJSON}
	parse := maybe(anyJSON, 1, []rowset.Column{text}, func(a []any) (any, error) {
		if a[0].(string) == "" {
			return nil, nil
		}
		return parseJSON(a[0].(string))
	})
	all := map[string]builder{
		"PARSE_JSON": parse, "TRY_PARSE_JSON": trying(parse),
		"CHECK_JSON": maybe(text, 1, []rowset.Column{text}, func(a []any) (any, error) {
			if _, err := parseJSON(a[0].(string)); err != nil && a[0].(string) != "" {
				return errs.MessageOf(err), nil
			}
			return nil, nil
		}),
		"TO_JSON": sure(text, 1, j1, func(a []any) any { return a[0].(variant).compact() }),
		"TYPEOF":  typeOf,
		"GET": func(c *compiler, name string, args []*node) (*node, error) {
			if err := arity(name, len(args), 2, 2); err != nil {
				return nil, err
			}
			return c.get(c.convert(args[0], anyJSON), args[1]), nil
		},
		"GET_PATH": maybe(anyJSON, 2, []rowset.Column{anyJSON, text}, func(a []any) (any, error) {
			return optional(a[0].(variant).path(a[1].(string)))
		}),
		"JSON_EXTRACT_PATH_TEXT": maybe(text, 2, []rowset.Column{text, text}, func(a []any) (any, error) {
			v, err := parseJSON(a[0].(string))
			if err != nil {
				return nil, err
			}
			found, ok := v.path(a[1].(string))
			if !ok || found.v == nil {
				return nil, nil
			}
			return found.scalarText(), nil
		}),
		"STRIP_NULL_VALUE": maybe(anyJSON, 1, j1, func(a []any) (any, error) { return optional(a[0].(variant), a[0].(variant).v != nil) }),
		"OBJECT_CONSTRUCT": construct(false), "OBJECT_CONSTRUCT_KEEP_NULL": construct(true),
		"OBJECT_KEYS": sure(list, 1, []rowset.Column{object}, func(a []any) any {
			m, _ := a[0].(variant).v.(map[string]any)
			keys := []any{}
			for _, k := range sortedKeys(m) {
				keys = append(keys, k)
			}
			return variant{keys}
		}),
		"OBJECT_INSERT": objectInsert,
		"OBJECT_DELETE": objectSubset(false), "OBJECT_PICK": objectSubset(true),
	}
	for name, kinds := range map[string]string{
		"IS_ARRAY": "ARRAY", "IS_OBJECT": "OBJECT", "IS_VARCHAR": "VARCHAR", "IS_CHAR": "VARCHAR", "IS_BOOLEAN": "BOOLEAN",
		"IS_INTEGER": "INTEGER", "IS_NULL_VALUE": "NULL_VALUE",
	} {
		all[name] = isKind(kinds)
	}
	all["IS_DECIMAL"], all["IS_DOUBLE"], all["IS_REAL"] = isKind("INTEGER", "DECIMAL"), isKind("INTEGER", "DECIMAL", "DOUBLE"), isKind("INTEGER", "DECIMAL", "DOUBLE")
	return all
}

func isKind(kinds ...string) builder {
	return sure(boolean, 1, []rowset.Column{anyJSON}, func(a []any) any {
		for _, k := range kinds {
			if a[0].(variant).kind() == k {
				return true
			}
		}
		return false
	})
}

// typeOf is TYPEOF of a variant's content.
func typeOf(c *compiler, name string, args []*node) (*node, error) {
	return sure(text, 1, []rowset.Column{anyJSON}, func(a []any) any { return a[0].(variant).kind() })(c, name, args)
}

// construct is OBJECT_CONSTRUCT(k, v, ...).
func construct(keep bool) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		if len(args)%2 != 0 {
			return nil, errArguments(name, "a key without a value")
		}
		var keys, values []*node
		for i := 0; i < len(args); i += 2 {
			keys, values = append(keys, args[i]), append(values, args[i+1])
		}
		return c.objectOf(keys, values, keep), nil
	}
}

// objectInsert is OBJECT_INSERT(object, key, value [, update]).
func objectInsert(c *compiler, name string, args []*node) (*node, error) {
	if err := arity(name, len(args), 3, 4); err != nil {
		return nil, err
	}
	params := []rowset.Column{object, text, anyJSON, boolean}
	for i, n := range args {
		args[i] = c.convert(n, params[i])
	}
	return derived(rowset.Column{Type: rowset.Object}, func(f *frame) (any, error) {
		a := make([]any, len(args))
		for i, n := range args {
			v, err := n.eval(f)
			if err != nil || v == nil && i < 2 {
				return nil, err
			}
			a[i] = v
		}
		key := a[1].(string)
		out := map[string]any{}
		m, _ := a[0].(variant).v.(map[string]any)
		for k, v := range m {
			out[k] = v
		}
		if _, exists := out[key]; exists && (len(a) < 4 || a[3] != true) {
			return nil, errs.New(errs.Invalid, "Duplicate field key '%s'", key).Numbered(100069, "22000")
		}
		if a[2] != nil {
			out[key] = a[2].(variant).v
		}
		return variant{out}, nil
	}, args...), nil
}

// objectSubset is OBJECT_PICK and OBJECT_DELETE.
func objectSubset(pick bool) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		if len(args) < 2 {
			return nil, errArguments(name, "not enough arguments")
		}
		params := []rowset.Column{object}
		for range args[1:] {
			params = append(params, text)
		}
		return sure(object, len(args), params, func(a []any) any {
			named := map[string]bool{}
			for _, k := range a[1:] {
				named[k.(string)] = true
			}
			out := map[string]any{}
			m, _ := a[0].(variant).v.(map[string]any)
			for k, v := range m {
				if named[k] == pick {
					out[k] = v
				}
			}
			return variant{out}
		})(c, name, args)
	}
}

// itemsOf is the content of an array.
func itemsOf(v any) []any {
	items, _ := v.(variant).v.([]any)
	return items
}

// slice gives items from a place, which may count from the end, up to but without another.
func slice(items []any, from, to *big.Int) []any {
	n := len(items)
	at := func(p *big.Int) int {
		i := clampSigned(p, n)
		if p.Sign() < 0 {
			i += n
		}
		return i
	}
	a, b := at(from), at(to)
	if a >= b {
		return []any{}
	}
	return items[a:b]
}
