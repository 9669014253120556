// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"firn.dev/firn/internal/errs"
)

// The forms of a report.
const (
	FormatText   = "text"   // for people
	FormatJSON   = "json"   // schema firn.validate/1
	FormatSARIF  = "sarif"  // SARIF 2.1.0, for code scanning
	FormatJUnit  = "junit"  // for what shows test results
	FormatGitHub = "github" // annotations of a GitHub workflow
)

// Formats lists what Write takes.
func Formats() []string {
	return []string{FormatText, FormatJSON, FormatSARIF, FormatJUnit, FormatGitHub}
}

// Write writes the report in one of Formats. color is for FormatText alone: the caller knows whether w is a terminal.
//
// Errors: Invalid for an unknown format, or what w gave.
func (r *Report) Write(w io.Writer, format string, color bool) error {
	switch format {
	case FormatText:
		return r.writeText(w, color)
	case FormatJSON:
		return r.WriteJSON(w)
	case FormatSARIF:
		return r.writeSARIF(w)
	case FormatJUnit:
		return r.writeJUnit(w)
	case FormatGitHub:
		return r.writeGitHub(w)
	}
	return errs.New(errs.Invalid, "format %q does not exist: there are %s", format, strings.Join(Formats(), ", "))
}

// WriteJSON writes the report as schema firn.validate/1.
func (r *Report) WriteJSON(w io.Writer) error { return writeJSON(w, r) }

func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// printable escapes what a terminal or a log would act on.
func printable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(fmt.Sprintf("%+q", r), "'"))
		}
		s = s[size:]
	}
	return b.String()
}
