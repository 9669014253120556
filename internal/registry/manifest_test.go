// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/registry"
)

func TestManifest(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	body, sum := c.pushImage(image, "v1", randomBytes(1, 100), nil)
	for _, reference := range []string{"v1", sum} {
		r := c.want(200, "GET", "/v2/"+image+"/manifests/"+reference, nil)
		if !bytes.Equal(r.body, body) || r.Header.Get("Docker-Content-Digest") != sum || r.Header.Get("Content-Type") != v1.MediaTypeImageManifest {
			t.Errorf("manifest %s is %s\n%s", reference, r.Header, r.body)
		}
		if head := c.want(200, "HEAD", "/v2/"+image+"/manifests/"+reference, nil); head.ContentLength != int64(len(body)) {
			t.Errorf("HEAD tells %d bytes of %d", head.ContentLength, len(body))
		}
	}
	c.want(404, "GET", "/v2/"+image+"/manifests/v2", nil)

	r := c.want(201, "PUT", "/v2/"+image+"/manifests/"+sha512Of(body)+"?tag=a&tag=b", bytes.NewReader(body), "Content-Type", v1.MediaTypeImageManifest)
	if got := r.Header.Values("OCI-Tag"); !cmp.Equal(got, []string{"a", "b"}) {
		t.Errorf("OCI-Tag is %q", got)
	}
	if got := c.want(200, "GET", "/v2/"+image+"/manifests/b", nil).Header.Get("Docker-Content-Digest"); got != sha512Of(body) {
		t.Errorf("tag b names %s", got)
	}
}

func TestBadManifest(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	content := []byte("{}")
	config := fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2}`, c.pushBlob(image, content))
	absent := fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":1}`, sha256Of([]byte("absent")))
	manifest := func(rest string) string {
		return `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageManifest + `"` + rest + `}`
	}
	index := func(rest string) string {
		return `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `"` + rest + `}`
	}
	for _, c2 := range []struct {
		what, body, contentType string
		status                  int
		code                    string
	}{
		{"good", manifest(`,"config":` + config + `,"layers":[]`), "", 201, ""},
		{"parameters", manifest(`,"config":` + config), v1.MediaTypeImageManifest + "; charset=utf-8", 201, ""},
		{"no JSON", "tar", v1.MediaTypeImageManifest, 400, "MANIFEST_INVALID"},
		{"empty", "", v1.MediaTypeImageManifest, 400, "MANIFEST_INVALID"},
		{"other type", manifest(`,"config":` + config), v1.MediaTypeImageIndex, 400, "MANIFEST_INVALID"},
		{"bad content type", manifest(`,"config":` + config), ";;", 400, "MANIFEST_INVALID"},
		{"unknown type", `{"schemaVersion":2}`, "text/plain", 415, "MANIFEST_INVALID"},
		{"schema 1", `{"schemaVersion":1}`, "application/vnd.docker.distribution.manifest.v1+json", 400, "MANIFEST_INVALID"},
		{"no config", manifest(``), "", 400, "MANIFEST_INVALID"},
		{"manifest and index", manifest(`,"config":` + config + `,"manifests":[]`), "", 400, "MANIFEST_INVALID"},
		{"index and manifest", index(`,"config":` + config), "", 400, "MANIFEST_INVALID"},
		{"bad digest", manifest(`,"config":{"digest":"sha256:1"}`), "", 400, "DIGEST_INVALID"},
		{"bad subject", manifest(`,"config":` + config + `,"subject":{"digest":"x"}`), "", 400, "DIGEST_INVALID"},
		{"missing layer", manifest(`,"config":` + config + `,"layers":[` + absent + `]`), "", 400, "MANIFEST_BLOB_UNKNOWN"},
		{"missing child", index(`,"manifests":[` + absent + `]`), "", 400, "MANIFEST_BLOB_UNKNOWN"},
		{"large", manifest(`,"config":` + config + `,"annotations":{"a":"` + strings.Repeat("x", 4<<20) + `"}`), "", 413, "MANIFEST_INVALID"},
	} {
		r := c.do("PUT", "/v2/"+image+"/manifests/tag", strings.NewReader(c2.body), "Content-Type", c2.contentType)
		if r.StatusCode != c2.status || r.code() != c2.code {
			t.Errorf("%s: %d %s, want %d %s\n%.500s", c2.what, r.StatusCode, r.code(), c2.status, c2.code, r.body)
		}
	}
	// A blob of the same repository, in another image, is not enough.
	other := c.pushBlob(image+"2", randomBytes(3, 10))
	r := c.do("PUT", "/v2/"+image+"/manifests/tag", strings.NewReader(manifest(`,"config":`+config+`,"layers":[{"digest":"`+other+`","size":10}]`)))
	if r.StatusCode != 400 || r.code() != "MANIFEST_BLOB_UNKNOWN" {
		t.Errorf("a manifest with another image's blob: %d %s", r.StatusCode, r.body)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "owner")
	for _, r := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/v2/_catalog/x", 404, "UNSUPPORTED"},
		{"GET", "/v3/", 404, "NAME_UNKNOWN"},
		{"GET", "/v2x", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/db/s/repo/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/db/s/repo/Img/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/db/s/repo/../img/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/db/s//img/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/db/s/repo/" + strings.Repeat("a", 250) + "/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/" + image + "/manifests/-bad", 400, "MANIFEST_INVALID"},
		{"GET", "/v2/" + image + "/manifests/sha256:bad", 400, "DIGEST_INVALID"},
		{"GET", "/v2/" + image + "/blobs/latest", 400, "DIGEST_INVALID"},
		{"GET", "/v2/" + image + "/blobs/uploads/", 405, "UNSUPPORTED"},
		{"POST", "/v2/" + image + "/manifests/v1", 405, "UNSUPPORTED"},
		{"GET", "/v2/" + image + "/tags/list?n=x", 400, "UNSUPPORTED"},
	} {
		got := c.do(r.method, strings.ReplaceAll(r.path, "/../", "/%2e%2e/"), nil)
		if got.StatusCode != r.status || got.code() != r.code {
			t.Errorf("%s %s: %d %s, want %d %s", r.method, r.path, got.StatusCode, got.code(), r.status, r.code)
		}
		if got.Header.Get("Docker-Distribution-Api-Version") != "registry/2.0" {
			t.Errorf("%s %s: no version header", r.method, r.path)
		}
	}
	c.want(404, "HEAD", "/v2/"+image+"/manifests/v1", nil)
}

// TestTags pages through tags as `snow spcs image-repository list-tags` does.
func TestTags(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	body, sum := c.pushImage(image, "", randomBytes(1, 10), nil)
	list := func(path string) (tags []string, next string) {
		r := c.want(200, "GET", path, nil)
		var document struct {
			Name string
			Tags []string
		}
		if err := json.Unmarshal(r.body, &document); err != nil || document.Name != image || document.Tags == nil {
			t.Errorf("tags are %s", r.body)
		}
		if link := r.Header.Get("Link"); link != "" {
			if _, err := fmt.Sscanf(link, `<%s rel="next"`, &next); err != nil {
				t.Errorf("link %s: %v", link, err)
			}
			next = strings.TrimSuffix(next, ">;")
		}
		return document.Tags, next
	}
	if tags, next := list("/v2/" + image + "/tags/list"); len(tags) != 0 || next != "" {
		t.Errorf("an image without tags has %q, %s", tags, next)
	}
	var want []string
	for _, tag := range []string{"B", "_", "a", "a.1", "latest", "v1", "v10", "v2"} {
		c.want(201, "PUT", "/v2/"+image+"/manifests/"+tag, bytes.NewReader(body), "Content-Type", v1.MediaTypeImageManifest)
		want = append(want, tag)
	}
	for _, page := range []int{1, 3, 4, 8, 9} {
		var got []string
		for path := fmt.Sprintf("/v2/%s/tags/list?n=%d", image, page); path != ""; {
			tags, next := list(path)
			if len(tags) > page || next != "" && len(tags) != page {
				t.Errorf("a page of %d has %d tags, next %q", page, len(tags), next)
			}
			got, path = append(got, tags...), next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d: %s", page, diff)
		}
	}
	if tags, next := list("/v2/" + image + "/tags/list?n=0"); len(tags) != 0 || next != "" {
		t.Errorf("n=0 gives %q, %s", tags, next)
	}
	if tags, _ := list("/v2/" + image + "/tags/list?last=v1"); !cmp.Equal(tags, want[6:]) {
		t.Errorf("after v1 come %q", tags)
	}
	c.want(202, "DELETE", "/v2/"+image+"/manifests/v1", nil)
	c.want(200, "GET", "/v2/"+image+"/manifests/"+sum, nil)
	c.want(202, "DELETE", "/v2/"+image+"/manifests/"+sum, nil)
	c.want(404, "GET", "/v2/"+image+"/tags/list", nil)
	c.want(404, "GET", "/v2/"+image+"/manifests/a", nil)
}

// TestReferrers: what is about an image is found, by kind too, before and after the image itself.
func TestReferrers(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	_, sum := c.pushImage(image, "v1", randomBytes(1, 10), nil)
	about := func(subject, kind string) string {
		_, got := c.pushImage(image, "", randomBytes(2, 10), func(m *v1.Manifest) {
			m.ArtifactType = kind
			m.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.Digest(subject), Size: 1}
			m.Annotations = map[string]string{"kind": kind}
		})
		return got
	}
	sbom, report := about(sum, "application/sbom"), about(sum, "application/report")
	find := func(subject, filter string) map[string]string {
		r := c.want(200, "GET", "/v2/"+image+"/referrers/"+subject+filter, nil)
		if applied := r.Header.Get("OCI-Filters-Applied"); (filter != "") != (applied == "artifactType") {
			t.Errorf("filter %q: applied %q", filter, applied)
		}
		var index v1.Index
		if err := json.Unmarshal(r.body, &index); err != nil || index.Manifests == nil {
			t.Errorf("referrers are %s", r.body)
		}
		found := map[string]string{}
		for _, m := range index.Manifests {
			found[m.Digest.String()] = m.Annotations["kind"]
		}
		return found
	}
	if diff := cmp.Diff(map[string]string{sbom: "application/sbom", report: "application/report"}, find(sum, "")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{sbom: "application/sbom"}, find(sum, "?artifactType=application/sbom")); diff != "" {
		t.Error(diff)
	}
	if got := find(sha256Of([]byte("later")), ""); len(got) != 0 {
		t.Errorf("nothing has referrers %v", got)
	}
	early := about(sha256Of([]byte("later")), "application/sbom")
	if got := find(sha256Of([]byte("later")), ""); got[early] == "" {
		t.Errorf("a referrer that came first is not found: %v", got)
	}
}

// TestHolders: what somebody needs is not deleted, and the answer says who needs it.
func TestHolders(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "owner")
	_, sum := c.pushImage(image, "v1", randomBytes(1, 10), nil)
	_, index := c.pushManifest(image, "multi", v1.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex,
		"manifests": []v1.Descriptor{{MediaType: v1.MediaTypeImageManifest, Digest: digest.Digest(sum), Size: 1}},
	})
	refused := func(digest, by string) {
		t.Helper()
		r := c.want(http.StatusConflict, "DELETE", "/v2/"+image+"/manifests/"+digest, nil)
		if !strings.Contains(string(r.body), by) {
			t.Errorf("deletion is refused with %s, want %q", r.body, by)
		}
	}
	refused(sum, "index "+index)

	job := &catalog.Job{Kind: "ML JOB", Digest: sum, Owner: "R", Pool: "P"}
	environment := &catalog.Object{Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: "MY_ENV"}}
	err := d.store.Update(t.Context(), func(tx catalog.Tx) error {
		repository, err := tx.Object(catalog.KindImageRepository, catalog.Name{Database: "DB", Schema: "S", Object: "REPO"})
		if err != nil {
			return err
		}
		environment.Spec = &catalog.RuntimeEnvironmentSpec{Repository: repository.ID, Image: "img", Tag: "multi", Digest: sum, TagDigest: index}
		if err := tx.CreateObject(environment); err != nil {
			return err
		}
		return tx.SubmitJob(job)
	})
	if err != nil {
		t.Fatal(err)
	}
	refused(index, "custom runtime environment MY_ENV")
	refused(sum, "custom runtime environment MY_ENV, index "+index+", job "+string(job.ID))
	c.want(202, "DELETE", "/v2/"+image+"/manifests/multi", nil) // a tag holds nothing

	err = d.store.Update(t.Context(), func(tx catalog.Tx) error {
		lately := func(j *catalog.Job) { j.Completed = tx.Now().Add(-catalog.JobImageHold + time.Hour) }
		if err := tx.TransitionJob(job.ID, catalog.JobPending, catalog.JobCancelled, lately); err != nil {
			return err
		}
		return tx.DropObject(environment.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	refused(sum, "index "+index+", job "+string(job.ID)+"; a job holds its image until 7 days after its end")
	err = d.store.Update(t.Context(), func(tx catalog.Tx) error {
		before := func(j *catalog.Job) { j.Completed = tx.Now().Add(-catalog.JobImageHold - time.Hour) }
		return tx.TransitionJob(job.ID, catalog.JobCancelled, catalog.JobCancelled, before)
	})
	if err != nil {
		t.Fatal(err)
	}
	refused(sum, "index "+index)
	c.want(202, "DELETE", "/v2/"+image+"/manifests/"+index, nil)
	c.want(202, "DELETE", "/v2/"+image+"/manifests/"+sum, nil)
}

// TestAudit: pushes, pulls, deletions and refusals are on record when their answer is there.
func TestAudit(t *testing.T) {
	t.Parallel()
	d := serve(t)
	writer := d.as(t, "writer")
	body, sum := writer.pushImage(image, "v1", randomBytes(1, 10), nil)
	d.as(t, "reader").want(200, "GET", "/v2/"+image+"/manifests/v1", nil)
	d.as(t, "reader").want(200, "HEAD", "/v2/"+image+"/manifests/v1", nil)
	d.as(t, "reader").want(403, "PUT", "/v2/"+image+"/manifests/v1", bytes.NewReader(body), "Content-Type", v1.MediaTypeImageManifest)
	d.as(t, "nobody").want(404, "GET", "/v2/"+image+"/manifests/"+sum, nil)
	d.as(t, "nobody").want(404, "GET", "/v2/db/s/none/img/manifests/v1", nil)
	job, _, err := d.people.IssueRegistryToken(t.Context(), registry.Identity{User: "reader", Role: "R", JobID: "job1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	d.as(t, "").want(200, "GET", "/v2/"+image+"/manifests/"+sum, nil, "Authorization", "Bearer "+job.Reveal())
	writer.want(202, "DELETE", "/v2/"+image+"/manifests/"+sum, nil)

	got := d.events(t)
	for i := range got {
		if got[i].ID == "" || time.Since(got[i].Time) > time.Minute {
			t.Errorf("event %+v", got[i])
		}
		got[i].ID, got[i].Time = "", time.Time{}
	}
	const kind = catalog.KindImageRepository
	want := []catalog.Event{
		{User: "writer", Action: "push", Kind: kind, Object: "/" + image + ":v1", Digest: sum, Allowed: true},
		{User: "reader", Action: "pull", Kind: kind, Object: "/" + image + ":v1", Digest: sum, Allowed: true},
		{User: "reader", Action: "push", Kind: kind, Object: "/" + image + ":v1",
			Detail: "user reader lacks WRITE on image repository DB.S.REPO: ask its owner for GRANT WRITE ON IMAGE REPOSITORY DB.S.REPO TO ROLE ..."},
		{User: "nobody", Action: "pull", Kind: kind, Object: "/" + image, Digest: sum, Detail: "image repository DB.S.REPO does not exist or not authorized"},
		{User: "reader", Role: "R", Action: "pull", Kind: kind, Object: "/" + image, Digest: sum, Allowed: true, Detail: "job job1"},
		{User: "writer", Action: "delete", Kind: kind, Object: "/" + image, Digest: sum, Allowed: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
