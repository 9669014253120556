// SPDX-License-Identifier: Apache-2.0

package query

import (
	"encoding/json"
	"math/big"
	"strings"

	"firn.dev/firn/internal/sql/rowset"
)

func (c *caster) toVariant(d any, from, to rowset.Column) any {
	var v any
	switch x := d.(type) {
	case variant:
		v = x.v
	case *big.Int, float64:
		if f, ok := d.(float64); ok && (f != f || f-f != 0) {
			v = floatText(f)
			break
		}
		v = json.Number(trimFraction(c.text(d, from)))
	case bool:
		v = x
	default:
		v = c.text(d, from)
	}
	if _, isArray := v.([]any); to.Type == rowset.Array && !isArray {
		v = []any{v}
	}
	return variant{v}
}

// trimFraction drops zeros at the end of a fraction: a variant keeps a number's value, not its scale.
func trimFraction(s string) string {
	if strings.ContainsAny(s, "eE") || !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

func (c *caster) fromVariant(v variant, from, to rowset.Column) (any, error) {
	switch to.Type {
	case rowset.Variant:
		return v, nil
	case rowset.Array:
		if v.v == nil {
			return nil, nil
		}
		return c.toVariant(v, from, to), nil
	case rowset.Object:
		if v.v == nil {
			return nil, nil
		}
		if _, ok := v.v.(map[string]any); !ok {
			return nil, errVariant(v.compact(), "OBJECT")
		}
		return v, nil
	}
	var d any
	var err error
	switch x := v.v.(type) {
	case nil:
		return nil, nil
	case bool:
		d, err = c.cast(x, rowset.Column{Type: rowset.Boolean}, to)
	case string:
		d, err = c.cast(x, rowset.TextColumn(""), to)
	case json.Number:
		if to.Type == rowset.Real || strings.ContainsAny(x.String(), "eE") {
			f, _ := parseFloat(x.String())
			d, err = c.cast(f, rowset.Column{Type: rowset.Real}, to)
			break
		}
		n, scale, _ := parseDecimal(x.String())
		d, err = c.cast(n, rowset.Column{Type: rowset.Fixed, Precision: maxPrecision, Scale: scale}, to)
	default:
		return nil, errVariant(v.compact(), strings.ToUpper(string(to.Type)))
	}
	if err != nil {
		return nil, errVariant(v.compact(), strings.ToUpper(string(to.Type)))
	}
	return d, nil
}
