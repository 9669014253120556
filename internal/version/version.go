// SPDX-License-Identifier: Apache-2.0

// Package version holds the version of Firn's programs. It imports nothing; the programs and doors show it.
package version

// Version is the release, x.y.z in digits only, as clients parse it.
const Version = "0.1.0"
