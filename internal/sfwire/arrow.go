// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/rowset"
)

// arrowColumn is how a column becomes Arrow: its field with the metadata that clients tell types by, and how a cell that is not
// NULL is added.
// snowflake-connector-python nanoarrow_cpp/ArrowIterator (CArrowChunkIterator.cpp, CArrowTableIterator.cpp).
type arrowColumn struct {
	field arrow.Field
	add   func(b array.Builder, cell string) error
}

// arrowColumns plans all columns of a result. Every piece of a large result must have the same types, so the plan is made once of
// all rows.
func arrowColumns(rs *rowset.Rowset) []arrowColumn {
	out := make([]arrowColumn, len(rs.Columns))
	for i, c := range rs.Columns {
		meta := map[string]string{"logicalType": strings.ToUpper(string(c.Type))}
		var kind arrow.DataType
		var add func(array.Builder, string) error
		switch c.Type {
		case rowset.Fixed:
			meta["precision"], meta["scale"] = strconv.Itoa(c.Precision), strconv.Itoa(c.Scale)
			kind, add = fixedArrow(rs, i)
		case rowset.Real:
			kind, add = arrow.PrimitiveTypes.Float64, addReal
		case rowset.Boolean:
			kind, add = arrow.FixedWidthTypes.Boolean, addBoolean
		case rowset.Date:
			kind, add = arrow.FixedWidthTypes.Date32, addDate
		case rowset.Binary:
			meta["byteLength"] = strconv.Itoa(c.Length)
			kind, add = arrow.BinaryTypes.Binary, addBinary
		case rowset.Time, rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
			meta["scale"] = strconv.Itoa(c.Scale)
			kind, add = momentArrow(c, meta)
		default:
			meta["charLength"], meta["byteLength"] = strconv.Itoa(c.Length), strconv.Itoa(textBytes(c.Length))
			kind, add = arrow.BinaryTypes.String, addText
		}
		out[i] = arrowColumn{arrow.Field{Name: c.Name, Type: kind, Nullable: !c.NotNull, Metadata: arrow.MetadataFrom(meta)}, add}
	}
	return out
}

// arrowStream gives rows, at least one, as an IPC stream.
//
// Errors: Internal for a cell that is not of its column's type.
func arrowStream(columns []arrowColumn, rows [][]*string) ([]byte, error) {
	fields, arrays := make([]arrow.Field, len(columns)), make([]arrow.Array, len(columns))
	for i, c := range columns {
		var err error
		if arrays[i], err = arrowArray(c, rows, i); err != nil {
			return nil, err
		}
		fields[i] = c.field
	}
	schema := arrow.NewSchema(fields, nil)
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	err := w.Write(array.NewRecordBatch(schema, arrays, int64(len(rows))))
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, errs.Wrap(err, errs.Internal, "result cannot be written as Arrow")
	}
	return out.Bytes(), nil
}

func arrowArray(c arrowColumn, rows [][]*string, at int) (arrow.Array, error) {
	b := array.NewBuilder(memory.DefaultAllocator, c.field.Type)
	b.Reserve(len(rows))
	for _, row := range rows {
		cell := row[at]
		if cell == nil {
			b.AppendNull()
			continue
		}
		if err := c.add(b, *cell); err != nil {
			return nil, errs.Wrap(err, errs.Internal, "cell of column '%s' is not of its type %s", c.field.Name, c.field.Type)
		}
	}
	return b.NewArray(), nil
}

// fixedArrow chooses the narrower of int64 and decimal128 that holds every cell. Both hold the digits without the point.
func fixedArrow(rs *rowset.Rowset, at int) (arrow.DataType, func(array.Builder, string) error) {
	c := rs.Columns[at]
	if c.Precision > 18 {
		for _, row := range rs.Rows {
			if cell := row[at]; cell != nil && len(*cell) > 18 { // the sign and the point are counted too, which costs nothing much
				return &arrow.Decimal128Type{Precision: 38, Scale: int32(c.Scale)}, addDecimal
			}
		}
	}
	return arrow.PrimitiveTypes.Int64, addInteger
}

func withoutPoint(cell string) string { return strings.Replace(cell, ".", "", 1) }

func addInteger(b array.Builder, cell string) error {
	n, err := strconv.ParseInt(withoutPoint(cell), 10, 64)
	b.(*array.Int64Builder).Append(n)
	return err
}

func addDecimal(b array.Builder, cell string) error {
	n, ok := new(big.Int).SetString(withoutPoint(cell), 10)
	if !ok || n.BitLen() > 127 {
		return strconv.ErrSyntax
	}
	b.(*array.Decimal128Builder).Append(decimal128.FromBigInt(n))
	return nil
}

func addReal(b array.Builder, cell string) error {
	n, err := strconv.ParseFloat(cell, 64)
	b.(*array.Float64Builder).Append(n)
	return err
}

func addBoolean(b array.Builder, cell string) error {
	b.(*array.BooleanBuilder).Append(cell == "1")
	return nil
}

func addDate(b array.Builder, cell string) error {
	n, err := strconv.ParseInt(cell, 10, 32)
	b.(*array.Date32Builder).Append(arrow.Date32(n))
	return err
}

func addBinary(b array.Builder, cell string) error {
	bytes, err := hex.DecodeString(cell)
	b.(*array.BinaryBuilder).Append(bytes)
	return err
}

func addText(b array.Builder, cell string) error {
	b.(*array.StringBuilder).Append(cell)
	return nil
}
