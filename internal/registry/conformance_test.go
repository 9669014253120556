// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog/catalogtest"
)

// TestConformance runs the OCI distribution conformance suite, all of it, with what its next version adds, on each database and
// each blob store that can be tested here.
// https://github.com/opencontainers/distribution-spec/tree/main/conformance
func TestConformance(t *testing.T) {
	t.Parallel()
	suite := filepath.Join(t.TempDir(), "conformance")
	build := exec.Command("go", "build", "-C", "conformance", "-o", suite, "github.com/opencontainers/distribution-spec/conformance")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the suite does not build: %v\n%s", err, out)
	}
	for database, source := range catalogtest.Databases() {
		t.Run(database+" and dir", func(t *testing.T) {
			t.Parallel()
			conform(t, suite, serveOn(t, source(t), t.TempDir(), time.Now))
		})
		t.Run(database+" and s3", func(t *testing.T) {
			t.Parallel()
			conform(t, suite, replicas(t, 1, source(t))[0])
		})
	}
}

// conform runs the suite against a registry: nothing may fail or be skipped.
func conform(t *testing.T, suite string, d *door) {
	results := t.TempDir()
	run := exec.Command(suite)
	run.Env = append(os.Environ(),
		"OCI_REGISTRY="+d.host, "OCI_TLS=disabled", "OCI_REPO1=db/s/repo/img", "OCI_REPO2=db/s/other/img",
		"OCI_USERNAME=owner", "OCI_PASSWORD=secret:owner", "OCI_RESULTS_DIR="+results, "OCI_VERSION=dev")
	out, runErr := run.CombinedOutput()

	text, err := os.ReadFile(filepath.Join(results, "junit.xml"))
	if err != nil {
		t.Fatalf("the suite gave no results: %v, %v\n%s", runErr, err, out)
	}
	var report struct {
		Suites []struct {
			Cases []struct {
				Name    string    `xml:"name,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
				Output  string    `xml:"system-out"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, s := range report.Suites {
		for _, c := range s.Cases {
			switch {
			case c.Failure != nil || c.Error != nil:
				t.Errorf("%s failed:\n%s", c.Name, c.Output)
			case c.Skipped != nil:
				t.Errorf("%s was skipped:\n%s", c.Name, c.Output)
			default:
				passed++
			}
		}
	}
	if passed < 600 {
		t.Errorf("only %d tests passed: the suite did not run as a whole\n%.3000s", passed, out)
	}
	t.Logf("%d tests passed", passed)
}
