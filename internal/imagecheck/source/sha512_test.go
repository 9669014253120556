// SPDX-License-Identifier: Apache-2.0

package source

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"firn.dev/firn/internal/imagecheck"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func sha512Of(data []byte) string {
	sum := sha512.Sum512(data)
	return "sha512:" + hex.EncodeToString(sum[:])
}

// TestSHA512 reads an image in which everything is named by SHA-512, one layer inside the configuration as well: from a layout, where plain
// layers are skimmed, and from a registry.
func TestSHA512(t *testing.T) {
	t.Parallel()
	plain, packed := fx.Tar(fx.Good()...), fx.Tar(fx.File("etc/motd", "hello"))
	for name, damaged := range map[string]bool{"good": false, "damaged": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img := fx.New(plain, packed)
			img.DiffIDs = []string{sha512Of(plain), fx.Digest(packed)}
			config := raw(t, img.RawConfigFile)
			blobs := map[string][]byte{sha512Of(config): config}
			layers := []any{}
			for i, stored := range [][]byte{plain, fx.Gzip(packed)} {
				media := types.OCILayer
				if i == 0 {
					media = types.OCIUncompressedLayer
				}
				digest := sha512Of(stored)
				layers = append(layers, map[string]any{"mediaType": media, "digest": digest, "size": len(stored)})
				if blobs[digest] = stored; damaged && i == 1 {
					blobs[digest] = append([]byte{}, fx.Gzip(fx.Tar(fx.File("etc/motd", "other")))...)
				}
			}
			manifest, err := json.Marshal(map[string]any{
				"schemaVersion": 2, "mediaType": types.OCIManifestSchema1, "layers": layers,
				"config": map[string]any{"mediaType": types.OCIConfigJSON, "digest": sha512Of(config), "size": len(config)},
			})
			if err != nil {
				t.Fatal(err)
			}
			blobs[sha512Of(manifest)] = manifest
			dir := t.TempDir()
			entries := []fx.Entry{fx.File("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), fx.File("index.json", fmt.Sprintf(
				`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, types.OCIManifestSchema1, sha512Of(manifest), len(manifest)))}
			for digest, blob := range blobs {
				entries = append(entries, fx.File("blobs/"+strings.Replace(digest, ":", "/", 1), string(blob)))
			}
			write(t, dir, entries)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
				if name == "v1" {
					name = sha512Of(manifest)
				}
				if strings.Contains(r.URL.Path, "/manifests/") {
					w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
					w.Header().Set("Docker-Content-Digest", name)
				}
				_, _ = w.Write(blobs[name])
			}))
			t.Cleanup(server.Close)
			host := strings.TrimPrefix(server.URL, "http://")
			for _, image := range []string{"oci-layout:" + dir, "registry:" + host + "/x:v1", "registry:" + host + "/x@" + sha512Of(manifest)} {
				judgeSHA512(t, image, damaged, config)
			}
		})
	}
}

func judgeSHA512(t *testing.T, image string, damaged bool, config []byte) {
	t.Helper()
	target, err := Open(t.Context(), image, settings())
	if err != nil {
		t.Errorf("%s: %v", image, err)
		return
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
		t.Errorf("%s: %v", image, err)
		return
	}
	switch {
	case damaged != (r.Error != nil):
		t.Errorf("%s: %+v", image, r.Error)
	case !damaged && (!r.Image.Verified || *r.Image.ConfigDigest != sha512Of(config)):
		t.Errorf("%s: verified %v, configuration %s", image, r.Image.Verified, *r.Image.ConfigDigest)
	}
}
