// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/sweep"
)

func newTestMetrics(t *testing.T) (*metrics, catalog.Store) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return newMetrics(store, slog.New(slog.DiscardHandler)), store
}

// text is what /metrics answers.
func (m *metrics) text(t *testing.T) string {
	t.Helper()
	got := httptest.NewRecorder()
	m.page().ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return got.Body.String()
}

// counting is a listener whose connections count what reaches them as a file, which the kernel then copies to the socket.
type counting struct {
	net.Listener
	files *atomic.Int64
}

type countingConn struct {
	*net.TCPConn
	files *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c.(*net.TCPConn), l.files}, nil
}

// ReadFrom is what net/http calls for an io.ReaderFrom; on a TCP connection it is sendfile for a file, or a part of one.
func (c countingConn) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(r)
	if part, ok := r.(*io.LimitedReader); ok {
		r = part.R
	}
	if _, ok := r.(*os.File); ok {
		c.files.Add(n)
	}
	return n, err
}

// Observing answers and waiting for clients must not cost the way from file to socket: a pull would be copied through the process.
func TestFilesReachTheSocket(t *testing.T) {
	t.Parallel()
	m, _ := newTestMetrics(t)
	const size = 8 << 20
	path := filepath.Join(t.TempDir(), "layer")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func(wrap func(http.Handler) http.Handler) int64 {
		var files atomic.Int64
		srv := httptest.NewUnstartedServer(wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			f, err := os.Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			w.Header().Set("Content-Length", fmt.Sprint(size))
			if _, err := io.Copy(w, io.LimitReader(f, size)); err != nil {
				t.Error(err)
			}
		})))
		srv.Listener = counting{srv.Listener, &files}
		srv.Start()
		defer srv.Close()
		if status, text := get(t, srv.URL); status != 200 || len(text) != size {
			t.Errorf("%d, %d bytes", status, len(text))
		}
		return files.Load()
	}
	if n := serve(func(h http.Handler) http.Handler { return patiently(silence, m.observe("registry", h)) }); n < size-1024 {
		t.Errorf("%d of %d bytes went from the file to the socket", n, size)
	}
	if want := `firn_http_sent_bytes_total{door="registry"} 8.388608e+06`; !strings.Contains(m.text(t), want+"\n") {
		t.Errorf("no %s in\n%s", want, m.text(t))
	}
	// A wrapper that hides the way shows that the test sees it.
	hidden := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(struct{ http.ResponseWriter }{w}, r) })
	}
	if n := serve(hidden); n != 0 {
		t.Errorf("%d bytes went from the file to the socket through a wrapper that hides it", n)
	}
}

func TestObservedRequests(t *testing.T) {
	t.Parallel()
	m, _ := newTestMetrics(t)
	h := m.observe("sql", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/silent":
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNotFound)
		case "/twice":
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK)
		case "/flush":
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		case "/panic":
			w.WriteHeader(http.StatusInternalServerError)
			panic(http.ErrAbortHandler)
		}
	}))
	for _, tt := range []struct{ method, path string }{
		{"GET", "/silent"}, {"GET", "/flush"}, {"POST", "/early"}, {"PUT", "/twice"}, {"BREW", "/silent"}, {"HEAD", "/panic"},
	} {
		func() {
			defer func() { _ = recover() }()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, nil))
		}()
	}
	got := httptest.NewRecorder()
	m.page().ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, want := range []string{
		`{door="sql",method="GET",status="2xx"} 2`, `{door="sql",method="POST",status="4xx"} 1`, `{door="sql",method="PUT",status="4xx"} 1`,
		`{door="sql",method="other",status="2xx"} 1`, `{door="sql",method="HEAD",status="5xx"} 1`,
	} {
		if !strings.Contains(got.Body.String(), "firn_http_request_duration_seconds_count"+want+"\n") {
			t.Errorf("no %s in\n%s", want, got.Body)
		}
	}
}

// TestObservedImages: requests of the registry by what they are about, the uploads that run, and bytes.
func TestObservedImages(t *testing.T) {
	t.Parallel()
	m, _ := newTestMetrics(t)
	during := ""
	h := m.observe("registry", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PATCH" {
			during = m.text(t)
		}
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Error(err)
		}
	}))
	for _, tt := range []struct{ method, path string }{
		{"GET", "/v2/d/s/r/i/manifests/v1"}, {"GET", "/v2/d/s/r/i/blobs/sha256:a"}, {"PATCH", "/v2/d/s/r/i/blobs/uploads/1"}, {"POST", "/v2/d/s/r/i/blobs/uploads"},
		{"GET", "/v2/d/s/r/i/tags/list"}, {"GET", "/v2/d/s/r/i/referrers/sha256:a"}, {"GET", "/token"}, {"GET", "/v2/"}, {"GET", "/v2/d/s/blobs/x/y/z"},
	} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, strings.NewReader("12345")))
	}
	text := m.text(t)
	for _, want := range []string{
		`method="GET",resource="manifest"`, `method="GET",resource="blob"`, `method="PATCH",resource="upload"`, `method="POST",resource="upload"`,
		`method="GET",resource="tags"`, `method="GET",resource="referrers"`, `method="GET",resource="token"`,
	} {
		want = "firn_registry_request_duration_seconds_count{" + want + `,status="2xx"}`
		if !strings.Contains(text, want+" 1\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	for what, text := range map[string]string{
		"firn_registry_uploads_in_flight 1": during, "firn_registry_uploads_in_flight 0": text,
		`firn_http_received_bytes_total{door="registry"} 45`: text, `firn_http_sent_bytes_total{door="registry"} 45`: text,
		`firn_registry_request_duration_seconds_count{method="GET",resource="other",status="2xx"} 2`: text,
	} {
		if !strings.Contains(text, what+"\n") {
			t.Errorf("no %s in\n%s", what, text)
		}
	}
}

func TestJobsByState(t *testing.T) {
	t.Parallel()
	m, store := newTestMetrics(t)
	err := store.Update(t.Context(), func(tx catalog.Tx) error {
		for i, to := range []catalog.JobState{catalog.JobPending, catalog.JobPending, catalog.JobRunning, catalog.JobDone} {
			j := &catalog.Job{Kind: "ML JOB", Name: fmt.Sprint(i)}
			if err := tx.SubmitJob(j); err != nil {
				return err
			}
			if err := tx.TransitionJob(j.ID, catalog.JobPending, to, func(*catalog.Job) {}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := httptest.NewRecorder()
	m.page().ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	want := "firn_jobs{state=\"CANCELLING\"} 0\nfirn_jobs{state=\"PENDING\"} 2\nfirn_jobs{state=\"RUNNING\"} 1\n"
	if !strings.Contains(got.Body.String(), want) {
		t.Errorf("no %s in\n%s", want, got.Body)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	got = httptest.NewRecorder()
	m.page().ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if got.Code != 200 || strings.Contains(got.Body.String(), "firn_jobs{") || !strings.Contains(got.Body.String(), "firn_build_info") {
		t.Errorf("without a database: %d %s", got.Code, got.Body)
	}
}

// TestCollections: /metrics tells what garbage collections have done, and how the last one went.
func TestCollections(t *testing.T) {
	t.Parallel()
	m, _ := newTestMetrics(t)
	done := newCollectMetrics(m.registry)
	wantMetrics(t, m, `firn_gc_runs_total{outcome="success"} 0`, `firn_gc_runs_total{outcome="failure"} 0`, "firn_gc_last_success_timestamp_seconds 0")
	done(sweep.Result{Manifests: 1, Links: 2, Blobs: 3, Objects: 4, Bytes: 500, Took: 2 * time.Second}, nil)
	done(sweep.Result{Manifests: 10, Took: time.Second}, errors.New("the database is away"))
	wantMetrics(t, m, `firn_gc_runs_total{outcome="success"} 1`, `firn_gc_runs_total{outcome="failure"} 1`, `firn_gc_removed_total{what="manifest"} 11`,
		`firn_gc_removed_total{what="link"} 2`, `firn_gc_removed_total{what="blob"} 3`, `firn_gc_removed_total{what="object"} 4`,
		"firn_gc_removed_bytes_total 500", "firn_gc_last_duration_seconds 1")
	if strings.Contains(m.text(t), "firn_gc_last_success_timestamp_seconds 0\n") {
		t.Error("when the last collection succeeded is not told")
	}
}

// wantMetrics makes sure that /metrics has the lines.
func wantMetrics(t *testing.T, m *metrics, lines ...string) {
	t.Helper()
	text := m.text(t)
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
}
