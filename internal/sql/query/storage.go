// SPDX-License-Identifier: Apache-2.0

package query

import (
	"database/sql/driver"
	"encoding/binary"
	"math"
	"math/big"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/rowset"
)

// How datums travel through SQLite: in a form whose order and equality under SQLite's own comparison are those of the type,
// so that GROUP BY, DISTINCT, ORDER BY, set operations and joins need no call back.
//
//	Fixed up to 18 digits   INTEGER          Fixed above   BLOB of 17 bytes, sign bit flipped, big endian
//	Real                    REAL; NaN TEXT   Boolean, Date, Time   INTEGER
//	timestamps              BLOB of 12 bytes: seconds with the sign bit flipped, nanoseconds; TZ with 2 more for the offset
//	Text                    TEXT             Variant, Object, Array   TEXT, compact JSON with sorted keys
//	Binary                  BLOB

const wideBytes = 17

// encode gives the stored form of a datum.
func encode(col rowset.Column, d any) driver.Value {
	if d == nil {
		return nil
	}
	switch col.Type {
	case rowset.Fixed:
		n := d.(*big.Int)
		if col.Precision <= 18 && n.IsInt64() {
			return n.Int64()
		}
		return encodeWide(n)
	case rowset.Real:
		f := d.(float64)
		if math.IsNaN(f) {
			return "NaN"
		}
		return f
	case rowset.Boolean:
		return boolInt(d.(bool))
	case rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
		t := d.(time.Time)
		b := make([]byte, 12, 14)
		binary.BigEndian.PutUint64(b, uint64(t.Unix())^1<<63)
		binary.BigEndian.PutUint32(b[8:], uint32(t.Nanosecond()))
		if col.Type == rowset.TimestampTZ {
			_, offset := t.Zone()
			b = binary.BigEndian.AppendUint16(b, uint16(offset/60+1440))
		}
		return b
	case rowset.Variant, rowset.Object, rowset.Array:
		return d.(variant).compact()
	}
	return d
}

// encodeWide writes n as two's complement of 17 bytes with the sign bit flipped.
func encodeWide(n *big.Int) []byte {
	b := make([]byte, wideBytes)
	if n.IsInt64() {
		small := n.Int64()
		for i := range wideBytes - 8 {
			b[i] = byte(small >> 63)
		}
		b[0] ^= 0x80
		binary.BigEndian.PutUint64(b[wideBytes-8:], uint64(small))
		return b
	}
	shifted := new(big.Int).Lsh(bigOne, wideBytes*8-1)
	shifted.Add(shifted, n).FillBytes(b)
	return b
}

func decodeWide(b []byte) *big.Int {
	if len(b) == wideBytes {
		head, sign := b[0]^0x80, byte(int8(b[wideBytes-8])>>7)
		small := head == sign
		for _, x := range b[1 : wideBytes-8] {
			small = small && x == sign
		}
		if small {
			return big.NewInt(int64(binary.BigEndian.Uint64(b[wideBytes-8:])))
		}
	}
	n := new(big.Int).SetBytes(b)
	return n.Sub(n, new(big.Int).Lsh(bigOne, wideBytes*8-1))
}

// decode gives the datum of a stored form. It copies what it keeps: texts and blobs that SQLite hands to functions live
// only as long as the call.
func decode(col rowset.Column, v driver.Value) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch col.Type {
	case rowset.Fixed:
		switch x := v.(type) {
		case int64:
			return big.NewInt(x), nil
		case []byte:
			return decodeWide(x), nil
		}
	case rowset.Real:
		switch x := v.(type) {
		case float64:
			return x, nil
		case int64:
			return float64(x), nil
		case string:
			return math.NaN(), nil
		}
	case rowset.Boolean:
		if x, ok := v.(int64); ok {
			return x != 0, nil
		}
	case rowset.Date, rowset.Time:
		if x, ok := v.(int64); ok {
			return x, nil
		}
	case rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
		if b, ok := v.([]byte); ok && len(b) >= 12 {
			return decodeTimestamp(col, b), nil
		}
	case rowset.Variant, rowset.Object, rowset.Array:
		if s, ok := v.(string); ok {
			return parseJSON(strings.Clone(s))
		}
	case rowset.Binary:
		if b, ok := v.([]byte); ok {
			return append([]byte{}, b...), nil
		}
	case rowset.Text:
		if s, ok := v.(string); ok {
			return strings.Clone(s), nil
		}
	}
	return nil, errs.New(errs.Internal, "a stored %s has the form %T", col.Type, v)
}

func decodeTimestamp(col rowset.Column, b []byte) time.Time {
	t := time.Unix(int64(binary.BigEndian.Uint64(b)^1<<63), int64(binary.BigEndian.Uint32(b[8:]))).UTC()
	if col.Type == rowset.TimestampTZ && len(b) >= 14 {
		t = t.In(time.FixedZone("", (int(binary.BigEndian.Uint16(b[12:]))-1440)*60))
	}
	return t
}
