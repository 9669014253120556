// SPDX-License-Identifier: Apache-2.0

// Package blobtest is the suite that every implementation of blob.Store passes, and a store in memory that passes it.
// It is imported by tests only. Changing a promise of package blob means changing this suite first.
package blobtest

import (
	"testing"

	"firn.dev/firn/internal/blob"
)

// T is what a check needs of *testing.T, so that the suite's own test can watch wrong stores fail.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Check is one promise of the contract.
type Check struct {
	Name string
	Run  func(t T, s blob.Store)
}

// TestStore runs every check on a fresh, empty store; open registers its own cleanup. The checks of blob.Appender run when
// the store has it.
func TestStore(t *testing.T, open func(t *testing.T) blob.Store) {
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.Run(t, open(t))
		})
	}
}

// Checks lists the promises.
func Checks() []Check {
	return []Check{
		{"put and open", putAndOpen},
		{"ranges", ranges},
		{"replace", replace},
		{"failing reader", failingReader},
		{"cancelled put", cancelledPut},
		{"missing", missing},
		{"delete", deleteTwice},
		{"list", list},
		{"bad keys", badKeys},
		{"odd keys", oddKeys},
		{"concurrent puts of one key", concurrentPuts},
		{"open survives delete and replace", openSurvives},
		{"append and finish", appendAndFinish},
		{"append overwrites", appendOverwrites},
		{"append conflicts", appendConflicts},
		{"append failing reader", appendFailingReader},
		{"abort", abort},
		{"concurrent appends of different keys", concurrentAppends},
	}
}
