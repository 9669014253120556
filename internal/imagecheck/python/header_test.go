// SPDX-License-Identifier: Apache-2.0

package python

import (
	"strings"
	"testing"
)

func TestHeaderJoinsContinuationLines(t *testing.T) {
	t.Parallel()
	f := parseHeader([]byte("\ufeffName:  a \r\nLicense: MIT\r\n\tor\n  BSD \rVersion: 1\n\nRequires-Dist: body\n"), false)
	for key, want := range map[string]string{"name": "a", "license": "MIT\n\tor\n  BSD", "version": "1", "requires-dist": ""} {
		if got := f.first(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// TestHeaderOfManyLines would take hours if every continuation line copied what came before.
func TestHeaderOfManyLines(t *testing.T) {
	t.Parallel()
	const lines = 2 << 20
	f := parseHeader([]byte("Description: x\n"+strings.Repeat(" y\n", lines)), false)
	if got, want := len(f.first("description")), len("x")+lines*len("\n y"); got != want {
		t.Errorf("the value has %d bytes, want %d", got, want)
	}
}
