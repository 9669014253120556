// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/rowset"
)

// textCell gives a cell of a text column.
func textCell(s string) *string { return &s }

// orNull gives NULL for "".
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// numberCell gives a cell of a NUMBER(38,0) column.
func numberCell[N ~int | ~int64](n N) *string { return textCell(strconv.FormatInt(int64(n), 10)) }

// boolText gives a truth value as SHOW statements write it: true or false, in text columns.
func boolText(b bool) *string { return textCell(strconv.FormatBool(b)) }

// yesNo gives a truth value as older SHOW statements write it: Y or N.
func yesNo(b bool) *string {
	if b {
		return textCell("Y")
	}
	return textCell("N")
}

// timeCell gives a cell of a TIMESTAMP_LTZ(3) column, NULL for the zero time.
func timeCell(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return secondsCell(t.UnixMilli(), 1000)
}

// eventTimeCell gives a cell of a TIMESTAMP_LTZ(6) column: two events of one millisecond have an order.
func eventTimeCell(t time.Time) *string { return secondsCell(t.UnixMicro(), 1000_000) }

// secondsCell gives a number of parts of a second as seconds; per is how many parts a second has, a power of ten.
func secondsCell(parts, per int64) *string {
	fraction := strconv.FormatInt(per+(parts%per+per)%per, 10)[1:]
	return textCell(strconv.FormatInt(parts/per, 10) + "." + fraction)
}

// jsonCell gives a cell of a variant, object or array column.
func jsonCell(v any) *string {
	b, err := json.Marshal(v)
	if err != nil { // only values made by this package get here
		panic(err)
	}
	return textCell(string(b))
}

// message gives the result of statements that only report success: one row, one column.
func message(column, text string) *rowset.Rowset {
	return &rowset.Rowset{Columns: []rowset.Column{rowset.TextColumn(column)}, Rows: [][]*string{{&text}}}
}

// status gives a success text in the column that DDL answers in.
func status(text string) *rowset.Rowset { return message("status", text) }

// statusColumns are the columns of status.
func statusColumns() []rowset.Column { return []rowset.Column{rowset.TextColumn("status")} }

// column is one column of a SHOW or DESCRIBE over objects: what it is called and how an object fills it.
type column struct {
	rowset.Column
	cell func(l *listing, o *catalog.Object) *string
}

// textOf makes a text column.
func textOf(name string, cell func(*listing, *catalog.Object) *string) column {
	return column{rowset.TextColumn(name), cell}
}

// numberOf makes a NUMBER(38,0) column.
func numberOf(name string, cell func(*listing, *catalog.Object) *string) column {
	return column{rowset.NumberColumn(name), cell}
}

// timeOf makes a timestamp column.
func timeOf(name string, at func(*catalog.Object) time.Time) column {
	return column{rowset.TimestampColumn(name), func(_ *listing, o *catalog.Object) *string { return timeCell(at(o)) }}
}

// constant makes a text column with the same value in every row.
func constant(name, value string) column {
	return textOf(name, func(*listing, *catalog.Object) *string { return textCell(value) })
}

// null makes a text column without values.
func null(name string) column {
	return textOf(name, func(*listing, *catalog.Object) *string { return nil })
}

// specText makes a text column from the spec of one kind.
func specText[S catalog.Spec](name string, value func(S) string) column {
	return textOf(name, func(_ *listing, o *catalog.Object) *string { return textCell(value(o.Spec.(S))) })
}

// specCell makes a text column from the spec of one kind, in any form.
func specCell[S catalog.Spec](name string, cell func(S) *string) column {
	return textOf(name, func(_ *listing, o *catalog.Object) *string { return cell(o.Spec.(S)) })
}

// specNumber makes a number column from the spec of one kind.
func specNumber[S catalog.Spec](name string, value func(S) int) column {
	return numberOf(name, func(_ *listing, o *catalog.Object) *string { return numberCell(value(o.Spec.(S))) })
}

// The columns that most kinds share.
func createdOn() column {
	return timeOf("created_on", func(o *catalog.Object) time.Time { return o.Created })
}

func updatedOn() column {
	return timeOf("updated_on", func(o *catalog.Object) time.Time { return o.Altered })
}

func nameColumn() column {
	return textOf("name", func(_ *listing, o *catalog.Object) *string { return textCell(o.Name.Object) })
}

func databaseName() column {
	return textOf("database_name", func(_ *listing, o *catalog.Object) *string { return textCell(o.Name.Database) })
}

func schemaName() column {
	return textOf("schema_name", func(_ *listing, o *catalog.Object) *string { return textCell(o.Name.Schema) })
}

func owner() column {
	return textOf("owner", func(_ *listing, o *catalog.Object) *string { return textCell(o.Owner) })
}

// ownerRoleType is ROLE for objects that somebody owns.
func ownerRoleType() column {
	return textOf("owner_role_type", func(_ *listing, o *catalog.Object) *string {
		if o.Owner == "" {
			return textCell("")
		}
		return textCell("ROLE")
	})
}

// comment is NULL when none was set.
func comment() column {
	return textOf("comment", func(_ *listing, o *catalog.Object) *string { return orNull(o.Comment) })
}

// headers gives the columns without how they are filled.
func headers(columns []column) []rowset.Column {
	out := make([]rowset.Column, len(columns))
	for i, c := range columns {
		out[i] = c.Column
	}
	return out
}

// row fills the columns from an object.
func row(l *listing, columns []column, o *catalog.Object) []*string {
	cells := make([]*string, len(columns))
	for i, c := range columns {
		cells[i] = c.cell(l, o)
	}
	return cells
}

// underscored is a kind as SHOW GRANTS writes it: CUSTOM_RUNTIME_ENVIRONMENT.
func underscored(kind catalog.Kind) string { return strings.ReplaceAll(string(kind), " ", "_") }
