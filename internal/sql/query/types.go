// SPDX-License-Identifier: Apache-2.0

package query

import (
	"strings"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

const maxBinary = 8388608

// columnOf is the column type of a data type as written.
// https://docs.snowflake.com/en/sql-reference/intro-summary-data-types
func columnOf(t ast.Type) (rowset.Column, error) {
	arg := func(i, standard int) int {
		if i < len(t.Args) {
			return t.Args[i]
		}
		return standard
	}
	timed := func(kind rowset.Type) (rowset.Column, error) {
		scale := arg(0, 9)
		if scale < 0 || scale > 9 {
			return rowset.Column{}, errCompile("invalid fractional seconds precision %d", scale)
		}
		return rowset.Column{Type: kind, Scale: scale}, nil
	}
	switch strings.Join(strings.Fields(t.Name), " ") {
	case "NUMBER", "DECIMAL", "DEC", "NUMERIC":
		p, s := arg(0, 38), arg(1, 0)
		if p < 1 || p > maxPrecision || s < 0 || s > 37 || s > p {
			return rowset.Column{}, errCompile("invalid precision or scale of NUMBER(%d,%d)", p, s)
		}
		return rowset.Column{Type: rowset.Fixed, Precision: p, Scale: s}, nil
	case "INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "BYTEINT":
		return rowset.Column{Type: rowset.Fixed, Precision: maxPrecision}, nil
	case "FLOAT", "FLOAT4", "FLOAT8", "DOUBLE", "DOUBLE PRECISION", "REAL":
		return rowset.Column{Type: rowset.Real}, nil
	case "VARCHAR", "STRING", "TEXT", "NVARCHAR", "NVARCHAR2", "CHAR VARYING", "NCHAR VARYING":
		return rowset.Column{Type: rowset.Text, Length: arg(0, rowset.MaxText)}, nil
	case "CHAR", "CHARACTER", "NCHAR":
		return rowset.Column{Type: rowset.Text, Length: arg(0, 1)}, nil
	case "BOOLEAN", "BOOL":
		return rowset.Column{Type: rowset.Boolean}, nil
	case "DATE":
		return rowset.Column{Type: rowset.Date}, nil
	case "TIME":
		return timed(rowset.Time)
	case "DATETIME", "TIMESTAMP", "TIMESTAMP_NTZ", "TIMESTAMPNTZ", "TIMESTAMP WITHOUT TIME ZONE":
		return timed(rowset.TimestampNTZ)
	case "TIMESTAMP_LTZ", "TIMESTAMPLTZ", "TIMESTAMP WITH LOCAL TIME ZONE":
		return timed(rowset.TimestampLTZ)
	case "TIMESTAMP_TZ", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE":
		return timed(rowset.TimestampTZ)
	case "VARIANT":
		return rowset.Column{Type: rowset.Variant}, nil
	case "OBJECT":
		return rowset.Column{Type: rowset.Object}, nil
	case "ARRAY":
		return rowset.Column{Type: rowset.Array}, nil
	case "BINARY", "VARBINARY":
		return rowset.Column{Type: rowset.Binary, Length: arg(0, maxBinary)}, nil
	}
	return rowset.Column{}, errCompile("Unsupported data type '%s'.", t.Name)
}

// typeName is a column's type as messages name it.
func typeName(c rowset.Column) string {
	switch c.Type {
	case rowset.Fixed:
		return "NUMBER"
	case rowset.Real:
		return "FLOAT"
	case rowset.Text:
		return "VARCHAR"
	case "":
		return "NULL"
	}
	return strings.ToUpper(string(c.Type))
}

func isVariant(t rowset.Type) bool {
	return t == rowset.Variant || t == rowset.Object || t == rowset.Array
}

func isTimestamp(t rowset.Type) bool {
	return t == rowset.TimestampNTZ || t == rowset.TimestampLTZ || t == rowset.TimestampTZ
}

// rank orders types by which of two gives the type of both; text gives way to everything.
func rank(t rowset.Type) int {
	order := []rowset.Type{
		"", rowset.Text, rowset.Binary, rowset.Boolean, rowset.Fixed, rowset.Real, rowset.Time, rowset.Date,
		rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ, rowset.Array, rowset.Object, rowset.Variant,
	}
	for i, o := range order {
		if o == t {
			return i
		}
	}
	return 0
}

// common is the type of which values of both types are, as CASE, COALESCE and set operations need it. A column without a
// type, which is that of NULL, gives way to the other.
func common(a, b rowset.Column) rowset.Column {
	out := a
	switch {
	case a.Type == "":
		out = b
	case b.Type == "":
	case a.Type == b.Type:
		switch a.Type {
		case rowset.Fixed:
			out.Scale = max(a.Scale, b.Scale)
			out.Precision = min(maxPrecision, max(a.Precision-a.Scale, b.Precision-b.Scale)+out.Scale)
		case rowset.Text, rowset.Binary:
			out.Length = max(a.Length, b.Length)
		default:
			out.Scale = max(a.Scale, b.Scale)
		}
	case isVariant(a.Type) && isVariant(b.Type):
		out = rowset.Column{Type: rowset.Variant}
	case rank(b.Type) > rank(a.Type):
		out = b
	}
	if out.Type == rowset.Fixed && a.Type != b.Type && (a.Type == rowset.Text || b.Type == rowset.Text) {
		// A text may hold any number.
		out.Precision, out.Scale = maxPrecision, max(out.Scale, 5)
	}
	out.Name, out.NotNull = "", a.NotNull && b.NotNull
	return out
}

// compared is the type in which two types are compared: as common, but a variant is read as the other side's type.
func compared(a, b rowset.Column) rowset.Column {
	switch {
	case a.Type == rowset.Variant && b.Type != "" && !isVariant(b.Type):
		return widest(b)
	case b.Type == rowset.Variant && a.Type != "" && !isVariant(a.Type):
		return widest(a)
	}
	out := common(a, b)
	if out.Type == rowset.Text {
		out.Length = rowset.MaxText
	}
	return out
}

// widest is the type that holds every value of the column's type.
func widest(c rowset.Column) rowset.Column {
	switch c.Type {
	case rowset.Fixed:
		c.Precision, c.Scale = maxPrecision, max(c.Scale, 12)
	case rowset.Text:
		c.Length = rowset.MaxText
	case rowset.Time, rowset.TimestampNTZ, rowset.TimestampLTZ, rowset.TimestampTZ:
		c.Scale = 9
	}
	return c
}

// known gives NULL's missing type its name in results: text.
func known(c rowset.Column) rowset.Column {
	if c.Type == "" {
		c.Type, c.Length = rowset.Text, rowset.MaxText
	}
	return c
}
