// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"fmt"
	"time"
)

// micros gives a time as columns hold it: microseconds since 1970, 0 for the zero time.
func micros(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMicro()
}

// readStamp reads the one time of a row.
func readStamp(row scan) (at time.Time, err error) { return at, row(stamp{&at}) }

// stamp reads a time from a column.
type stamp struct{ into *time.Time }

// Scan implements sql.Scanner.
func (s stamp) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return fmt.Errorf("a time column holds %T", value)
	}
	*s.into = time.Time{}
	if n != 0 {
		*s.into = time.UnixMicro(n).UTC()
	}
	return nil
}
