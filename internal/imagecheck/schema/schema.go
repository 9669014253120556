// SPDX-License-Identifier: Apache-2.0

// Package schema is the published JSON Schema of the image check's report, firn.validate/1. It is data for whoever reads reports
// with a program: it validates nothing itself. `firn validate --schema` prints it; the tests of the image check hold every report
// against it.
package schema

import _ "embed" // the schema

// Validate is the schema of the report of `firn validate --format json`, draft 2020-12.
//
//go:embed firn.validate-1.schema.json
var Validate []byte
