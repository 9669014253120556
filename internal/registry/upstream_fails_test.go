// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry/upstream"
)

// TestUpstreamFails lets upstreams fail in every way: what is here is served, what is not gives an error that names upstream and reason, and
// nothing half can be seen. Then the upstream is well again.
func TestUpstreamFails(t *testing.T) {
	t.Parallel()
	status := func(code int) func(*origin) func(http.ResponseWriter, *http.Request) bool {
		return func(*origin) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				fails := ofImage.MatchString(r.URL.Path)
				if fails {
					w.WriteHeader(code)
				}
				return fails
			}
		}
	}
	// blob gives other content for large blobs.
	blob := func(change func(w http.ResponseWriter, content []byte)) func(*origin) func(http.ResponseWriter, *http.Request) bool {
		return func(o *origin) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/blobs/") {
					return false
				}
				seen := httptest.NewRecorder()
				o.door.ServeHTTP(seen, r)
				if seen.Body.Len() < 100<<10 {
					return false
				}
				change(w, seen.Body.Bytes())
				return true
			}
		}
	}
	for name, c := range map[string]struct {
		answer func(*origin) func(http.ResponseWriter, *http.Request) bool
		status int
		code   string
		text   string
	}{
		"401":     {status(401), 403, "DENIED", "refuses v1 of image"},
		"403":     {status(403), 403, "DENIED", "(status 403)"},
		"404":     {status(404), 404, "MANIFEST_UNKNOWN", "has no v1 of image"},
		"429":     {status(429), 503, "UNKNOWN", "too many requests"},
		"500":     {status(500), 503, "UNKNOWN", "answered 500 Internal Server Error"},
		"503":     {status(503), 503, "UNKNOWN", "answered 503"},
		"silent":  {func(*origin) func(http.ResponseWriter, *http.Request) bool { return hang }, 503, "UNKNOWN", "nothing came for too long"},
		"flipped": {blob(func(w http.ResponseWriter, b []byte) { b[7] ^= 1; w.Write(b) }), 503, "UNKNOWN", "another digest"},
		"short":   {blob(func(w http.ResponseWriter, b []byte) { w.Write(b[:len(b)-1]) }), 503, "UNKNOWN", "did not give sha256:"},
		"long":    {blob(func(w http.ResponseWriter, b []byte) { w.Write(b); w.Write(b); w.(http.Flusher).Flush() }), 503, "UNKNOWN", "the manifest promises 204800 bytes"},
		"broken off": {blob(func(w http.ResponseWriter, b []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
			w.Write(b[:1000])
			panic(http.ErrAbortHandler)
		}), 503, "UNKNOWN", "broke off"},
		"stalled": {blob(func(w http.ResponseWriter, b []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
			w.Write(b[:100<<10])
			w.(http.Flusher).Flush()
			time.Sleep(4 * time.Second) // a server that is stuck; twice the patience
		}), 503, "UNKNOWN", "nothing came for too long"},
		"other manifest": {func(*origin) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				other := r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/")
				if other {
					w.Header().Set("Content-Type", v1.MediaTypeImageManifest)
					io.WriteString(w, `{"schemaVersion":2}`)
				}
				return other
			}
		}, 503, "UNKNOWN", "another digest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			d, o := serveAt(t, clock.read), newOrigin(t)
			var log safeBuffer
			d.Log = slog.New(slog.NewTextHandler(&log, nil))
			d.follow(t, o.host, "reader")
			there, asker := o.as(t, "writer"), d.as(t, "reader")
			_, held := there.pushImage(image, "held", randomBytes(1, 200<<10), nil)
			asker.want(200, "GET", manifestAt("held"), nil)
			_, moved := there.pushImage(image, "held", randomBytes(2, 200<<10), nil)
			_, fresh := there.pushImage(image, "v1", randomBytes(2, 200<<10), nil)
			o.set(c.answer(o))
			clock.advance(2 * time.Minute)

			r := asker.want(c.status, "GET", manifestAt("v1"), nil)
			if r.code() != c.code || !strings.Contains(string(r.body), c.text) || !strings.Contains(string(r.body), o.host) {
				t.Errorf("a tag that is not here: %s", r.body)
			}
			for range 2 {
				if got := asker.want(200, "GET", manifestAt("held"), nil).Header.Get("Docker-Content-Digest"); got != held {
					t.Errorf("the tag that is here names %s", got)
				}
				asker.want(200, "GET", manifestAt(held), nil)
			}
			if now, _ := d.tagged(t, "v1"); now != "" {
				t.Errorf("v1 names %s", now)
			}
			if err := d.store.View(t.Context(), func(tx catalog.Tx) error {
				o, err := tx.Object(catalog.KindImageRepository, repo)
				if err == nil {
					_, err = tx.Manifest(o.ID, "img", fresh)
				}
				return err
			}); !errs.Is(err, errs.NotFound) {
				t.Errorf("the image is half here: %v", err)
			}
			d.wantNoGarbage(t)
			if text := log.String(); !strings.Contains(text, o.host) || strings.Contains(text+string(r.body), "secret:") {
				t.Errorf("log: %s", text)
			}

			o.set(nil)
			clock.advance(time.Minute)
			for tag, want := range map[string]string{"v1": fresh, "held": moved} {
				if got := asker.want(200, "GET", manifestAt(tag), nil).Header.Get("Docker-Content-Digest"); got != want {
					t.Errorf("%s names %s in the end", tag, got)
				}
			}
			d.wantNoGarbage(t)
			d.wantSound(t)
		})
	}
}

// hang answers when the client is gone.
func hang(_ http.ResponseWriter, r *http.Request) bool {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// safeBuffer is a log.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestUpstreamUnreachable has an upstream that is not there, one that is not approved any more, and a secret that is gone.
func TestUpstreamUnreachable(t *testing.T) {
	t.Parallel()
	eachFollows(t, func(t *testing.T, d *door, o *origin, clock *clock) {
		there, c := o.as(t, "writer"), d.as(t, "reader")
		_, held := there.pushImage(image, "v1", randomBytes(1, 10), nil)
		c.want(200, "GET", manifestAt("v1"), nil)
		fails := func(status int, code string, words ...string) {
			t.Helper()
			clock.advance(time.Minute)
			r := c.want(status, "GET", manifestAt("v2"), nil)
			for _, word := range append(words, `"`+code+`"`) {
				if !strings.Contains(string(r.body), word) {
					t.Errorf("answer %s, want %q", r.body, word)
				}
			}
			if got := c.want(200, "GET", manifestAt("v1"), nil).Header.Get("Docker-Content-Digest"); got != held {
				t.Errorf("v1 names %s", got)
			}
		}
		approved := d.Upstream
		d.Upstream = upstream.New(upstream.Options{})
		fails(409, "DENIED", o.host+" is not approved", "firnd serve --upstreams "+o.host)
		d.Upstream = approved
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.UpstreamSecret.Object = "GONE" })
		fails(409, "DENIED", "secret DB.S.GONE", "is gone", "ALTER IMAGE REPOSITORY DB.S.REPO SET UPSTREAM_SECRET")
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.UpstreamSecret = catalog.Name{} })
		fails(403, "DENIED", "refuses v2 of image "+o.host+"/db/s/repo/img", "UPSTREAM_SECRET")
		closed := httptest.NewServer(nil)
		closed.Close()
		host := strings.TrimPrefix(closed.URL, "http://")
		d.Upstream = upstream.New(upstream.Options{Approved: []string{host}})
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.Upstream = closed.URL })
		fails(503, "UNKNOWN", "upstream registry "+host, "connection refused")
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.Upstream = "" })
		c.want(200, "GET", manifestAt("v1"), nil)
		c.want(404, "GET", manifestAt("v2"), nil)
	})
}

// TestUpstreamRedirects: an upstream that sends the client elsewhere does not send the login there.
func TestUpstreamRedirects(t *testing.T) {
	t.Parallel()
	d, o := serve(t), newOrigin(t)
	d.follow(t, o.host, "reader")
	content := randomBytes(1, 200<<10)
	var elsewhere atomic.Int32
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere.Add(1)
		if header := r.Header.Get("Authorization"); header != "" {
			t.Errorf("the store got %q", header)
		}
		w.Write(content)
	}))
	t.Cleanup(store.Close)
	body, _ := o.as(t, "writer").pushImage(image, "v1", content, nil)
	o.set(func(w http.ResponseWriter, r *http.Request) bool {
		redirects := strings.HasSuffix(r.URL.Path, sha256Of(content))
		if redirects {
			http.Redirect(w, r, store.URL+"/signed?X-Amz-Signature=abc", http.StatusTemporaryRedirect)
		}
		return redirects
	})
	c := d.as(t, "reader")
	if r := c.want(200, "GET", manifestAt("v1"), nil); !bytes.Equal(r.body, body) {
		t.Errorf("manifest %s", r.body)
	}
	c.wantBlob(sha256Of(content), content)
	if elsewhere.Load() != 1 {
		t.Errorf("the store was asked %d times", elsewhere.Load())
	}

	// A signed URL is as secret as a login.
	_, _ = o.as(t, "writer").pushImage(image, "v2", randomBytes(2, 10), nil)
	o.set(func(w http.ResponseWriter, r *http.Request) bool {
		redirects := strings.Contains(r.URL.Path, "/blobs/")
		if redirects {
			http.Redirect(w, r, "http://127.0.0.1:1/signed?X-Amz-Signature=abc", http.StatusTemporaryRedirect)
		}
		return redirects
	})
	if r := c.want(503, "GET", manifestAt("v2"), nil); strings.Contains(string(r.body), "Signature") || !strings.Contains(string(r.body), "connection refused") {
		t.Errorf("answer %s", r.body)
	}
}
