// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"
	"math/rand/v2"

	"github.com/google/uuid"

	"firn.dev/firn/internal/sql/rowset"
)

// random gives the query's randomness.
func (c *compiler) random() *rand.Rand {
	if c.env.Rand == nil {
		c.env.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	return c.env.Rand
}

// volatileNode is a node that gives another value at every call.
func volatileNode(col rowset.Column, eval evaluator, from ...*node) *node {
	n := derived(col, eval, from...)
	n.constant, n.volatile = false, true
	return n
}

// https://docs.snowflake.com/en/sql-reference/functions-data-generation
func randomFunctions() map[string]builder {
	all := map[string]builder{
		"RANDOM":  randomCall,
		"UNIFORM": uniform,
		"NORMAL": func(c *compiler, name string, args []*node) (*node, error) {
			if err := arity(name, len(args), 3, 3); err != nil {
				return nil, err
			}
			mean, deviation := c.convert(args[0], real), c.convert(args[1], real)
			n := strict(real, func(a []any) (any, error) { return a[0].(float64) + a[1].(float64)*c.random().NormFloat64(), nil }, mean, deviation)
			n.constant, n.volatile = false, true
			return n, nil
		},
		"RANDSTR": randomText,
		"UUID_STRING": func(c *compiler, name string, args []*node) (*node, error) {
			if len(args) == 2 {
				return simple(text, 2, []rowset.Column{text, text}, func(a []any) (any, error) {
					space, err := uuid.Parse(a[0].(string))
					if err != nil {
						return nil, errArgument(name, "'"+a[0].(string)+"' is no UUID")
					}
					return uuid.NewSHA1(space, []byte(a[1].(string))).String(), nil
				})(c, name, args)
			}
			if err := arity(name, len(args), 0, 0); err != nil {
				return nil, err
			}
			return volatileNode(rowset.Column{Type: rowset.Text, Length: 36, NotNull: true}, func(*frame) (any, error) {
				var id uuid.UUID
				for i := range id {
					id[i] = byte(c.random().Uint32())
				}
				id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
				return id.String(), nil
			}), nil
		},
	}
	for name, precision := range map[string]int{"SEQ1": 3, "SEQ2": 5, "SEQ4": 10, "SEQ8": 19} {
		all[name] = sequence(precision)
	}
	return all
}

// sequence is SEQ4 and its like: it counts the rows it is asked for.
func sequence(precision int) builder {
	return func(_ *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), 0, 1); err != nil {
			return nil, err
		}
		next := int64(-1)
		return volatileNode(rowset.Column{Type: rowset.Fixed, Precision: precision, NotNull: true}, func(*frame) (any, error) {
			next++
			return big.NewInt(next), nil
		}), nil
	}
}

// seeded is the randomness of a call: with a constant seed the same numbers in every query.
func (c *compiler) seeded(args []*node) func() *rand.Rand {
	if len(args) == 1 && args[0].plain {
		if v, err := args[0].eval(&frame{}); err == nil && v != nil {
			if n, ok := v.(*big.Int); ok {
				r := rand.New(rand.NewPCG(uint64(n.Int64()), 1))
				return func() *rand.Rand { return r }
			}
		}
	}
	return c.random
}

func randomCall(c *compiler, name string, args []*node) (*node, error) {
	if err := arity(name, len(args), 0, 1); err != nil {
		return nil, err
	}
	source := c.seeded(args)
	return volatileNode(rowset.Column{Type: rowset.Fixed, Precision: 19, NotNull: true}, func(*frame) (any, error) {
		return big.NewInt(int64(source().Uint64())), nil
	}), nil
}

// generatorOf is the randomness a generating argument stands for: its value chooses the result, so RANDOM() differs at every
// row and a constant gives always the same.
func generatorOf(v any) *rand.Rand {
	seed, ok := v.(*big.Int)
	if !ok {
		return rand.New(rand.NewPCG(0, 2))
	}
	return rand.New(rand.NewPCG(uint64(seed.Int64()), 2))
}

// uniform is UNIFORM(min, max, generator): whole numbers when both bounds are, else floats.
func uniform(c *compiler, name string, args []*node) (*node, error) {
	if err := arity(name, len(args), 3, 3); err != nil {
		return nil, err
	}
	low, high := c.numeric(args[0]), c.numeric(args[1])
	source := c.convert(args[2], number)
	if low.col.Type == rowset.Real || high.col.Type == rowset.Real || low.col.Scale+high.col.Scale > 0 {
		col := rowset.Column{Type: rowset.Real, NotNull: true}
		return strict(col, func(a []any) (any, error) {
			return a[0].(float64) + generatorOf(a[2]).Float64()*(a[1].(float64)-a[0].(float64)), nil
		}, c.convert(low, col), c.convert(high, col), source), nil
	}
	col := rowset.Column{Type: rowset.Fixed, Precision: max(low.col.Precision, high.col.Precision), NotNull: true}
	return strict(col, func(a []any) (any, error) {
		from, to := a[0].(*big.Int), a[1].(*big.Int)
		width := new(big.Int).Add(new(big.Int).Sub(to, from), bigOne)
		if width.Sign() <= 0 || !width.IsInt64() {
			return nil, errArgument(name, "the bounds")
		}
		return new(big.Int).Add(from, big.NewInt(generatorOf(a[2]).Int64N(width.Int64()))), nil
	}, low, high, source), nil
}

// randomText is RANDSTR(length, generator).
func randomText(c *compiler, name string, args []*node) (*node, error) {
	if err := arity(name, len(args), 2, 2); err != nil {
		return nil, err
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	col := text
	col.NotNull = args[0].col.NotNull
	return strict(col, func(a []any) (any, error) {
		r := generatorOf(a[1])
		out := make([]byte, clamp(a[0], rowset.MaxText))
		for i := range out {
			out[i] = letters[r.IntN(len(letters))]
		}
		return string(out), nil
	}, c.convert(args[0], number), c.convert(args[1], number)), nil
}
