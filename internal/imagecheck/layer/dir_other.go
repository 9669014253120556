// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package layer

import (
	"context"

	"firn.dev/firn/internal/errs"
)

// ReadDir needs the overlay file system of Linux.
//
// Errors: Unsupported.
func ReadDir(_ context.Context, diffID, _ string, _ Limits) (*Scan, error) {
	return nil, errs.New(errs.Unsupported, "layer %s: reading an engine's store needs Linux", diffID)
}
