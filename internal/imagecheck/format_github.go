// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"fmt"
	"io"
	"strings"
)

// Workflow commands end at a line break; properties end at a comma or colon as well.
var (
	githubData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// writeGitHub writes an annotation per fail and warn.
func (r *Report) writeGitHub(w io.Writer) error {
	var b strings.Builder
	for _, c := range r.Checks {
		level := map[Status]string{Fail: "error", Warn: "warning"}[c.Status]
		if level == "" {
			continue
		}
		text := printable(c.Message)
		if c.Remedy != "" {
			text += "\nfix: " + printable(c.Remedy)
		}
		fmt.Fprintf(&b, "::%s title=firn validate (%s)::%s\n", level, githubProperty.Replace(printable(c.ID)), githubData.Replace(text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
