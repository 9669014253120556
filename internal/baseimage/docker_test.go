// SPDX-License-Identifier: Apache-2.0

package baseimage

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firn.dev/firn/internal/errs"
)

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	// The real client, pointed at a socket that nobody listens on.
	deaf := filepath.Join(t.TempDir(), "docker")
	script := "#!/bin/sh\nexec env -u DOCKER_CONTEXT DOCKER_HOST=unix:///nonexistent/docker.sock docker \"$@\"\n"
	if err := os.WriteFile(deaf, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		o    Options
		code errs.Code
		say  string
	}{
		{"gpu", Options{Type: "gpu"}, errs.Unsupported, "available: cpu"},
		{"unknown type", Options{Type: "tpu"}, errs.Invalid, `"tpu"; available: cpu`},
		{"other python", Options{Python: "3.12"}, errs.Unsupported, "available: 3.11"},
		{"docker not running", Options{Docker: deaf}, errs.Unavailable, "set DOCKER_HOST"},
		{"docker absent", Options{Docker: filepath.Join(t.TempDir(), "docker")}, errs.Unavailable, "no such file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Build(t.Context(), test.o)
			if !errs.Is(err, test.code) || !strings.Contains(err.Error(), test.say) {
				t.Errorf("Build() = %v, want code %s and %q", err, test.code, test.say)
			}
		})
	}
}

func TestHasBuildKit(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"18.9.1": false, "20.10.24+dfsg1": true, "22.06.0": true, "23.0.0": false, "28.2.2": false, "": false,
	} {
		if hasBuildKit(version) != want {
			t.Errorf("hasBuildKit(%q) = %v", version, !want)
		}
	}
}

func TestProgramErrors(t *testing.T) {
	t.Parallel()
	p := programs{log: io.Discard}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		run  func() error
		code errs.Code
		say  string
	}{
		{"last lines", func() error { return p.run(t.Context(), nil, nil, "sh", "-c", "seq 9; exit 3") }, errs.Unavailable, "6 | 7 | 8 | 9"},
		{"disk full", func() error { return p.run(t.Context(), nil, nil, "sh", "-c", "cp /etc/passwd /dev/full") }, errs.Exhausted, "disk is full"},
		{"stopped", func() error { return p.run(stopped, nil, nil, "true") }, errs.Canceled, "stopped"},
		{"source of a pipe fails", func() error {
			return p.pipe(t.Context(), []string{"sh", "-c", "echo why >&2; exit 1"}, []string{"cat"})
		}, errs.Unavailable, "why"},
		{"sink of a pipe fails", func() error {
			return p.pipe(t.Context(), []string{"yes"}, []string{"sh", "-c", "echo full; exit 1"})
		}, errs.Unavailable, "full"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if err := test.run(); !errs.Is(err, test.code) || !strings.Contains(err.Error(), test.say) {
				t.Errorf("got %v, want code %s and %q", err, test.code, test.say)
			}
		})
	}
}
