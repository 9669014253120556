// SPDX-License-Identifier: Apache-2.0

// Package rowset is the form in which results travel: typed columns, and cells as the text of the Snowflake protocol's JSON
// format. It is a contract: the query engine and the executor make rowsets, the catalog keeps them encoded, the SQL door
// sends them. It knows no statement and no protocol message.
//
// https://docs.snowflake.com/en/sql-reference/intro-summary-data-types; the encodings of cells are those that
// snowflake-connector-python and gosnowflake read (converter.py, converter.go).
package rowset

// Type is a column's type in the protocol's words, lower case.
type Type string

// The types, and how a cell of each is written.
const (
	Fixed        Type = "fixed"         // decimal with exactly Scale digits: "42", "1.50"
	Real         Type = "real"          // "3.5", "NaN", "inf", "-inf"
	Text         Type = "text"          // as is
	Boolean      Type = "boolean"       // "1" or "0"
	Date         Type = "date"          // days since 1970-01-01
	Time         Type = "time"          // seconds of the day with exactly Scale digits
	TimestampNTZ Type = "timestamp_ntz" // seconds since the epoch as if UTC, exactly Scale digits
	TimestampLTZ Type = "timestamp_ltz" // seconds since the epoch, exactly Scale digits
	TimestampTZ  Type = "timestamp_tz"  // the same, a blank, and the offset in minutes + 1440
	Variant      Type = "variant"       // JSON
	Object       Type = "object"        // JSON
	Array        Type = "array"         // JSON
	Binary       Type = "binary"        // upper-case hex
)

// MaxText is the length of a text column without one.
const MaxText = 16777216

// Column describes one column.
type Column struct {
	Name      string `json:"name"`
	Type      Type   `json:"type"`
	Precision int    `json:"precision,omitempty"` // Fixed
	Scale     int    `json:"scale,omitempty"`     // Fixed, Time and the timestamps (9 unless said)
	Length    int    `json:"length,omitempty"`    // characters of Text, bytes of Binary
	NotNull   bool   `json:"notNull,omitempty"`
}

// Rowset is a result. Rows have as many cells as there are columns; a nil cell is NULL.
type Rowset struct {
	Columns []Column    `json:"columns"`
	Rows    [][]*string `json:"rows"`
}

// Bind is a value that a client sent for a placeholder. Type is the protocol's: FIXED, REAL, TEXT, BOOLEAN, DATE, TIME,
// TIMESTAMP_NTZ, ..., ANY; Values has one entry, or one per row of an array bind; a nil entry is NULL.
type Bind struct {
	Type   string
	Values []*string
	Array  bool
}

// TextColumn describes a nullable text column without a length.
func TextColumn(name string) Column { return Column{Name: name, Type: Text, Length: MaxText} }

// NumberColumn describes a nullable NUMBER(38,0) column.
func NumberColumn(name string) Column { return Column{Name: name, Type: Fixed, Precision: 38} }

// TimestampColumn describes a nullable TIMESTAMP_LTZ(3) column, as SHOW statements have.
func TimestampColumn(name string) Column { return Column{Name: name, Type: TimestampLTZ, Scale: 3} }
