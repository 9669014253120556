// SPDX-License-Identifier: Apache-2.0

package source

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"
	"testing"

	"firn.dev/firn/internal/imagecheck"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"firn.dev/firn/internal/imagecheck/layer"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// engine gives a client of the real docker daemon.
func engine(t *testing.T) *client.Client {
	t.Helper()
	cli, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cli.Close() })
	return cli
}

// load gives images of a name's tags to the daemon, all at once, and removes them in the end.
func load(t *testing.T, cli *client.Client, images map[string]*fx.Image) {
	t.Helper()
	var entries []fx.Entry
	var manifest []map[string]any
	for tag, img := range images {
		config := raw(t, img.RawConfigFile)
		var layers []string
		for i, stored := range img.Stored {
			name := fmt.Sprintf("%s/%d/layer.tar", fx.Digest(config)[7:], i)
			layers = append(layers, name)
			entries = append(entries, fx.File(name, string(stored)))
		}
		name := fx.Digest(config)[7:] + ".json"
		entries = append(entries, fx.File(name, string(config)))
		manifest = append(manifest, map[string]any{"Config": name, "RepoTags": []string{tag}, "Layers": layers})
	}
	list, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for tag := range images {
			_, _ = cli.ImageRemove(context.Background(), tag, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		}
	})
	answer, err := cli.ImageLoad(t.Context(), bytes.NewReader(fx.Tar(append(entries, fx.File("manifest.json", string(list)))...)), client.ImageLoadWithQuiet(true))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	said, err := io.ReadAll(answer)
	if err != nil || strings.Contains(string(said), "errorDetail") {
		t.Fatalf("the engine does not take the images: %s, %v", said[max(0, len(said)-1000):], err)
	}
}

// mounted are the names that an engine puts into every container.
var mounted = map[string]bool{"dev": true, "proc": true, "sys": true, "etc": true, ".dockerenv": true}

// exported is the file system of a container of the image, as docker export gives it.
func exported(t *testing.T, cli *client.Client, image string) map[string]string {
	t.Helper()
	made, err := cli.ContainerCreate(t.Context(), client.ContainerCreateOptions{Config: &container.Config{Image: image, Cmd: []string{"x"}, NetworkDisabled: true}})
	if err != nil {
		t.Error(err)
		return nil
	}
	defer func() {
		_, _ = cli.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true})
	}()
	stream, err := cli.ContainerExport(t.Context(), made.ID, client.ContainerExportOptions{})
	if err != nil {
		t.Error(err)
		return nil
	}
	defer stream.Close()
	found, r := map[string]string{}, tar.NewReader(stream)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Error(err)
			return nil
		}
		name := path.Clean(h.Name)
		if top, _, _ := strings.Cut(name, "/"); name == "." || mounted[top] {
			continue
		}
		text := fmt.Sprintf("%04o %d:%d ", h.Mode&0o7777, h.Uid, h.Gid)
		switch h.Typeflag {
		case tar.TypeReg:
			found[name] = text + fmt.Sprintf("file %d", h.Size)
		case tar.TypeDir:
			found[name] = text + "dir"
		case tar.TypeSymlink:
			found[name] = "symlink " + h.Linkname
		case tar.TypeLink:
			found[name] = found[path.Clean(h.Linkname)]
		default:
			found[name] = text + "other"
		}
	}
}

// described is the same of a merged tree.
func described(tree *layer.Tree) map[string]string {
	found := map[string]string{}
	tree.Walk(func(n layer.Node) {
		if n.Path == "" {
			return
		}
		text := fmt.Sprintf("%04o %d:%d ", n.Mode, n.UID, n.GID)
		switch n.Type {
		case layer.File:
			found[n.Path] = text + fmt.Sprintf("file %d", n.Size)
		case layer.Dir:
			found[n.Path] = text + "dir"
		case layer.Symlink:
			found[n.Path] = "symlink " + n.Link
		case layer.HardLink:
			found[n.Path] = "unresolved hard link " + n.Link
		default:
			found[n.Path] = text + "other"
		}
	})
	return found
}

// trees gives the file system of a daemon's image three times: from the engine's directories, from its stream unless unsaved, and
// from the layers themselves.
func trees(t *testing.T, name string, img *fx.Image, unsaved bool) map[string]*layer.Tree {
	t.Helper()
	target, err := Open(t.Context(), "docker-daemon:"+name, Settings{Platform: "linux/amd64"})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	daemon := target.Image.(*daemonImage)
	found := map[string]*layer.Tree{}
	scan := func(way string) {
		scans, _, err := daemon.ScanLayers(t.Context(), img.DiffIDs, layer.Limits{Budget: layer.NewBudget()}, (*imagecheck.Cache)(nil))
		if err != nil {
			t.Errorf("%s, %s: %v", name, way, err)
			return
		}
		found[way] = layer.Merge(scans)
	}
	if daemon.dirs != nil {
		scan("directories")
	} else if os.Geteuid() == 0 {
		t.Error("root does not read the directories of the engine")
	}
	if daemon.dirs = nil; !unsaved {
		scan("stream")
	}
	var scans []*layer.Scan
	for i, stored := range img.Stored {
		s, err := layer.Read(t.Context(), img.DiffIDs[i], bytes.NewReader(stored), layer.Limits{})
		if err != nil {
			t.Error(err)
			return found
		}
		scans = append(scans, s)
	}
	found["layers"] = layer.Merge(scans)
	return found
}

// bare is an image of nothing but layers.
func bare(layers [][]fx.Entry) *fx.Image {
	var tars [][]byte
	for _, entries := range layers {
		tars = append(tars, fx.Tar(entries...))
	}
	img := fx.New(tars...)
	delete(img.Config, "WorkingDir") // an engine would make it
	return img
}

// TestRandomImagesAgainstDockerExport compares what a container of a random image has with what Firn says that it has: paths, types,
// sizes, modes, owners and targets of links.
func TestRandomImagesAgainstDockerExport(t *testing.T) {
	t.Parallel()
	const count = 200
	cli := engine(t)
	images := map[string]*fx.Image{}
	for seed := range count {
		images[fmt.Sprintf("firn-truth/random:%d-%d", os.Getpid(), seed)] = bare(fx.Random(uint64(seed)))
	}
	load(t, cli, images)
	compared := 0
	var mu sync.Mutex
	var group sync.WaitGroup
	slots := make(chan bool, 4)
	for name, img := range images {
		group.Go(func() {
			slots <- true
			defer func() { <-slots }()
			want := exported(t, cli, name)
			for way, tree := range trees(t, name, img, false) {
				if d := cmp.Diff(want, described(tree)); d != "" {
					t.Errorf("%s, %s:\n%s", name, way, d)
				}
			}
			mu.Lock()
			compared += len(want)
			mu.Unlock()
		})
	}
	group.Wait()
	if compared < 20*count {
		t.Errorf("%d images have %d paths only", count, compared)
	}
}

// TestOddLayersAgainstDockerExport is about layers that no builder should write and engines take nevertheless.
func TestOddLayersAgainstDockerExport(t *testing.T) {
	t.Parallel()
	usr := []fx.Entry{fx.Dir("usr"), fx.Dir("usr/bin"), fx.File("usr/bin/x", "")}
	private := fx.Entry{Name: "a/", Mode: 0o700, Type: tar.TypeDir, UID: 5}
	type odd struct {
		layers  [][]fx.Entry
		unsaved bool // docker 20.10 cannot save it
		implied bool // the engine gives a directory that a layer implies its own mode, builders that mount the layers below keep it
	}
	cases := map[string]odd{
		"directories that no layer names":   {layers: [][]fx.Entry{{fx.File("a/b/c", "1")}}},
		"directory implied in upper layer":  {layers: [][]fx.Entry{{private, fx.File("a/x", "")}, {fx.File("a/b/c", "1")}}, implied: true},
		"directory implied by a whiteout":   {layers: [][]fx.Entry{{private, fx.File("a/x", "")}, {fx.Whiteout("a/x")}}, implied: true},
		"whiteout of nothing":               {layers: [][]fx.Entry{{fx.File("b", "")}, {fx.Whiteout("a"), fx.Whiteout("x/y")}}},
		"opaque directory that is implied":  {layers: [][]fx.Entry{{fx.File("a/b", "")}, {fx.Opaque("a")}}},
		"whiteout, then the file":           {layers: [][]fx.Entry{{fx.File("a", "1")}, {fx.Whiteout("a"), fx.File("a", "12")}}},
		"whiteout below a lower link":       {layers: [][]fx.Entry{append(usr, fx.Symlink("u", "usr")), {fx.Whiteout("u/bin")}}},
		"file below a lower link":           {layers: [][]fx.Entry{append(usr, fx.Symlink("bin", "usr/bin")), {fx.File("bin/f", "1")}}},
		"file below a link":                 {layers: [][]fx.Entry{append(usr, fx.Symlink("bin", "usr/bin"), fx.File("bin/f", "1"))}},
		"file below an absolute link":       {layers: [][]fx.Entry{append(usr, fx.Symlink("bin", "/usr/bin"), fx.File("bin/f", "1"))}, unsaved: true},
		"file below a link out of the root": {layers: [][]fx.Entry{append(usr, fx.Symlink("bin", "../../usr/bin"), fx.File("bin/f", "1"))}, unsaved: true},
		"directory and file below a link":   {layers: [][]fx.Entry{append(usr, fx.Symlink("bin", "usr/bin"), fx.Dir("bin/d"), fx.File("bin/d/f", "1"))}},
		"whiteout below a link":             {layers: [][]fx.Entry{usr, {fx.Dir("usr"), fx.Dir("usr/bin"), fx.Symlink("bin", "usr/bin"), fx.Whiteout("bin/x")}}},
		"file over what is in a directory":  {layers: [][]fx.Entry{{fx.File("a/f", "1"), fx.File("a", "1")}}, unsaved: true},
		"link over what is in a directory":  {layers: [][]fx.Entry{{fx.File("a/f", "1"), fx.Symlink("a", "b")}}, unsaved: true},
		"the last of equal names":           {layers: [][]fx.Entry{{fx.File("a", "1"), fx.File("/a", "12")}}, unsaved: true},
		"names out of the root":             {layers: [][]fx.Entry{{fx.File("../../a", "1"), fx.File("b/../c", "12"), fx.File("/d", "")}}, unsaved: true},
		"hard link to a link":               {layers: [][]fx.Entry{{fx.Symlink("a", "x"), fx.HardLink("b", "a")}}},
		"hard link below a link":            {layers: [][]fx.Entry{{fx.Dir("d"), fx.File("d/a", "1"), fx.Symlink("l", "d"), fx.HardLink("b", "l/a")}}},
		"hard link that sets set-uid":       {layers: [][]fx.Entry{{fx.File("a", "1"), {Name: "b", Link: "a", Mode: 0o4755, Type: tar.TypeLink}}}},
		"opaque root":                       {layers: [][]fx.Entry{{fx.File("b", "")}, {fx.File("c", ""), fx.File(".wh..wh..opq", "")}}},
		"root itself":                       {layers: [][]fx.Entry{{fx.Dir("."), fx.File("b", "")}}},
		"marks of aufs":                     {layers: [][]fx.Entry{{fx.Dir(".wh..wh.aufs"), fx.File(".wh..wh.plnk/x", ""), fx.File("b", "")}}},
	}
	cli := engine(t)
	images, number := map[string]*fx.Image{}, map[string]string{}
	for name, x := range cases {
		number[name] = fmt.Sprintf("firn-truth/odd:%d-%d", os.Getpid(), len(images))
		images[number[name]] = bare(x.layers)
	}
	load(t, cli, images)
	for name, x := range cases {
		want := exported(t, cli, number[name])
		for way, tree := range trees(t, number[name], images[number[name]], x.unsaved) {
			got := described(tree)
			if x.implied && way != "directories" {
				got["a"] = want["a"]
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s, %s:\n%s", name, way, d)
			}
		}
	}
}
