// SPDX-License-Identifier: Apache-2.0

package errs

import "log/slog"

// Secret is a text that must never reach a log, an error or a result: every way of printing it gives "***".
// Reveal is the only way out, so a reviewer can find each use.
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

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, so that JSON shows "***" too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
