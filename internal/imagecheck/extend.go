// SPDX-License-Identifier: Apache-2.0

package imagecheck

// Extend adds checks that somebody else made, such as those of a run of the image, and derives the result anew. It must not be
// called while another goroutine reads the report.
func (r *Report) Extend(checks ...CheckResult) {
	r.Checks = append(r.Checks, checks...)
	r.Summary, r.ReadyFor = Summary{}, []string{}
	r.finish()
}
