// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math/big"

	"firn.dev/firn/internal/sql/rowset"
)

// https://docs.snowflake.com/en/sql-reference/expressions-conditional
func conditionFunctions() map[string]builder {
	coalesce := func(c *compiler, name string, args []*node) (*node, error) {
		if len(args) == 0 {
			return nil, errArguments(name, "not enough arguments")
		}
		return c.coalesce(args), nil
	}
	nullIs := func(whenNull bool) builder {
		return func(c *compiler, name string, args []*node) (*node, error) {
			if err := arity(name, len(args), 1, 1); err != nil {
				return nil, err
			}
			zero := literal(rowset.Column{Type: rowset.Fixed, Precision: 1, NotNull: true}, new(big.Int))
			if whenNull {
				return c.coalesce([]*node{c.numeric(args[0]), zero}), nil
			}
			return c.nullIf(args[0], zero), nil
		}
	}
	return map[string]builder{
		"COALESCE": coalesce, "NVL": coalesce, "IFNULL": coalesce,
		"NVL2": func(c *compiler, name string, args []*node) (*node, error) {
			if err := arity(name, len(args), 3, 3); err != nil {
				return nil, err
			}
			return c.choose([]*node{c.present(args[0])}, args[1:]), nil
		},
		"NULLIF": func(c *compiler, name string, args []*node) (*node, error) {
			if err := arity(name, len(args), 2, 2); err != nil {
				return nil, err
			}
			return c.nullIf(args[0], args[1]), nil
		},
		"IFF": func(c *compiler, name string, args []*node) (*node, error) {
			if err := arity(name, len(args), 3, 3); err != nil {
				return nil, err
			}
			return c.choose([]*node{c.convert(args[0], boolean)}, args[1:]), nil
		},
		"ZEROIFNULL": nullIs(true), "NULLIFZERO": nullIs(false),
		"DECODE": decodeCall, "GREATEST": extreme(1), "LEAST": extreme(-1),
		"GREATEST_IGNORE_NULLS": extreme(2), "LEAST_IGNORE_NULLS": extreme(-2),
		"EQUAL_NULL": func(c *compiler, name string, args []*node) (*node, error) {
			if err := arity(name, len(args), 2, 2); err != nil {
				return nil, err
			}
			return c.nullSafeEqual(args[0], args[1]), nil
		},
		"BOOLAND": twoBooleans("AND"), "BOOLOR": twoBooleans("OR"),
		"BOOLNOT": sure(boolean, 1, []rowset.Column{boolean}, func(a []any) any { return !a[0].(bool) }),
		"BOOLXOR": sure(boolean, 2, []rowset.Column{boolean, boolean}, func(a []any) any { return a[0].(bool) != a[1].(bool) }),
	}
}

// coalesce gives the first value that is not NULL.
func (c *compiler) coalesce(args []*node) *node {
	args = c.unify(args)
	col := args[0].col
	col.NotNull = false
	for _, n := range args {
		col.NotNull = col.NotNull || n.col.NotNull
	}
	return derived(col, func(f *frame) (any, error) {
		for _, n := range args {
			if v, err := n.eval(f); v != nil || err != nil {
				return v, err
			}
		}
		return nil, nil
	}, args...)
}

// present tells whether the value is not NULL.
func (c *compiler) present(n *node) *node {
	return derived(rowset.Column{Type: rowset.Boolean, NotNull: true}, func(f *frame) (any, error) {
		v, err := n.eval(f)
		return v != nil, err
	}, n)
}

// nullIf is NULL where both are equal.
func (c *compiler) nullIf(n, other *node) *node {
	equal := c.comparison("=", n, other)
	return derived(nullable(n.col), func(f *frame) (any, error) {
		same, err := equal.eval(f)
		if same == true || err != nil {
			return nil, err
		}
		return n.eval(f)
	}, n, other)
}

func twoBooleans(op string) builder {
	return func(c *compiler, name string, args []*node) (*node, error) {
		if err := arity(name, len(args), 2, 2); err != nil {
			return nil, err
		}
		return logical(op, c.convert(args[0], boolean), c.convert(args[1], boolean)), nil
	}
}

// decodeCall is DECODE(x, a, b, ..., otherwise), in which NULL equals NULL.
func decodeCall(c *compiler, name string, args []*node) (*node, error) {
	if len(args) < 3 {
		return nil, errArguments(name, "not enough arguments")
	}
	var tests, results []*node
	rest := args[1:]
	for len(rest) >= 2 {
		tests, results = append(tests, c.nullSafeEqual(args[0], rest[0])), append(results, rest[1])
		rest = rest[2:]
	}
	otherwise := literal(rowset.Column{}, nil)
	if len(rest) == 1 {
		otherwise = rest[0]
	}
	return c.choose(tests, append(results, otherwise)), nil
}

// extreme is GREATEST (sign 1) and LEAST (-1); with 2 and -2 NULL is passed over.
func extreme(sign int) builder {
	ignore := sign > 1 || sign < -1
	return func(c *compiler, name string, args []*node) (*node, error) {
		if len(args) == 0 {
			return nil, errArguments(name, "not enough arguments")
		}
		args = c.unify(args)
		col := args[0].col
		for _, n := range args {
			col.NotNull = col.NotNull && n.col.NotNull
		}
		return derived(col, func(f *frame) (any, error) {
			var best any
			for _, n := range args {
				v, err := n.eval(f)
				if err != nil {
					return nil, err
				}
				if v == nil && !ignore {
					return nil, nil
				}
				if v != nil && (best == nil || sign*compare(col.Type, v, best) > 0) {
					best = v
				}
			}
			return best, nil
		}, args...), nil
	}
}
