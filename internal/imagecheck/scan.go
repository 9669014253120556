// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"cmp"
	"context"
	"io"
	"runtime"
	"slices"
	"sync"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/layer"
	"firn.dev/firn/internal/imagecheck/python"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
)

// read fills everything that the checks ask: configuration, merged file system, account, python environments.
func (c *checker) read(ctx context.Context, img Image) error {
	if err := c.readConfig(img); err != nil {
		return err
	}
	if level, set := c.opts.Policy.level(idPlatform); c.wrongPlatform() && (!set || level == Fail) {
		return nil
	}
	verify := newVerifier(ctx)
	defer verify.stop()
	scans, err := c.readLayers(ctx, img, verify)
	if err != nil {
		return err
	}
	c.describeLayers(scans)
	c.findBase()
	c.tree = layer.Merge(scans)
	c.account = c.findAccount()
	c.envs = python.Inspect(c.tree, python.Input{
		Env: c.config.env(), Path: c.config.searchPath(), Home: c.account.home, Work: c.config.workDir(), Ignore: c.opts.Policy.ignore,
		Required: canonicalNames(c.required), LayerOf: c.layerOf,
	})
	c.gpu = c.findGPU()
	if err := verify.wait(); err != nil {
		return err
	}
	c.report.Image.Verified = c.trusted == 0
	return nil
}

func (c *checker) describeLayers(scans []*layer.Scan) {
	total, known := int64(0), true
	for i, s := range scans {
		if s.UnpackedSize < 0 {
			known = false
			continue
		}
		c.report.Image.Layers[i].UnpackedSize = &s.UnpackedSize
		total += s.UnpackedSize
	}
	if known {
		c.report.Image.UnpackedSize = &total
	}
}

// layerOf names a layer for the python inventory.
func (c *checker) layerOf(index int) (diffID, owner string) {
	if index < 0 || index >= len(c.report.Image.Layers) {
		return "", "unknown"
	}
	l := c.report.Image.Layers[index]
	return l.DiffID, l.Owner
}

// workersMax bounds the layers that are inflated at once: each needs its window and buffers.
const workersMax = 8

// reader reads the layers of an Image, several at once.
type reader struct {
	c      *checker
	verify *verifier
	limits layer.Limits
	layers []v1.Layer
	scans  []*layer.Scan
	cached []bool
	mu     sync.Mutex // of what is below, and of everything in the report
	done   int
	told   int64 // ReadBytes that Progress was last told of
}

// readLayers gives what is in each layer. What verify has begun may still find that one is not what it should be.
func (c *checker) readLayers(ctx context.Context, img Image, verify *verifier) ([]*layer.Scan, error) {
	ids := c.config.RootFS.DiffIDs
	c.report.Timing.LayersTotal = len(ids)
	r := &reader{c: c, verify: verify, scans: make([]*layer.Scan, len(ids)), cached: make([]bool, len(ids))}
	r.limits = layer.Limits{MaxUnpacked: c.opts.MaxUnpacked, Budget: layer.NewBudget(), Seen: r.seen}
	if c.opts.Layers != nil {
		var err error
		r.scans, r.cached, err = c.opts.Layers.ScanLayers(ctx, ids, r.limits, c.opts.Cache)
		if err != nil {
			return nil, err
		}
	} else if err := r.readAll(ctx, img); err != nil {
		return nil, err
	}
	for i, cached := range r.cached {
		c.report.Image.Layers[i].Cached = cached
		if cached {
			c.report.Timing.LayersCached++
		}
	}
	return r.scans, nil
}

// readAll reads every distinct layer once, the largest first, because the largest decides how long it takes.
func (r *reader) readAll(ctx context.Context, img Image) error {
	ids := r.c.config.RootFS.DiffIDs
	var err error
	if r.layers, err = img.Layers(); err != nil {
		return foreign(err, "layers of image %s", r.c.opts.Ref)
	}
	if len(r.layers) != len(ids) {
		return errs.New(errs.Corrupt, "image %s has %d layers, its configuration lists %d", r.c.opts.Ref, len(r.layers), len(ids))
	}
	order := make([]int, 0, len(ids))
	for i, l := range r.c.report.Image.Layers {
		first := slices.IndexFunc(r.c.report.Image.Layers, func(o LayerInfo) bool {
			return o.DiffID == l.DiffID && (o.Digest == nil || l.Digest == nil || *o.Digest == *l.Digest)
		})
		if first == i {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(r.size(b), r.size(a)) })
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, min(runtime.NumCPU(), workersMax)))
	for _, i := range order {
		group.Go(func() error { return r.readOne(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i := range r.scans {
		if r.scans[i] == nil {
			first := slices.Index(ids, ids[i])
			r.scans[i], r.cached[i] = r.scans[first], r.cached[first]
		}
	}
	return nil
}

// size gives the stored bytes of a layer: as the manifest says, else as its file has, which costs nothing to ask.
func (r *reader) size(i int) int64 {
	if s := r.c.report.Image.Layers[i].Size; s != nil {
		return *s
	}
	n, err := r.layers[i].Size()
	if err != nil {
		return 0 // whoever opens it learns why
	}
	return n
}

func (r *reader) readOne(ctx context.Context, i int) error {
	info := r.c.report.Image.Layers[i]
	cache := r.c.opts.Cache
	if info.Digest != nil {
		if id, ok := cache.DiffIDOf(*info.Digest); ok && id == info.DiffID {
			if s, ok := cache.Get(id, layer.FromTar); ok {
				r.keep(i, s, true)
				r.count(&r.done)
				return r.limits.Budget.Charge(s)
			}
		}
	}
	stored, err := r.open(i, info)
	if err != nil {
		return err
	}
	defer stored.Close()
	if file, ok := stored.(layerFile); ok && layer.IsPlain(file) {
		return r.readFile(ctx, i, info, file)
	}
	s, blob, err := layer.ReadBlob(ctx, info.DiffID, info.blob(), stored, r.limits)
	if err != nil {
		return err
	}
	if err := sameBlob(info, blob.Digest); err != nil {
		return err
	}
	r.remember(info, s)
	r.keep(i, s, false)
	r.count(&r.done)
	return nil
}

// layerFile is a layer that can be read at any place.
type layerFile interface {
	io.ReaderAt
	io.Seeker
}

func (r *reader) open(i int, info LayerInfo) (io.ReadCloser, error) {
	stored, err := r.layers[i].Compressed()
	if err != nil {
		return nil, &layer.Failure{DiffID: info.DiffID, Err: absent(err, info)}
	}
	return stored, nil
}

// readFile reads the headers of a plain layer in a file. Its bytes are hashed meanwhile, unless the user takes them on trust.
func (r *reader) readFile(ctx context.Context, i int, info LayerInfo, file layerFile) error {
	id, limits := info.DiffID, r.limits
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return &layer.Failure{DiffID: id, Err: foreign(err, "layer %s", id)}
	}
	skimmed := make(chan *layer.Scan, 1)
	if !r.c.opts.TrustLayers {
		limits.Seen = nil // who hashes them tells of all bytes
		r.verify.hash(func(ctx context.Context) error { return r.verifyFile(ctx, i, info, skimmed) })
	}
	var s *layer.Scan
	err = r.verify.skim(func(context.Context) (err error) {
		s, err = layer.Skim(ctx, id, file, size, limits)
		return err
	})
	if err != nil {
		return err
	}
	skimmed <- s
	r.keep(i, s, false)
	if r.c.opts.TrustLayers {
		r.count(&r.c.trusted)
		r.count(&r.done)
	}
	return nil
}

// verifyFile hashes a plain layer and remembers what was skimmed of it.
func (r *reader) verifyFile(ctx context.Context, i int, info LayerInfo, skimmed <-chan *layer.Scan) error {
	stored, err := r.open(i, info)
	if err != nil {
		return err
	}
	defer stored.Close()
	digest, err := layer.Verify(ctx, info.DiffID, info.blob(), stored, r.limits)
	if err != nil {
		return err
	}
	if err := sameBlob(info, digest); err != nil {
		return err
	}
	select {
	case s := <-skimmed:
		r.remember(info, s)
		r.count(&r.done)
	case <-ctx.Done(): // the headers do not decode
	}
	return nil
}

// blob is the digest that the manifest gives the stored bytes, "" for none.
func (l LayerInfo) blob() string {
	if l.Digest == nil {
		return ""
	}
	return *l.Digest
}

// sameBlob compares what the manifest says of a layer's stored bytes with their digest.
func sameBlob(info LayerInfo, digest string) error {
	if info.Digest == nil || *info.Digest == digest {
		return nil
	}
	return &layer.Failure{DiffID: info.DiffID, Err: errs.New(errs.Corrupt, "blob %s of layer %s has digest %s", *info.Digest, info.DiffID, digest)}
}

// remember puts the scan of a verified layer into the cache. One that cannot be written to only makes the next run slower.
func (r *reader) remember(info LayerInfo, s *layer.Scan) {
	if info.Digest != nil && r.c.opts.Cache.Put(s, layer.FromTar) == nil {
		_ = r.c.opts.Cache.Learn(*info.Digest, info.DiffID)
	}
}

// absent tells a layer that was never distributed from one that got lost.
func absent(err error, info LayerInfo) error {
	if info.MediaType != nil && slices.Contains(foreignMedia, *info.MediaType) {
		return errs.New(errs.Unsupported, "layer %s is of type %s and not stored here", info.DiffID, *info.MediaType)
	}
	return foreign(err, "layer %s", info.DiffID)
}

var foreignMedia = []string{
	"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "application/vnd.docker.image.rootfs.foreign.diff.tar",
	"application/vnd.oci.image.layer.nondistributable.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
	"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
}

func (r *reader) keep(i int, s *layer.Scan, cached bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scans[i], r.cached[i] = s, cached
}

// count adds one layer to done, or to those taken on trust.
func (r *reader) count(n *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
	r.tell()
}

// tellEvery is how many stored bytes are read between two calls of Progress.
const tellEvery = 8 << 20

// seen books bytes that were read of any layer.
func (r *reader) seen(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	timing := &r.c.report.Timing
	if timing.ReadBytes += int64(bytes); timing.ReadBytes-r.told >= tellEvery {
		r.tell()
	}
}

func (r *reader) tell() {
	r.told = r.c.report.Timing.ReadBytes
	if r.c.opts.Progress != nil {
		r.c.opts.Progress(Progress{Done: r.done, Total: len(r.scans), ReadBytes: r.told})
	}
}
