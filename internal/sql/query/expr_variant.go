// SPDX-License-Identifier: Apache-2.0

package query

import (
	"encoding/json"
	"math/big"
	"strconv"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// path compiles x:key and x[index].
func (c *compiler) path(x *ast.Path, sc *scope) (*node, error) {
	base, err := c.expr(x.X, sc)
	if err != nil {
		return nil, err
	}
	if base.col.Type != "" && !isVariant(base.col.Type) {
		return nil, errCompile("Invalid argument types for function 'GET': (%s, VARCHAR)", typeName(base.col))
	}
	if x.Index == nil {
		return strict(rowset.Column{Type: rowset.Variant}, func(a []any) (any, error) {
			return optional(a[0].(variant).key(x.Key))
		}, base), nil
	}
	index, err := c.expr(x.Index, sc)
	if err != nil {
		return nil, err
	}
	return c.get(base, index), nil
}

// get is x[i] and GET: by place for numbers, by name for texts.
func (c *compiler) get(base, index *node) *node {
	col := rowset.Column{Type: rowset.Variant}
	if index.col.Type == rowset.Fixed || index.col.Type == rowset.Real {
		return strict(col, func(a []any) (any, error) {
			return optional(a[0].(variant).index(a[1].(*big.Int).Int64()))
		}, base, c.convert(index, rowset.NumberColumn("")))
	}
	return strict(col, func(a []any) (any, error) {
		return optional(a[0].(variant).key(a[1].(string)))
	}, base, c.convert(index, rowset.TextColumn("")))
}

func optional(v variant, ok bool) (any, error) {
	if !ok {
		return nil, nil
	}
	return v, nil
}

func (c *compiler) array(x *ast.Array, sc *scope) (*node, error) {
	items, err := c.all(x.Items, sc)
	if err != nil {
		return nil, err
	}
	return c.arrayOf(items, false), nil
}

// arrayOf is the array of the nodes; NULL becomes JSON null, which prints as undefined elsewhere, or is left out.
func (c *compiler) arrayOf(items []*node, compact bool) *node {
	for i, n := range items {
		items[i] = c.convert(n, rowset.Column{Type: rowset.Variant})
	}
	return derived(rowset.Column{Type: rowset.Array, NotNull: true}, func(f *frame) (any, error) {
		out := []any{}
		for _, n := range items {
			v, err := n.eval(f)
			if err != nil {
				return nil, err
			}
			if v != nil {
				out = append(out, v.(variant).v)
			} else if !compact {
				out = append(out, nil)
			}
		}
		return variant{out}, nil
	}, items...)
}

func (c *compiler) object(x *ast.ObjectLiteral, sc *scope) (*node, error) {
	values, err := c.all(x.Values, sc)
	if err != nil {
		return nil, err
	}
	keys := make([]*node, len(x.Keys))
	for i, k := range x.Keys {
		keys[i] = literal(rowset.TextColumn(""), k)
	}
	return c.objectOf(keys, values, false), nil
}

// objectOf is the object of keys and values; NULL values are left out unless keep is set.
func (c *compiler) objectOf(keys, values []*node, keep bool) *node {
	for i := range keys {
		keys[i] = c.convert(keys[i], rowset.TextColumn(""))
		values[i] = c.convert(values[i], rowset.Column{Type: rowset.Variant})
	}
	return derived(rowset.Column{Type: rowset.Object, NotNull: true}, func(f *frame) (any, error) {
		out := map[string]any{}
		for i := range keys {
			k, err := keys[i].eval(f)
			if err != nil {
				return nil, err
			}
			v, err := values[i].eval(f)
			if err != nil {
				return nil, err
			}
			if k == nil || v == nil && !keep {
				continue
			}
			if v == nil {
				v = variant{}
			}
			out[k.(string)] = v.(variant).v
		}
		return variant{out}, nil
	}, append(append([]*node{}, keys...), values...)...)
}

// jsonNumber is a number as a part of a variant.
func jsonNumber(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }
