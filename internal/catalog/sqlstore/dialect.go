// SPDX-License-Identifier: Apache-2.0

package sqlstore

// dialect is what the two databases write differently. Everything else is one text for both.
type dialect struct {
	name       string
	clock      string // microseconds since 1970, of the database's clock
	skipLocked string // behind a SELECT that claims a row: leaves out rows that another transaction is claiming
}

// The dialects, never written to. SQLite has one writer at a time, so nothing is ever locked by another.
var (
	sqliteDialect   = &dialect{name: "sqlite", clock: "CAST(1000 * round(1000 * unixepoch('subsec')) AS INTEGER)"}
	postgresDialect = &dialect{
		name: "postgres", clock: "CAST(1000000 * extract(epoch FROM clock_timestamp()) AS bigint)", skipLocked: " FOR UPDATE SKIP LOCKED",
	}
)
