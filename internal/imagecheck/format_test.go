// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"net/url"
	"strings"
	"testing"
	"unicode"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"firn.dev/firn/internal/imagecheck/schema"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// checkSchema holds a report against the published schema.
func checkSchema(t *testing.T, r *Report) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.Validate))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(asJSON(t, r)))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(value); err != nil {
		t.Errorf("report does not fit its schema: %v", err)
	}
}

// hostile is a name that tries to break out of every format.
const hostile = "x\x1b[31m\n::error::y\r]]></testcase>\"&\u202e\x00\xff%0A"

// hostileReport has it wherever an image can put it.
func hostileReport(t *testing.T) *Report {
	img := configured("User", hostile)
	img.Config["Labels"] = map[string]string{hostile: hostile}
	img.Config["Entrypoint"] = []string{hostile}
	r := run(t, img, options(t, PolicyDefault))
	name := "/" + hostile
	r.Extend(CheckResult{ID: "run_" + hostile, Status: Fail, Message: hostile, Remedy: hostile, Evidence: []Evidence{{Path: &name, Detail: hostile}}})
	return r
}

func written(t *testing.T, r *Report, format string) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b, format, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextIsSafeAndEndsWithFailures(t *testing.T) {
	t.Parallel()
	text := written(t, hostileReport(t), FormatText)
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("text holds %q", r)
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "::") || strings.HasPrefix(line, "]") {
			t.Errorf("a name made a line of its own: %q", line)
		}
	}
	if strings.LastIndex(text, "[PASS]") > strings.Index(text, "[FAIL]") {
		t.Error("failures are not last")
	}
	if !strings.Contains(text, "Status: VALIDATION FAILED\nNext: ") {
		t.Errorf("text ends with %q", text[max(0, len(text)-200):])
	}
}

func TestTextColor(t *testing.T) {
	t.Parallel()
	r := run(t, with(fx.Whiteout("app/start_nbctl.sh")), options(t, PolicyDefault))
	var plain, colored bytes.Buffer
	if err := r.Write(&plain, FormatText, false); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(&colored, FormatText, true); err != nil {
		t.Fatal(err)
	}
	bare := colored.String()
	for _, code := range []string{paint[Pass], paint[Fail], paint[Warn], paint[Skip], "\x1b[0m"} {
		bare = strings.ReplaceAll(bare, code, "")
	}
	if bare != plain.String() || strings.Contains(plain.String(), "\x1b") || !strings.Contains(colored.String(), paint[Warn]+"[WARN]") {
		t.Error("colour is more than colour")
	}
}

func TestGitHubLines(t *testing.T) {
	t.Parallel()
	r := hostileReport(t)
	r.Checks = append(r.Checks, CheckResult{ID: "env_A:B,C", Status: Warn, Message: "100%", Remedy: "x"})
	text := written(t, r, FormatGitHub)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != len(r.Failed())+len(r.Warned()) {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "::error title=firn validate (") && !strings.HasPrefix(line, "::warning title=firn validate (") {
			t.Errorf("line is %q", line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("line holds control characters: %q", line)
		}
	}
	if !strings.Contains(text, "::warning title=firn validate (env_A%3AB%2CC)::100%25%0Afix: x\n") {
		t.Errorf("last line is %q", lines[len(lines)-1])
	}
}

func TestJUnitCounts(t *testing.T) {
	t.Parallel()
	cut := fx.New(fx.Tar(fx.Good()...))
	cut.Stored[0] = cut.Stored[0][:700]
	for name, r := range map[string]*Report{"hostile": hostileReport(t), "unreadable": run(t, cut, options(t, PolicyDefault))} {
		var got junitSuites
		if err := xml.Unmarshal([]byte(written(t, r, FormatJUnit)), &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		failures, errors, skipped := 0, 0, 0
		for _, c := range got.Suite.Cases {
			failures += b2i(c.Failure != nil)
			errors += b2i(c.Error != nil)
			skipped += b2i(c.Skipped != nil)
		}
		s := got.Suite
		if len(s.Cases) != len(r.Checks) || s.Tests != len(r.Checks) || s.Failures != failures || s.Errors != errors || s.Skipped != skipped ||
			failures+errors != r.Summary.Fail || skipped != r.Summary.Skip || got.Failures != failures || got.Errors != errors {
			t.Errorf("%s: %d cases, %+v", name, len(s.Cases), got)
		}
		if (errors > 0) != (r.Error != nil) {
			t.Errorf("%s: %d errors", name, errors)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestSARIF(t *testing.T) {
	t.Parallel()
	r := hostileReport(t)
	var log sarifLog
	d := json.NewDecoder(strings.NewReader(written(t, r, FormatSARIF)))
	d.DisallowUnknownFields()
	if err := d.Decode(&log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name != "firn" {
		t.Fatalf("log is %+v", log)
	}
	run := log.Runs[0]
	if len(run.Results) != len(r.Failed())+len(r.Warned()) || run.Invocations[0].ExitCode != 1 {
		t.Errorf("%d results, invocation %+v", len(run.Results), run.Invocations)
	}
	for _, res := range run.Results {
		if run.Tool.Driver.Rules[res.RuleIndex].ID != res.RuleID || res.Message.Text == "" || len(res.Locations) == 0 {
			t.Errorf("result is %+v", res)
		}
		if res.Level != "error" && res.Level != "warning" {
			t.Errorf("level is %s", res.Level)
		}
		for _, l := range res.Locations {
			if u, err := url.Parse(l.Physical.Artifact.URI); err != nil || u.Scheme != "" || l.Physical.Artifact.URI == "" {
				t.Errorf("uri is %q: %v", l.Physical.Artifact.URI, err)
			}
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	t.Parallel()
	if err := hostileReport(t).Write(&bytes.Buffer{}, "html", false); err == nil || !strings.Contains(err.Error(), "sarif") {
		t.Errorf("error is %v", err)
	}
}

func TestReportsFitTheSchema(t *testing.T) {
	t.Parallel()
	checkSchema(t, hostileReport(t))
	checkSchema(t, run(t, with(fx.Wheel(fx.Site, "a", "1", "Requires-Dist: ray>=2", "Requires-Dist: gone", "Requires-Dist: ray<1"),
		fx.Dir(fx.Site+"/~x-1.dist-info")), options(t, PolicySnowCLI)))
	r, err := Unreadable(options(t, PolicyDefault), context.DeadlineExceeded)
	if err != nil {
		t.Fatal(err)
	}
	checkSchema(t, r)
}
