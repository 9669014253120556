// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"firn.dev/firn/internal/imagecheck/vulndb"
)

// set gives the account a policy.
func (s *shelf) set(text string) {
	s.t.Helper()
	s.update(func(tx catalog.Tx) error {
		o, err := tx.ObjectByID(catalog.AccountID)
		if err != nil {
			return err
		}
		o.Spec = &catalog.AccountSpec{Parameters: map[string]string{catalog.PolicyParameter: text}}
		return tx.AlterObject(o)
	})
}

// judged checks an image; the run of it succeeds.
func (s *shelf) judged(c *Checker, image string) (*imagecheck.Report, error) {
	s.t.Helper()
	ref, err := c.Resolve(s.t.Context(), image)
	if err != nil {
		s.t.Fatal(err)
	}
	s.run(catalog.JobDone, goodLog, "", 0)
	verdict, err := c.Check(s.t.Context(), ref, "CPU")
	if err != nil {
		return nil, err
	}
	var r imagecheck.Report
	if err := json.Unmarshal(verdict.Report, &r); err != nil {
		s.t.Fatal(err)
	}
	return &r, nil
}

// The account's policy decides, and report and error name it with its digest.
func TestAccountPolicyIsEnforced(t *testing.T) {
	t.Parallel()
	good := fx.Tar(fx.Good()...)
	s, c := newShelf(t)
	s.base("cpu", "1", "CPU", "3.11", good)
	s.put("plain", nil, good)
	s.put("banned", map[string]string{"team": "ml"}, good, fx.Tar(fx.Wheel(fx.Site, "leftpad", "2.1")))
	const text = "version: 1\nname: team\npackages: {forbidden: [leftpad<3]}\nlabels: {team: ml}\n"
	s.set(text)
	want, err := c.Policy(text)
	if err != nil {
		t.Fatal(err)
	}
	for image, says := range map[string][]string{
		"plain":  {"[FAIL] label_team: label team is not set", `fix: LABEL team="ml"`},
		"banned": {"[FAIL] forbidden_leftpad: package leftpad 2.1 is forbidden by policy team", "fix: RUN pip uninstall -y leftpad"},
	} {
		_, err := s.judged(c, image)
		if !errs.Is(err, errs.Refused) {
			t.Fatalf("%s: %v", image, err)
		}
		for _, say := range append(says, "failed by policy team (sha256 "+want.SHA256[:12]+")", "firn validate --server") {
			if !strings.Contains(errs.MessageOf(err), say) {
				t.Errorf("%s: no %q in %s", image, say, errs.MessageOf(err))
			}
		}
	}
	s.set("version: 1\nname: open\nlabels: {team: ml}\n")
	r, err := s.judged(c, "banned")
	if err != nil || r.Policy.Name != "open" || r.Policy.Source != "account" || len(r.Policy.SHA256) != 64 {
		t.Errorf("%+v, %v", r, err)
	}
	s.set("version: 9\n")
	if _, err := s.judged(c, "plain"); !errs.Is(err, errs.Invalid) || !strings.Contains(errs.MessageOf(err), "policy file account, line 1, version") {
		t.Errorf("a policy of a later version: %v", err)
	}
}

// What the server gives as its terms makes a client judge the same.
func TestTerms(t *testing.T) {
	t.Parallel()
	good := fx.Tar(fx.Good()...)
	s, c := newShelf(t)
	s.base("cpu", "1", "CPU", "3.11", good)
	s.put("plain", nil, good)
	s.set("version: 1\nname: team\nlabels: {team: ml}\n")
	body, err := c.Terms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var terms imagecheck.Terms
	if err := json.Unmarshal(body, &terms); err != nil {
		t.Fatal(err)
	}
	policy, bases, same, err := terms.Read()
	if err != nil || !same || len(bases) != 1 || bases[0].Ref != baseRepository+"/cpu:1" || bases[0].Type != "CPU" {
		t.Fatalf("%s: %v, %v", body, bases, err)
	}
	r, err := imagecheck.Check(t.Context(), s.images["plain"], imagecheck.Options{Policy: policy, Bases: bases, WantBase: true, BaseType: "CPU"})
	if err != nil {
		t.Fatal(err)
	}
	_, refused := s.judged(c, "plain")
	for _, check := range r.Failed() {
		if !strings.Contains(errs.MessageOf(refused), "[FAIL] "+check.ID+": "+check.Message) {
			t.Errorf("the client alone says %s", check.ID)
		}
	}
	if len(r.Failed()) != 1 {
		t.Errorf("client says %+v", r.Failed())
	}
}

const osvRecord = `{"id": "PYSEC-1", "modified": "2031-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "PyPI", "name": "leftpad"},
	"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}], "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}`

// importAdvisories writes a database in which leftpad, or nothing, is vulnerable.
func importAdvisories(t *testing.T, out, name string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "1.json"), []byte(strings.ReplaceAll(osvRecord, "leftpad", name)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vulndb.Import(t.Context(), []string{dir}, out, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// The operator's advisories are looked up: a warning, a failure when the policy says so, and a new file counts at once.
func TestAdvisories(t *testing.T) {
	t.Parallel()
	good := fx.Tar(fx.Good()...)
	s, c := newShelf(t)
	s.base("cpu", "1", "CPU", "3.11", good)
	s.put("mine", nil, good, fx.Tar(fx.Wheel(fx.Site, "leftpad", "2.1")))
	if r, err := s.judged(c, "mine"); err != nil || r.Vulnerabilities != nil {
		t.Errorf("without a database: %v, %v", r, err)
	}
	s.set("version: 1\nvulnerabilities: {fail_on: high}\n")
	if _, err := s.judged(c, "mine"); !errs.Is(err, errs.Refused) || !strings.Contains(errs.MessageOf(err), "firnd serve --vulnerability-db") {
		t.Errorf("a scan is wanted, but there is no database: %v", err)
	}
	s.set("")
	file := filepath.Join(t.TempDir(), "v.db")
	if _, err := OpenAdvisories(file, slog.New(slog.DiscardHandler)); !errs.Is(err, errs.NotFound) {
		t.Errorf("a missing file: %v", err)
	}
	importAdvisories(t, file, "other")
	var err error
	if c.Advisories, err = OpenAdvisories(file, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	r, err := s.judged(c, "mine")
	if err != nil || r.Vulnerabilities == nil || len(r.Vulnerabilities.Findings) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	_, done := c.Advisories.take() // a check that still runs
	importAdvisories(t, file, "leftpad")
	r, err = s.judged(c, "mine")
	if err != nil || r.Vulnerabilities.Counts.Critical != 1 || r.Vulnerabilities.Findings[0].Owner != "user" {
		t.Fatalf("%+v, %v", r, err)
	}
	done()
	s.set("version: 1\nvulnerabilities: {fail_on: high}\n")
	if _, err := s.judged(c, "mine"); !errs.Is(err, errs.Refused) || !strings.Contains(errs.MessageOf(err), "[FAIL] vulnerability_scan: 1 of severity high or worse: critical PYSEC-1 in leftpad 2.1") {
		t.Errorf("the policy does not fail it: %v", err)
	}
	// What cannot be read does not take away what was read before.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.judged(c, "mine"); !errs.Is(err, errs.Refused) {
		t.Errorf("after a damaged file: %v", err)
	}
	if err := c.Advisories.Close(); err != nil {
		t.Fatal(err)
	}
}
