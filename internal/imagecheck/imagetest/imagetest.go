// SPDX-License-Identifier: Apache-2.0

// Package imagetest builds small images in memory for tests of the image check and of whatever calls it. Only _test.go files
// import it.
package imagetest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
)

// Entry is one path of a layer. Type 0 is a regular file.
type Entry struct {
	Name, Body, Link string
	Mode             int64
	UID, GID         int
	Type             byte
}

// File is a regular file of mode 0644.
func File(name, body string) Entry { return Entry{Name: name, Body: body, Mode: 0o644} }

// Program is a regular file of mode 0755.
func Program(name, body string) Entry { return Entry{Name: name, Body: body, Mode: 0o755} }

// Dir is a directory.
func Dir(name string) Entry { return Entry{Name: name + "/", Mode: 0o755, Type: tar.TypeDir} }

// Symlink is a symbolic link.
func Symlink(name, target string) Entry {
	return Entry{Name: name, Link: target, Mode: 0o777, Type: tar.TypeSymlink}
}

// HardLink is a hard link.
func HardLink(name, target string) Entry {
	return Entry{Name: name, Link: target, Mode: 0o644, Type: tar.TypeLink}
}

// Whiteout deletes a path of lower layers.
func Whiteout(name string) Entry {
	return Entry{Name: path.Join(path.Dir(name), ".wh."+path.Base(name)), Mode: 0o644}
}

// Opaque hides what lower layers have in a directory.
func Opaque(dir string) Entry { return Entry{Name: dir + "/.wh..wh..opq", Mode: 0o644} }

// ELF is the beginning of a program for a machine: 62 is amd64, 183 arm64.
func ELF(machine byte) string {
	return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00" + string([]byte{machine, 0}) + strings.Repeat("\x00", 44)
}

// Wheel is an installed distribution: its METADATA with further header lines.
func Wheel(site, name, version string, lines ...string) Entry {
	body := "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n" + strings.Join(append(lines, ""), "\n") + "\nSome text.\n"
	return File(site+"/"+strings.ReplaceAll(name, "-", "_")+"-"+version+".dist-info/METADATA", body)
}

// Tar writes a layer. It panics on entries that cannot be written, which only a wrong test makes.
func Tar(entries ...Entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.Name, Linkname: e.Link, Mode: e.Mode, Uid: e.UID, Gid: e.GID, Typeflag: e.Type}
		if e.Type == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(e.Body))
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(e.Body)); err != nil {
				panic(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Digest is the sha256 digest of data.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Gzip compresses a layer.
func Gzip(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

// Image is an image in the making; it implements imagecheck.Image. Change its fields, then hand it over.
type Image struct {
	Arch    string
	Config  map[string]any // the "config" object
	DiffIDs []string
	Stored  [][]byte // the layers as stored
	Blobs   []string // digests in the manifest; nil: those of Stored
}

// New makes a linux/amd64 image of plain layers with the configuration that the built-in policies want.
func New(layers ...[]byte) *Image {
	i := &Image{Arch: "amd64", Config: map[string]any{
		"Entrypoint": []string{"/usr/local/bin/entrypoint.sh"}, "WorkingDir": "/app",
		"Env": []string{"PATH=/usr/local/bin:/usr/bin:/bin", "DASHBOARD_PORT=12003"},
	}}
	for _, l := range layers {
		i.DiffIDs = append(i.DiffIDs, Digest(l))
		i.Stored = append(i.Stored, l)
	}
	return i
}

// RawConfigFile implements imagecheck.Image.
func (i *Image) RawConfigFile() ([]byte, error) {
	return json.Marshal(map[string]any{
		"architecture": i.Arch, "os": "linux", "config": i.Config, "rootfs": map[string]any{"type": "layers", "diff_ids": i.DiffIDs},
	})
}

// RawManifest implements imagecheck.Image.
func (i *Image) RawManifest() ([]byte, error) {
	config, err := i.RawConfigFile()
	if err != nil {
		return nil, err
	}
	layers := []map[string]any{}
	for n, stored := range i.Stored {
		digest := Digest(stored)
		if i.Blobs != nil {
			digest = i.Blobs[n]
		}
		layers = append(layers, map[string]any{"mediaType": types.OCILayer, "digest": digest, "size": len(stored)})
	}
	return json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": types.OCIManifestSchema1, "layers": layers,
		"config": map[string]any{"mediaType": types.OCIConfigJSON, "digest": Digest(config), "size": len(config)},
	})
}

// Layers implements imagecheck.Image.
func (i *Image) Layers() ([]v1.Layer, error) {
	var list []v1.Layer
	for _, stored := range i.Stored {
		list = append(list, static.NewLayer(stored, types.OCILayer))
	}
	return list, nil
}

// Site is where the python of Good looks for packages.
const Site = "usr/local/lib/python3.11/site-packages"

// Good gives the entries of an image that passes policy "default" without a warning.
func Good() []Entry {
	list := []Entry{
		Program("usr/local/bin/entrypoint.sh", "#!/bin/bash\nexec \"$@\"\n"), Program("app/start_nbctl.sh", "#!/usr/bin/env bash\n"),
		Program("usr/bin/bash", ELF(62)), Program("usr/bin/env", ELF(62)), Symlink("bin", "usr/bin"),
		Program("usr/local/bin/python3.11", ELF(62)), Symlink("usr/local/bin/python3", "python3.11"),
		Program("usr/local/bin/pip", "#!/usr/local/bin/python3.11\n"),
		File("usr/local/include/python3.11/patchlevel.h", "#define PY_VERSION          \"3.11.9\"\n"),
		File("usr/local/lib/python3.11/os.py", ""),
		File("etc/passwd", "root:x:0:0:root:/root:/bin/bash\njovyan:x:1000:100:j:/home/jovyan:/bin/bash\n"),
		File("etc/group", "root:x:0:\nusers:x:100:\nstaff:x:50:jovyan\n"),
		Wheel(Site, "pip", "24.0"),
		Wheel(Site, "snowflake-snowpark-python", "1.5.0", "Provides-Extra: pandas", `Requires-Dist: pandas>=2; extra == "pandas"`),
		Wheel(Site, "pandas", "2.1.0"),
	}
	for _, name := range strings.Fields("snowflake-ml-python ray jupyter-server notebook ipykernel ipython sqlparse jinja2 psutil") {
		list = append(list, Wheel(Site, name, "1.0"))
	}
	return list
}

// Zip packs names and bodies, in turns, as a zip archive.
func Zip(members ...string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		w, err := z.Create(members[i])
		if err == nil {
			_, err = w.Write([]byte(members[i+1]))
		}
		if err != nil {
			panic(err) // memory takes everything
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.String()
}
