// SPDX-License-Identifier: Apache-2.0

package query

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"

	"firn.dev/firn/internal/sql/rowset"
)

// https://docs.snowflake.com/en/sql-reference/functions-hash-scalar
func digestFunctions() map[string]builder {
	t1 := []rowset.Column{text}
	hexOf := func(length int, f func(b []byte) []byte) builder {
		return sure(rowset.Column{Type: rowset.Text, Length: length}, 1, t1, func(a []any) any { return hexText(f([]byte(a[0].(string)))) })
	}
	md := hexOf(32, func(b []byte) []byte { s := md5.Sum(b); return s[:] })
	sha := hexOf(40, func(b []byte) []byte { s := sha1.Sum(b); return s[:] })
	return map[string]builder{
		"MD5": md, "MD5_HEX": md, "SHA1": sha, "SHA1_HEX": sha, "SHA2": sha2, "SHA2_HEX": sha2,
		"HASH":       hashOf,
		"HEX_ENCODE": sure(text, 1, t1, func(a []any) any { return strings.ToUpper(hexText([]byte(a[0].(string)))) }),
		"HEX_DECODE_STRING": simple(text, 1, t1, func(a []any) (any, error) {
			b, err := hex.DecodeString(a[0].(string))
			if err != nil {
				return nil, errBinary(a[0].(string))
			}
			return string(b), nil
		}),
		"BASE64_ENCODE": base64Encode,
		"BASE64_DECODE_STRING": simple(text, 1, t1, func(a []any) (any, error) {
			b, err := base64.StdEncoding.DecodeString(a[0].(string))
			if err != nil {
				return nil, errBinary(a[0].(string))
			}
			return string(b), nil
		}),
	}
}

func base64Encode(c *compiler, name string, args []*node) (*node, error) {
	if len(args) == 1 && args[0].col.Type == rowset.Binary {
		return sure(text, 1, []rowset.Column{blob}, func(a []any) any { return base64.StdEncoding.EncodeToString(a[0].([]byte)) })(c, name, args)
	}
	return sure(text, 1, []rowset.Column{text}, func(a []any) any { return base64.StdEncoding.EncodeToString([]byte(a[0].(string))) })(c, name, args)
}

func sha2(c *compiler, name string, args []*node) (*node, error) {
	return simple(rowset.Column{Type: rowset.Text, Length: 128}, 1, []rowset.Column{text, number}, func(a []any) (any, error) {
		b := []byte(a[0].(string))
		size := int64(256)
		if len(a) > 1 {
			size = a[1].(*big.Int).Int64()
		}
		switch size {
		case 224:
			s := sha256.Sum224(b)
			return hexText(s[:]), nil
		case 0, 256:
			s := sha256.Sum256(b)
			return hexText(s[:]), nil
		case 384:
			s := sha512.Sum384(b)
			return hexText(s[:]), nil
		case 512:
			s := sha512.Sum512(b)
			return hexText(s[:]), nil
		}
		return nil, errArgument(name, fmt.Sprintf("a digest of %d bits", size))
	})(c, name, args)
}

// hashOf is HASH: the same number for the same values, NULL included; the numbers are Firn's own.
func hashOf(_ *compiler, name string, args []*node) (*node, error) {
	if len(args) == 0 {
		return nil, errArguments(name, "not enough arguments")
	}
	return derived(rowset.Column{Type: rowset.Fixed, Precision: 19, NotNull: true}, func(f *frame) (any, error) {
		h := sha256.New()
		for _, n := range args {
			v, err := n.eval(f)
			if err != nil {
				return nil, err
			}
			cell := "\x00"
			if v != nil {
				cell = trimFraction(toCell(known(n.col), v))
			}
			fmt.Fprintf(h, "%d:%s", len(cell), cell)
		}
		return big.NewInt(int64(binary.BigEndian.Uint64(h.Sum(nil)))), nil
	}, args...), nil
}
