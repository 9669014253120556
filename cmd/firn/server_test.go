// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/imagecheck"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

// What a server said is used when it is not asked, or cannot be reached, and its age is told. e2e/test_policy.py asks a real one.
func TestValidateOffline(t *testing.T) {
	t.Setenv("FIRN_CACHE_DIR", t.TempDir())
	t.Setenv("SNOWFLAKE_USER", "ANN")
	t.Setenv("SNOWFLAKE_PASSWORD", "x")
	image := "docker-archive:" + archive(t, fx.Good()...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	keep := func(server, policy, sha256 string, fetched time.Time, bases ...imagecheck.Base) {
		t.Helper()
		terms, err := imagecheck.NewTerms("9.9.9", policy, bases)
		if err != nil {
			t.Fatal(err)
		}
		if sha256 != "" {
			terms.Policy.SHA256 = sha256
		}
		if err := (said{URL: server, Fetched: fetched, Terms: terms}).keep(saidFile(server)); err != nil {
			t.Fatal(err)
		}
	}
	base := imagecheck.Base{Ref: "/s/i/r/cpu:1", Type: "CPU", Layers: []string{fx.Digest(fx.Tar(fx.Good()...))}}
	now := time.Now()
	keep(gone, "version: 1\nname: team\nlabels: {owner: null}\n", "", now.Add(-3*time.Hour-10*time.Minute), base)
	keep("http://old:1", "", "", now.Add(-100*time.Hour), base)
	keep("http://other:1", "", "0123", now, base)
	keep("http://empty:1", "", "", now)
	damaged := saidFile("http://damaged:1")
	if err := os.WriteFile(damaged, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		args []string
		code int
		says []string // on stdout or stderr
	}{
		"unreachable": {[]string{"--server", gone, image}, 1, []string{
			"does not answer", "said 3h10m ago: policy team (sha256 ", "1 approved bases", "[FAIL] label_owner", "[PASS] lineage: image is built on /s/i/r/cpu:1"}},
		"offline":         {[]string{"--server", gone + "/", "--offline", image}, 1, []string{"said 3h10m ago", "[FAIL] label_owner"}},
		"old":             {[]string{"--server", "http://old:1", "--offline", image}, 0, []string{"said 4 days ago: policy default", "[PASS] lineage"}},
		"read otherwise":  {[]string{"--server", "http://other:1", "--offline", image}, 0, []string{"less than a minute ago", "the server is Firn 9.9.9", "may differ"}},
		"no base there":   {[]string{"--server", "http://empty:1", "--offline", image}, 1, []string{"[FAIL] lineage: no base image is approved yet"}},
		"other base":      {[]string{"--server", "http://empty:1", "--offline", "--base", image, image}, 0, []string{"[PASS] lineage"}},
		"type":            {[]string{"--server", "http://old:1", "--offline", "--base-type", "gpu", image}, 1, []string{"a CPU base; a GPU base is wanted"}},
		"nothing kept":    {[]string{"--server", "http://new:1", "--offline", image}, 4, []string{"nothing is kept of what http://new:1 said"}},
		"damaged":         {[]string{"--server", "http://damaged:1", "--offline", image}, 4, []string{"cannot be read"}},
		"never reached":   {[]string{"--server", "http://" + l.Addr().String() + "/x", image}, 4, []string{"nothing that it said before is kept"}},
		"no URL":          {[]string{"--server", "somewhere", image}, 2, []string{"is no URL such as"}},
		"two policies":    {[]string{"--server", gone, "--policy", "default", image}, 2, []string{"leave out --policy"}},
		"offline of what": {[]string{"--offline", image}, 2, []string{"--offline needs --server or --connection"}},
	} {
		code, out, errOut := ran(t, newValidateCommand(), x.args...)
		for _, say := range x.says {
			if !strings.Contains(out+errOut, say) {
				t.Errorf("%s: no %q in %s%s", name, say, out, errOut)
			}
		}
		if code != x.code {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
	t.Setenv("SNOWFLAKE_PASSWORD", "")
	if code, _, errOut := ran(t, newValidateCommand(), "--server", gone, image); code != 4 || !strings.Contains(errOut, "set SNOWFLAKE_USER and SNOWFLAKE_PASSWORD") {
		t.Errorf("without a password: %d %s", code, errOut)
	}
	if files, err := filepath.Glob(filepath.Join(filepath.Dir(damaged), ".said*")); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}
