// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"iter"
	"time"
)

// Event is one line of the audit trail: who did what to which object, with which digest, and whether it was allowed.
type Event struct {
	ID        ID
	Time      time.Time
	User      string
	Role      string
	Action    string // "login", "create", "grant", "push", "pull", "use", "refuse", ...
	Kind      Kind   // of the object, or ""
	Object    string // dotted name or image path
	Digest    string // of the image concerned, or ""
	Statement string // query id, or ""
	Allowed   bool
	Detail    string // reason for the reader; no secrets
}

// Audit keeps the audit trail. It only grows.
type Audit interface {
	// AddEvent appends an event; ID and Time are filled when empty.
	AddEvent(e Event) error
	// Events lists events since a time, newest first, at most limit.
	Events(since time.Time, limit int) iter.Seq2[Event, error]
}
