// SPDX-License-Identifier: Apache-2.0

package errs

import (
	"fmt"
	"log/slog"
)

// Secret is a text that must never reach a log, an error or a result: every way of printing it gives "***".
// Reveal is the only way out, so a reviewer can find each use. No method can guard an unexported field of a struct that is
// printed whole, nor the key of a map in JSON: keep it out of both.
type Secret string

// Reveal gives the text itself.
func (s Secret) Reveal() string { return string(s) }

// String gives "***", or "" when there is nothing to hide.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// Format prints String under every verb.
func (s Secret) Format(f fmt.State, verb rune) { fmt.Fprintf(f, fmt.FormatString(f, verb), s.String()) }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, so that JSON shows "***" too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
