// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math"
	"math/big"

	"firn.dev/firn/internal/sql/rowset"
)

// https://docs.snowflake.com/en/sql-reference/functions-numeric
func numberFunctions() map[string]builder {
	r1, r2, n2 := []rowset.Column{real}, []rowset.Column{real, real}, []rowset.Column{number, number}
	of := func(f func(float64) float64) builder {
		return func(c *compiler, name string, args []*node) (*node, error) {
			return simple(real, 1, r1, func(a []any) (any, error) { return finite(name, f(a[0].(float64))) })(c, name, args)
		}
	}
	bits := func(f func(a, b *big.Int) *big.Int) builder {
		return sure(number, 2, n2, func(a []any) any { return f(a[0].(*big.Int), a[1].(*big.Int)) })
	}
	power := simple(real, 2, r2, func(a []any) (any, error) { return finite("POWER", math.Pow(a[0].(float64), a[1].(float64))) })
	all := map[string]builder{
		"ABS": keep(func(n *big.Int) *big.Int { return new(big.Int).Abs(n) }, math.Abs),
		"SIGN": func(c *compiler, name string, args []*node) (*node, error) {
			return sure(rowset.Column{Type: rowset.Fixed, Precision: 1}, 1, r1, func(a []any) any {
				return big.NewInt(int64(compareFloat(a[0].(float64), 0)))
			})(c, name, args)
		},
		"CEIL": rounding(ceiling, math.Ceil), "CEILING": rounding(ceiling, math.Ceil), "FLOOR": rounding(floor, math.Floor),
		"ROUND": rounding(divideRounded, math.Round), "TRUNCATE": rounding(truncate, math.Trunc), "TRUNC": truncOrDate,
		"MOD": operator("%"), "POWER": power, "POW": power,
		"SQRT": of(math.Sqrt), "CBRT": of(math.Cbrt), "EXP": of(math.Exp), "LN": of(math.Log), "SQUARE": of(func(x float64) float64 { return x * x }),
		"LOG": simple(real, 2, r2, func(a []any) (any, error) { return finite("LOG", math.Log(a[1].(float64))/math.Log(a[0].(float64))) }),
		"SIN": of(math.Sin), "COS": of(math.Cos), "TAN": of(math.Tan), "COT": of(func(x float64) float64 { return 1 / math.Tan(x) }),
		"ASIN": of(math.Asin), "ACOS": of(math.Acos), "ATAN": of(math.Atan), "SINH": of(math.Sinh), "COSH": of(math.Cosh), "TANH": of(math.Tanh),
		"ATAN2":   sure(real, 2, r2, func(a []any) any { return math.Atan2(a[0].(float64), a[1].(float64)) }),
		"RADIANS": of(func(x float64) float64 { return x * math.Pi / 180 }), "DEGREES": of(func(x float64) float64 { return x * 180 / math.Pi }),
		"PI":        sure(real, 0, nil, func([]any) any { return math.Pi }),
		"FACTORIAL": simple(number, 1, []rowset.Column{number}, factorial),
		"BITAND":    bits(func(a, b *big.Int) *big.Int { return new(big.Int).And(a, b) }),
		"BITOR":     bits(func(a, b *big.Int) *big.Int { return new(big.Int).Or(a, b) }),
		"BITXOR":    bits(func(a, b *big.Int) *big.Int { return new(big.Int).Xor(a, b) }),
		"BITNOT":    sure(number, 1, []rowset.Column{number}, func(a []any) any { return new(big.Int).Not(a[0].(*big.Int)) }),
		"BITSHIFTLEFT": bits(func(a, b *big.Int) *big.Int {
			return big.NewInt(int64(a.Uint64() << uint(clamp(b, 64))))
		}),
		"BITSHIFTRIGHT": bits(func(a, b *big.Int) *big.Int { return new(big.Int).Rsh(a, uint(clamp(b, 128))) }),
		"WIDTH_BUCKET":  simple(count18, 4, []rowset.Column{real, real, real, number}, widthBucket),
		"DIV0":          divideOrZero(false), "DIV0NULL": divideOrZero(true),
	}
	return all
}

// finite refuses results that are no number.
func finite(name string, f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errArgument(name, "the result is "+floatText(f))
	}
	return f, nil
}

// keep is a function that gives the type it gets.
func keep(exact func(*big.Int) *big.Int, inexact func(float64) float64) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), 1, 1); err != nil {
			return nil, err
		}
		n := c.numeric(args[0])
		return strict(n.col, func(a []any) (any, error) {
			if f, ok := a[0].(float64); ok {
				return inexact(f), nil
			}
			return exact(a[0].(*big.Int)), nil
		}, n), nil
	}
}

func operator(op string) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), 2, 2); err != nil {
			return nil, err
		}
		return c.arithmetic(op, args[0], args[1])
	}
}

func truncate(n, d *big.Int) *big.Int { return new(big.Int).Quo(n, d) }

func floor(n, d *big.Int) *big.Int { return new(big.Int).Div(n, d) }

func ceiling(n, d *big.Int) *big.Int {
	return new(big.Int).Neg(new(big.Int).Div(new(big.Int).Neg(n), d))
}

// rounding is ROUND and its like: to a number of fraction digits, which may be negative, 0 when absent.
func rounding(exact func(n, d *big.Int) *big.Int, inexact func(float64) float64) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), 1, 3); err != nil {
			return nil, err
		}
		n := c.numeric(args[0])
		places := literal(rowset.Column{Type: rowset.Fixed, Precision: 1, NotNull: true}, new(big.Int))
		if len(args) > 1 {
			places = c.convert(args[1], number)
		}
		if n.col.Type == rowset.Real {
			return strict(rowset.Column{Type: rowset.Real, NotNull: n.col.NotNull && places.col.NotNull}, func(a []any) (any, error) {
				scale := math.Pow10(clampSigned(a[1], 300))
				f := inexact(a[0].(float64)*scale) / scale
				if math.IsInf(f, 0) || math.IsNaN(f) {
					return a[0], nil
				}
				return f, nil
			}, n, places), nil
		}
		out := n.col
		if len(args) < 2 || args[1].plain {
			if v, err := places.eval(&frame{}); err == nil && v != nil {
				out.Scale = min(n.col.Scale, max(clampSigned(v, 37), 0))
				out.Precision = min(maxPrecision, n.col.Precision-n.col.Scale+out.Scale+1)
			}
		}
		from := n.col.Scale
		out.NotNull = n.col.NotNull && places.col.NotNull
		return strict(out, func(a []any) (any, error) {
			drop := from - clampSigned(a[1], 38)
			v := a[0].(*big.Int)
			if drop > 0 {
				v = rescale(exact(v, pow10(drop)), 0, drop)
			}
			return rescale(v, from, out.Scale), nil
		}, n, places), nil
	}
}

// clampSigned gives a number between -most and most.
func clampSigned(n any, most int) int {
	b := n.(*big.Int)
	if b.Sign() < 0 {
		return -clamp(new(big.Int).Neg(b), most)
	}
	return clamp(b, most)
}

// truncOrDate is TRUNC of a number or, with a unit, of a date.
func truncOrDate(c *compiler, name string, args []*node) (*node, error) {
	if len(args) == 2 && (args[0].col.Type == rowset.Date || isTimestamp(args[0].col.Type)) {
		return dateTrunc(c, name, []*node{args[1], args[0]})
	}
	return rounding(truncate, math.Trunc)(c, name, args)
}

func factorial(a []any) (any, error) {
	n := a[0].(*big.Int)
	if n.Sign() < 0 || !n.IsInt64() || n.Int64() > 33 {
		return nil, errArgument("FACTORIAL", n.String())
	}
	return new(big.Int).MulRange(1, n.Int64()), nil
}

func widthBucket(a []any) (any, error) {
	v, low, high := a[0].(float64), a[1].(float64), a[2].(float64)
	buckets := a[3].(*big.Int)
	if low >= high || buckets.Sign() <= 0 || !buckets.IsInt64() {
		return nil, errArgument("WIDTH_BUCKET", "the bounds or the number of buckets")
	}
	switch {
	case v < low:
		return new(big.Int), nil
	case v >= high:
		return new(big.Int).Add(buckets, bigOne), nil
	}
	return big.NewInt(int64((v-low)/(high-low)*float64(buckets.Int64())) + 1), nil
}

// divideOrZero is l / r, 0 where r is 0 or, when asked for, NULL.
func divideOrZero(null bool) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), 2, 2); err != nil {
			return nil, err
		}
		quotient, err := c.arithmetic("/", args[0], args[1])
		if err != nil {
			return nil, err
		}
		zero := literal(rowset.Column{Type: rowset.Fixed, Precision: 1}, new(big.Int))
		tests := []*node{c.comparison("=", args[1], zero)}
		if null {
			tests[0] = logical("OR", tests[0], c.nullSafeEqual(args[1], literal(rowset.Column{}, nil)))
		}
		return c.choose(tests, []*node{zero, quotient}), nil
	}
}
