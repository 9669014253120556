// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"firn.dev/firn/internal/errs"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

const teamPolicy = "version: 1\nname: team\npackages:\n  forbidden: [tensorflow]\nvulnerabilities: {fail_on: critical}\n"

func TestAccountPolicy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ name, source string }{
		"":                                 {"default", "builtin"},
		" snow-cli\n":                      {"snow-cli", "builtin"},
		teamPolicy:                         {"team", "account"},
		"version: 1":                       {"account", "account"},
		`{"version": 1, "name": "braces"}`: {"braces", "account"},
	} {
		p, err := AccountPolicy(text)
		if err != nil || p.Name != want.name || p.Source != want.source {
			t.Errorf("%q: %s from %s, %v", text, p.Name, p.Source, err)
		}
	}
	for text, want := range map[string]string{
		"nope": `policy "nope" does not exist: there are default and snow-cli: write one of them, or the text`,
		"version: 1\npackages:\n  forbidde: [x]\n":                 "policy file account, line 3, packages.forbidde: the key is unknown: did you mean forbidden?",
		"version: 1\nplatform: linux/arm64\n":                      "a server runs linux/amd64 only, not linux/arm64",
		"version: 1\nvulnerabilities:\n  fail_on: awful":           `line 3, vulnerabilities.fail_on: "awful" is none of low, medium, high and critical`,
		"version: 1\nname: " + strings.Repeat("x", accountMax):     "at most 65536 are kept",
		"version: 1\nname: two\n---\nversion: 1\nname: second one": "more than one document",
	} {
		if _, err := AccountPolicy(text); !errs.Is(err, errs.Invalid) || !strings.Contains(errs.MessageOf(err), want) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// What a client makes of a server's terms judges as the server does, down to the digest of the policy.
func TestTermsTravel(t *testing.T) {
	t.Parallel()
	layer := fx.Tar(fx.Good()...)
	bases := []Base{{Ref: "/s/i/r/cpu:1", Name: "/s/i/r/cpu:1", Type: "CPU", Python: "3.11", Layers: []string{fx.Digest(layer)}}}
	for _, text := range []string{"", "snow-cli", teamPolicy} {
		sent, err := NewTerms("1.2.3", text, bases)
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		var got Terms
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		policy, list, same, err := got.Read()
		if err != nil || !same || !reflect.DeepEqual(list, bases) || policy.Name != sent.Policy.Name {
			t.Errorf("%q: %s %v %v, %v", text, policy.Name, list, same, err)
		}
		opts := options(t, PolicyDefault)
		opts.Policy, opts.Bases = policy, list
		if r := run(t, fx.New(layer), opts); r.Policy.SHA256 != sent.Policy.SHA256 || result(t, r, "lineage").Status != Pass {
			t.Errorf("%q: report names the policy %+v", text, r.Policy)
		}
		got.Policy.SHA256 = "other"
		if _, _, same, err := got.Read(); same || err != nil {
			t.Errorf("a policy that another Firn reads differently is taken for the same, %v", err)
		}
		got.Schema = "firn.policy/9"
		if _, _, _, err := got.Read(); !errs.Is(err, errs.Unsupported) {
			t.Errorf("terms of another schema: %v", err)
		}
	}
}

func TestBaseIsWanted(t *testing.T) {
	t.Parallel()
	opts := options(t, PolicyDefault)
	opts.WantBase = true
	c := result(t, run(t, fx.New(fx.Tar(fx.Good()...)), opts), "lineage")
	if c.Status != Fail || !strings.Contains(c.Message, "no base image is approved yet") || !strings.Contains(c.Remedy, ApprovedBases) {
		t.Errorf("got %+v", c)
	}
}
