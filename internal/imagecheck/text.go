// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// WriteJSON writes the report as schema firn.validate/1.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for people: one line per check, then the sums. Names inside an image are hostile text, so control
// characters are escaped.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "[%s] %s: %s\n", strings.ToUpper(string(c.Status)), printable(c.ID), printable(c.Message))
		if c.Remedy != "" && (c.Status == Fail || c.Status == Warn) {
			fmt.Fprintf(&b, "       fix: %s\n", printable(c.Remedy))
		}
	}
	fmt.Fprintf(&b, "\nSummary: %d passed, %d failed, %d warnings, %d skipped\n", r.Summary.Pass, r.Summary.Fail, r.Summary.Warn, r.Summary.Skip)
	ready := "None"
	if len(r.ReadyFor) > 0 {
		ready = strings.Join(r.ReadyFor, ", ")
	}
	status := map[string]string{"pass": "ALL CHECKS PASSED", "fail": "VALIDATION FAILED", "error": "IMAGE UNREADABLE"}[r.Result]
	fmt.Fprintf(&b, "Ready for: %s\nStatus: %s\n", ready, status)
	_, err := io.WriteString(w, b.String())
	return err
}

// printable escapes what a terminal or a log would act on.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(fmt.Sprintf("%+q", r), "'"))
		}
	}
	return b.String()
}
