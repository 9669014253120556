// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

// validateRounds is how often each pair is measured; the first round warms the page cache and does not count.
const validateRounds = 5

// validation is one run of firn validate.
type validation struct {
	seconds, rssMB float64
	read           int64 // bytes
	cached, layers int
}

// validator runs firn validate on the images and remembers the most memory that a run took, by mode.
type validator struct {
	images *validateImages
	rss    map[string]float64
}

// run validates an image with the cache in a directory.
func (v *validator) run(ctx context.Context, mode, cache string, args ...string) (validation, error) {
	cmd := exec.CommandContext(ctx, "bin/firn", append([]string{"validate", "--format", "json"}, args...)...)
	cmd.Env = append(os.Environ(), "FIRN_CACHE_DIR="+cache)
	begin := time.Now()
	out, err := cmd.Output()
	seconds := time.Since(begin).Seconds()
	if err != nil {
		return validation{}, fmt.Errorf("%v: %w: %s", cmd.Args, err, out)
	}
	var report struct {
		Timing struct {
			ReadBytes    int64 `json:"read_bytes"`
			LayersCached int   `json:"layers_cached"`
			LayersTotal  int   `json:"layers_total"`
		} `json:"timing"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return validation{}, err
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return validation{}, errors.New("the system does not say what a process took")
	}
	r := validation{seconds: seconds, rssMB: float64(usage.Maxrss) / 1024, read: report.Timing.ReadBytes, cached: report.Timing.LayersCached, layers: report.Timing.LayersTotal}
	v.rss[mode] = max(v.rss[mode], r.rssMB)
	return r, nil
}

// cold runs with an empty cache.
func (v *validator) cold(ctx context.Context, mode string, args ...string) (float64, error) {
	cache, err := os.MkdirTemp("", "firn-bench-cache")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(cache)
	r, err := v.run(ctx, mode, cache, args...)
	if err == nil && r.cached > 0 {
		err = fmt.Errorf("%v: %d layers came from an empty cache", args, r.cached)
	}
	return r.seconds, err
}

// validate measures firn validate beside the bare work that nobody can avoid, and beside other programs that look at the same image.
func validate(ctx context.Context) ([]measurement, error) {
	images, forget, err := openImages(ctx)
	if err != nil {
		return nil, err
	}
	defer forget()
	v := &validator{images: images, rss: map[string]float64{}}
	var all []measurement
	for _, part := range []func(context.Context) ([]measurement, error){v.limits, v.caches, v.peers, v.sizes} {
		found, err := part(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// paired measures two things in turns. The ratio is the median of those of each turn: what else the machine does falls on both.
func paired(name, peer string, aim float64, ours, theirs func() (float64, error)) (measurement, error) {
	var a, b, ratios []float64
	for round := range validateRounds + 1 {
		x, err := ours()
		if err != nil {
			return measurement{}, fmt.Errorf("%s: %w", name, err)
		}
		y, err := theirs()
		if err != nil {
			return measurement{}, fmt.Errorf("%s: %s: %w", name, peer, err)
		}
		if round > 0 {
			a, b, ratios = append(a, x), append(b, y), append(ratios, x/y)
		}
	}
	m := compared(name, "s", median(a), peer, median(b), map[string]any{"ours_s": a, "theirs_s": b, "aim_ratio": aim})
	m.Ratio = median(ratios)
	return m, nil
}

// limits compares cold runs with nothing but reading, inflating and hashing the same layers with the same number of workers.
func (v *validator) limits(ctx context.Context) ([]measurement, error) {
	layout, archive := "oci-layout:"+v.images.layout()+":v1", "docker-archive:"+v.images.archive()
	inflated, err := paired("validate_gzip_cold", "inflate+sha256", 1.15,
		func() (float64, error) { return v.cold(ctx, "gzip_cold", layout) },
		func() (float64, error) { return seconds(v.images.bareInflate) })
	if err != nil {
		return nil, err
	}
	hashed, err := paired("validate_archive_cold", "sha256", 1.15,
		func() (float64, error) { return v.cold(ctx, "archive_cold", archive) },
		func() (float64, error) { return seconds(v.images.bareHash) })
	if err != nil {
		return nil, err
	}
	trusted, err := v.bounded("validate_archive_trusted", 0.6, func() (validation, error) {
		return v.run(ctx, "archive_trusted", "", "--no-cache", "--trust-layers", archive)
	})
	return []measurement{inflated, hashed, trusted}, err
}

// bounded compares the median of runs with a number of seconds.
func (v *validator) bounded(name string, limit float64, run func() (validation, error)) (measurement, error) {
	var all []float64
	var last validation
	for round := range validateRounds + 1 {
		var err error
		if last, err = run(); err != nil {
			return measurement{}, fmt.Errorf("%s: %w", name, err)
		}
		if round > 0 {
			all = append(all, last.seconds)
		}
	}
	return compared(name, "s", median(all), "limit", limit, map[string]any{
		"ours_s": all, "aim_ratio": 1, "read_bytes": last.read, "layers_cached": last.cached, "layers": last.layers,
		"unpacked_bytes": v.images.unpackedBytes(),
	}), nil
}

// caches measures runs that know all layers, and all but the last.
func (v *validator) caches(ctx context.Context) ([]measurement, error) {
	cache, err := os.MkdirTemp("", "firn-bench-cache")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(cache)
	layout := "oci-layout:" + v.images.layout()
	known, err := v.bounded("validate_cached", 0.3, func() (validation, error) { return v.run(ctx, "cached", cache, layout+":v1") })
	if err != nil {
		return nil, err
	}
	daemon, err := v.bounded("validate_daemon_cached", 0.3, func() (validation, error) {
		return v.run(ctx, "daemon_cached", cache, "docker-daemon:"+validateName)
	})
	if err != nil {
		return nil, err
	}
	user := v.images.User[1]
	// What is known of v1 stays; only the scan of v2's last layer is forgotten before each run.
	changed, err := paired("validate_one_changed", "inflate+sha256 of that layer + 0.3 s", 1, func() (float64, error) {
		found, err := filepath.Glob(filepath.Join(cache, "*"+user.DiffID[7:]+"*"))
		if err != nil {
			return 0, err
		}
		for _, name := range found {
			if err := os.Remove(name); err != nil {
				return 0, err
			}
		}
		r, err := v.run(ctx, "one_changed", cache, layout+":v2")
		if err == nil && r.cached != r.layers-1 {
			err = fmt.Errorf("%d of %d layers came from the cache", r.cached, r.layers)
		}
		return r.seconds, err
	}, func() (float64, error) {
		s, err := seconds(func() error { return inflate(v.images.blob(user.Digest)) })
		return s + 0.3, err
	})
	return []measurement{known, daemon, changed}, err
}

func seconds(do func() error) (float64, error) {
	begin := time.Now()
	err := do()
	return time.Since(begin).Seconds(), err
}

// bareInflate inflates and hashes every layer of v1.
func (v *validateImages) bareInflate() error {
	layers := slices.SortedFunc(slices.Values(v.layers(0)), func(a, b storedLayer) int { return cmp.Compare(b.Size, a.Size) })
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for _, l := range layers {
		group.Go(func() error { return inflate(v.blob(l.Digest)) })
	}
	return group.Wait()
}

func inflate(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 256<<10))
	if err != nil {
		return err
	}
	_, err = io.Copy(sha256.New(), z)
	return err
}

// bareHash hashes every layer in the archive of v1.
func (v *validateImages) bareHash() error {
	f, err := os.Open(v.archive())
	if err != nil {
		return err
	}
	defer f.Close()
	var parts []*io.SectionReader
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if filepath.Base(h.Name) == "layer.tar" {
			parts = append(parts, io.NewSectionReader(f, at, h.Size))
		}
	}
	slices.SortFunc(parts, func(a, b *io.SectionReader) int { return cmp.Compare(b.Size(), a.Size()) })
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for _, part := range parts {
		group.Go(func() error {
			_, err := io.CopyBuffer(sha256.New(), part, make([]byte, 256<<10))
			return err
		})
	}
	return group.Wait()
}
