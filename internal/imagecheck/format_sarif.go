// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"io"
	"net/url"
	"strings"
)

// sarifLog is the part of SARIF 2.1.0 that the report fills.
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver sarifDriver `json:"driver"`
	} `json:"tool"`
	Invocations []sarifInvocation `json:"invocations"`
	Results     []sarifResult     `json:"results"`
	Properties  map[string]any    `json:"properties"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version,omitempty"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID               string    `json:"id"`
	ShortDescription sarifText `json:"shortDescription"`
}

type sarifInvocation struct {
	Successful bool `json:"executionSuccessful"`
	ExitCode   int  `json:"exitCode"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID      string            `json:"ruleId"`
	RuleIndex   int               `json:"ruleIndex"`
	Level       string            `json:"level"` // error, warning
	Message     sarifText         `json:"message"`
	Locations   []sarifLocation   `json:"locations"`
	Fingerprint map[string]string `json:"partialFingerprints"`
}

type sarifLocation struct {
	Physical sarifPhysical  `json:"physicalLocation"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	Message  *sarifText     `json:"message,omitempty"`
}

type sarifPhysical struct {
	Artifact struct {
		URI string `json:"uri"`
	} `json:"artifactLocation"`
}

type sarifLogical struct {
	FullyQualifiedName string `json:"fullyQualifiedName"`
	Kind               string `json:"kind"`
}

const (
	sarifSchema       = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	sarifLocationsMax = 100 // code scanning shows no more
)

// writeSARIF writes a result per fail and warn.
func (r *Report) writeSARIF(w io.Writer) error {
	run := sarifRun{
		Invocations: []sarifInvocation{{Successful: r.Error == nil, ExitCode: r.ExitCode}}, Results: []sarifResult{},
		Properties: map[string]any{"image": r.Image.Ref, "digest": r.Image.Digest, "policy": r.Policy.Name, "readyFor": r.ReadyFor},
	}
	driver := &run.Tool.Driver
	driver.Name, driver.Version, driver.Rules = "firn", r.FirnVersion, []sarifRule{}
	for _, c := range r.Checks {
		level := map[Status]string{Fail: "error", Warn: "warning"}[c.Status]
		if level == "" {
			continue
		}
		driver.Rules = append(driver.Rules, sarifRule{ID: c.ID, ShortDescription: sarifText{Text: "image check " + c.ID}})
		text := c.Message
		if c.Remedy != "" {
			text += "\nfix: " + c.Remedy
		}
		run.Results = append(run.Results, sarifResult{
			RuleID: c.ID, RuleIndex: len(driver.Rules) - 1, Level: level, Message: sarifText{Text: text}, Locations: r.sarifLocations(c),
			Fingerprint: map[string]string{"firnCheck/v1": c.ID},
		})
	}
	return writeJSON(w, sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}})
}

// sarifLocations gives the places inside the image, or the image itself: viewers drop results without a location.
func (r *Report) sarifLocations(c CheckResult) []sarifLocation {
	list := []sarifLocation{}
	for _, e := range c.Evidence {
		if e.Path == nil || len(list) == sarifLocationsMax {
			continue
		}
		l := sarifLocation{Message: &sarifText{Text: e.Detail}}
		l.Physical.Artifact.URI = sarifURI(strings.TrimPrefix(*e.Path, "/"))
		if e.Layer != nil {
			l.Logical = []sarifLogical{{FullyQualifiedName: *e.Layer, Kind: "resource"}}
		}
		list = append(list, l)
	}
	if len(list) == 0 {
		l := sarifLocation{}
		l.Physical.Artifact.URI = sarifURI(r.Image.Ref)
		list = append(list, l)
	}
	return list
}

// sarifURI makes a relative reference of any name: a colon in its first segment would read as a scheme.
func sarifURI(name string) string {
	return (&url.URL{Path: strings.ToValidUTF8(name, "\ufffd")}).String()
}
