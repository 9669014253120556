// SPDX-License-Identifier: Apache-2.0

// Package house is the plan of Firn's rooms: which package may import which. It holds no code; its test reads every import
// in the tree and fails on one that the plan does not allow, so the plan cannot rot. docs/architecture.md shows it as a picture.
//
// Data flows down once: program -> door -> executor -> contract <- implementation. Nothing imports upwards, doors do not know
// each other, and only cmd/firnd knows implementations.
package house

// Plan says for each package below internal/ which other packages below internal/ it may import. errs is free for all. A package
// must stand below everything that imports it, which the test checks too.
var Plan = map[string][]string{
	// Contracts: nouns and promises.
	"errs":       {},
	"catalog":    {},
	"compute":    {},
	"blob":       {},
	"sql/rowset": {},
	"sql/ast":    {"catalog"},

	// Rooms: one job each.
	"sql/parser": {"catalog", "sql/ast"},
	"sql/query":  {"catalog", "sql/ast", "sql/rowset"},
	"rbac":       {"catalog"},
	"auth":       {"catalog"},
	"session":    {"auth", "catalog", "rbac"},
	"stage":      {"blob", "catalog"},
	"imagecheck": {},
	"baseimage":  {},
	"registry":   {"blob", "catalog"}, // and its sub-room
	"node":       {"catalog"},
	"sweep":      {"blob", "catalog"},
	"scheduler":  {"blob", "catalog", "compute", "stage"},
	"sql/executor": {
		"auth", "catalog", "rbac", "session", "sql/ast", "sql/parser", "sql/query", "sql/rowset",
	},
	"sfwire":      {"auth", "catalog", "session", "sql/executor", "sql/rowset"},
	"environment": {"catalog", "imagecheck", "sql/executor"},
	"version":     {},
	"client":      {"version"},
	"house":       {},

	// Rooms that have grown sub-rooms; each may use its siblings below it.
	"registry/upstream": {},
	"imagecheck/pep440": {},
	"imagecheck/pep508": {"imagecheck/pep440"},
	"imagecheck/sbom":   {"imagecheck"},
	"imagecheck/source": {"imagecheck"},
	"imagecheck/bundle": {"imagecheck"},

	// Implementations: their contract and nothing else.
	"catalog/sqlstore": {"catalog"},
	"compute/docker":   {"compute"},
	"compute/none":     {"compute"},
	"blob/dir":         {"blob"},
	"blob/s3":          {"blob"},

	// Suites: imported by tests and benches only.
	"catalog/catalogtest": {"catalog"},
	"compute/computetest": {"compute"},
	"blob/blobtest":       {"blob"},
	"blob/s3test":         {"blob/s3"},
	"cachedisk":           {},
}
