// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// junitSuites is the root of a JUnit report. encoding/xml replaces characters that XML cannot hold.
type junitSuites struct {
	XMLName  xml.Name   `xml:"testsuites"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Suite    junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"` // seconds
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitOutcome `xml:"failure"`
	Error   *junitOutcome `xml:"error"`
	Skipped *junitOutcome `xml:"skipped"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitOutcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// writeJUnit writes one suite with a case per check.
func (r *Report) writeJUnit(w io.Writer) error {
	suite := junitSuite{
		Name: "firn validate " + r.Image.Ref, Tests: len(r.Checks), Skipped: r.Summary.Skip,
		Time: fmt.Sprintf("%.3f", float64(r.Timing.WallMS)/1000),
	}
	for _, c := range r.Checks {
		one := junitCase{Name: c.ID, Class: "firn.validate", Time: "0"}
		outcome := &junitOutcome{Message: c.Message, Text: junitText(c)}
		switch {
		case c.Status == Fail && r.Error != nil:
			outcome.Type = r.Error.Kind
			one.Error = outcome
			suite.Errors++
		case c.Status == Fail:
			outcome.Type = "fail"
			one.Failure = outcome
			suite.Failures++
		case c.Status == Skip:
			one.Skipped = &junitOutcome{Message: c.Message}
		case c.Status == Warn:
			one.Out = "warning: " + c.Message + "\n" + junitText(c)
		default:
			one.Out = c.Message
		}
		suite.Cases = append(suite.Cases, one)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	err := e.Encode(junitSuites{Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Skipped: suite.Skipped, Suite: suite})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, "\n")
	return err
}

// junitText lists the remedy and the places.
func junitText(c CheckResult) string {
	var b strings.Builder
	if c.Remedy != "" {
		fmt.Fprintf(&b, "fix: %s\n", c.Remedy)
	}
	for _, e := range c.Evidence {
		if e.Path != nil {
			fmt.Fprintf(&b, "%s: ", *e.Path)
		}
		fmt.Fprintln(&b, e.Detail)
	}
	return b.String()
}
