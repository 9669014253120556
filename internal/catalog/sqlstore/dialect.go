// SPDX-License-Identifier: Apache-2.0

package sqlstore

// dialect is what the two databases write differently. Everything else is one text for both.
type dialect struct {
	name       string
	skipLocked string // behind a SELECT that claims a row: leaves out rows that another transaction is claiming
}

// The dialects, never written to. SQLite has one writer at a time, so nothing is ever locked by another.
var (
	sqliteDialect   = &dialect{name: "sqlite"}
	postgresDialect = &dialect{name: "postgres", skipLocked: " FOR UPDATE SKIP LOCKED"}
)
