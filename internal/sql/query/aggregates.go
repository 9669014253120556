// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math"
	"math/big"
	"slices"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/rowset"
)

// aggregateTable is every aggregate function but COUNT and COUNT_IF, which SQLite computes.
func aggregateTable() map[string]aggregateBuilder {
	first := func(c *compiler, args []*node) ([]rowset.Column, aggregate, error) {
		return pick(args, func(has, value any, _ rowset.Type) bool { return false })
	}
	variance := func(sample, root bool) aggregateBuilder {
		return floats(func(values []float64) (float64, bool) { return spread(values, sample, root) })
	}
	return map[string]aggregateBuilder{
		"SUM": sumOf, "AVG": averageOf,
		"MIN": func(_ *compiler, args []*node) ([]rowset.Column, aggregate, error) {
			return pick(args, func(has, value any, t rowset.Type) bool { return compare(t, value, has) < 0 })
		},
		"MAX": func(_ *compiler, args []*node) ([]rowset.Column, aggregate, error) {
			return pick(args, func(has, value any, t rowset.Type) bool { return compare(t, value, has) > 0 })
		},
		"ANY_VALUE": first, "MIN_BY": by(-1), "MAX_BY": by(1), "MODE": modeOf,
		"MEDIAN":   floats(median),
		"VARIANCE": variance(true, false), "VAR_SAMP": variance(true, false), "VARIANCE_SAMP": variance(true, false),
		"VAR_POP": variance(false, false), "VARIANCE_POP": variance(false, false),
		"STDDEV": variance(true, true), "STDDEV_SAMP": variance(true, true), "STDDEV_POP": variance(false, true),
		"LISTAGG": listOf, "ARRAY_AGG": arrayOf, "OBJECT_AGG": objectOf,
		"BOOLAND_AGG": booleans(func(a, b bool) bool { return a && b }), "BOOLOR_AGG": booleans(func(a, b bool) bool { return a || b }),
		"APPROX_COUNT_DISTINCT": distinctOf,
		"\x00single":            single,
	}
}

// fold is an accumulator made of two functions.
type fold struct {
	take func(args []any) error
	give func() (any, error)
}

func (f *fold) add(args []any) error { return f.take(args) }
func (f *fold) result() (any, error) { return f.give() }

func one(args []*node, name string) error {
	if len(args) != 1 {
		return errArguments(name, "not one argument")
	}
	return nil
}

// numberArgument is the type in which an aggregate reads its argument.
func numberArgument(c *compiler, n *node) rowset.Column { return nullable(c.numeric(n).col) }

func sumOf(c *compiler, args []*node) ([]rowset.Column, aggregate, error) {
	if err := one(args, "SUM"); err != nil {
		return nil, aggregate{}, err
	}
	in := numberArgument(c, args[0])
	out := rowset.Column{Type: rowset.Real}
	if in.Type == rowset.Fixed {
		out = rowset.Column{Type: rowset.Fixed, Precision: maxPrecision, Scale: in.Scale}
	}
	return []rowset.Column{in}, aggregate{out: out, start: func() accumulator { return &sum{in: in} }}, nil
}

// sum adds numbers.
type sum struct {
	in    rowset.Column
	count int64
	exact big.Int
	real  float64
}

func (s *sum) add(args []any) error {
	s.count++
	if f, ok := args[0].(float64); ok {
		s.real += f
		return nil
	}
	s.exact.Add(&s.exact, args[0].(*big.Int))
	return nil
}

func (s *sum) result() (any, error) {
	switch {
	case s.count == 0:
		return nil, nil
	case s.in.Type == rowset.Real:
		return s.real, nil
	case !fits(&s.exact, maxPrecision):
		return nil, errRange(decimalText(&s.exact, s.in.Scale))
	}
	return new(big.Int).Set(&s.exact), nil
}

func averageOf(c *compiler, args []*node) ([]rowset.Column, aggregate, error) {
	if err := one(args, "AVG"); err != nil {
		return nil, aggregate{}, err
	}
	in := numberArgument(c, args[0])
	out := rowset.Column{Type: rowset.Real}
	if in.Type == rowset.Fixed {
		out = rowset.Column{Type: rowset.Fixed, Precision: maxPrecision, Scale: max(in.Scale, min(in.Scale+6, 12))}
	}
	start := func() accumulator {
		s := &sum{in: in}
		return &fold{take: s.add, give: func() (any, error) {
			switch {
			case s.count == 0:
				return nil, nil
			case in.Type == rowset.Real:
				return s.real / float64(s.count), nil
			}
			return divideRounded(rescale(&s.exact, in.Scale, out.Scale), big.NewInt(s.count)), nil
		}}
	}
	return []rowset.Column{in}, aggregate{out: out, start: start}, nil
}

// pick keeps one value; better tells whether a new one is preferred.
func pick(args []*node, better func(has, value any, t rowset.Type) bool) ([]rowset.Column, aggregate, error) {
	if err := one(args, "MIN"); err != nil {
		return nil, aggregate{}, err
	}
	col := nullable(known(args[0].col))
	start := func() accumulator {
		var has any
		return &fold{
			take: func(a []any) error {
				if has == nil || better(has, a[0], col.Type) {
					has = a[0]
				}
				return nil
			},
			give: func() (any, error) { return has, nil },
		}
	}
	return []rowset.Column{col}, aggregate{out: col, start: start}, nil
}

// by is MIN_BY and MAX_BY: the first argument of the row whose second is the least or greatest.
func by(sign int) aggregateBuilder {
	return func(_ *compiler, args []*node) ([]rowset.Column, aggregate, error) {
		if len(args) != 2 {
			return nil, aggregate{}, errArguments("MIN_BY", "not two arguments")
		}
		col, key := nullable(known(args[0].col)), nullable(known(args[1].col))
		start := func() accumulator {
			var has, best any
			return &fold{
				take: func(a []any) error {
					if a[1] != nil && (best == nil || sign*compare(key.Type, a[1], best) > 0) {
						has, best = a[0], a[1]
					}
					return nil
				},
				give: func() (any, error) { return has, nil },
			}
		}
		return []rowset.Column{col, key}, aggregate{out: col, start: start, nulls: true}, nil
	}
}

func modeOf(_ *compiler, args []*node) ([]rowset.Column, aggregate, error) {
	if err := one(args, "MODE"); err != nil {
		return nil, aggregate{}, err
	}
	col := nullable(known(args[0].col))
	start := func() accumulator {
		counts := map[string]int{}
		var best any
		most := 0
		return &fold{
			take: func(a []any) error {
				key := toCell(col, a[0])
				if counts[key]++; counts[key] > most {
					most, best = counts[key], a[0]
				}
				return nil
			},
			give: func() (any, error) { return best, nil },
		}
	}
	return []rowset.Column{col}, aggregate{out: col, start: start}, nil
}

// floats is an aggregate over all values as floats; ok false gives NULL.
func floats(f func(values []float64) (v float64, ok bool)) aggregateBuilder {
	return func(c *compiler, args []*node) ([]rowset.Column, aggregate, error) {
		if err := one(args, "MEDIAN"); err != nil {
			return nil, aggregate{}, err
		}
		col := rowset.Column{Type: rowset.Real}
		start := func() accumulator {
			var values []float64
			return &fold{
				take: func(a []any) error { values = append(values, a[0].(float64)); return nil },
				give: func() (any, error) {
					if v, ok := f(values); ok {
						return v, nil
					}
					return nil, nil
				},
			}
		}
		return []rowset.Column{col}, aggregate{out: col, start: start}, nil
	}
}

func median(values []float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	sorted := slices.Clone(values)
	slices.SortFunc(sorted, compareFloat)
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2, true
}

// spread is the variance or, with root, the standard deviation.
func spread(values []float64, sample, root bool) (float64, bool) {
	n := float64(len(values))
	if sample {
		n--
	}
	if n <= 0 {
		return 0, false
	}
	mean := 0.0
	for _, v := range values {
		mean += v / float64(len(values))
	}
	total := 0.0
	for _, v := range values {
		total += (v - mean) * (v - mean)
	}
	if root {
		return math.Sqrt(total / n), true
	}
	return total / n, true
}

func listOf(_ *compiler, args []*node) ([]rowset.Column, aggregate, error) {
	if len(args) < 1 || len(args) > 2 {
		return nil, aggregate{}, errArguments("LISTAGG", "not one or two arguments")
	}
	text := rowset.TextColumn("")
	want := []rowset.Column{text, text}[:len(args)]
	start := func() accumulator {
		var parts []string
		between := ""
		return &fold{
			take: func(a []any) error {
				parts = append(parts, a[0].(string))
				if len(a) > 1 && a[1] != nil {
					between = a[1].(string)
				}
				return nil
			},
			give: func() (any, error) { return strings.Join(parts, between), nil },
		}
	}
	return want, aggregate{out: text, start: start}, nil
}

func arrayOf(_ *compiler, args []*node) ([]rowset.Column, aggregate, error) {
	if err := one(args, "ARRAY_AGG"); err != nil {
		return nil, aggregate{}, err
	}
	start := func() accumulator {
		items := []any{}
		return &fold{
			take: func(a []any) error { items = append(items, a[0].(variant).v); return nil },
			give: func() (any, error) { return variant{slices.Clone(items)}, nil },
		}
	}
	return []rowset.Column{{Type: rowset.Variant}}, aggregate{out: rowset.Column{Type: rowset.Array}, start: start}, nil
}

func objectOf(_ *compiler, args []*node) ([]rowset.Column, aggregate, error) {
	if len(args) != 2 {
		return nil, aggregate{}, errArguments("OBJECT_AGG", "not two arguments")
	}
	start := func() accumulator {
		m := map[string]any{}
		return &fold{
			take: func(a []any) error {
				key := a[0].(string)
				if _, double := m[key]; double {
					return errs.New(errs.Invalid, "Duplicate field key '%s'", key).Numbered(100069, "22000")
				}
				if a[1] != nil {
					m[key] = a[1].(variant).v
				}
				return nil
			},
			give: func() (any, error) {
				out := make(map[string]any, len(m))
				for k, v := range m {
					out[k] = v
				}
				return variant{out}, nil
			},
		}
	}
	return []rowset.Column{rowset.TextColumn(""), {Type: rowset.Variant}}, aggregate{out: rowset.Column{Type: rowset.Object}, start: start}, nil
}

func booleans(f func(a, b bool) bool) aggregateBuilder {
	return func(_ *compiler, args []*node) ([]rowset.Column, aggregate, error) {
		if err := one(args, "BOOLAND_AGG"); err != nil {
			return nil, aggregate{}, err
		}
		col := rowset.Column{Type: rowset.Boolean}
		start := func() accumulator {
			var has any
			return &fold{
				take: func(a []any) error {
					if has == nil {
						has = a[0]
					} else {
						has = f(has.(bool), a[0].(bool))
					}
					return nil
				},
				give: func() (any, error) { return has, nil },
			}
		}
		return []rowset.Column{col}, aggregate{out: col, start: start}, nil
	}
}

func distinctOf(_ *compiler, args []*node) ([]rowset.Column, aggregate, error) {
	if err := one(args, "APPROX_COUNT_DISTINCT"); err != nil {
		return nil, aggregate{}, err
	}
	col := nullable(known(args[0].col))
	start := func() accumulator {
		seen := map[string]bool{}
		return &fold{
			take: func(a []any) error { seen[toCell(col, a[0])] = true; return nil },
			give: func() (any, error) { return big.NewInt(int64(len(seen))), nil },
		}
	}
	return []rowset.Column{col}, aggregate{out: countColumn(), start: start}, nil
}

// single is what makes a scalar sub-query of a query: one row at most.
func single(_ *compiler, args []*node) ([]rowset.Column, aggregate, error) {
	col := nullable(known(args[0].col))
	start := func() accumulator {
		var has any
		rows := 0
		return &fold{
			take: func(a []any) error {
				if rows++; rows > 1 {
					return errs.New(errs.Invalid, "Single-row subquery returns more than one row.").Numbered(90150, "22000")
				}
				has = a[0]
				return nil
			},
			give: func() (any, error) { return has, nil },
		}
	}
	return []rowset.Column{col}, aggregate{out: col, start: start, nulls: true}, nil
}
