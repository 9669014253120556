// SPDX-License-Identifier: Apache-2.0

package baseimage

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"firn.dev/firn/images/base"
)

func TestHashRecipe(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"Dockerfile": {Data: []byte("FROM x\n")}, "rootfs/etc/a": {Data: []byte("1")}}
	changed := func(name, text string) fstest.MapFS {
		other := maps.Clone(files)
		other[name] = &fstest.MapFile{Data: []byte(text)}
		return other
	}
	hash := func(files fstest.MapFS, version, key string) string {
		sum, err := hashRecipe(files, version, key)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	want := hash(files, "1", "k")
	if len(want) != 64 || want != hash(files, "1", "k") {
		t.Fatalf("hash %q is not stable", want)
	}
	for name, other := range map[string]string{
		"content":    hash(changed("rootfs/etc/a", "2"), "1", "k"),
		"file added": hash(changed("rootfs/etc/b", ""), "1", "k"),
		"version":    hash(files, "2", "k"),
		"root image": hash(files, "1", "l"),
	} {
		if other == want {
			t.Errorf("another %s gives the same hash", name)
		}
	}
}

func TestWriteContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := writeContext(base.FS, dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{
		"Dockerfile":                         0o644,
		"requirements-3.11.txt":              0o644,
		"root.sh":                            0o755,
		"rootfs/etc/pip.conf":                0o644,
		"rootfs/etc/ray_copy_cron.sh":        0o755,
		"rootfs/opt/firn/bin/ray":            0o755,
		"rootfs/opt/firn/start_nbctl.sh":     0o755,
		"rootfs/usr/local/bin/entrypoint.sh": 0o755,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
}

func TestOwnRootKeyCountsAuthorities(t *testing.T) {
	t.Parallel()
	recipe := fstest.MapFS{"root.sh": {Data: []byte("#!/bin/sh\n")}}
	none, err := ownRootKey(recipe, os.DirFS(filepath.Join(t.TempDir(), "absent")))
	if err != nil {
		t.Fatal(err)
	}
	one, err := ownRootKey(recipe, fstest.MapFS{"site.crt": {Data: []byte("pem")}})
	if err != nil {
		t.Fatal(err)
	}
	if none == one {
		t.Error("a site's certificate authority does not change the root image")
	}
}
