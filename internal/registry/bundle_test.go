// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/imagecheck/bundle"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"firn.dev/firn/internal/imagecheck/source"
)

// keys is the login of one user, as docker login keeps it.
type keys string

func (k keys) Resolve(authn.Resource) (authn.Authenticator, error) {
	if k == "" {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: string(k), Password: "secret:" + string(k)}), nil
}

func login(user string) source.Settings {
	return source.Settings{Platform: "linux/amd64", Keychain: keys(user)}
}

func judgeBy(t *testing.T) *imagecheck.Options {
	t.Helper()
	policy, err := imagecheck.Builtin(imagecheck.PolicyDefault)
	if err != nil {
		t.Fatal(err)
	}
	return &imagecheck.Options{Policy: policy, Platform: policy.Platform, Version: "test"}
}

// pushFit pushes an image that passes every check, and gives its manifest and digest.
func (c client) pushFit(name, reference string) ([]byte, string) {
	c.t.Helper()
	img := fx.New(fx.Tar(fx.Good()...))
	config, err := img.RawConfigFile()
	if err != nil {
		c.t.Fatal(err)
	}
	manifest, err := img.RawManifest()
	if err != nil {
		c.t.Fatal(err)
	}
	c.pushBlob(name, config)
	for _, layer := range img.Stored {
		c.pushBlob(name, layer)
	}
	c.want(201, "PUT", "/v2/"+name+"/manifests/"+reference, bytes.NewReader(manifest), "Content-Type", v1.MediaTypeImageManifest)
	return manifest, sha256Of(manifest)
}

// attach pushes a signature of a manifest.
func (c client) attach(name, subject string, size int, content string) string {
	c.t.Helper()
	_, at := c.pushImage(name, "", []byte(content), func(m *v1.Manifest) {
		m.ArtifactType = "application/vnd.example.signature"
		m.Config.MediaType = "application/vnd.example.config"
		m.Layers[0].MediaType = "application/vnd.example.signature"
		m.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.Digest(subject), Size: int64(size)}
	})
	return at
}

// artifactTypes lists what is attached to a manifest.
func (c client) artifactTypes(name, subject string) []string {
	c.t.Helper()
	var index v1.Index
	if err := json.Unmarshal(c.want(200, "GET", "/v2/"+name+"/referrers/"+subject, nil).body, &index); err != nil {
		c.t.Fatal(err)
	}
	types := []string{}
	for _, d := range index.Manifests {
		types = append(types, d.ArtifactType)
	}
	slices.Sort(types)
	return types
}

func mustParse(t *testing.T, text string) bundle.Place {
	t.Helper()
	place, err := bundle.ParsePlace(text)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

func export(t *testing.T, from, file string, opts *imagecheck.Options) *bundle.Exported {
	t.Helper()
	done, err := bundle.Export(t.Context(), mustParse(t, from), file, login("reader"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// filled is a registry with two images of three tags, an index and signatures.
func filled(t *testing.T) (d *door, fit, index, signature string) {
	t.Helper()
	d = serve(t)
	w := d.as(t, "writer")
	manifest, fit := w.pushFit("db/s/repo/churn", "v1")
	w.pushFit("db/s/repo/team/forecast", "stable")
	signature = w.attach("db/s/repo/churn", fit, len(manifest), "signature")
	w.attach("db/s/repo/churn", signature, 1, "signature of the signature")
	child, arm := w.pushImage("db/s/repo/churn", "", randomBytes(7, 5000), nil)
	_, index = w.pushManifest("db/s/repo/churn", "multi", v1.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": []map[string]any{
			{"mediaType": v1.MediaTypeImageManifest, "digest": fit, "size": len(manifest), "platform": map[string]string{"os": "linux", "architecture": "amd64"}},
			{"mediaType": v1.MediaTypeImageManifest, "digest": arm, "size": len(child), "platform": map[string]string{"os": "linux", "architecture": "arm64"}},
		},
	})
	return d, fit, index, signature
}

func TestBundleCarriesARepository(t *testing.T) {
	t.Parallel()
	d, fit, index, signature := filled(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "repo.tar")
	done := export(t, d.host+"/DB/s/repo", file, judgeBy(t))
	got := ""
	for _, tag := range done.Tags {
		got += fmt.Sprintf("%s:%s %s\n", tag.Image, tag.Tag, tag.Result)
	}
	if want := "churn:multi pass\nchurn:v1 pass\nteam/forecast:stable pass\n"; got != want || done.Attachments != 4 {
		t.Fatalf("exported, with %d attachments:\n%s", done.Attachments, got)
	}
	again := filepath.Join(dir, "again.tar")
	export(t, d.host+"/db/s/repo", again, judgeBy(t))
	if a, b := contentOf(t, file), contentOf(t, again); !bytes.Equal(a, b) {
		t.Error("the same images give another archive")
	}
	target, err := source.Open(t.Context(), "oci-archive:"+file+":churn:v1", source.Settings{Platform: "linux/amd64"})
	if err != nil || target.Digest != fit {
		t.Fatalf("churn:v1 in the archive: %v, %v", target, err)
	}
	defer target.Close()

	other := serve(t)
	to := mustParse(t, other.host+"/db/s/repo")
	dry, err := bundle.Import(t.Context(), file, to, login("writer"), true)
	if err != nil || dry.Blobs == 0 || dry.Uploaded != 0 {
		t.Fatalf("dry run: %+v, %v", dry, err)
	}
	w := other.as(t, "writer")
	if r := w.do("GET", "/v2/db/s/repo/churn/tags/list", nil); r.StatusCode != 404 {
		t.Fatalf("a dry run has written: %s", r.body)
	}
	first, err := bundle.Import(t.Context(), file, to, login("writer"), false)
	if err != nil || first.Uploaded == 0 || first.Uploaded >= first.Blobs || first.Manifests != dry.Manifests || len(first.LeftOut) > 0 {
		t.Fatalf("import: %+v, %v", first, err)
	}
	for ref, want := range map[string]string{"churn/manifests/v1": fit, "churn/manifests/multi": index, "team/forecast/manifests/stable": fit} {
		if r := w.want(200, "GET", "/v2/db/s/repo/"+ref, nil); r.Header.Get("Docker-Content-Digest") != want {
			t.Errorf("%s is %s, want %s", ref, r.Header.Get("Docker-Content-Digest"), want)
		}
	}
	if got, want := w.artifactTypes("db/s/repo/churn", fit), []string{bundle.SBOMType, "application/vnd.example.signature", bundle.ReportType}; !slices.Equal(got, want) {
		t.Errorf("attached to the image: %v", got)
	}
	if got := w.artifactTypes("db/s/repo/churn", signature); len(got) != 1 {
		t.Errorf("attached to the signature: %v", got)
	}
	second, err := bundle.Import(t.Context(), file, to, login("writer"), false)
	if err != nil || second.Blobs != 0 || second.Manifests != 0 || second.Tags[0].Before != second.Tags[0].Digest {
		t.Errorf("a second import: %+v, %v", second, err)
	}
	back := filepath.Join(dir, "back.tar")
	export(t, other.host+"/db/s/repo", back, judgeBy(t))
	if a, b := contentOf(t, file), contentOf(t, back); !bytes.Equal(a, b) {
		t.Error("what was imported gives another archive")
	}
}

func TestBundleOfOneTag(t *testing.T) {
	t.Parallel()
	d, fit, _, _ := filled(t)
	file := filepath.Join(t.TempDir(), "one.tar")
	if done := export(t, d.host+"/db/s/repo/churn:v1", file, nil); len(done.Tags) != 1 || done.Attachments != 2 || done.Tags[0].Result != "" {
		t.Fatalf("export: %+v", done)
	}
	for _, name := range []string{file, file + ":churn:v1"} {
		target, err := source.Open(t.Context(), "oci-archive:"+name, source.Settings{Platform: "linux/amd64"})
		if err != nil || target.Digest != fit {
			t.Fatalf("%s: %v, %v", name, target, err)
		}
		target.Close()
	}
	w := d.as(t, "writer")
	w.pushImage("db/s/repo/other", "v9", []byte("before"), nil)
	done, err := bundle.Import(t.Context(), file, mustParse(t, d.host+"/db/s/repo/other:v9"), login("writer"), false)
	if err != nil || done.Uploaded != 0 || done.Blobs == 0 || done.Tags[0].Before == "" || done.Tags[0].Before == fit {
		t.Errorf("import beside what is there: %+v, %v", done, err)
	}
	if r := w.want(200, "GET", "/v2/db/s/repo/other/manifests/v9", nil); r.Header.Get("Docker-Content-Digest") != fit {
		t.Errorf("the tag was not moved: %s", r.Header.Get("Docker-Content-Digest"))
	}
}

func TestBundleOfABadImage(t *testing.T) {
	t.Parallel()
	d := serve(t)
	w := d.as(t, "writer")
	_, junk := w.pushImage("db/s/repo/junk", "v1", []byte("no tar at all"), nil)
	w.pushImage("db/s/repo/junk", "sha256-"+junk[7:]+".sig", []byte("{}"), func(m *v1.Manifest) { m.Layers[0].MediaType = "application/vnd.dev.cosign.simplesigning.v1+json" })
	file := filepath.Join(t.TempDir(), "bad.tar")
	done := export(t, d.host+"/db/s/repo", file, judgeBy(t))
	if len(done.Tags) != 2 || done.Tags[0].Result != "" || done.Tags[1].Result != "error" || done.Attachments != 1 {
		t.Errorf("export: %+v", done)
	}
}

// TestBundleRefuses has what goes wrong: nothing is sent, no file is left, and the message says what to do.
func TestBundleRefuses(t *testing.T) {
	t.Parallel()
	d, _, _, _ := filled(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "good.tar")
	export(t, d.host+"/db/s/repo", file, nil)
	damage := func(name string, change func(h *tar.Header, body []byte) []byte) string {
		out := filepath.Join(dir, name)
		var b bytes.Buffer
		r, w := tar.NewReader(bytes.NewReader(contentOf(t, file))), tar.NewWriter(&b)
		for {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			body, readErr := io.ReadAll(r)
			if err != nil || readErr != nil {
				t.Fatal(err, readErr)
			}
			if body = change(h, body); body == nil {
				continue
			}
			h.Size = int64(len(body))
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(body); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(out, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return out
	}
	largest := func(body []byte) bool { return len(body) > 4000 }
	flipped := damage("flipped.tar", func(_ *tar.Header, body []byte) []byte {
		if largest(body) {
			body[100] ^= 1
		}
		return body
	})
	lacking := damage("lacking.tar", func(_ *tar.Header, body []byte) []byte {
		if largest(body) {
			return nil
		}
		return body
	})
	manifest := damage("manifest.tar", func(h *tar.Header, body []byte) []byte {
		if strings.HasPrefix(h.Name, "blobs/") && bytes.Contains(body, []byte(`"layers"`)) {
			return append(body, ' ')
		}
		return body
	})
	unnamed := damage("unnamed.tar", func(h *tar.Header, body []byte) []byte {
		if h.Name == "index.json" {
			return bytes.ReplaceAll(body, []byte("churn:"), nil)
		}
		return body
	})
	none := damage("none.tar", func(h *tar.Header, body []byte) []byte {
		if h.Name == "index.json" {
			return nil
		}
		return body
	})
	empty := serve(t)
	for name, x := range map[string]struct {
		file, user, to string
		code           errs.Code
		says           string
	}{
		"a flipped bit":           {flipped, "writer", "/db/s/repo", errs.Corrupt, "has another content"},
		"a lost layer":            {lacking, "writer", "/db/s/repo", errs.Corrupt, "export it again"},
		"a changed manifest":      {manifest, "writer", "/db/s/repo", errs.Corrupt, "has another content"},
		"no archive of images":    {none, "writer", "/db/s/repo", errs.Corrupt, "no OCI archive"},
		"no file":                 {file + "x", "writer", "/db/s/repo", errs.NotFound, "does not exist"},
		"a tag without an image":  {unnamed, "writer", "/db/s/repo", errs.Invalid, "/IMAGE"},
		"several for one image":   {file, "writer", "/db/s/repo/x", errs.Conflict, "several images"},
		"several for one tag":     {file, "writer", "/db/s/repo/x:v1", errs.Conflict, "leave out the tag"},
		"a reader":                {file, "reader", "/db/s/repo", errs.Denied, "GRANT WRITE"},
		"somebody without rights": {file, "nobody", "/db/s/repo", errs.NotFound, "does not exist or not authorized"},
		"no login":                {file, "", "/db/s/repo", errs.Unauthenticated, "docker login " + empty.host},
		"no such repository":      {file, "writer", "/db/s/none", errs.NotFound, "DB.S.NONE"},
	} {
		_, err := bundle.Import(t.Context(), x.file, mustParse(t, empty.host+x.to), login(x.user), false)
		if !errs.Is(err, x.code) || !strings.Contains(errs.MessageOf(err), x.says) {
			t.Errorf("import of %s: %s, %v", name, errs.CodeOf(err), err)
		}
	}
	if got := empty.as(t, "owner").want(200, "GET", "/v2/_catalog", nil).body; strings.TrimSpace(string(got)) != `{"repositories":[]}` {
		t.Errorf("something was sent: %s", got)
	}
	for name, x := range map[string]struct {
		user, from string
		code       errs.Code
		says       string
	}{
		"no such tag":             {"reader", "/db/s/repo/churn:v7", errs.NotFound, "v7"},
		"no such image":           {"reader", "/db/s/repo/none", errs.NotFound, "none"},
		"somebody without rights": {"nobody", "/db/s/repo", errs.NotFound, "docker login " + d.host},
		"no login":                {"", "/db/s/repo/churn", errs.Unauthenticated, "docker login " + d.host},
	} {
		lost := filepath.Join(dir, "lost", "lost.tar")
		_, err := bundle.Export(t.Context(), mustParse(t, d.host+x.from), lost, login(x.user), nil)
		if !errs.Is(err, x.code) || !strings.Contains(errs.MessageOf(err), x.says) {
			t.Errorf("export by %s: %s, %v", name, errs.CodeOf(err), err)
		}
	}
	if _, err := bundle.Export(t.Context(), mustParse(t, d.host+"/db/s/repo"), filepath.Join(dir, "no", "x.tar"), login("reader"), nil); !errs.Is(err, errs.Unavailable) {
		t.Errorf("export into no directory: %v", err)
	}
	for _, text := range []string{"", "db/s/repo", "host/db/s/repo", d.host + "/db/s", d.host + "/db/s/repo/", d.host + "/db/s/repo/x:-", d.host + "/db/s/repo/X", d.host + "/db/s/repo:v1"} {
		if place, err := bundle.ParsePlace(text); text != d.host+"/db/s/repo/" && !errs.Is(err, errs.Invalid) {
			t.Errorf("%q is %+v, %v", text, place, err)
		}
	}
}

// TestBundleLeavesNothingHalf loses a layer of the server: no file appears, not even a temporary one.
func TestBundleLeavesNothingHalf(t *testing.T) {
	t.Parallel()
	d := serve(t)
	w := d.as(t, "writer")
	layer := randomBytes(3, 1<<20)
	w.pushImage("db/s/repo/churn", "v1", layer, nil)
	b, err := d.blob(t, sha256Of(layer))
	if err == nil {
		err = d.blobs.Delete(t.Context(), b.Key)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, err = bundle.Export(t.Context(), mustParse(t, d.host+"/db/s/repo"), filepath.Join(dir, "x.tar"), login("reader"), nil)
	left, listErr := os.ReadDir(dir)
	if err == nil || listErr != nil || len(left) > 0 {
		t.Errorf("export of a damaged image: %v; left behind: %v, %v", err, left, listErr)
	}
}

func contentOf(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
