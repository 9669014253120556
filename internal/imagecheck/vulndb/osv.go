// SPDX-License-Identifier: Apache-2.0

package vulndb

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
)

// osvRecord is the part of an OSV record that counts here. https://ossf.github.io/osv-schema/
type osvRecord struct {
	ID        string          `json:"id"`
	Modified  string          `json:"modified"`
	Withdrawn string          `json:"withdrawn"`
	Aliases   []string        `json:"aliases"`
	Upstream  []string        `json:"upstream"`
	Related   []string        `json:"related"`
	Severity  []osvSeverity   `json:"severity"`
	Affected  []osvAffected   `json:"affected"`
	Database  json.RawMessage `json:"database_specific"`
}

type osvSeverity struct {
	Score string `json:"score"`
}

type osvAffected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity []osvSeverity `json:"severity"`
	Ranges   []struct {
		Type   string     `json:"type"`
		Events []osvEvent `json:"events"`
	} `json:"ranges"`
	Versions  []string        `json:"versions"`
	Ecosystem json.RawMessage `json:"ecosystem_specific"`
	Database  json.RawMessage `json:"database_specific"`
}

type osvEvent struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
	Limit        string `json:"limit"`
}

// record is one advisory, reduced to what matching needs.
type record struct {
	id        string
	modified  time.Time
	withdrawn bool
	same      []string // names of the vulnerability, the own first
	covers    []string // vulnerabilities that it only bundles
	rating    rating
	affected  []affected
}

// affected is one package of a record.
type affected struct {
	ecosystem, name string
	ranges          [][]event
	versions        []string
}

// parseRecord reads one OSV record. Packages of other ecosystems are left out.
//
// Errors: Invalid.
func parseRecord(data []byte) (*record, error) {
	var o osvRecord
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, errs.New(errs.Invalid, "is no OSV record: %v", err)
	}
	if o.ID == "" {
		return nil, errs.New(errs.Invalid, "is no OSV record: it has no id")
	}
	r := &record{id: o.ID, withdrawn: o.Withdrawn != ""}
	// A date that cannot be read makes the record the oldest, nothing else.
	r.modified, _ = time.Parse(time.RFC3339, o.Modified)
	r.identify(&o)
	r.rating = rateAll(o.Severity).join(wordIn(o.Database))
	for i := range o.Affected {
		r.add(&o.Affected[i])
	}
	return r, nil
}

var (
	// cveName also finds the CVE in names such as DEBIAN-CVE-2024-1234.
	cveName = regexp.MustCompile(`CVE-[0-9]{4}-[0-9]+$`)
	// bundleName are advisories of a distribution: one text about any number of vulnerabilities.
	bundleName = regexp.MustCompile(`^(DSA|DLA|DTSA)-`)
)

// identify sorts the names that a record gives: those of its own vulnerability, and those of others that it bundles.
func (r *record) identify(o *osvRecord) {
	r.same = append([]string{o.ID}, o.Aliases...)
	if !bundleName.MatchString(o.ID) {
		own := cveName.FindString(o.ID)
		for _, up := range o.Upstream {
			if len(o.Upstream) == 1 || up == own {
				r.same = append(r.same, up)
			}
		}
		return
	}
	var cves []string
	for _, name := range slices.Concat(o.Aliases, o.Upstream, o.Related) {
		if cveName.FindString(name) == name && !slices.Contains(cves, name) {
			cves = append(cves, name)
		}
	}
	if len(cves) > 1 {
		r.same, r.covers = r.same[:1], cves
		return
	}
	r.same = append(r.same[:1], cves...)
}

// add keeps one package of the record when its ecosystem is supported.
func (r *record) add(a *osvAffected) {
	r.rating = r.rating.join(rateAll(a.Severity)).join(wordIn(a.Ecosystem)).join(wordIn(a.Database))
	if orderOf(a.Package.Ecosystem) == nil || a.Package.Name == "" {
		return
	}
	kept := affected{ecosystem: a.Package.Ecosystem, name: a.Package.Name, versions: a.Versions}
	for _, one := range a.Ranges {
		if one.Type != "ECOSYSTEM" {
			continue
		}
		if events := eventsOf(one.Events); len(events) > 0 {
			kept.ranges = append(kept.ranges, events)
		}
	}
	if len(kept.ranges) > 0 || len(kept.versions) > 0 {
		r.affected = append(r.affected, kept)
	}
}

func eventsOf(list []osvEvent) []event {
	var events []event
	add := func(kind byte, version string) {
		if version = strings.TrimSpace(version); version != "" {
			events = append(events, event(string(kind)+version))
		}
	}
	for _, e := range list {
		add(introduced, e.Introduced)
		add(fixed, e.Fixed)
		add(lastAffected, e.LastAffected)
		add(limit, e.Limit)
	}
	return events
}

func rateAll(list []osvSeverity) rating {
	var r rating
	for _, s := range list {
		r = r.join(rateVector(s.Score))
	}
	return r
}

// wordIn finds the word for the severity in what a database adds of its own. Its form is nobody's promise, so whatever does not fit
// says nothing.
func wordIn(raw json.RawMessage) rating {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return rating{}
	}
	var r rating
	for _, key := range []string{"severity", "urgency"} {
		var word string
		if json.Unmarshal(fields[key], &word) == nil {
			r = r.join(rateWord(word))
		}
	}
	return r
}
