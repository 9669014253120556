// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
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
)

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

// TestUpstreamReferrers: what is attached at the upstream is listed here, comes when it is pulled by its digest, and then stays.
func TestUpstreamReferrers(t *testing.T) {
	t.Parallel()
	eachFollows(t, func(t *testing.T, d *door, o *origin, clock *clock) {
		there, c := o.as(t, "writer"), d.as(t, "reader")
		_, sum := there.pushImage(image, "v1", randomBytes(1, 100), nil)
		attach := func(kind string) string {
			_, got := there.pushImage(image, "", randomBytes(2, 100), func(m *v1.Manifest) {
				m.ArtifactType, m.Annotations = kind, map[string]string{"kind": kind}
				m.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.Digest(sum), Size: 1}
			})
			return got
		}
		sbom, signature := attach("application/sbom"), attach("application/signature")
		list := func(filter string) map[string]string {
			t.Helper()
			var index v1.Index
			if err := json.Unmarshal(c.want(200, "GET", "/v2/"+image+"/referrers/"+sum+filter, nil).body, &index); err != nil {
				t.Fatal(err)
			}
			found := map[string]string{}
			for _, m := range index.Manifests {
				if m.Size == 0 || m.MediaType != v1.MediaTypeImageManifest || m.ArtifactType != m.Annotations["kind"] {
					t.Errorf("listed as %+v", m)
				}
				found[m.Digest.String()] = m.ArtifactType
			}
			if len(found) != len(index.Manifests) {
				t.Errorf("something is listed twice: %+v", index.Manifests)
			}
			return found
		}
		both := map[string]string{sbom: "application/sbom", signature: "application/signature"}
		only := map[string]string{sbom: "application/sbom"}
		if df := diff.Diff(both, list("")); df != "" {
			t.Error(df)
		}
		if df := diff.Diff(only, list("?artifactType=application/sbom")); df != "" {
			t.Error(df)
		}
		c.want(200, "GET", manifestAt(sbom), nil)
		if df := diff.Diff(both, list("")); df != "" {
			t.Error(df)
		}
		o.set(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
		if df := diff.Diff(both, list("")); df != "" { // it is not asked again for a minute
			t.Error(df)
		}
		clock.advance(time.Minute)
		if df := diff.Diff(only, list("")); df != "" {
			t.Error(df)
		}
		d.as(t, "nobody").want(404, "GET", "/v2/"+image+"/referrers/"+sum, nil)
	})
}
