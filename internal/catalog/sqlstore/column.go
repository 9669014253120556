// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"encoding/json"
	"fmt"
	"strings"

	"firn.dev/firn/internal/errs"
)

// The forms that values have in columns: a time is unix microseconds, 0 for none; a map, list or struct is JSON; a boolean
// is 0 or 1. Each has a function for the way in and a sql.Scanner for the way out; those of times are in stamp.go.

// number is the way in of a boolean.
func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// boolColumn is the way out of a boolean.
type boolColumn struct{ to *bool }

// Scan implements sql.Scanner.
func (c boolColumn) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return errs.New(errs.Corrupt, "a flag in the catalog is stored as %T", value)
	}
	*c.to = n != 0
	return nil
}

// document is the way in of what is kept as JSON. The contract's types always encode.
func document(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", errs.Wrap(err, errs.Invalid, "%T cannot be stored", v)
	}
	return string(b), nil
}

// documentColumn is the way out of what is kept as JSON, into a pointer.
type documentColumn struct{ to any }

// Scan implements sql.Scanner.
func (c documentColumn) Scan(value any) error {
	var err error
	switch v := value.(type) {
	case string:
		err = json.Unmarshal([]byte(v), c.to)
	case []byte:
		err = json.Unmarshal(v, c.to)
	default:
		return errs.New(errs.Corrupt, "a document in the catalog is stored as %T", value)
	}
	if err != nil {
		return errs.Wrap(err, errs.Corrupt, "a document in the catalog cannot be read")
	}
	return nil
}

// places gives "$first, ..., $last".
func places(first, last int) string {
	var b strings.Builder
	for i := first; i <= last; i++ {
		if i > first {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i)
	}
	return b.String()
}

// columns is the list of a table's columns, in the order in which its rows are written and read.
type columns string

// places gives as many placeholders as there are columns.
func (c columns) places() string { return places(1, strings.Count(string(c), ",")+1) }

// updates gives "a = excluded.a, ..." for all columns but the given number of first ones, for an upsert.
func (c columns) updates(skip int) string {
	var b strings.Builder
	for i, name := range strings.Split(string(c), ",") {
		if i < skip {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		name = strings.TrimSpace(name)
		b.WriteString(name + " = excluded." + name)
	}
	return b.String()
}

// filter gathers the conditions of a WHERE and their arguments.
type filter struct {
	conditions []string
	args       []any
}

// add adds a condition; each ? in it stands for one of the values.
func (f *filter) add(condition string, values ...any) {
	for _, v := range values {
		f.args = append(f.args, v)
		condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(f.args)), 1)
	}
	f.conditions = append(f.conditions, condition)
}

// oneOf adds the condition that a column has one of the values. A nil list does not filter; an empty one lets nothing through.
func oneOf[S ~string](f *filter, column string, values []S) {
	if values == nil {
		return
	}
	if len(values) == 0 {
		f.add("1 = 0")
		return
	}
	first := len(f.args) + 1
	for _, v := range values {
		f.args = append(f.args, string(v))
	}
	f.conditions = append(f.conditions, column+" IN ("+places(first, len(f.args))+")")
}

// where gives " WHERE ..." or nothing.
func (f *filter) where() string {
	if len(f.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.conditions, " AND ")
}

// after gives the smallest text behind all texts with the prefix, in byte order; ok is false when there is none.
func after(prefix string) (end string, ok bool) {
	runes := []rune(prefix)
	for i := len(runes) - 1; i >= 0; i-- {
		switch r := runes[i]; r {
		case 0x10FFFF:
			continue
		case 0xD7FF: // surrogates are no characters
			return string(runes[:i]) + "\uE000", true
		default:
			return string(runes[:i]) + string(r+1), true
		}
	}
	return "", false
}
