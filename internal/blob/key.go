// SPDX-License-Identifier: Apache-2.0

package blob

import (
	"strings"

	"firn.dev/firn/internal/errs"
)

// maxKey is the longest key, in bytes: room for prefixes in every store.
const maxKey = 200

// CheckKey tells whether a key is one that every store takes. Implementations call it first in every method that names a blob.
//
// Errors: Invalid.
func CheckKey(key string) error {
	if key == "" || len(key) > maxKey {
		return errs.New(errs.Invalid, "blob key %.40q must have 1 to %d bytes", key, maxKey)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." {
			return errs.New(errs.Invalid, "blob key %q has the part %q", key, part)
		}
	}
	for _, c := range []byte(key) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' || c == '/') {
			return errs.New(errs.Invalid, "blob key %q has the character %q", key, c)
		}
	}
	return nil
}
