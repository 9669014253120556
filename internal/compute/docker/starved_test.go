// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/compute/docker"
)

// forgetful stands before the engine and takes from what it says of containers that they came to the end of their memory: so the engine
// itself answers when it has learned of the end first. It gives an address as in DOCKER_HOST.
func forgetful(t *testing.T) string {
	t.Helper()
	at, err := url.Parse(raw(t).DaemonHost())
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		if at.Scheme == "unix" {
			return d.DialContext(ctx, "unix", at.Path)
		}
		return d.DialContext(ctx, "tcp", at.Host)
	}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
		Transport:     &http.Transport{DialContext: dial},
		FlushInterval: -1,
		ModifyResponse: func(r *http.Response) error {
			if !strings.HasSuffix(r.Request.URL.Path, "/json") {
				return nil
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			body = bytes.ReplaceAll(body, []byte(`"OOMKilled":true`), []byte(`"OOMKilled":false`))
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.Header.Set("Content-Length", strconv.Itoa(len(body)))
			r.ContentLength = int64(len(body))
			return nil
		},
	})
	t.Cleanup(server.Close)
	return "tcp://" + strings.TrimPrefix(server.URL, "http://")
}

// TestStarved: who came to the end of its memory is known by the engine's event too, and who was killed otherwise is not taken for it.
func TestStarved(t *testing.T) {
	t.Parallel()
	r := setup(t)
	b, err := docker.New(docker.Options{Install: r.install, Files: t.TempDir(), Host: forgetful(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	r.Backend = b
	for script, reason := range map[string]compute.Reason{
		"x=x; while :; do x=$x$x; done": compute.ReasonMemory,
		"kill -9 $$":                    compute.ReasonExit,
	} {
		task := r.shell(compute.TaskID("t"+string(reason)), script)
		task.Memory = 32 << 20
		if _, e := r.run(task); e.Code != 137 || e.Reason != reason {
			t.Errorf("%s ended with code %d, reason %q, want 137, %q", script, e.Code, e.Reason, reason)
		}
		for s, err := range r.List(t.Context()) {
			if err != nil || s.ID == task.ID && s.Exit.Reason != reason {
				t.Errorf("%s is listed with %q (%v), want %q", script, s.Exit.Reason, err, reason)
			}
		}
	}
}
