// SPDX-License-Identifier: Apache-2.0

// Package imagecheck says whether a container image is fit to be a custom runtime environment, without a daemon and without
// running anything of the image. Check reads an image once and gives the Report of schema firn.validate/1; the same code
// answers `firn validate` on a laptop and CREATE CUSTOM RUNTIME ENVIRONMENT in the server.
//
// It is not the executed check (decision 5), talks to no registry by itself (package source opens images for the command
// line, the server hands over its own) and writes nothing but the layer cache. The command and the server call it.
package imagecheck

import (
	"context"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/layer"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Base is an approved image that others may be built on.
type Base struct {
	Ref    string   // as a user would write it
	Name   string   // short name for messages; Ref when empty
	Type   string   // "CPU" or "GPU", "" when unknown
	Python string   // X.Y, "" when unknown
	Layers []string // diffIDs, bottom up
}

// Cache keeps scans of layers between checks; see layer.Cache.
type Cache = layer.Cache

// OpenCache opens a layer cache of the default size; see layer.OpenCache.
//
// Errors: Unavailable.
func OpenCache(dir string, now func() time.Time) (*Cache, error) {
	return layer.OpenCache(dir, layer.DefaultCacheBytes, now)
}

// Image is what Check needs of an image; every v1.Image is one. Compressed of its layers gives the bytes as they are stored: plain,
// gzip or zstd, the content decides.
type Image interface {
	RawConfigFile() ([]byte, error)
	RawManifest() ([]byte, error) // not called with Options.NoDigest
	Layers() ([]v1.Layer, error)  // bottom up; not called with Options.Layers
}

// LayerSource reads the layers of an image in another way than through Image, for instance from an engine's own store.
type LayerSource interface {
	// ScanLayers gives one scan per diffID, in that order, and whether it came out of the cache. It verifies what it gives, unless
	// the store it reads from vouches for it.
	//
	// Errors: Corrupt, Exhausted, Unsupported, Unavailable, Canceled.
	ScanLayers(ctx context.Context, diffIDs []string, limits layer.Limits, cache *Cache) (scans []*layer.Scan, cached []bool, err error)
}

// Options says what to check against. The zero value checks nothing useful: Policy is needed.
type Options struct {
	Policy      Policy
	Bases       []Base // approved bases; none: lineage is skipped
	WantBase    bool   // lineage fails when there is no approved base at all, instead of being skipped
	BaseType    string // wanted type of the base, "CPU" or "GPU"; "" accepts any
	Platform    string // "linux/amd64"; "" means the policy's
	Cache       *Cache // nil: every layer is read
	MaxUnpacked int64  // bytes of one unpacked layer; 0 means layer.DefaultMaxUnpacked
	TrustLayers bool   // read only the headers of plain layers in files: not verified, and never cached

	// Ref, Source, Digest and IndexDigest describe the image in the report. Digest "" means: that of the image's manifest, unless
	// NoDigest, as for archives and daemons, which have none.
	Ref         string
	Source      string
	Digest      string
	NoDigest    bool
	IndexDigest string
	// ConfigDigest is for sources that rebuild the configuration: its real digest, "" when unknown. nil: computed.
	ConfigDigest *string

	Vulnerabilities *VulnerabilityScan // nil: no scan

	Layers   LayerSource      // nil: layers are read through the image
	Version  string           // of Firn, for the report
	Now      func() time.Time // clock; nil leaves timing at 0
	Progress func(Progress)   // called from several goroutines, never concurrently; may be nil
}

// Progress is how far the reading of layers is.
type Progress struct {
	Done, Total int   // layers
	ReadBytes   int64 // stored bytes of layers
}

// Check reads img and judges it. A bad image is no error: the report says so in Result, Checks and Error. Several checks may run at
// once, also with one Cache.
//
// Errors: Canceled when ctx ends, Invalid for an unusable policy, Corrupt or Unavailable for a vulnerability database that cannot be
// read.
func Check(ctx context.Context, img Image, opts Options) (*Report, error) {
	start := clock(opts)
	if opts.Platform == "" {
		opts.Platform = opts.Policy.Platform
	}
	c, err := newChecker(opts)
	if err != nil {
		return nil, err
	}
	err = c.read(ctx, img)
	if ctx.Err() != nil {
		return nil, errs.Wrap(ctx.Err(), errs.Canceled, "check of image %s", opts.Ref)
	}
	if err != nil {
		c.unreadable(err)
	} else {
		if err := c.scanVulnerabilities(ctx); err != nil {
			return nil, err
		}
		c.judge()
	}
	c.report.finish()
	c.report.Timing.WallMS = clock(opts).Sub(start).Milliseconds()
	return c.report, nil
}

// Unreadable gives the report of an image that could not even be opened: image_exists fails, the rest is skipped.
//
// Errors: Invalid for an unusable policy.
func Unreadable(opts Options, err error) (*Report, error) {
	c, e := newChecker(opts)
	if e != nil {
		return nil, e
	}
	c.unreadable(err)
	c.report.finish()
	return c.report, nil
}

func clock(opts Options) time.Time {
	if opts.Now == nil {
		return time.Time{}
	}
	return opts.Now()
}
