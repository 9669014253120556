// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry/upstream"
)

// origin is a registry that another one has as its upstream, which notes what it is asked for.
type origin struct {
	*door
	host   string
	mu     sync.Mutex
	asked  []string                                          // "HEAD v1"
	answer func(w http.ResponseWriter, r *http.Request) bool // answers in the place of the registry
}

var ofImage = regexp.MustCompile(`^/v2/` + image + `/(?:manifests|blobs)/([^/]+)$`)

// ServeHTTP implements http.Handler.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	answer := o.answer
	if m := ofImage.FindStringSubmatch(r.URL.Path); m != nil && r.Header.Get("User-Agent") != "Go-http-client/1.1" { // tests push to it too
		o.asked = append(o.asked, r.Method+" "+m[1])
	}
	o.mu.Unlock()
	if answer == nil || !answer(w, r) {
		o.door.ServeHTTP(w, r)
	}
}

// set changes how it answers; nil lets the registry do so.
func (o *origin) set(answer func(w http.ResponseWriter, r *http.Request) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = answer
}

// wantAsked checks what it was asked for since the last time, in any order, digests by their names.
func (o *origin) wantAsked(t *testing.T, names map[string]string, want ...string) {
	t.Helper()
	o.mu.Lock()
	got := o.asked
	o.asked = nil
	o.mu.Unlock()
	for i, line := range got {
		method, what, _ := strings.Cut(line, " ")
		got[i] = method + " " + cmp.Or(names[what], what)
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := diff.Diff(want, got); d != "" && len(want)+len(got) > 0 {
		t.Errorf("the upstream was asked for: %s", d)
	}
}

// newOrigin serves a registry that others may follow.
func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{door: serve(t)}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	o.host = strings.TrimPrefix(server.URL, "http://")
	return o
}

// follow lets DB.S.REPO of a registry have its images from another one, with the login of a user.
func (d *door) follow(t *testing.T, host, user string) {
	t.Helper()
	d.Upstream = upstream.New(upstream.Options{Approved: []string{host}, Patience: 2 * time.Second})
	err := d.store.Update(t.Context(), func(tx catalog.Tx) error {
		return tx.CreateObject(&catalog.Object{
			Kind: catalog.KindSecret, Name: secretName, Spec: &catalog.SecretSpec{Type: "PASSWORD", Username: user, Value: "secret:" + user},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	d.rule(t, func(s *catalog.ImageRepositorySpec) {
		s.Upstream, s.UpstreamSecret = "http://"+host+"/db/s/repo", secretName
	})
}

var secretName = catalog.Name{Database: "DB", Schema: "S", Object: "LOGIN"}

// tagged gives what a tag names and who moved it there, "" when it is not there.
func (d *door) tagged(t *testing.T, tag string) (now, by string) {
	t.Helper()
	err := d.store.View(t.Context(), func(tx catalog.Tx) error {
		o, err := tx.Object(catalog.KindImageRepository, repo)
		if err != nil {
			return err
		}
		found, err := tx.Tag(o.ID, "img", tag)
		if err == nil {
			now, by = found.Digest, found.MovedBy
		} else if errs.Is(err, errs.NotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return now, by
}

func manifestAt(reference string) string { return "/v2/" + image + "/manifests/" + reference }
func blobAt(digest string) string        { return "/v2/" + image + "/blobs/" + digest }

// eachFollows runs a test with a registry, on each database, that follows another one.
func eachFollows(t *testing.T, test func(t *testing.T, d *door, o *origin, clock *clock)) {
	onEach(t, func(t *testing.T, d *door, clock *clock) {
		o := newOrigin(t)
		d.follow(t, o.host, "reader")
		test(t, d, o, clock)
		d.wantNoGarbage(t)
		d.wantSound(t)
	})
}

func TestPullThrough(t *testing.T) {
	t.Parallel()
	eachFollows(t, func(t *testing.T, d *door, o *origin, clock *clock) {
		there, c := o.as(t, "writer"), d.as(t, "reader")
		base := randomBytes(1, 300<<10)
		m1, first := there.pushImage(image, "v1", base, nil)
		layer := sha256Of(base)
		config := configOf(t, m1)
		names := map[string]string{first: "first", layer: "base", config: "config"}

		// HEAD says what the upstream says and brings nothing.
		r := c.want(200, "HEAD", manifestAt("v1"), nil)
		if r.Header.Get("Docker-Content-Digest") != first || r.Header.Get("Content-Length") != fmt.Sprint(len(m1)) || r.Header.Get("Content-Type") != v1.MediaTypeImageManifest {
			t.Errorf("HEAD of the tag: %v", r.Header)
		}
		d.as(t, "owner").want(200, "HEAD", manifestAt("v1"), nil)
		c.want(404, "GET", "/v2/"+image+"/tags/list", nil)
		o.wantAsked(t, names, "HEAD v1")

		// GET brings all of it; the tag is not asked for again.
		if r := c.want(200, "GET", manifestAt("v1"), nil); !bytes.Equal(r.body, m1) || r.Header.Get("Docker-Content-Digest") != first {
			t.Errorf("GET of the tag: %s", r.body)
		}
		o.wantAsked(t, names, "GET first", "GET base", "GET config")
		for _, reference := range []string{"v1", first} {
			if r := c.want(200, "GET", manifestAt(reference), nil); !bytes.Equal(r.body, m1) {
				t.Errorf("GET of %s: %s", reference, r.body)
			}
			c.want(200, "HEAD", manifestAt(reference), nil)
		}
		c.wantBlob(layer, base)
		c.want(200, "GET", blobAt(config), nil)
		o.wantAsked(t, names)
		if now, by := d.tagged(t, "v1"); now != first || by != "upstream "+o.host {
			t.Errorf("the tag names %s, by %q", now, by)
		}

		// A minute later the upstream is asked again, and gives what has changed only.
		clock.advance(59 * time.Second)
		c.want(200, "GET", manifestAt("v1"), nil)
		o.wantAsked(t, names)
		clock.advance(2 * time.Second)
		c.want(200, "GET", manifestAt("v1"), nil)
		o.wantAsked(t, names, "HEAD v1")
		_, second := there.pushImage(image, "v1", base, func(m *v1.Manifest) { m.Annotations = map[string]string{"a": "b"} })
		names[second] = "second"
		clock.advance(time.Minute)
		if got := c.want(200, "GET", manifestAt("v1"), nil).Header.Get("Docker-Content-Digest"); got != second {
			t.Errorf("the tag names %s", names[got])
		}
		o.wantAsked(t, names, "HEAD v1", "GET second")

		// containerd asks for the tag with HEAD and pulls by digest: the tag comes with it.
		clock.advance(time.Second)
		_, third := there.pushImage(image, "v2", randomBytes(3, 100), nil)
		c.want(200, "HEAD", manifestAt("v2"), nil)
		c.want(200, "GET", manifestAt(third), nil)
		if now, _ := d.tagged(t, "v2"); now != third {
			t.Errorf("v2 names %q", now)
		}
		// And a tag of what is here comes with HEAD alone.
		clock.advance(time.Second)
		there.pushImage(image, "v3", randomBytes(3, 100), nil)
		c.want(200, "HEAD", manifestAt("v3"), nil)
		if now, _ := d.tagged(t, "v3"); now != third {
			t.Errorf("v3 names %q", now)
		}

		names[third] = "third"
		by := " upstream " + o.host
		want := []string{"PUSH v1 first<" + by, "PULL first< reader", "TAG_MOVED v1 second<first" + by, "PULL second< reader", "PUSH v2 third<" + by, "PULL third< reader", "PUSH v3 third<" + by}
		if df := diff.Diff(want, d.history(t, names)); df != "" {
			t.Error(df)
		}
		var imports []string
		for _, e := range d.events(t) {
			if e.Action == "import" {
				imports = append(imports, e.User+" "+e.Object+" "+names[e.Digest]+" "+e.Detail)
			}
		}
		from := " from upstream http://" + o.host + "/db/s/repo"
		if df := diff.Diff([]string{
			"reader /db/s/repo/img:v1 first" + from, "reader /db/s/repo/img:v1 second" + from, "reader /db/s/repo/img:v2 third" + from, "reader /db/s/repo/img:v3 third" + from,
		}, imports); df != "" {
			t.Error(df)
		}
	})
}

// configOf gives the digest of an image's config.
func configOf(t *testing.T, manifest []byte) string {
	t.Helper()
	m := regexp.MustCompile(`"config":\{[^}]*"digest":"(sha256:[0-9a-f]+)"`).FindSubmatch(manifest)
	if m == nil {
		t.Fatalf("no config in %s", manifest)
	}
	return string(m[1])
}

// TestPullThroughIndex pulls an index, of which only what is asked for comes, and resolves it as CREATE CUSTOM RUNTIME ENVIRONMENT does.
func TestPullThroughIndex(t *testing.T) {
	t.Parallel()
	eachFollows(t, func(t *testing.T, d *door, o *origin, _ *clock) {
		there, c := o.as(t, "writer"), d.as(t, "reader")
		amdBody, amd := there.pushImage(image, "", randomBytes(1, 100<<10), nil)
		armBody, arm := there.pushImage(image, "", randomBytes(2, 100<<10), nil)
		index := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{
			{MediaType: v1.MediaTypeImageManifest, Digest: digest.Digest(arm), Size: int64(len(armBody)), Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}},
			{MediaType: v1.MediaTypeImageManifest, Digest: digest.Digest(amd), Size: int64(len(amdBody)), Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}},
		}}
		index.SchemaVersion = 2
		_, all := there.pushManifest(image, "v1", index.MediaType, index)
		names := map[string]string{amd: "amd", arm: "arm", all: "all", configOf(t, amdBody): "amd config", sha256Of(randomBytes(1, 100<<10)): "amd layer"}

		c.want(200, "GET", manifestAt("v1"), nil)
		o.wantAsked(t, names, "HEAD v1", "GET all")
		c.want(404, "GET", blobAt(configOf(t, amdBody)), nil)
		ref, err := d.Resolve(t.Context(), "/db/s/repo/img:v1")
		if err != nil || ref.Digest != amd || ref.TagDigest != all {
			t.Fatalf("resolved to %+v, %v", ref, err)
		}
		o.wantAsked(t, names, "GET amd", "GET amd config", "GET amd layer")
		if _, err := d.Image(t.Context(), ref.Repository.ID, ref.Image, ref.Digest); err != nil {
			t.Error(err)
		}
		c.want(200, "HEAD", manifestAt(arm), nil)
		if r := c.want(200, "GET", manifestAt(arm), nil); !bytes.Equal(r.body, armBody) {
			t.Errorf("the other image is %s", r.body)
		}
		// What the index names cannot be deleted before it.
		d.as(t, "owner").refused(409, []string{"index " + all}, "DELETE", manifestAt(arm), nil)
		d.as(t, "owner").want(202, "DELETE", manifestAt(all), nil)

		for path, want := range map[string]struct {
			code errs.Code
			text string
		}{
			"/db/s/repo/img:none":                     {errs.NotFound, "image path /db/s/repo/img:none: upstream registry " + o.host + " has no none of image"},
			"/db/s/repo/img@" + sha256Of([]byte("x")): {errs.NotFound, "upstream registry " + o.host + " has no sha256:"},
			"/db/s/other/img:v1":                      {errs.NotFound, "push it first"},
			"/db/s/missing/img:v1":                    {errs.NotFound, "image repository DB.S.MISSING does not exist"},
		} {
			if _, err := d.Resolve(t.Context(), path); !errs.Is(err, want.code) || !strings.Contains(errs.MessageOf(err), want.text) {
				t.Errorf("%s: %v", path, err)
			}
		}
	})
}

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

// TestUpstreamRules: nobody pushes, who may not pull asks nothing, and what a repository does not take does not come.
func TestUpstreamRules(t *testing.T) {
	t.Parallel()
	eachFollows(t, func(t *testing.T, d *door, o *origin, clock *clock) {
		there, c, owner := o.as(t, "writer"), d.as(t, "reader"), d.as(t, "owner")
		body, first := there.pushImage(image, "v1", randomBytes(1, 200<<10), nil)
		no := []string{"image repository DB.S.REPO takes no pushes", "http://" + o.host + "/db/s/repo", "UNSET UPSTREAM"}
		owner.refused(403, no, "POST", "/v2/"+image+"/blobs/uploads/", nil)
		owner.refused(403, no, "POST", "/v2/"+image+"/blobs/uploads/?digest="+sha256Of([]byte("x")), strings.NewReader("x"))
		owner.refused(403, no, "POST", "/v2/"+image+"/blobs/uploads/?from=db/s/other/img&mount="+sha256Of([]byte("x")), nil)
		owner.refused(403, no, "PUT", manifestAt("mine"), bytes.NewReader(body), "Content-Type", v1.MediaTypeImageManifest)
		d.as(t, "nobody").want(404, "GET", manifestAt("v1"), nil)
		d.as(t, "").want(401, "GET", manifestAt("v1"), nil)
		o.wantAsked(t, nil)

		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.Quota = 100 << 10 })
		c.refused(403, []string{"storage quota of image repository DB.S.REPO exceeded"}, "GET", manifestAt("v1"), nil)
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.Quota, s.MediaTypes = 0, []string{"application/vnd.docker.*"} })
		c.refused(403, []string{"does not take media type"}, "GET", manifestAt("v1"), nil)
		if now, _ := d.tagged(t, "v1"); now != "" {
			t.Errorf("v1 names %s", now)
		}
		d.rule(t, func(s *catalog.ImageRepositorySpec) {
			s.Quota, s.MediaTypes, s.ImmutableTags = 1<<20, nil, []string{"v*"}
		})
		c.want(200, "GET", manifestAt("v1"), nil)
		if used, reserved := d.used(t); used < 200<<10 || used > 202<<10 || reserved != 0 {
			t.Errorf("%d bytes are used, %d reserved", used, reserved)
		}

		// An immutable tag that is here is not asked for.
		there.pushImage(image, "v1", randomBytes(2, 10), nil)
		clock.advance(time.Hour)
		o.mu.Lock()
		o.asked = nil
		o.mu.Unlock()
		if got := c.want(200, "GET", manifestAt("v1"), nil).Header.Get("Docker-Content-Digest"); got != first {
			t.Errorf("the immutable tag names %s", got)
		}
		o.wantAsked(t, nil)
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.ImmutableTags = nil })
		owner.want(202, "DELETE", manifestAt(first), nil)
		d.as(t, "owner").want(404, "HEAD", "/v2/"+image+"/manifests/"+sha256Of([]byte("x")), nil)
	})
}

// TestUpstreamLayers: a layer that is here is not fetched when all who may pull may have it, and never opened to them by a manifest.
func TestUpstreamLayers(t *testing.T) {
	t.Parallel()
	eachFollows(t, func(t *testing.T, d *door, o *origin, _ *clock) {
		there, c := o.as(t, "owner"), d.as(t, "owner")
		open, private, own := randomBytes(1, 100<<10), randomBytes(2, 100<<10), randomBytes(3, 100<<10)
		d.as(t, "owner").pushBlob("db/s/open/img", open)
		d.as(t, "owner").pushBlob("db/s/other/img", private)
		names := map[string]string{sha256Of(open): "open", sha256Of(private): "private", sha256Of(own): "own"}
		blobs := func(want ...string) {
			t.Helper()
			o.mu.Lock()
			o.asked = slices.DeleteFunc(o.asked, func(line string) bool { _, digest, _ := strings.Cut(line, " "); return names[digest] == "" })
			o.mu.Unlock()
			o.wantAsked(t, names, want...)
		}
		there.pushImage(image, "open", open, nil)
		c.want(200, "GET", manifestAt("open"), nil)
		blobs()
		there.pushImage(image, "private", private, nil)
		c.want(200, "GET", manifestAt("private"), nil) // even by who may have it elsewhere
		blobs("GET private")
		there.pushImage("db/s/repo/else", "v1", own, nil)
		c.want(200, "GET", "/v2/db/s/repo/else/manifests/v1", nil)
		there.pushImage(image, "own", own, nil)
		c.want(200, "GET", manifestAt("own"), nil)
		blobs() // another image of the repository has it
		c.wantBlob(sha256Of(own), own)

		// Content that is lost here comes again.
		if err := d.store.Update(t.Context(), func(tx catalog.Tx) error {
			b, err := tx.Blob(sha256Of(own))
			if err != nil {
				return err
			}
			if err := d.blobs.Delete(t.Context(), b.Key); err != nil {
				return err
			}
			return tx.LoseBlob(b.Digest, b.Key)
		}); err != nil {
			t.Fatal(err)
		}
		c.want(200, "GET", manifestAt("own"), nil)
		blobs("GET own")
		c.wantBlob(sha256Of(own), own)
	})
}

// TestPullThroughTogether lets many pull the same at once: it comes once. Who gives up does not end it for the others.
func TestPullThroughTogether(t *testing.T) {
	t.Parallel()
	eachFollows(t, func(t *testing.T, d *door, o *origin, _ *clock) {
		layer := randomBytes(1, 300<<10)
		body, first := o.as(t, "writer").pushImage(image, "v1", layer, nil)
		names := map[string]string{first: "first", sha256Of(layer): "layer", configOf(t, body): "config"}
		begun, goOn := make(chan struct{}), make(chan struct{})
		var once sync.Once
		o.set(func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, sha256Of(layer)) {
				once.Do(func() { close(begun) })
				<-goOn
			}
			return false
		})
		leaves, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var whole atomic.Int32
		pull := func(ctx context.Context) (int, error) {
			r, err := http.NewRequestWithContext(ctx, "GET", d.url+manifestAt("v1"), nil)
			if err != nil {
				return 0, err
			}
			r.SetBasicAuth("reader", "secret:reader")
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				return 0, err
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if bytes.Equal(got, body) {
				whole.Add(1)
			}
			return resp.StatusCode, err
		}
		gone := make(chan error)
		go func() { _, err := pull(leaves); gone <- err }()
		<-begun
		for range 15 {
			wg.Go(func() {
				if status, err := pull(t.Context()); status != 200 || err != nil {
					t.Errorf("status %d, %v", status, err)
				}
			})
		}
		leave()
		if err := <-gone; err == nil {
			t.Error("who left got an answer")
		}
		close(goOn)
		wg.Wait()
		if whole.Load() != 15 {
			t.Errorf("%d of 15 have the image", whole.Load())
		}
		o.wantAsked(t, names, "HEAD v1", "GET first", "GET layer", "GET config")
	})
}

// TestPullThroughReplicas lets two servers of one database pull the same at once.
func TestPullThroughReplicas(t *testing.T) {
	t.Parallel()
	source := "sqlite:" + t.TempDir() + "/firn.db"
	directory := t.TempDir()
	one, closeOne, err := openAt(source, directory, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	two, err := open(one.store, one.blobs, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closeOne(); err != nil {
			t.Error(err)
		}
	})
	o := newOrigin(t)
	one.follow(t, o.host, "reader")
	two.Upstream = one.Upstream
	doors := []*door{one, two}
	for i, d := range doors {
		d.Writer = fmt.Sprint("replica ", i)
		server := httptest.NewServer(d)
		t.Cleanup(server.Close)
		d.url = server.URL
	}
	for round := range 5 {
		tag := fmt.Sprint("v", round)
		body, _ := o.as(t, "writer").pushImage(image, tag, randomBytes(uint64(round), 200<<10), nil)
		var wg sync.WaitGroup
		for _, d := range doors {
			c := d.as(t, "reader")
			wg.Go(func() {
				if r := c.do("GET", manifestAt(tag), nil); r.StatusCode != 200 || !bytes.Equal(r.body, body) {
					t.Errorf("%d %s", r.StatusCode, r.body)
				}
			})
		}
		wg.Wait()
	}
	one.wantNoGarbage(t)
	one.wantSound(t)
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

// TestUpstreamDrift: a tag that moves at the upstream drifts an environment when it is pulled.
func TestUpstreamDrift(t *testing.T) {
	t.Parallel()
	eachFollows(t, func(t *testing.T, d *door, o *origin, clock *clock) {
		there, c := o.as(t, "writer"), d.as(t, "reader")
		_, first := there.pushImage(image, "v1", randomBytes(1, 10), nil)
		ref, err := d.Resolve(t.Context(), "/db/s/repo/img:v1")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.store.Update(t.Context(), func(tx catalog.Tx) error {
			return tx.CreateObject(&catalog.Object{Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: "E"}, Spec: &catalog.RuntimeEnvironmentSpec{
				Repository: ref.Repository.ID, Image: ref.Image, Tag: ref.Tag, Digest: ref.Digest, TagDigest: ref.TagDigest, Path: ref.Path(),
			}})
		}); err != nil {
			t.Fatal(err)
		}
		_, second := there.pushImage(image, "v1", randomBytes(2, 10), nil)
		clock.advance(time.Hour)
		c.want(200, "GET", manifestAt("v1"), nil)
		history := d.history(t, map[string]string{first: "first", second: "second"})
		if !slices.Contains(history, "DRIFTED v1 second<first E upstream "+o.host) {
			t.Errorf("history %q", history)
		}
		c.want(200, "GET", manifestAt(first), nil) // what is in use stays
	})
}
