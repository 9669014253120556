// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"sync"
	"sync/atomic"

	"firn.dev/firn/internal/errs"
)

// Budget is the memory that the scans of one image may keep together. It may be used concurrently.
type Budget struct {
	left    atomic.Int64
	archive sync.Mutex // held by whoever has a whole archive in memory
}

// NewBudget gives a full budget.
func NewBudget() *Budget {
	b := &Budget{}
	b.left.Store(budgetTotal)
	return b
}

// take books what an entry keeps.
//
// Errors: Exhausted.
func (b *Budget) take(diffID string, e *Entry) error {
	cost := int64(entryCost + len(e.Path) + len(e.Link) + len(e.Body))
	if b.left.Add(-cost) < 0 {
		return errs.New(errs.Exhausted, "layer %s: the image has more files and metadata than the %d MiB that a check may hold", diffID, budgetTotal>>20)
	}
	return nil
}

// Charge books a scan that came from elsewhere, such as a cache, as if it had been read.
//
// Errors: Exhausted.
func (b *Budget) Charge(s *Scan) error {
	for i := range s.Entries {
		if err := b.take(s.DiffID, &s.Entries[i]); err != nil {
			return &Failure{DiffID: s.DiffID, Err: err}
		}
	}
	return nil
}
