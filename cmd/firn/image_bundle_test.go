// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestBundleCommands has what ends before a server is asked; package registry tests what servers answer.
func TestBundleCommands(t *testing.T) {
	t.Setenv("FIRN_CACHE_DIR", t.TempDir())
	missing := filepath.Join(t.TempDir(), "missing.tar")
	for name, x := range map[string]struct {
		args []string
		code int
		says string
	}{
		"export of nothing":       {[]string{"export"}, 2, "what to export and a FILE"},
		"export without a host":   {[]string{"export", "/db/s/repo", missing}, 2, "HOST/db/schema/repository"},
		"export by two policies":  {[]string{"export", "127.0.0.1:1/db/s/repo", missing, "--no-evidence", "--policy", "snow-cli"}, 2, "leave out --policy and --base"},
		"export, unknown policy":  {[]string{"export", "127.0.0.1:1/db/s/repo", missing, "--policy", "nope"}, 2, "nope"},
		"export, nobody there":    {[]string{"export", "127.0.0.1:1/db/s/repo", missing}, 3, "registry 127.0.0.1:1 does not answer"},
		"import without a host":   {[]string{"import", missing, "db/s/repo"}, 2, "HOST/db/schema/repository"},
		"import of nothing":       {[]string{"import", missing, "127.0.0.1:1/db/s/repo"}, 3, "does not exist"},
		"import, unknown flag":    {[]string{"import", missing, "127.0.0.1:1/db/s/repo", "--x"}, 2, "--x"},
		"import of another thing": {[]string{"import", archive(t), "127.0.0.1:1/db/s/repo"}, 3, "no OCI archive"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := newImageCommand()
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetOut(&bytes.Buffer{})
			cmd.SetErr(&bytes.Buffer{})
			cmd.SetArgs(x.args)
			err := cmd.ExecuteContext(t.Context())
			if code := exitCode(err); code != x.code || !strings.Contains(err.Error(), x.says) {
				t.Errorf("exit %d, want %d: %v", code, x.code, err)
			}
		})
	}
}
