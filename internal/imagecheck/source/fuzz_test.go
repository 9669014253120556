// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

// FuzzArchive opens and checks any bytes as both kinds of archive.
func FuzzArchive(f *testing.F) {
	img := fx.New(fx.Tar(fx.File("a", "1"), fx.Symlink("b", "a")))
	img.Config["WorkingDir"] = "/"
	config, manifest := must(img.RawConfigFile()), must(img.RawManifest())
	index := `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"` + fx.Digest(manifest) + `"}]}`
	blob := func(data []byte) fx.Entry {
		return fx.File("blobs/"+strings.Replace(fx.Digest(data), ":", "/", 1), string(data))
	}
	f.Add(fx.Tar(fx.File("c", string(config)), fx.File("l", string(img.Stored[0])), fx.File("manifest.json", `[{"Config":"c","RepoTags":["x:1"],"Layers":["l"]}]`)))
	f.Add(fx.Tar(blob(config), blob(manifest), blob(img.Stored[0]), fx.File("index.json", index)))
	f.Add(fx.Gzip(fx.Tar(fx.Symlink("manifest.json", "manifest.json"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"docker-archive:", "oci-archive:"} {
			judge(t, kind+file)
		}
	})
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

// judge opens and checks an image; errors must be of the kinds that a report has.
func judge(t *testing.T, name string) {
	t.Helper()
	target, err := Open(t.Context(), name, settings())
	if err != nil {
		if errs.Is(err, errs.Internal) {
			t.Fatalf("%s: %v", name, err)
		}
		return
	}
	defer target.Close()
	check(t, target)
}

func check(t *testing.T, target *Target) {
	t.Helper()
	policy, err := imagecheck.Builtin(imagecheck.PolicyDefault)
	if err != nil {
		t.Fatal(err)
	}
	opts := imagecheck.Options{Policy: policy, MaxUnpacked: 1 << 24}
	target.Apply(&opts)
	r, err := imagecheck.Check(t.Context(), target.Image, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range imagecheck.Formats() {
		if err := r.Write(io.Discard, format, false); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
	}
}

// inMemory are files by name.
type inMemory map[string][]byte

func (m inMemory) open(name string) (io.ReadCloser, error) {
	data, ok := m[path.Clean(name)]
	if !ok {
		return nil, errs.New(errs.NotFound, "file %s does not exist", name)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (m inMemory) size(name string) (int64, error) {
	data, ok := m[path.Clean(name)]
	if !ok {
		return 0, errs.New(errs.NotFound, "file %s does not exist", name)
	}
	return int64(len(data)), nil
}

func (m inMemory) Close() error { return nil }

// FuzzManifests is about the JSON of an image: index, manifest and configuration, which name each other by digest.
func FuzzManifests(f *testing.F) {
	img := fx.New(fx.Tar(fx.File("a", "1")))
	config := string(must(img.RawConfigFile()))
	f.Add(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"MANIFEST","size":1,"platform":{"os":"linux","architecture":"amd64"}}]}`,
		`{"schemaVersion":2,"config":{"digest":"CONFIG"},"layers":[{"digest":"LAYER","mediaType":"x","size":-1}]}`, config, `[{"Config":"config.json","RepoTags":["x:1"],"Layers":["layer.tar"]}]`)
	f.Add(`{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"MANIFEST"}]}`, `{"manifests":[{"digest":"MANIFEST","mediaType":"application/vnd.oci.image.index.v1+json"}]}`,
		`{"config":{"Entrypoint":"x","Env":["=","A"],"User":":"},"rootfs":{"diff_ids":["LAYER","LAYER"]},"history":[{}]}`, `[{},{}]`)
	f.Fuzz(func(t *testing.T, index, manifest, config, saved string) {
		layer := img.Stored[0]
		config = strings.ReplaceAll(config, "LAYER", fx.Digest(layer))
		manifest = strings.NewReplacer("LAYER", fx.Digest(layer), "CONFIG", fx.Digest([]byte(config))).Replace(manifest)
		digest := fx.Digest([]byte(manifest))
		index = strings.ReplaceAll(index, "MANIFEST", digest)
		files := inMemory{"index.json": []byte(index), "manifest.json": []byte(saved), "config.json": []byte(config), "layer.tar": layer}
		for _, blob := range [][]byte{[]byte(config), []byte(manifest), layer} {
			files["blobs/"+strings.Replace(fx.Digest(blob), ":", "/", 1)] = blob
		}
		if target, err := layoutImage(files, "x", "", settings()); err == nil {
			check(t, target)
		} else if errs.Is(err, errs.Internal) {
			t.Fatal(err)
		}
		if image, err := dockerImage(files, "x", ""); err == nil {
			check(t, &Target{Image: image, NoManifest: true})
		} else if errs.Is(err, errs.Internal) {
			t.Fatal(err)
		}
	})
}
