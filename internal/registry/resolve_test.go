// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"firn.dev/firn/internal/blob/blobtest"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry"
)

var repo = catalog.Name{Database: "DB", Schema: "S", Object: "REPO"}

func TestParsePath(t *testing.T) {
	t.Parallel()
	sum := sha256Of(nil)
	for _, c := range []struct {
		text string
		want registry.Path
		form string // what String gives
	}{
		{"/db/s/repo/img:v1", registry.Path{Repository: repo, Image: "img", Tag: "v1"}, "/db/s/repo/img:v1"},
		{"/DB/S/Repo/img:V1", registry.Path{Repository: repo, Image: "img", Tag: "V1"}, "/db/s/repo/img:V1"},
		{"db/s/repo/img", registry.Path{Repository: repo, Image: "img", Tag: "latest"}, "/db/s/repo/img:latest"},
		{"/db/s/repo/a/b-c/img:v1", registry.Path{Repository: repo, Image: "a/b-c/img", Tag: "v1"}, "/db/s/repo/a/b-c/img:v1"},
		{"db/s/repo/a/img", registry.Path{Repository: repo, Image: "a/img", Tag: "latest"}, "/db/s/repo/a/img:latest"},
		{"/db/s/repo/img@" + sum, registry.Path{Repository: repo, Image: "img", Digest: sum}, "/db/s/repo/img@" + sum},
		{"/db/s/repo/img:v1@" + sum, registry.Path{Repository: repo, Image: "img", Tag: "v1", Digest: sum}, "/db/s/repo/img:v1@" + sum},
		{"127.0.0.1:8085/db/s/repo/img:v1", registry.Path{Repository: repo, Image: "img", Tag: "v1"}, "/db/s/repo/img:v1"},
		{"firn.example.com/db/s/repo/img", registry.Path{Repository: repo, Image: "img", Tag: "latest"}, "/db/s/repo/img:latest"},
		{"localhost/db/s/repo/a/img", registry.Path{Repository: repo, Image: "a/img", Tag: "latest"}, "/db/s/repo/a/img:latest"},
		{"/user$admin/s_/repo/img", registry.Path{Repository: catalog.Name{Database: "USER$ADMIN", Schema: "S_", Object: "REPO"}, Image: "img", Tag: "latest"}, "/user$admin/s_/repo/img:latest"},
	} {
		got, err := registry.ParsePath(c.text)
		if err != nil || !cmp.Equal(got, c.want) || got.String() != c.form {
			t.Errorf("%s is %+v, %s, %v", c.text, got, got, err)
		}
	}
	for _, bad := range []string{
		"", "/", "img", "/db/s/img:v1", "host.example/db/s/img", "/db/s/repo/", "/db/s/repo/Img", "/db//repo/img", "/db/s/repo/img:", "/db/s/repo/img:-x",
		"/db/s/repo/img@sha256:1", "/db/s/repo/img@", "/db/s/repo/../img", "/d b/s/repo/img", `/"db"/s/repo/img`, "https://host/db/s/repo/img", "/db/s/repo/img:v1:v2",
	} {
		if got, err := registry.ParsePath(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q is %+v, %v", bad, got, err)
		}
	}
}

// remoteOf is where a client writes an image.
func (d *door) remoteOf(t *testing.T, path string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(d.host+path, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

var asOwner = remote.WithAuth(&authn.Basic{Username: "owner", Password: "secret:owner"})

// platform is an entry of an index.
func platform(i ggcr.Image, os, architecture string) mutate.IndexAddendum {
	return mutate.IndexAddendum{Add: i, Descriptor: ggcr.Descriptor{Platform: &ggcr.Platform{OS: os, Architecture: architecture}}}
}

func randomImage(t *testing.T, size, layers int64) ggcr.Image {
	t.Helper()
	i, err := random.Image(size, layers)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// TestImage pushes images and an index with a client and opens them in place, from files and from streams.
func TestImage(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"files", "streams"} {
		d := serve(t)
		if store == "streams" {
			d.Blobs = blobtest.NewMemory()
		}
		amd, arm, attestation := randomImage(t, 200<<10, 3), randomImage(t, 100, 1), randomImage(t, 100, 1)
		unknown := platform(attestation, "unknown", "unknown")
		unknown.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		nested := mutate.AppendManifests(empty.Index, platform(arm, "linux", "arm64"), unknown, platform(amd, "linux", "amd64"))
		index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: nested})
		if err := remote.Write(d.remoteOf(t, "/db/s/repo/one:v1"), amd, asOwner, remote.WithContext(t.Context())); err != nil {
			t.Fatal(err)
		}
		if err := remote.WriteIndex(d.remoteOf(t, "/db/s/repo/many:v1"), index, asOwner, remote.WithContext(t.Context())); err != nil {
			t.Fatal(err)
		}
		pulled, err := remote.Image(d.remoteOf(t, "/db/s/repo/one:v1"), asOwner, remote.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(pulled); err != nil {
			t.Errorf("the pulled image is not the pushed one: %v", err)
		}

		sum := digestOf(t, amd)
		indexSum := digestOf(t, index)
		for path, tagDigest := range map[string]string{
			"/db/s/repo/one:v1": sum, "/db/s/repo/many:v1": indexSum, "/db/s/repo/many@" + indexSum: indexSum, "/db/s/repo/one@" + sum: sum,
			"/db/s/repo/one:v1@" + sum: sum, "/db/s/repo/many:v1@" + sum: indexSum,
		} {
			r, err := d.Resolve(t.Context(), path)
			if err != nil || r.Digest != sum || r.TagDigest != tagDigest || r.Repository.Name != repo {
				t.Fatalf("%s resolves to %+v, %v", path, r, err)
			}
			if want, _, _ := strings.Cut(path, ":v1@"); !strings.HasPrefix(r.Path(), want) {
				t.Errorf("%s is written %s", path, r.Path())
			}
			i, err := d.Image(t.Context(), r.Repository.ID, r.Image, r.Digest)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Image(i); err != nil {
				t.Errorf("%s %s opened in place: %v", store, path, err)
			}
		}
		many, err := d.Resolve(t.Context(), "/db/s/repo/many:v1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Image(t.Context(), many.Repository.ID, "many", indexSum); !errs.Is(err, errs.Refused) {
			t.Errorf("an index opens as an image: %v", err)
		}
		if _, err := d.Image(t.Context(), many.Repository.ID, "one", digestOf(t, arm)); !errs.Is(err, errs.NotFound) {
			t.Errorf("another image's manifest opens: %v", err)
		}
	}
}

func digestOf(t *testing.T, i interface{ Digest() (ggcr.Hash, error) }) string {
	t.Helper()
	h, err := i.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

// TestDiffID: the config's claim is given without reading the layer.
func TestDiffID(t *testing.T) {
	t.Parallel()
	d := serve(t)
	pushed := randomImage(t, 100<<10, 1)
	if err := remote.Write(d.remoteOf(t, "/db/s/repo/one:v1"), pushed, asOwner, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	layers, err := pushed.Layers()
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.blob(t, digestOf(t, layers[0]))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.blobs.Delete(t.Context(), b.Key); err != nil {
		t.Fatal(err)
	}
	r, err := d.Resolve(t.Context(), "/db/s/repo/one:v1")
	if err != nil {
		t.Fatal(err)
	}
	i, err := d.Image(t.Context(), r.Repository.ID, r.Image, r.Digest)
	if err != nil {
		t.Fatal(err)
	}
	layers, err = i.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := layers[0].DiffID(); err != nil {
		t.Errorf("diffID: %v", err)
	}
	if _, err := layers[0].Compressed(); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a layer whose content is lost opens with %v", err)
	}
}

// TestResolveFailures: the message says what is missing and what to do.
func TestResolveFailures(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "owner")
	_, sum := c.pushImage("db/s/repo/img", "v1", []byte("layer"), nil)
	armOnly := mutate.AppendManifests(empty.Index, platform(randomImage(t, 10, 1), "linux", "arm64"))
	if err := remote.WriteIndex(d.remoteOf(t, "/db/s/repo/arm:v1"), armOnly, asOwner, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		path    string
		code    errs.Code
		message string
	}{
		{"img", errs.Invalid, "write /db/schema/repository/image:tag"},
		{"/db/s/none/img:v1", errs.NotFound, "image repository DB.S.NONE does not exist"},
		{"/db/s/repo/none:v1", errs.NotFound, "has no image none: push it first with docker push <registry host>/db/s/repo/none:v1"},
		{"/db/s/repo/img:v2", errs.NotFound, "has no tag v2: push it first with docker push <registry host>/db/s/repo/img:v2"},
		{"/db/s/repo/img@" + sha256Of(nil), errs.NotFound, "has no digest sha256:e3b0"},
		{"/db/s/repo/img:v1@" + sha256Of(nil), errs.Refused, "the tag names " + sum},
		{"/db/s/repo/arm:v1", errs.Refused, "no image for linux/amd64"},
	} {
		_, err := d.Resolve(t.Context(), f.path)
		if !errs.Is(err, f.code) || !strings.Contains(err.Error(), f.message) {
			t.Errorf("%s: %v, want %s with %q", f.path, err, f.code, f.message)
		}
	}
}

// TestSeek reads a blob of a stream store as net/http does: size by seeking, then parts.
func TestSeek(t *testing.T) {
	t.Parallel()
	d := serve(t)
	d.Blobs = blobtest.NewMemory()
	pushed := randomImage(t, 100<<10, 1)
	if err := remote.Write(d.remoteOf(t, "/db/s/repo/one:v1"), pushed, asOwner, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	r, err := d.Resolve(t.Context(), "/db/s/repo/one:v1")
	if err != nil {
		t.Fatal(err)
	}
	i, err := d.Image(t.Context(), r.Repository.ID, r.Image, r.Digest)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := i.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	all, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	seeker := content.(io.ReadSeeker)
	for _, offset := range []int64{10, 0, int64(len(all)) - 1} {
		if at, err := seeker.Seek(offset-int64(len(all)), io.SeekEnd); at != offset || err != nil {
			t.Fatalf("seek to %d gave %d, %v", offset, at, err)
		}
		if rest, err := io.ReadAll(seeker); err != nil || !bytes.Equal(rest, all[offset:]) {
			t.Errorf("from %d come %d other bytes, %v", offset, len(rest), err)
		}
	}
}
