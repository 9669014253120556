// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"firn.dev/firn/internal/imagecheck/layer"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

func zstandard(t *testing.T, data []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(data, nil)
}

// mixed is a good image of six layers, each stored in another way; upper layers delete, replace and link what lower ones have.
func mixed(t *testing.T) *fx.Image {
	t.Helper()
	good := fx.Good()
	site := fx.Site
	img := fx.New(
		fx.Tar(append(good[:len(good)/2:len(good)/2], fx.File("opt/x/old", "1"), fx.Wheel(site, "stale", "1.0"), fx.Entry{Name: "usr/bin/su", Mode: 0o4755, Body: fx.ELF(62)})...),
		fx.Tar(good[len(good)/2:]...),
		fx.Tar(fx.Whiteout(site+"/stale-1.0.dist-info"), fx.Dir("opt"), fx.Dir("opt/x"), fx.Opaque("opt/x"), fx.File("home/jovyan/.netrc", "machine")),
		fx.Tar(fx.Whiteout("home/jovyan/.netrc"), fx.Wheel(site, "broken", "1.0", "Requires-Dist: gone", "Requires-Dist: pandas<2")),
		fx.Tar(),
		fx.Tar(fx.Wheel(site, "last", "2.0"), fx.HardLink("opt/METADATA", site+"/last-2.0.dist-info/METADATA")),
	)
	half := len(img.Stored[2]) / 2
	img.Stored[1] = fx.Gzip(img.Stored[1])
	img.Stored[2] = append(fx.Gzip(img.Stored[2][:half]), fx.Gzip(img.Stored[2][half:])...)
	img.Stored[3] = zstandard(t, img.Stored[3])
	half = len(img.Stored[5]) / 2
	img.Stored[5] = append(zstandard(t, img.Stored[5][:half]), zstandard(t, img.Stored[5][half:])...)
	return img
}

// multi are the blobs of an index with img and the same for arm64, and the index itself.
func multi(t *testing.T, img *fx.Image) (blobs map[string][]byte, index []byte) {
	t.Helper()
	arm := *img
	arm.Arch = "arm64"
	blobs = map[string][]byte{}
	for _, stored := range img.Stored {
		blobs[fx.Digest(stored)] = stored
	}
	var list []any
	for _, one := range []*fx.Image{&arm, img} {
		config, manifest := raw(t, one.RawConfigFile), raw(t, one.RawManifest)
		blobs[fx.Digest(config)], blobs[fx.Digest(manifest)] = config, manifest
		list = append(list, map[string]any{
			"mediaType": types.OCIManifestSchema1, "digest": fx.Digest(manifest), "size": len(manifest),
			"platform": map[string]string{"os": "linux", "architecture": one.Arch},
		})
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": types.OCIImageIndex, "manifests": list})
	if err != nil {
		t.Fatal(err)
	}
	return blobs, index
}

// layoutOf are the files of an OCI layout with one index.
func layoutOf(blobs map[string][]byte, index []byte) []fx.Entry {
	top := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, types.OCIImageIndex, fx.Digest(index), len(index))
	entries := []fx.Entry{fx.File("index.json", top), fx.File("blobs/"+strings.Replace(fx.Digest(index), ":", "/", 1), string(index))}
	for digest, blob := range blobs {
		entries = append(entries, fx.File("blobs/"+strings.Replace(digest, ":", "/", 1), string(blob)))
	}
	return entries
}

// savedOf are the files of a docker save of an image, in the form of old engines or in that of new ones.
func savedOf(t *testing.T, img *fx.Image, modern bool) []fx.Entry {
	t.Helper()
	config := raw(t, img.RawConfigFile)
	name := func(data []byte, old string) string {
		if modern {
			return "blobs/sha256/" + fx.Digest(data)[7:]
		}
		return old
	}
	entries := []fx.Entry{fx.File(name(config, "config.json"), string(config))}
	var layers []string
	for i, stored := range img.Stored {
		layers = append(layers, name(stored, fmt.Sprintf("%d/layer.tar", i)))
		entries = append(entries, fx.File(layers[i], string(stored)))
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": entries[0].Name, "RepoTags": []string{"x:1"}, "Layers": layers}})
	if err != nil {
		t.Fatal(err)
	}
	return append(entries, fx.File("manifest.json", string(manifest)))
}

// The users of the two registries.
const (
	basicUser  = "ann:open"
	bearerUser = "bob:sesame"
)

// guarded is a registry with the image that lets in basicUser with a password, or bearerUser with a token that the password buys.
func guarded(t *testing.T, blobs map[string][]byte, index []byte, bearer bool) string {
	t.Helper()
	inner := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	put := func(method, target, media string, body []byte) {
		request := httptest.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
		request.Header.Set("Content-Type", media)
		answer := httptest.NewRecorder()
		if inner.ServeHTTP(answer, request); answer.Code != http.StatusCreated {
			t.Fatalf("%s: %d %s", target, answer.Code, answer.Body)
		}
	}
	for digest, blob := range blobs {
		put(http.MethodPost, "/v2/team/img/blobs/uploads/?digest="+digest, "", blob)
	}
	for digest, blob := range blobs {
		if bytes.Contains(blob, []byte(`"layers":[{`)) {
			put(http.MethodPut, "/v2/team/img/manifests/"+digest, string(types.OCIManifestSchema1), blob)
		}
	}
	put(http.MethodPut, "/v2/team/img/manifests/v1", string(types.OCIImageIndex), index)
	basic := func(user string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(user)) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want, challenge := basic(basicUser), `Basic realm="x"`
		if bearer {
			want, challenge = "Bearer t0ken", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, r.Host)
		}
		switch {
		case r.URL.Path == "/token" && r.Header.Get("Authorization") == basic(bearerUser):
			fmt.Fprint(w, `{"token":"t0ken"}`)
		case r.URL.Path != "/token" && r.Header.Get("Authorization") == want:
			inner.ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// dockerLogin writes what docker login leaves behind: a password for one registry, a credential store for the other.
func dockerLogin(t *testing.T, basicHost, bearerHost string) {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}},"credHelpers":{%q:"firn-truth"}}`, basicHost, base64.StdEncoding.EncodeToString([]byte(basicUser)), bearerHost)
	user, password, _ := strings.Cut(bearerUser, ":")
	helper := fmt.Sprintf("#!/bin/sh\nread host\n[ \"$1 $host\" = 'get %s' ] && echo '{\"ServerURL\":\"%s\",\"Username\":\"%s\",\"Secret\":\"%s\"}'\n", bearerHost, bearerHost, user, password)
	for name, text := range map[string]string{"config.json": config, "docker-credential-firn-truth": helper} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil { //nolint:gosec // the helper is a program
			t.Fatal(err)
		}
	}
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// report gives what a check says of an opened image, without what depends on where the image lies.
func report(t *testing.T, target *Target) map[string]any {
	t.Helper()
	defer target.Close()
	policy, err := imagecheck.Builtin(imagecheck.PolicyDefault)
	if err != nil {
		t.Fatal(err)
	}
	opts := imagecheck.Options{Policy: policy}
	target.Apply(&opts)
	opts.Ref = "image"
	r, err := imagecheck.Check(t.Context(), target.Image, opts)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	delete(m, "timing")
	image := m["image"].(map[string]any)
	for _, key := range []string{"ref", "source", "digest", "index_digest", "size", "unpacked_size"} {
		delete(image, key)
	}
	for _, l := range image["layers"].([]any) {
		for _, key := range []string{"digest", "media_type", "size", "unpacked_size"} {
			delete(l.(map[string]any), key)
		}
	}
	return m
}

func TestEverySourceGivesOneReport(t *testing.T) {
	img := mixed(t)
	blobs, index := multi(t, img)
	dir := t.TempDir()
	tars := map[string][]byte{
		"old.tar": fx.Tar(savedOf(t, img, false)...), "new.tar": fx.Tar(savedOf(t, img, true)...), "oci.tar": fx.Tar(layoutOf(blobs, index)...),
	}
	for _, name := range []string{"old.tar", "oci.tar"} {
		tars[name+".gz"], tars[name+".zst"] = fx.Gzip(tars[name]), zstandard(t, tars[name])
	}
	for name, data := range tars {
		write(t, dir, []fx.Entry{fx.File(name, string(data))})
	}
	write(t, filepath.Join(dir, "layout"), layoutOf(blobs, index))
	basic, bearer := guarded(t, blobs, index, false), guarded(t, blobs, index, true)
	for _, host := range []string{basic, bearer} {
		if _, err := Open(t.Context(), "registry:"+host+"/team/img:v1", settings()); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("without a login: %v", err)
		}
	}
	dockerLogin(t, basic, bearer)
	plain := bare(nil)
	plain.Config, plain.DiffIDs, plain.Stored = img.Config, img.DiffIDs, nil
	for i, stored := range img.Stored {
		var b bytes.Buffer
		if err := layer.Unpack(t.Context(), &b, bytes.NewReader(stored), "x"); err != nil || fx.Digest(b.Bytes()) != img.DiffIDs[i] {
			t.Fatalf("layer %d: %v", i, err)
		}
		plain.Stored = append(plain.Stored, b.Bytes())
	}
	tag := fmt.Sprintf("firn-truth/every:%d", os.Getpid())
	load(t, engine(t), map[string]*fx.Image{tag: plain})

	ways := map[string]string{
		"docker-archive of old engines": "docker-archive:" + dir + "/old.tar", "docker-archive of new engines": "docker-archive:" + dir + "/new.tar",
		"docker-archive, gzip": "docker-archive:" + dir + "/old.tar.gz", "docker-archive, zstd": "docker-archive:" + dir + "/old.tar.zst",
		"oci-layout": "oci-layout:" + dir + "/layout", "oci-archive": "oci-archive:" + dir + "/oci.tar",
		"oci-archive, gzip": "oci-archive:" + dir + "/oci.tar.gz", "oci-archive, zstd": "oci-archive:" + dir + "/oci.tar.zst",
		"registry, password": "registry:" + basic + "/team/img:v1", "registry, credential store and token": "registry:" + bearer + "/team/img:v1",
		"docker daemon, directories": "docker-daemon:" + tag, "docker daemon, stream": "docker-daemon:" + tag,
	}
	if os.Geteuid() != 0 {
		delete(ways, "docker daemon, directories")
	}
	temporary := t.TempDir()
	var want map[string]any
	for way, name := range ways {
		target, err := Open(t.Context(), name, Settings{Platform: "linux/amd64", TempDir: temporary})
		if err != nil {
			t.Errorf("%s: %v", way, err)
			continue
		}
		if daemon, ok := target.Image.(*daemonImage); ok && !strings.HasSuffix(way, "directories") {
			daemon.dirs = nil
		}
		got := report(t, target)
		if want == nil {
			want = got
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", way, d)
		}
	}
	if want["exit_code"] != 1.0 || want["error"] != nil {
		t.Errorf("exit %v, error %v: nothing was compared", want["exit_code"], want["error"])
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("files are left behind: %v, %v", left, err)
	}
	arm := Settings{Platform: "linux/arm64"}
	for _, name := range []string{ways["oci-layout"], ways["oci-archive"], ways["registry, password"]} {
		target, err := Open(t.Context(), name, arm)
		if err != nil {
			t.Fatal(err)
		}
		if got := report(t, target)["image"].(map[string]any)["platform"]; got != "linux/arm64" {
			t.Errorf("%s: platform %v", name, got)
		}
	}
}
