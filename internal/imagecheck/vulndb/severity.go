// SPDX-License-Identifier: Apache-2.0

package vulndb

import (
	"slices"
	"strings"

	cvss2 "github.com/pandatix/go-cvss/20"
	cvss30 "github.com/pandatix/go-cvss/30"
	cvss31 "github.com/pandatix/go-cvss/31"
	cvss4 "github.com/pandatix/go-cvss/40"
)

// Severity is how bad a vulnerability is.
type Severity string

// The severities, worst first.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Unknown  Severity = "unknown" // nobody has said; never counts as at least anything
)

var ranks = []Severity{Low, Medium, High, Critical}

// AtLeast tells whether s is as bad as other or worse. Unknown never is.
func (s Severity) AtLeast(other Severity) bool {
	rank := slices.Index(ranks, s)
	return rank >= 0 && rank >= slices.Index(ranks, other)
}

// ParseSeverity reads one of the words from low to critical; false for any other.
func ParseSeverity(text string) (Severity, bool) {
	s := Severity(text)
	return s, slices.Contains(ranks, s)
}

// rating is what records say of how bad a vulnerability is. Its zero value says nothing.
type rating struct {
	severity Severity // by CVSS, "" without
	score    float64
	word     Severity // the advisory's own, "" without
}

// join keeps the worst of both.
func (r rating) join(o rating) rating {
	if o.severity != "" && (!r.severity.AtLeast(o.severity) || r.severity == o.severity && o.score > r.score) {
		r.severity, r.score = o.severity, o.score
	}
	if o.word != "" && !r.word.AtLeast(o.word) {
		r.word = o.word
	}
	return r
}

// final gives the severity, and the score when it comes from one.
func (r rating) final() (Severity, float64) {
	switch {
	case r.severity != "":
		return r.severity, r.score
	case r.word != "":
		return r.word, 0
	}
	return "", 0
}

// rateVector reads a CVSS vector of any version; the zero rating for one that is none.
func rateVector(vector string) rating {
	score, ok := 0.0, false
	version2 := false
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		if v, err := cvss4.ParseVector(vector); err == nil {
			score, ok = v.Score(), true
		}
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		if v, err := cvss31.ParseVector(vector); err == nil {
			score, ok = v.BaseScore(), true
		}
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		if v, err := cvss30.ParseVector(vector); err == nil {
			score, ok = v.BaseScore(), true
		}
	default:
		if v, err := cvss2.ParseVector(strings.Trim(vector, "()")); err == nil {
			score, ok, version2 = v.BaseScore(), true, true
		}
	}
	switch {
	case !ok:
		return rating{}
	case score >= 9 && !version2:
		return rating{severity: Critical, score: score}
	case score >= 7:
		return rating{severity: High, score: score}
	case score >= 4:
		return rating{severity: Medium, score: score}
	}
	return rating{severity: Low, score: score}
}

// rateWord reads the word of an advisory: GitHub's and Debian's.
func rateWord(text string) rating {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "critical":
		return rating{word: Critical}
	case "high":
		return rating{word: High}
	case "medium", "moderate":
		return rating{word: Medium}
	case "low", "unimportant", "negligible":
		return rating{word: Low}
	}
	return rating{}
}
