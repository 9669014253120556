// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"fmt"
	"io"
	"strings"
)

// WriteText writes the report for people, without colour.
func (r *Report) WriteText(w io.Writer) error { return r.writeText(w, false) }

// textOrder puts what needs attention last, where a terminal shows it.
var textOrder = []Status{Skip, Pass, Warn, Fail}

// paint are the terminal's colours of the outcomes.
var paint = map[Status]string{Pass: "\x1b[32m", Fail: "\x1b[1;31m", Warn: "\x1b[33m", Skip: "\x1b[2m"}

// writeText writes one line per check, then the sums and what to do next. Names inside an image are hostile text, so control
// characters are escaped.
func (r *Report) writeText(w io.Writer, color bool) error {
	tint := func(s Status, text string) string {
		if !color {
			return text
		}
		return paint[s] + text + "\x1b[0m"
	}
	var b strings.Builder
	for _, status := range textOrder {
		for _, c := range r.with(status) {
			fmt.Fprintf(&b, "%s %s: %s\n", tint(c.Status, "["+strings.ToUpper(string(c.Status))+"]"), printable(c.ID), printable(c.Message))
			if c.Remedy != "" && (c.Status == Fail || c.Status == Warn) {
				fmt.Fprintf(&b, "       fix: %s\n", printable(c.Remedy))
			}
		}
	}
	fmt.Fprintf(&b, "\nSummary: %d passed, %d failed, %d warnings, %d skipped\n", r.Summary.Pass, r.Summary.Fail, r.Summary.Warn, r.Summary.Skip)
	ready := "None"
	if len(r.ReadyFor) > 0 {
		ready = strings.Join(r.ReadyFor, ", ")
	}
	outcome := map[string]struct {
		status Status
		text   string
	}{"pass": {Pass, "ALL CHECKS PASSED"}, "fail": {Fail, "VALIDATION FAILED"}, "error": {Fail, "IMAGE UNREADABLE"}}[r.Result]
	fmt.Fprintf(&b, "Ready for: %s\nStatus: %s\n", ready, tint(outcome.status, outcome.text))
	if next := r.next(); next != "" {
		fmt.Fprintf(&b, "Next: %s\n", printable(next))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// next says what to do now, "" when nothing is left to do.
func (r *Report) next() string {
	switch failed := r.Failed(); {
	case r.Result == "error" && len(failed) > 0:
		return failed[0].Remedy
	case len(failed) == 1:
		return "write the fix of " + failed[0].ID + " into the Dockerfile, build and validate again"
	case len(failed) > 1:
		return fmt.Sprintf("write the %d fixes above into the Dockerfile, build and validate again; --format json has every finding", len(failed))
	}
	return ""
}
