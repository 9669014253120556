// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"firn.dev/firn/internal/sql/rowset"
)

// The fields of the structures that timestamps are.
var (
	epochField    = arrow.Field{Name: "epoch", Type: arrow.PrimitiveTypes.Int64}
	fractionField = arrow.Field{Name: "fraction", Type: arrow.PrimitiveTypes.Int32} // nanoseconds
	zoneField     = arrow.Field{Name: "timezone", Type: arrow.PrimitiveTypes.Int32} // minutes + 1440
)

// momentArrow gives the form of times and timestamps, which clients expect to depend on the scale: one number of units where that
// holds every year, else seconds and nanoseconds.
// snowflake-connector-python nanoarrow_cpp/ArrowIterator/CArrowTableIterator.cpp (convertTimestampColumn, convertTimestampTZColumn).
func momentArrow(c rowset.Column, meta map[string]string) (arrow.DataType, func(array.Builder, string) error) {
	units := func(b array.Builder, cell string) error {
		m, err := momentOf(cell, c.Scale)
		b.(*array.Int64Builder).Append(m.units())
		return err
	}
	switch {
	case c.Type == rowset.TimestampTZ && c.Scale <= 3:
		meta["byteLength"] = "8"
		return arrow.StructOf(epochField, zoneField), func(b array.Builder, cell string) error {
			m, err := momentOf(cell, c.Scale)
			s := b.(*array.StructBuilder)
			s.Append(true)
			s.FieldBuilder(0).(*array.Int64Builder).Append(m.units())
			s.FieldBuilder(1).(*array.Int32Builder).Append(m.zone)
			return err
		}
	case c.Type == rowset.TimestampTZ:
		meta["byteLength"] = "16"
		return arrow.StructOf(epochField, fractionField, zoneField), func(b array.Builder, cell string) error {
			m, err := momentOf(cell, c.Scale)
			m.add(b.(*array.StructBuilder))
			b.(*array.StructBuilder).FieldBuilder(2).(*array.Int32Builder).Append(m.zone)
			return err
		}
	case c.Type != rowset.Time && c.Scale > 6:
		return arrow.StructOf(epochField, fractionField), func(b array.Builder, cell string) error {
			m, err := momentOf(cell, c.Scale)
			m.add(b.(*array.StructBuilder))
			return err
		}
	}
	return arrow.PrimitiveTypes.Int64, units
}

// moment is a cell of a time or timestamp: seconds rounded down, and the rest in units of the scale.
type moment struct {
	seconds, rest int64
	scale         int
	zone          int32
}

func powerOfTen(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// units is the moment in units of its scale. It fits for the scales that are sent so.
func (m moment) units() int64 { return m.seconds*powerOfTen(m.scale) + m.rest }

// add appends seconds and nanoseconds.
func (m moment) add(s *array.StructBuilder) {
	s.Append(true)
	s.FieldBuilder(0).(*array.Int64Builder).Append(m.seconds)
	s.FieldBuilder(1).(*array.Int32Builder).Append(int32(m.rest * powerOfTen(9-m.scale)))
}

func momentOf(cell string, scale int) (moment, error) {
	m := moment{scale: scale}
	text, zoned, ok := strings.Cut(cell, " ")
	if ok {
		n, err := strconv.ParseInt(zoned, 10, 32)
		if err != nil {
			return m, err
		}
		m.zone = int32(n)
	}
	whole, digits, _ := strings.Cut(text, ".")
	var err error
	if m.seconds, err = strconv.ParseInt(whole, 10, 64); err != nil {
		return m, err
	}
	if digits == "" {
		return m, nil
	}
	if m.rest, err = strconv.ParseInt(digits, 10, 64); err != nil {
		return m, err
	}
	if strings.HasPrefix(whole, "-") && m.rest > 0 { // -1.25 is 0.75 after -2
		m.seconds, m.rest = m.seconds-1, powerOfTen(scale)-m.rest
	}
	return m, nil
}
