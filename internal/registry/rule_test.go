// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
)

// onEach runs a test on each database. now may be moved by the test.
func onEach(t *testing.T, test func(t *testing.T, d *door, clock *clock)) {
	for database, source := range catalogtest.Databases() {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			test(t, serveOn(t, source(t), t.TempDir(), c.read), c)
		})
	}
}

// rule changes the rules of DB.S.REPO.
func (d *door) rule(t *testing.T, change func(*catalog.ImageRepositorySpec)) {
	t.Helper()
	err := d.store.Update(t.Context(), func(tx catalog.Tx) error {
		o, spec, err := catalog.Get[*catalog.ImageRepositorySpec](tx, catalog.Name{Database: "DB", Schema: "S", Object: "REPO"})
		if err != nil {
			return err
		}
		change(spec)
		return tx.AlterObject(o)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// history lists the events of DB.S.REPO, oldest first, as "kind tag digest<previous environment user", digests by their names.
func (d *door) history(t *testing.T, names map[string]string) []string {
	t.Helper()
	var all []string
	err := d.store.View(t.Context(), func(tx catalog.Tx) error {
		all = nil
		o, err := tx.Object(catalog.KindImageRepository, catalog.Name{Database: "DB", Schema: "S", Object: "REPO"})
		if err != nil {
			return err
		}
		for e, err := range tx.ImageEvents([]catalog.ID{o.ID}, 1000) {
			if err != nil {
				return err
			}
			line := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s<%s %s %s", e.Kind, e.Tag, names[e.Digest], names[e.Previous], e.Environment, e.User)), " ")
			all = append([]string{line}, all...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// refused checks that a request is refused as DENIED with a status and words.
func (c client) refused(status int, words []string, method, path string, body io.Reader, header ...string) {
	c.t.Helper()
	r := c.want(status, method, path, body, header...)
	if r.code() != "DENIED" {
		c.t.Errorf("%s %s: code %s", method, path, r.code())
	}
	for _, word := range words {
		if !strings.Contains(string(r.body), word) {
			c.t.Errorf("%s %s is refused with %s, want %q", method, path, r.body, word)
		}
	}
}

func TestImmutableTags(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *door, _ *clock) {
		c := d.as(t, "owner")
		old, oldDigest := c.pushImage(image, "v1", randomBytes(1, 10), nil)
		other, otherDigest := c.pushImage(image, "latest", randomBytes(2, 10), nil)
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.ImmutableTags = []string{"v*", "*-final"} })
		at := func(reference string) string { return "/v2/" + image + "/manifests/" + reference }
		manifestType := []string{"Content-Type", v1.MediaTypeImageManifest}

		next := []string{"tag v1", "IMMUTABLE_TAGS = ('v*', '*-final')", "ALTER IMAGE REPOSITORY DB.S.REPO SET IMMUTABLE_TAGS = FALSE"}
		c.refused(409, next, "PUT", at("v1"), bytes.NewReader(other), manifestType...)
		c.refused(409, next, "PUT", at(otherDigest)+"?tag=new&tag=v1", bytes.NewReader(other), manifestType...)
		c.refused(409, next, "DELETE", at("v1"), nil)
		c.refused(409, next, "DELETE", at(oldDigest), nil)
		c.want(404, "GET", at("new"), nil) // of a refused push nothing stays
		c.want(201, "PUT", at("v1"), bytes.NewReader(old), manifestType...)
		c.want(201, "PUT", at("rc-final"), bytes.NewReader(old), manifestType...)
		c.refused(409, nil, "PUT", at("rc-final"), bytes.NewReader(other), manifestType...)
		c.want(201, "PUT", at("latest"), bytes.NewReader(old), manifestType...)
		c.want(202, "DELETE", at("latest"), nil)
		c.want(202, "DELETE", at(otherDigest), nil)
		if got := c.want(200, "GET", at("v1"), nil).Header.Get("Docker-Content-Digest"); got != oldDigest {
			t.Errorf("v1 names %s", got)
		}

		// Two pushers of one new tag: one of them names it, and the other is refused.
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.ImmutableTags = []string{"*"} })
		var wg sync.WaitGroup
		status := make([]int, 8)
		for i := range status {
			body, _ := c.pushImage(image, "", randomBytes(uint64(10+i), 10), nil)
			wg.Go(func() { status[i] = c.do("PUT", at("race"), bytes.NewReader(body), manifestType...).StatusCode })
		}
		wg.Wait()
		won := 0
		for _, s := range status {
			switch s {
			case http.StatusCreated:
				won++
			case http.StatusConflict:
			default:
				t.Errorf("a push of an immutable tag answers %d", s)
			}
		}
		if won != 1 {
			t.Errorf("%d pushes of an immutable tag were taken", won)
		}
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.ImmutableTags = nil })
		c.want(202, "DELETE", at(oldDigest), nil)
	})
}

func TestAllowedMediaTypes(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *door, _ *clock) {
		c := d.as(t, "writer")
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.MediaTypes = []string{"application/vnd.oci.image.*"} })
		c.pushImage(image, "v1", randomBytes(1, 10), nil)
		for what, change := range map[string]func(*v1.Manifest){
			"application/helm":    func(m *v1.Manifest) { m.Config.MediaType = "application/helm" },
			"application/x-layer": func(m *v1.Manifest) { m.Layers[0].MediaType = "application/x-layer" },
			"application/sbom":    func(m *v1.Manifest) { m.ArtifactType = "application/sbom" },
		} {
			body, err := json.Marshal(c.imageOf(image, randomBytes(1, 10), change))
			if err != nil {
				t.Fatal(err)
			}
			words := []string{what, "image repository DB.S.REPO", "ALLOWED_MEDIA_TYPES = ('application/vnd.oci.image.*')"}
			c.refused(403, words, "PUT", "/v2/"+image+"/manifests/v2", bytes.NewReader(body), "Content-Type", v1.MediaTypeImageManifest)
		}
		index := `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[]}`
		c.refused(403, []string{"manifest.list.v2+json"}, "PUT", "/v2/"+image+"/manifests/v2", strings.NewReader(index))
	})
}

func TestImageHistory(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *door, clock *clock) {
		c := d.as(t, "owner")
		one, first := c.pushImage(image, "v1", randomBytes(1, 10), nil)
		err := d.store.Update(t.Context(), func(tx catalog.Tx) error {
			repository, err := tx.Object(catalog.KindImageRepository, catalog.Name{Database: "DB", Schema: "S", Object: "REPO"})
			if err != nil {
				return err
			}
			return tx.CreateObject(&catalog.Object{
				Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: "ENV"},
				Spec: &catalog.RuntimeEnvironmentSpec{Repository: repository.ID, Image: "img", Tag: "v1", Digest: first, TagDigest: first, Path: "/db/s/repo/img:v1"},
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		manifest := "/v2/" + image + "/manifests/"
		var second, third string
		for _, step := range []func(){
			func() { // changes nothing
				c.want(201, "PUT", manifest+"v1", bytes.NewReader(one), "Content-Type", v1.MediaTypeImageManifest)
			},
			func() { _, second = c.pushImage(image, "v1", randomBytes(2, 10), nil) },
			func() { _, third = c.pushImage(image, "v1", randomBytes(3, 10), nil) }, // it had drifted before
			func() { c.want(202, "DELETE", manifest+"v1", nil) },
			func() { c.want(202, "DELETE", manifest+second, nil) },
		} {
			clock.advance(time.Second)
			step()
		}
		clock.advance(time.Second)
		c.refused(409, []string{"custom runtime environment ENV"}, "DELETE", manifest+first, nil)
		for range 3 {
			d.as(t, "reader").want(200, "GET", manifest+first, nil)
			clock.advance(50 * time.Minute)
		}
		clock.advance(time.Hour)
		d.as(t, "writer").want(200, "GET", manifest+first, nil)

		names := map[string]string{first: "1", second: "2", third: "3"}
		want := []string{
			"PUSH v1 1< owner", "TAG_MOVED v1 2<1 owner", "DRIFTED v1 2<1 ENV owner", "TAG_MOVED v1 3<2 owner", "TAG_DELETED v1 <3 owner",
			"MANIFEST_DELETED 2< owner", "PULL 1< reader", "PULL 1< writer",
		}
		if diff := cmp.Diff(want, d.history(t, names)); diff != "" {
			t.Error(diff)
		}
		drifts := 0
		for _, e := range d.events(t) {
			if e.Action == "drift" {
				drifts++
				if e.Object != "ENV" || e.Digest != first || e.User != "owner" || !strings.Contains(e.Detail, second) {
					t.Errorf("drift is on record as %+v", e)
				}
			}
		}
		if drifts != 1 {
			t.Errorf("%d drifts are on record", drifts)
		}
	})
}

func TestRetention(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *door, clock *clock) {
		c := d.as(t, "owner")
		digests := map[string]string{}
		push := func(image, tag string) {
			t.Helper()
			_, digests[tag] = c.pushImage(image, tag, []byte(image+tag), nil)
			clock.advance(24 * time.Hour)
		}
		tags := func(image string) string {
			return string(c.want(200, "GET", "/v2/"+image+"/tags/list", nil).body)
		}
		for i := range 8 {
			push(image, fmt.Sprint("t", i))
		}
		push(image+"2", "alone")
		err := d.store.Update(t.Context(), func(tx catalog.Tx) error {
			repository, err := tx.Object(catalog.KindImageRepository, catalog.Name{Database: "DB", Schema: "S", Object: "REPO"})
			if err != nil {
				return err
			}
			if err := tx.SubmitJob(&catalog.Job{Kind: "ML JOB", Digest: digests["t1"], Owner: "R", Pool: "P"}); err != nil {
				return err
			}
			return tx.CreateObject(&catalog.Object{
				Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: "ENV"},
				Spec: &catalog.RuntimeEnvironmentSpec{Repository: repository.ID, Image: "img", Tag: "t0", Digest: digests["t0"], TagDigest: digests["t0"], Status: catalog.Deprecated},
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		c.pushManifest(image, "index", v1.MediaTypeImageIndex, map[string]any{ // leads to what the job runs
			"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": []v1.Descriptor{{Digest: digest.Digest(digests["t1"]), Size: 1}},
		})
		retire := func(want int) {
			t.Helper()
			if n, err := d.RetireTags(t.Context()); err != nil || n != want {
				t.Errorf("%d tags are retired, want %d: %v", n, want, err)
			}
		}
		retire(0) // no rule
		d.rule(t, func(s *catalog.ImageRepositorySpec) {
			s.RetentionCount, s.RetentionDays, s.ImmutableTags = 2, 4, []string{"t2"}
		})
		// Beyond the newest two are t0 to t6; young is t6; t0 and t1 are in use, t2 is immutable.
		retire(3)
		if got := tags(image); !strings.Contains(got, `["index","t0","t1","t2","t6","t7"]`) {
			t.Errorf("retention keeps %s", got)
		}
		if got := tags(image + "2"); !strings.Contains(got, `["alone"]`) {
			t.Errorf("retention keeps %s", got)
		}
		c.want(200, "GET", "/v2/"+image+"/manifests/"+digests["t3"], nil) // manifests stay for the collector
		retire(0)
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.RetentionCount, s.RetentionDays = 0, 1 })
		clock.advance(24 * time.Hour)
		retire(3) // t6, t7 and alone: the index leads to what the job runs
		retire(0)
		var audited []string
		for _, e := range d.events(t) {
			if e.Action == "retention" {
				audited = append(audited, e.Object)
			}
		}
		if len(audited) != 6 || !slices.Contains(audited, "/db/s/repo/img:t3") || !slices.Contains(audited, "/db/s/repo/img2:alone") {
			t.Errorf("on record are %q", audited)
		}
	})
}
