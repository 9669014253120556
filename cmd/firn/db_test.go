// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"firn.dev/firn/internal/imagecheck"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"firn.dev/firn/internal/imagecheck/vulndb"
)

const records = "../../internal/imagecheck/vulndb/testdata/osv"

// ran runs a command and gives its exit code and what it wrote.
func ran(t *testing.T, cmd *cobra.Command, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	if err != nil {
		stderr.WriteString(err.Error())
	}
	return exitCode(err), stdout.String(), stderr.String()
}

func TestDBImport(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	for name, x := range map[string]struct {
		args []string
		code int
		text string
	}{
		"default place": {[]string{"import", records}, 0, "11 records, 10 vulnerabilities of 11 packages, newest advisory 2031-04-02"},
		"named place":   {[]string{"import", "--out", filepath.Join(dir, "x.db"), records + "/PyPI", records + "/Debian"}, 0, "1 of malicious packages"},
		"no source":     {[]string{"import"}, 2, "at least one SRC"},
		"missing":       {[]string{"import", dir + "/nope"}, 3, "does not exist"},
		"no records":    {[]string{"import", dir}, 3, "no *.json"},
		"no directory":  {[]string{"import", records, "--out", dir + "/no/such/x.db"}, 4, "cannot be written"},
		"unknown flag":  {[]string{"import", records, "--nope"}, 2, "--nope"},
		"no command":    {nil, 2, "needs a command"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := ran(t, newDBCommand(), x.args...)
			if code != x.code || !strings.Contains(out+errOut, x.text) {
				t.Errorf("exit %d, want %d: %s%s", code, x.code, out, errOut)
			}
		})
	}
	for _, file := range []string{"firn/vulnerabilities.db", "x.db"} {
		db, err := vulndb.Open(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		_ = db.Close()
	}
}

func TestValidateScansVulnerabilities(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("FIRN_CACHE_DIR", t.TempDir())
	t.Setenv("XDG_DATA_HOME", dir)
	image := "docker-archive:" + archive(t, append(fx.Good(), fx.Wheel(fx.Site, "templater", "3.1.3"))...)
	fresh, old, bad := filepath.Join(dir, "fresh.db"), filepath.Join(dir, "old.db"), filepath.Join(dir, "bad.db")
	for file, built := range map[string]time.Time{fresh: time.Now(), old: time.Now().AddDate(0, 0, -30)} {
		if _, err := vulndb.Import(t.Context(), []string{records}, file, built); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(bad, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		args []string
		code int
		text string
	}{
		"advisory":        {[]string{"--scan-vulnerabilities", "--db", fresh}, 0, "[WARN] vulnerability_scan: 1 vulnerability (1 critical)"},
		"remedy":          {[]string{"--scan-vulnerabilities", "--db", fresh}, 0, "RUN pip install 'templater>=3.1.4'"},
		"fails":           {[]string{"--scan-vulnerabilities", "--db", fresh, "--fail-on", "high", "--db-max-age", "120h"}, 1, "CVE-2031-1001"},
		"old is told":     {[]string{"--scan-vulnerabilities", "--db", old}, 0, "is 30 days old"},
		"too old":         {[]string{"--scan-vulnerabilities", "--db", old, "--db-max-age", "120h"}, 4, "--db-max-age allows 120h"},
		"damaged":         {[]string{"--scan-vulnerabilities", "--db", bad}, 4, "damaged"},
		"absent":          {[]string{"--scan-vulnerabilities"}, 4, "firn db import"},
		"unknown level":   {[]string{"--scan-vulnerabilities", "--db", fresh, "--fail-on", "unknown"}, 2, "there are low, medium"},
		"negative age":    {[]string{"--scan-vulnerabilities", "--db", fresh, "--db-max-age", "-1h"}, 2, "negative"},
		"flag on its own": {[]string{"--fail-on", "high"}, 2, "need --scan-vulnerabilities"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := ran(t, newValidateCommand(), append(x.args, image)...)
			if code != x.code || !strings.Contains(out+errOut, x.text) {
				t.Errorf("exit %d, want %d: %s%s", code, x.code, out, errOut)
			}
			if code >= 2 && out != "" {
				t.Errorf("there is a report: %s", out)
			}
		})
	}
	_, out, _ := ran(t, newValidateCommand(), "--scan-vulnerabilities", "--db", fresh, "--format", "json", image)
	var report imagecheck.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if v := report.Vulnerabilities; v == nil || v.Counts.Critical != 1 || len(v.Findings) != 1 || *v.Findings[0].Score != 9.8 {
		t.Errorf("vulnerabilities are %+v", v)
	}
}

func TestImageSBOM(t *testing.T) {
	t.Setenv("FIRN_CACHE_DIR", t.TempDir())
	image := "docker-archive:" + archive(t, fx.Good()...)
	for name, x := range map[string]struct {
		args []string
		code int
		text string
	}{
		"cyclonedx":      {[]string{image}, 0, `"specVersion": "1.6"`},
		"spdx":           {[]string{"--format", "spdx", image}, 0, `"spdxVersion": "SPDX-2.3"`},
		"unknown format": {[]string{"--format", "xml", image}, 2, "cyclonedx and spdx"},
		"no image":       {nil, 2, "one IMAGE"},
		"missing":        {[]string{image + "x"}, 3, "image.tarx"},
		"other platform": {[]string{"--platform", "linux/arm64", image}, 3, "linux/arm64"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := ran(t, newImageCommand(), append([]string{"sbom"}, x.args...)...)
			if code != x.code || !strings.Contains(out+errOut, x.text) {
				t.Errorf("exit %d, want %d: %.300s%s", code, x.code, out, errOut)
			}
			if (code == 0) != json.Valid([]byte(out)) {
				t.Errorf("output is %.300s", out)
			}
		})
	}
}
