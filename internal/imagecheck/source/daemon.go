// SPDX-License-Identifier: Apache-2.0

package source

import (
	"archive/tar"
	"context"
	"encoding/json"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/imagecheck/layer"
	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"
)

// daemonImage is an image of the local docker daemon. It reads as little as possible: the cache first, then the daemon's own
// layer directories when this process may, and only then the stream of `docker save`, which is never stored.
type daemonImage struct {
	cli    *client.Client
	id     string
	config []byte
	dirs   []string // overlay2 directories, bottom up; nil when they cannot be read
}

func openDaemon(ctx context.Context, name string, s Settings) (*Target, error) {
	options := []client.Opt{client.FromEnv}
	if s.DaemonHost != "" {
		options = append(options, client.WithHost(s.DaemonHost))
	}
	cli, err := client.New(options...)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "docker daemon: %v", err)
	}
	found, err := cli.ImageInspect(ctx, name)
	if err != nil {
		_ = cli.Close()
		return nil, daemonError(err, name)
	}
	d := &daemonImage{cli: cli, id: found.ID}
	t := &Target{Image: d, NoManifest: true, Layers: d, closer: cli}
	if d.config, err = storedConfig(found); err != nil {
		unknown := ""
		if found.GraphDriver != nil {
			unknown = found.ID
		}
		t.ConfigDigest = &unknown
		if d.config, err = rebuiltConfig(found); err != nil {
			return nil, errs.Wrap(err, errs.Corrupt, "configuration of image %s", name)
		}
	}
	d.dirs = overlayDirs(found)
	for _, digest := range found.RepoDigests {
		if _, after, ok := strings.Cut(digest, "@"); ok {
			t.Digest = after
			break
		}
	}
	return t, nil
}

func daemonError(err error, name string) error {
	switch {
	case errdefs.IsNotFound(err):
		return errs.Wrap(err, errs.NotFound, "image %s does not exist in the docker daemon", name)
	case errdefs.IsInvalidArgument(err):
		return usage("image name %q: %v", name, err)
	case errdefs.IsPermissionDenied(err) || errdefs.IsUnauthorized(err):
		return errs.Wrap(err, errs.Denied, "docker daemon: %v", err)
	}
	return errs.Wrap(err, errs.Unavailable, "docker daemon does not answer: %v", err)
}

// storedConfig reads the configuration as the daemon keeps it, which needs its files.
func storedConfig(found client.ImageInspectResult) ([]byte, error) {
	root, err := daemonRoot(found)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(root, "image/overlay2/imagedb/content", strings.Replace(found.ID, ":", "/", 1)))
}

// daemonRoot is the directory in which the daemon keeps everything, told by where the image's top layer is.
func daemonRoot(found client.ImageInspectResult) (string, error) {
	if found.GraphDriver == nil || found.GraphDriver.Name != "overlay2" {
		return "", errs.New(errs.Unsupported, "image %s is not stored by overlay2", found.ID)
	}
	upper := found.GraphDriver.Data["UpperDir"]
	if !filepath.IsAbs(upper) || filepath.Base(filepath.Dir(filepath.Dir(upper))) != "overlay2" {
		return "", errs.New(errs.Unsupported, "image %s has no layer directory", found.ID)
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(upper))), nil
}

// rebuiltConfig writes what the daemon's API says as an image configuration.
func rebuiltConfig(found client.ImageInspectResult) ([]byte, error) {
	var created *string
	if found.Created != "" {
		created = &found.Created
	}
	return json.Marshal(map[string]any{
		"architecture": found.Architecture, "os": found.Os, "variant": found.Variant, "created": created, "config": found.Config,
		"rootfs": map[string]any{"type": "layers", "diff_ids": found.RootFS.Layers},
	})
}

// overlayDirs gives one directory per layer, bottom up, nil when this process cannot read them as they are: it needs root and
// the daemon on this machine.
func overlayDirs(found client.ImageInspectResult) []string {
	if _, err := daemonRoot(found); err != nil || os.Geteuid() != 0 {
		return nil
	}
	dirs := []string{found.GraphDriver.Data["UpperDir"]}
	if lower := found.GraphDriver.Data["LowerDir"]; lower != "" {
		dirs = append(dirs, strings.Split(lower, ":")...)
	}
	if len(dirs) != len(found.RootFS.Layers) {
		return nil
	}
	for i, j := 0, len(dirs)-1; i < j; i, j = i+1, j-1 {
		dirs[i], dirs[j] = dirs[j], dirs[i]
	}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil
		}
	}
	return dirs
}

// RawConfigFile implements imagecheck.Image.
func (d *daemonImage) RawConfigFile() ([]byte, error) { return d.config, nil }

// RawManifest implements imagecheck.Image: a daemon keeps none.
func (d *daemonImage) RawManifest() ([]byte, error) {
	return nil, errs.New(errs.Unsupported, "image %s has no manifest in the docker daemon", d.id)
}

// Layers implements imagecheck.Image: they are read by ScanLayers.
func (d *daemonImage) Layers() ([]v1.Layer, error) {
	return nil, errs.New(errs.Unsupported, "image %s: its layers are read from the docker daemon", d.id)
}

// ScanLayers implements imagecheck.LayerSource. The daemon vouches for the diffIDs of what it stores.
func (d *daemonImage) ScanLayers(
	ctx context.Context, diffIDs []string, limits layer.Limits, cache *imagecheck.Cache,
) ([]*layer.Scan, []bool, error) {
	scans, cached := make([]*layer.Scan, len(diffIDs)), make([]bool, len(diffIDs))
	kinds := []layer.Kind{layer.FromTar}
	if d.dirs != nil {
		kinds = []layer.Kind{layer.FromDir}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i, id := range diffIDs {
		group.Go(func() error {
			for _, kind := range kinds {
				if s, ok := cache.Get(id, kind); ok {
					scans[i], cached[i] = s, true
					return limits.Budget.Charge(s)
				}
			}
			if d.dirs == nil {
				return nil
			}
			s, err := layer.ReadDir(groupCtx, id, d.dirs[i], limits)
			if err != nil {
				return err
			}
			scans[i] = s
			_ = cache.Put(s, layer.FromDir) // a cache that cannot be written to only makes the next run slower
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	for _, s := range scans {
		if s == nil {
			return d.stream(ctx, diffIDs, scans, cached, limits, cache)
		}
	}
	return scans, cached, nil
}

// stream reads the missing layers from what `docker save` sends, without storing it.
func (d *daemonImage) stream(
	ctx context.Context, diffIDs []string, scans []*layer.Scan, cached []bool, limits layer.Limits, cache *imagecheck.Cache,
) ([]*layer.Scan, []bool, error) {
	saved, err := d.cli.ImageSave(ctx, []string{d.id})
	if err != nil {
		return nil, nil, errs.Wrap(err, errs.Unavailable, "docker daemon does not send image %s: %v", d.id, err)
	}
	defer saved.Close()
	seen := map[string]*layer.Scan{}
	archive := tar.NewReader(saved)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, errs.New(errs.Unavailable, "docker daemon broke off the stream of image %s: %v", d.id, err)
		}
		if !mayBeLayer(h) {
			continue
		}
		s, err := layer.Read(ctx, "", archive, limits)
		if err != nil && !errs.Is(err, errs.Corrupt) {
			return nil, nil, err
		}
		// Blobs that are no layer, such as the configuration, do not decode and are passed over.
		if err == nil {
			seen[s.DiffID] = s
		}
	}
	var once sync.Once
	for i, id := range diffIDs {
		if scans[i] != nil {
			continue
		}
		if scans[i] = seen[id]; scans[i] == nil {
			return nil, nil, &layer.Failure{DiffID: id, Err: errs.New(errs.Corrupt, "layer %s is not in what the docker daemon sent", id)}
		}
		if err := cache.Put(scans[i], layer.FromTar); err != nil {
			once.Do(func() { cache = nil })
		}
	}
	return scans, cached, nil
}

// mayBeLayer tells layers from the other files of an archive: ID/layer.tar of old engines, blobs/sha256/... of new ones.
func mayBeLayer(h *tar.Header) bool {
	return h.Typeflag == tar.TypeReg && (path.Base(h.Name) == "layer.tar" || strings.HasPrefix(h.Name, "blobs/sha256/"))
}
