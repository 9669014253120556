// SPDX-License-Identifier: Apache-2.0

package query

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// variant is the datum of VARIANT, OBJECT and ARRAY: nil (JSON null), bool, json.Number, string, []any or map[string]any.
// The wrapper tells JSON null from NULL.
type variant struct{ v any }

// parseJSON reads one JSON text, keeping numbers as written.
func parseJSON(text string) (variant, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return variant{}, errJSON(jsonReason(text, err))
	}
	if _, err := d.Token(); err != io.EOF {
		return variant{}, errJSON("more than one document in the input")
	}
	return variant{v}, nil
}

func jsonReason(text string, err error) string {
	if strings.TrimSpace(text) == "" {
		return "empty input"
	}
	if syntax, ok := err.(*json.SyntaxError); ok {
		return syntax.Error() + ", pos " + strconv.FormatInt(syntax.Offset, 10)
	}
	return "incomplete document"
}

// compact is the JSON without blanks, keys sorted.
func (v variant) compact() string {
	var b bytes.Buffer
	writeJSON(&b, v.v, "", "")
	return b.String()
}

// pretty is the JSON as cells show it: one item per line, two blanks deep.
func (v variant) pretty() string {
	var b bytes.Buffer
	writeJSON(&b, v.v, "\n", "  ")
	return b.String()
}

func writeJSON(b *bytes.Buffer, v any, line, indent string) {
	inner := line
	if line != "" {
		inner += indent
	}
	switch x := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(x))
	case json.Number:
		b.WriteString(trimFraction(x.String()))
	case string:
		writeJSONString(b, x)
	case []any:
		if len(x) == 0 {
			b.WriteString("[]")
			return
		}
		for i, item := range x {
			b.WriteByte("[,"[min(i, 1)])
			b.WriteString(inner)
			writeJSON(b, item, inner, indent)
		}
		b.WriteString(line + "]")
	case map[string]any:
		if len(x) == 0 {
			b.WriteString("{}")
			return
		}
		for i, key := range sortedKeys(x) {
			b.WriteByte("{,"[min(i, 1)])
			b.WriteString(inner)
			writeJSONString(b, key)
			b.WriteByte(':')
			if line != "" {
				b.WriteByte(' ')
			}
			writeJSON(b, x[key], inner, indent)
		}
		b.WriteString(line + "}")
	}
}

func writeJSONString(b *bytes.Buffer, s string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	// A string cannot fail to encode into a buffer.
	_ = e.Encode(s)
	b.Truncate(b.Len() - 1)
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// scalarText is a variant as VARCHAR: strings bare, everything else as compact JSON.
func (v variant) scalarText() string {
	if s, ok := v.v.(string); ok {
		return s
	}
	return v.compact()
}

// kind is the name TYPEOF gives.
func (v variant) kind() string {
	switch x := v.v.(type) {
	case nil:
		return "NULL_VALUE"
	case bool:
		return "BOOLEAN"
	case json.Number:
		n, scale, ok := parseDecimal(x.String())
		switch {
		case !ok || strings.ContainsAny(x.String(), "eE"):
			return "DOUBLE"
		case scale == 0 && digitsOf(n) <= maxPrecision:
			return "INTEGER"
		}
		return "DECIMAL"
	case string:
		return "VARCHAR"
	case []any:
		return "ARRAY"
	}
	return "OBJECT"
}

// compareVariant orders variants: numbers by value, texts by bytes, anything else by its JSON.
func compareVariant(l, r variant) int {
	ln, lok := l.v.(json.Number)
	rn, rok := r.v.(json.Number)
	if lok && rok {
		a, as, aok := parseDecimal(ln.String())
		b, bs, bok := parseDecimal(rn.String())
		if aok && bok {
			scale := max(as, bs)
			return rescale(a, as, scale).Cmp(rescale(b, bs, scale))
		}
	}
	return cmp.Compare(l.compact(), r.compact())
}

// key gives the value below a name; false when there is none.
func (v variant) key(name string) (variant, bool) {
	if m, ok := v.v.(map[string]any); ok {
		x, found := m[name]
		return variant{x}, found
	}
	return variant{}, false
}

// index gives the value at a place from 0; false when there is none.
func (v variant) index(i int64) (variant, bool) {
	if a, ok := v.v.([]any); ok && i >= 0 && i < int64(len(a)) {
		return variant{a[i]}, true
	}
	return variant{}, false
}

// path follows a dotted path such as a.b[0]['c'].
func (v variant) path(path string) (variant, bool) {
	for path != "" {
		var ok bool
		switch {
		case path[0] == '.':
			path = path[1:]
			continue
		case path[0] == '[':
			end := strings.IndexByte(path, ']')
			if end < 0 {
				return variant{}, false
			}
			inside := strings.TrimSpace(path[1:end])
			path = path[end+1:]
			if i, err := strconv.ParseInt(inside, 10, 64); err == nil {
				v, ok = v.index(i)
			} else {
				v, ok = v.key(strings.Trim(inside, `'"`))
			}
		case path[0] == '"':
			end := strings.IndexByte(path[1:], '"')
			if end < 0 {
				return variant{}, false
			}
			v, ok = v.key(path[1 : end+1])
			path = path[end+2:]
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			v, ok = v.key(path[:end])
			path = path[end:]
		}
		if !ok {
			return variant{}, false
		}
	}
	return v, true
}

func hexText(b []byte) string { return hex.EncodeToString(b) }

func parseHex(s string) ([]byte, bool) {
	b, err := hex.DecodeString(strings.TrimSpace(s))
	return b, err == nil
}

// variantKey is bytes whose order is that of compareVariant, with numbers before texts before everything else.
func variantKey(v variant) []byte {
	switch x := v.v.(type) {
	case json.Number:
		f, _ := parseFloat(x.String())
		bits := math.Float64bits(f)
		if f < 0 {
			bits = ^bits
		} else {
			bits |= 1 << 63
		}
		return binary.BigEndian.AppendUint64([]byte{1}, bits)
	case string:
		return append([]byte{2}, x...)
	}
	return append([]byte{3}, v.compact()...)
}
