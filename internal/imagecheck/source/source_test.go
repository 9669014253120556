// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nowhere is a daemon address at which nobody listens.
const nowhere = "unix:///nonexistent/firn-test.sock"

func settings() Settings { return Settings{Platform: "linux/amd64", DaemonHost: nowhere} }

// checked opens an image and gives its report.
func checked(t *testing.T, image string) *imagecheck.Report {
	t.Helper()
	target, err := Open(t.Context(), image, settings())
	if err != nil {
		t.Fatalf("%s: %v", image, err)
	}
	defer target.Close()
	policy, err := imagecheck.Builtin(imagecheck.PolicyDefault)
	if err != nil {
		t.Fatal(err)
	}
	opts := imagecheck.Options{Policy: policy}
	target.Apply(&opts)
	r, err := imagecheck.Check(t.Context(), target.Image, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustPass(t *testing.T, image, source string) *imagecheck.Report {
	t.Helper()
	r := checked(t, image)
	if !r.Passed() || r.Image.Source != source || r.Image.Ref != image {
		t.Errorf("%s: %s from %s, failed %+v, error %+v", image, r.Result, r.Image.Source, r.Failed(), r.Error)
	}
	return r
}

func raw(t *testing.T, f func() ([]byte, error)) []byte {
	t.Helper()
	data, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, dir string, entries []fx.Entry) {
	t.Helper()
	for _, e := range entries {
		p := filepath.Join(dir, e.Name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(e.Body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// saved are the files of a `docker save` of old engines; the layers of two images are one, stored once and linked.
func saved(t *testing.T, tags ...string) []fx.Entry {
	t.Helper()
	layer := fx.Tar(fx.Good()...)
	config := raw(t, fx.New(layer).RawConfigFile)
	entries := []fx.Entry{fx.File("c.json", string(config)), fx.File("l1/layer.tar", string(layer)), fx.Symlink("l2/layer.tar", "../l1/layer.tar")}
	var list []map[string]any
	for _, tag := range tags {
		list = append(list, map[string]any{"Config": "c.json", "RepoTags": []string{tag}, "Layers": []string{"l2/layer.tar"}})
	}
	manifest, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return append(entries, fx.File("manifest.json", string(manifest)))
}

func TestDockerArchive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.tar"), filepath.Join(dir, "two.tar")
	write(t, dir, []fx.Entry{
		fx.File("one.tar", string(fx.Tar(saved(t, "a:1")...))), fx.File("one.tar.gz", string(fx.Gzip(fx.Tar(saved(t, "a:1")...)))),
		fx.File("two.tar", string(fx.Tar(saved(t, "a:1", "b:1")...))), fx.File("no.tar", string(fx.Tar(fx.File("x", "")))), fx.File("junk.tar", strings.Repeat("junk", 1000)),
	})
	r := mustPass(t, "docker-archive:"+one, "docker-archive")
	if r.Image.Digest != nil || r.Image.ConfigDigest == nil {
		t.Errorf("digest %v, config digest %v", r.Image.Digest, r.Image.ConfigDigest)
	}
	mustPass(t, "docker-archive:"+one+".gz", "docker-archive")
	mustPass(t, "docker-archive:"+two+":b:1", "docker-archive")
	for image, code := range map[string]errs.Code{
		two: errs.Conflict, two + ":c:1": errs.NotFound, filepath.Join(dir, "none.tar"): errs.NotFound,
		filepath.Join(dir, "no.tar"): errs.Corrupt, filepath.Join(dir, "junk.tar"): errs.Corrupt,
	} {
		if _, err := Open(t.Context(), "docker-archive:"+image, settings()); !errs.Is(err, code) {
			t.Errorf("%s: %v, want %s", image, err, code)
		}
	}
}

// layout are the files of an OCI layout with an index of an arm64 image, an attestation and a good image.
func layout(t *testing.T) []fx.Entry {
	t.Helper()
	good, arm := fx.New(fx.Tar(fx.Good()...)), fx.New(fx.Tar(fx.Good()...))
	good.Stored[0] = fx.Gzip(good.Stored[0])
	arm.Arch = "arm64"
	var entries []fx.Entry
	blob := func(data []byte) string {
		digest := fx.Digest(data)
		entries = append(entries, fx.File("blobs/"+strings.Replace(digest, ":", "/", 1), string(data)))
		return digest
	}
	describe := func(media types.MediaType, data []byte, os, arch string) map[string]any {
		return map[string]any{"mediaType": media, "digest": blob(data), "size": len(data), "platform": map[string]string{"os": os, "architecture": arch}}
	}
	for _, i := range []*fx.Image{good, arm} {
		blob(raw(t, i.RawConfigFile))
		blob(i.Stored[0])
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": types.OCIImageIndex, "manifests": []any{
		describe(types.OCIManifestSchema1, []byte("{}"), "unknown", "unknown"),
		describe(types.OCIManifestSchema1, raw(t, arm.RawManifest), "linux", "arm64"), describe(types.OCIManifestSchema1, raw(t, good.RawManifest), "linux", "amd64"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	entry := func(tag string, d map[string]any) map[string]any {
		d["annotations"] = map[string]string{refName: tag}
		return d
	}
	top, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{
		entry("multi", describe(types.OCIImageIndex, index, "", "")), entry("arm", describe(types.OCIManifestSchema1, raw(t, arm.RawManifest), "", "")),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return append(entries, fx.File("index.json", string(top)), fx.File("oci-layout", `{"imageLayoutVersion":"1.0.0"}`))
}

func TestLayout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "oci"), layout(t))
	write(t, dir, []fx.Entry{fx.File("oci.tar", string(fx.Tar(layout(t)...)))})
	for image, source := range map[string]string{"oci-layout:" + dir + "/oci:multi": "oci-layout", "oci-archive:" + dir + "/oci.tar:multi": "oci-archive"} {
		if r := mustPass(t, image, source); r.Image.Digest == nil || r.Image.IndexDigest == nil {
			t.Errorf("%s: no digests", image)
		}
	}
	r := checked(t, "oci-layout:"+dir+"/oci:arm")
	if r.ExitCode != 1 || r.Summary.Fail != 1 || r.Failed()[0].ID != "platform" {
		t.Errorf("exit %d, failed %+v", r.ExitCode, r.Failed())
	}
	for image, code := range map[string]errs.Code{dir + "/oci": errs.Conflict, dir + "/oci:none": errs.NotFound, dir + "/none": errs.NotFound} {
		if _, err := Open(t.Context(), "oci-layout:"+image, settings()); !errs.Is(err, code) {
			t.Errorf("%s: %v, want %s", image, err, code)
		}
	}
}

// pushed makes the image known to a registry under a name.
func pushed(t *testing.T, ref string) {
	t.Helper()
	good := fx.New(fx.Tar(fx.Good()...))
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(good.Stored[0], types.OCIUncompressedLayer))
	if err != nil {
		t.Fatal(err)
	}
	var conf v1.ConfigFile
	if err := json.Unmarshal(raw(t, good.RawConfigFile), &conf); err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.ConfigFile(img, &conf); err != nil {
		t.Fatal(err)
	}
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(parsed, img); err != nil {
		t.Fatal(err)
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	pushed(t, host+"/team/img:v1")
	mustPass(t, "registry:"+host+"/team/img:v1", "registry")
	mustPass(t, host+"/team/img:v1", "registry") // no daemon answers
	if _, err := Open(t.Context(), "registry:"+host+"/team/img:v2", settings()); !errs.Is(err, errs.NotFound) {
		t.Errorf("missing tag: %v", err)
	}
	server.Close()
	if _, err := Open(t.Context(), "registry:"+host+"/team/img:v1", settings()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("stopped registry: %v", err)
	}
}

func TestPlainHTTPOnlyHere(t *testing.T) {
	t.Parallel()
	request := httptest.NewRequest("GET", "http://registry.example/v2/", nil)
	if _, err := (tlsOnly{}).RoundTrip(request); !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{"", "registry:", "registry:UPPER CASE", "docker-archive:", file, filepath.Dir(file)} {
		if _, err := Open(t.Context(), image, settings()); err == nil {
			t.Errorf("%q is opened", image)
		} else if _, ok := errors.AsType[*Usage](err); !ok {
			t.Errorf("%q: %v is no usage error", image, err)
		}
	}
}
