// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

const (
	validateBase = "firn/base-cpu:1.0.0"
	validateName = "firn-bench/validate:v1" // in the daemon
	userFiles    = 2048
	userFileSize = 512 << 10
)

// storedLayer is one layer on disk, twice.
type storedLayer struct {
	DiffID, Digest string
	Size, Plain    int64
}

// validateImages are the images that firn validate is measured on: the CPU base and one layer of 1 GiB.
type validateImages struct {
	dir    string
	Base   []storedLayer  // bottom up
	User   [2]storedLayer // the last layer of v1 and of v2
	config [2][]byte
}

func (v *validateImages) archive() string           { return filepath.Join(v.dir, "image.tar") }
func (v *validateImages) layout() string            { return filepath.Join(v.dir, "layout") }
func (v *validateImages) blob(digest string) string { return filepath.Join(v.layout(), blobOf(digest)) }
func (v *validateImages) layers(i int) []storedLayer {
	return append(v.Base[:len(v.Base):len(v.Base)], v.User[i])
}
func (v *validateImages) plain(l storedLayer) string { return filepath.Join(v.dir, l.DiffID[7:]) }
func blobOf(digest string) string                    { return "blobs/" + strings.Replace(digest, ":", "/", 1) }
func digestOf(sum hash.Hash) string                  { return "sha256:" + hex.EncodeToString(sum.Sum(nil)) }

// unpackedBytes is the size of all layers of v1.
func (v *validateImages) unpackedBytes() (n int64) {
	for _, l := range v.layers(0) {
		n += l.Plain
	}
	return n
}

// openImages makes the images in a temporary directory that forget removes, or takes those that an earlier run left in the
// directory $FIRN_BENCH_IMAGES.
func openImages(ctx context.Context) (v *validateImages, forget func(), err error) {
	dir := os.Getenv("FIRN_BENCH_IMAGES")
	v = &validateImages{dir: dir}
	if data, err := os.ReadFile(filepath.Join(dir, "images.json")); dir != "" && err == nil {
		return v, func() {}, json.Unmarshal(data, v)
	}
	forget = func() {}
	if dir == "" {
		if v.dir, err = os.MkdirTemp("", "firn-bench-images"); err != nil {
			return nil, nil, err
		}
		forget = func() {
			_ = exec.Command("docker", "rmi", "-f", validateName).Run() // what is left is only in the way
			_ = os.RemoveAll(v.dir)
		}
	}
	if err := v.build(ctx); err != nil {
		forget()
		return nil, nil, err
	}
	return v, forget, nil
}

// build writes a docker archive of v1 and an OCI layout of v1 and v2 with gzip layers, and loads v1 into the daemon.
func (v *validateImages) build(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(v.layout(), "blobs/sha256"), 0o755); err != nil {
		return err
	}
	if quiet(ctx, "docker", "image", "inspect", validateBase) != nil {
		s, _, _, err := withBase(ctx) // which builds it
		if err != nil {
			return err
		}
		s.stop()
	}
	config, err := v.saveBase(ctx)
	if err != nil {
		return fmt.Errorf("base image %s: %w", validateBase, err)
	}
	for i := range v.User {
		if v.User[i], err = v.writeUserLayer(uint64(i)); err != nil {
			return err
		}
		if v.config[i], err = withLayer(config, v.User[i].DiffID); err != nil {
			return err
		}
	}
	if err := v.compress(ctx); err != nil {
		return err
	}
	if err := v.writeLayout(); err != nil {
		return err
	}
	if err := v.writeArchive(); err != nil {
		return err
	}
	for _, l := range append(v.layers(0), v.User[1]) {
		if err := os.Remove(v.plain(l)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if out, err := exec.CommandContext(ctx, "docker", "load", "-q", "-i", v.archive()).CombinedOutput(); err != nil {
		return fmt.Errorf("docker load: %w: %s", err, out)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(v.dir, "images.json"), data, 0o644)
}

// saveBase takes the layers of the base out of the daemon and gives its configuration.
func (v *validateImages) saveBase(ctx context.Context) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "docker", "save", validateBase)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	small, layers := map[string][]byte{}, map[string]storedLayer{}
	links := map[string]string{}
	for r := tar.NewReader(bufio.NewReaderSize(out, 1<<20)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		switch {
		case h.Typeflag == tar.TypeSymlink:
			links[h.Name] = filepath.Join(filepath.Dir(h.Name), h.Linkname)
		case strings.HasSuffix(h.Name, ".json"):
			small[h.Name], err = io.ReadAll(r)
		case strings.HasSuffix(h.Name, "layer.tar"):
			layers[h.Name], err = v.writePlain(func(w io.Writer) error { _, err := io.Copy(w, r); return err })
		}
		if err != nil {
			return nil, err
		}
	}
	if err := cmd.Wait(); err != nil {
		return nil, err
	}
	var manifest []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(small["manifest.json"], &manifest); err != nil {
		return nil, err
	}
	for _, name := range manifest[0].Layers {
		if target, ok := links[name]; ok {
			name = target
		}
		v.Base = append(v.Base, layers[name])
	}
	return small[manifest[0].Config], nil
}

// writePlain stores what write gives under its digest.
func (v *validateImages) writePlain(write func(io.Writer) error) (storedLayer, error) {
	f, err := os.CreateTemp(v.dir, "layer")
	if err != nil {
		return storedLayer{}, err
	}
	defer f.Close()
	sum := sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<20)
	if err = write(buffered); err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return storedLayer{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return storedLayer{}, err
	}
	l := storedLayer{DiffID: digestOf(sum), Plain: info.Size()}
	return l, os.Rename(f.Name(), v.plain(l))
}

// writeUserLayer writes 1 GiB of files that compress about as well as programs do.
func (v *validateImages) writeUserLayer(seed uint64) (storedLayer, error) {
	text := newText(seed)
	return v.writePlain(func(w io.Writer) error {
		archive := tar.NewWriter(w)
		body := make([]byte, userFileSize)
		for i := range userFiles {
			h := &tar.Header{Name: fmt.Sprintf("opt/model/part%02d/weights-%04d.bin", i%32, i), Size: userFileSize, Mode: 0o644, Typeflag: tar.TypeReg}
			if err := archive.WriteHeader(h); err != nil {
				return err
			}
			text.fill(body)
			if _, err := archive.Write(body); err != nil {
				return err
			}
		}
		return archive.Close()
	})
}

// compress writes every layer as a gzip blob.
func (v *validateImages) compress(ctx context.Context) error {
	group, _ := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for _, l := range []*storedLayer{&v.User[0], &v.User[1]} {
		group.Go(func() error { return v.compressOne(l) })
	}
	for i := range v.Base {
		group.Go(func() error { return v.compressOne(&v.Base[i]) })
	}
	return group.Wait()
}

func (v *validateImages) compressOne(l *storedLayer) error {
	in, err := os.Open(v.plain(*l))
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(v.dir, "blob")
	if err != nil {
		return err
	}
	defer out.Close()
	sum := sha256.New()
	z := gzip.NewWriter(io.MultiWriter(out, sum))
	if _, err := io.Copy(z, in); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	info, err := out.Stat()
	if err != nil {
		return err
	}
	l.Digest, l.Size = digestOf(sum), info.Size()
	return os.Rename(out.Name(), v.blob(l.Digest))
}

// withLayer adds a layer to a configuration.
func withLayer(config []byte, diffID string) ([]byte, error) {
	var c map[string]any
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	root, ok := c["rootfs"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("configuration of %s has no rootfs", validateBase)
	}
	ids, _ := root["diff_ids"].([]any)
	root["diff_ids"] = append(ids, diffID)
	history, _ := c["history"].([]any)
	c["history"] = append(history, map[string]any{"created_by": "COPY model /opt/model"})
	return json.Marshal(c)
}

// writeLayout writes the indexes of the OCI layout; its layers are there.
func (v *validateImages) writeLayout() error {
	var entries []any
	for i := range v.config {
		config, err := v.writeBlob(v.config[i], "application/vnd.oci.image.config.v1+json")
		if err != nil {
			return err
		}
		var layers []any
		for _, l := range v.layers(i) {
			layers = append(layers, map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": l.Digest, "size": l.Size})
		}
		const media = "application/vnd.oci.image.manifest.v1+json"
		raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": media, "config": config, "layers": layers})
		if err != nil {
			return err
		}
		entry, err := v.writeBlob(raw, media)
		if err != nil {
			return err
		}
		entry["annotations"] = map[string]string{"org.opencontainers.image.ref.name": fmt.Sprintf("v%d", i+1)}
		entries = append(entries, entry)
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": entries})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(v.layout(), "index.json"), index, 0o644)
}

// writeBlob stores a small blob and gives its descriptor.
func (v *validateImages) writeBlob(data []byte, media string) (map[string]any, error) {
	sum := sha256.New()
	sum.Write(data)
	digest := digestOf(sum)
	return map[string]any{"mediaType": media, "digest": digest, "size": len(data)}, os.WriteFile(v.blob(digest), data, 0o644)
}

// writeArchive writes v1 as docker save does.
func (v *validateImages) writeArchive() error {
	f, err := os.Create(v.archive())
	if err != nil {
		return err
	}
	defer f.Close()
	archive := tar.NewWriter(f)
	add := func(name string, size int64, body io.Reader) error {
		if err := archive.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		_, err := io.Copy(archive, body)
		return err
	}
	var names []string
	written := map[string]bool{}
	for _, l := range v.layers(0) {
		name := l.DiffID[7:] + "/layer.tar"
		names = append(names, name)
		if written[name] {
			continue
		}
		written[name] = true
		in, err := os.Open(v.plain(l))
		if err != nil {
			return err
		}
		err = add(name, l.Plain, in)
		_ = in.Close()
		if err != nil {
			return err
		}
	}
	manifest, err := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{validateName}, "Layers": names}})
	if err == nil {
		err = add("config.json", int64(len(v.config[0])), bytes.NewReader(v.config[0]))
	}
	if err == nil {
		err = add("manifest.json", int64(len(manifest)), bytes.NewReader(manifest))
	}
	if err != nil {
		return err
	}
	return archive.Close()
}
