// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"
	"slices"
	"strings"

	"firn.dev/firn/internal/sql/rowset"
)

// https://docs.snowflake.com/en/sql-reference/functions-semistructured
func arrayFunctions() map[string]builder {
	build := func(compact bool) builder {
		return func(c *compiler, _ string, args []*node) (*node, error) { return c.arrayOf(args, compact), nil }
	}
	lists := func(f func(a, b []any) any, out rowset.Column) builder {
		return sure(out, 2, []rowset.Column{list, list}, func(a []any) any { return f(itemsOf(a[0]), itemsOf(a[1])) })
	}
	return map[string]builder{
		"ARRAY_CONSTRUCT": build(false), "ARRAY_CONSTRUCT_COMPACT": build(true),
		"ARRAY_SIZE": maybe(count18, 1, []rowset.Column{anyJSON}, func(a []any) (any, error) {
			items, ok := a[0].(variant).v.([]any)
			if !ok {
				return nil, nil
			}
			return big.NewInt(int64(len(items))), nil
		}),
		"ARRAY_CONTAINS": sure(boolean, 2, []rowset.Column{anyJSON, list}, func(a []any) any {
			return within(itemsOf(a[1]), a[0].(variant).v) >= 0
		}),
		"ARRAY_POSITION": maybe(count18, 2, []rowset.Column{anyJSON, list}, func(a []any) (any, error) {
			i := within(itemsOf(a[1]), a[0].(variant).v)
			if i < 0 {
				return nil, nil
			}
			return big.NewInt(int64(i)), nil
		}),
		"ARRAY_APPEND": sure(list, 2, []rowset.Column{list, anyJSON}, func(a []any) any {
			return variant{append(slices.Clone(itemsOf(a[0])), a[1].(variant).v)}
		}),
		"ARRAY_PREPEND": sure(list, 2, []rowset.Column{list, anyJSON}, func(a []any) any {
			return variant{append([]any{a[1].(variant).v}, itemsOf(a[0])...)}
		}),
		"ARRAY_CAT": lists(func(a, b []any) any { return variant{append(slices.Clone(a), b...)} }, list),
		"ARRAYS_OVERLAP": lists(func(a, b []any) any {
			return slices.ContainsFunc(a, func(v any) bool { return within(b, v) >= 0 })
		}, boolean),
		"ARRAY_INTERSECTION": lists(func(a, b []any) any {
			out := []any{}
			for _, v := range a {
				if within(b, v) >= 0 {
					out = append(out, v)
				}
			}
			return variant{out}
		}, list),
		"ARRAY_SLICE": sure(list, 3, []rowset.Column{list, number, number}, func(a []any) any {
			return variant{slice(itemsOf(a[0]), a[1].(*big.Int), a[2].(*big.Int))}
		}),
		"ARRAY_TO_STRING": sure(text, 2, []rowset.Column{list, text}, func(a []any) any {
			var parts []string
			for _, v := range itemsOf(a[0]) {
				if v == nil {
					parts = append(parts, "")
				} else {
					parts = append(parts, variant{v}.scalarText())
				}
			}
			return strings.Join(parts, a[1].(string))
		}),
	}
}

// within is the place of a value in a list, -1 when it is not there.
func within(items []any, v any) int {
	return slices.IndexFunc(items, func(x any) bool { return compareVariant(variant{x}, variant{v}) == 0 })
}

// listFunctions make another list of a list, or one of numbers.
func listFunctions() map[string]builder {
	one := func(f func(items []any) []any) builder {
		return sure(list, 1, []rowset.Column{list}, func(a []any) any { return variant{f(itemsOf(a[0]))} })
	}
	return map[string]builder{
		"ARRAY_COMPACT": one(func(items []any) []any {
			return slices.DeleteFunc(slices.Clone(items), func(v any) bool { return v == nil })
		}),
		"ARRAY_DISTINCT": one(func(items []any) []any {
			out := []any{}
			for _, v := range items {
				if within(out, v) < 0 {
					out = append(out, v)
				}
			}
			return out
		}),
		"ARRAY_FLATTEN": one(func(items []any) []any {
			out := []any{}
			for _, v := range items {
				if inner, ok := v.([]any); ok {
					out = append(out, inner...)
				} else {
					out = append(out, v)
				}
			}
			return out
		}),
		"ARRAY_SORT": one(func(items []any) []any {
			out := slices.Clone(items)
			slices.SortStableFunc(out, func(a, b any) int { return slices.Compare(variantKey(variant{a}), variantKey(variant{b})) })
			return out
		}),
		"ARRAY_GENERATE_RANGE": simple(list, 2, []rowset.Column{number, number, number}, generateRange),
	}
}

func generateRange(a []any) (any, error) {
	step := bigOne
	if len(a) > 2 {
		step = a[2].(*big.Int)
	}
	if step.Sign() == 0 {
		return nil, errArgument("ARRAY_GENERATE_RANGE", "a step of 0")
	}
	out := []any{}
	for n := new(big.Int).Set(a[0].(*big.Int)); n.Cmp(a[1].(*big.Int)) == -step.Sign() && len(out) < 1e6; n.Add(n, step) {
		out = append(out, jsonNumber(n.Int64()))
	}
	return variant{out}, nil
}
