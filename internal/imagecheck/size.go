// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"fmt"
	"strconv"
	"strings"

	"firn.dev/firn/internal/errs"
)

// ParseSize reads a number of bytes such as "64GiB", "500MB" or "1024".
//
// Errors: Invalid.
func ParseSize(text string) (int64, error) {
	number, unit := text, int64(1)
	for _, u := range []struct {
		name string
		size int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}} {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = rest, u.size
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n <= 0 || n > (1<<62)/unit {
		return 0, errs.New(errs.Invalid, "%q is no size such as 64GiB", text)
	}
	return n * unit, nil
}

// sizeText writes bytes for people.
func sizeText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
