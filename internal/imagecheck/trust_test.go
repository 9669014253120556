// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/firn/internal/imagecheck/layer"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// filed is an image whose layers can be read at any place, like those in a file; it counts how often each is opened.
type filed struct {
	*fx.Image
	opened []atomic.Int64
}

func newFiled(i *fx.Image) *filed {
	return &filed{Image: i, opened: make([]atomic.Int64, len(i.Stored))}
}

// Layers implements Image.
func (f *filed) Layers() ([]v1.Layer, error) {
	layers, err := f.Image.Layers()
	for i := range layers {
		layers[i] = filedLayer{layers[i], f, i}
	}
	return layers, err
}

type filedLayer struct {
	v1.Layer
	image *filed
	index int
}

// Compressed implements v1.Layer.
func (l filedLayer) Compressed() (io.ReadCloser, error) {
	l.image.opened[l.index].Add(1)
	return struct {
		*bytes.Reader
		io.Closer
	}{bytes.NewReader(l.image.Stored[l.index]), io.NopCloser(nil)}, nil
}

// lying is an image whose last layer is not what configuration and manifest say.
func lying() *fx.Image {
	img := fx.New(fx.Tar(fx.Good()...), fx.Tar(fx.File("opt/a", "promised")))
	img.Blobs = []string{fx.Digest(img.Stored[0]), fx.Digest(img.Stored[1])}
	img.Stored[1] = fx.Tar(fx.File("opt/b", "delivered"))
	return img
}

func TestTrustedLayersAreNeverCalledVerified(t *testing.T) {
	t.Parallel()
	for _, archive := range []bool{false, true} {
		dir := t.TempDir()
		opts := options(t, PolicyDefault)
		opts.NoDigest = archive
		var err error
		if opts.Cache, err = OpenCache(dir, time.Now); err != nil {
			t.Fatal(err)
		}
		liar := newFiled(lying())
		opts.TrustLayers = true
		r := run(t, liar, opts)
		if intact := result(t, r, "image_intact"); r.ExitCode != 0 || r.Image.Verified || intact.Status != Warn || !strings.Contains(intact.Message, "2 of them") {
			t.Errorf("exit %d, verified %v, %+v", r.ExitCode, r.Image.Verified, intact)
		}
		if kept, err := os.ReadDir(dir); err != nil || len(kept) > 0 {
			t.Errorf("the cache holds %v, %v", kept, err)
		}
		opts.TrustLayers = false
		r = run(t, liar, opts)
		if r.ExitCode != 3 || result(t, r, "image_intact").Status != Fail {
			t.Errorf("read as a whole the lie passes: exit %d", r.ExitCode)
		}
	}
}

func TestTrustIsOnlyForPlainLayers(t *testing.T) {
	t.Parallel()
	opts := options(t, PolicyDefault)
	opts.TrustLayers = true
	packed := fx.New(fx.Tar(fx.Good()...))
	packed.Stored[0] = fx.Gzip(packed.Stored[0])
	if r := run(t, newFiled(packed), opts); r.ExitCode != 0 || !r.Image.Verified || result(t, r, "image_intact").Status != Pass {
		t.Errorf("exit %d, verified %v", r.ExitCode, r.Image.Verified)
	}
	packed.Stored[0] = fx.Gzip(fx.Tar(append(fx.Good(), fx.File("more", ""))...))
	if r := run(t, newFiled(packed), opts); r.ExitCode != 3 {
		t.Errorf("a gzip layer with another content passes: exit %d", r.ExitCode)
	}
	// A stream cannot be skipped through, so it is read as a whole.
	if r := run(t, lying(), opts); r.ExitCode != 3 {
		t.Errorf("a stream with another content passes: exit %d", r.ExitCode)
	}
}

func TestKnownLayersAreNotOpened(t *testing.T) {
	t.Parallel()
	opts := options(t, PolicyDefault)
	var err error
	if opts.Cache, err = OpenCache(t.TempDir(), time.Now); err != nil {
		t.Fatal(err)
	}
	base, model, newer := fx.Tar(fx.Good()...), fx.Tar(fx.File("opt/model", "1")), fx.Tar(fx.File("opt/model", "2"))
	for _, step := range []struct {
		layers [][]byte
		opened []bool
	}{
		{[][]byte{base, model}, []bool{true, true}},
		{[][]byte{base, model}, []bool{false, false}},
		{[][]byte{base, newer}, []bool{false, true}},
		{[][]byte{base, newer, model}, []bool{false, false, false}},
	} {
		img := newFiled(fx.New(step.layers...))
		if r := run(t, img, opts); r.ExitCode != 0 {
			t.Fatalf("exit %d: %+v", r.ExitCode, r.Error)
		}
		for i, want := range step.opened {
			if got := img.opened[i].Load() > 0; got != want {
				t.Errorf("layer %d of %d was opened: %v, want %v", i, len(step.layers), got, want)
			}
		}
	}
}

func TestProgressTellsBytes(t *testing.T) {
	t.Parallel()
	opts := options(t, PolicyDefault)
	var steps []Progress
	opts.Progress = func(p Progress) { steps = append(steps, p) }
	img := fx.New(fx.Tar(fx.Good()...), fx.Tar(fx.File("opt/model", strings.Repeat("m", 3*tellEvery))))
	r := run(t, img, opts)
	if len(steps) < 4 {
		t.Fatalf("%d steps of a layer of %d bytes", len(steps), len(img.Stored[1]))
	}
	last := Progress{}
	for _, p := range steps {
		if p.Done < last.Done || p.ReadBytes < last.ReadBytes || p.Total != 2 {
			t.Errorf("%+v follows %+v", p, last)
		}
		last = p
	}
	if want := int64(len(img.Stored[0]) + len(img.Stored[1])); last.Done != 2 || last.ReadBytes != want || r.Timing.ReadBytes != want {
		t.Errorf("the last is %+v, the report says %+v, want %d bytes", last, r.Timing, want)
	}
}

// TestTheBudgetIsOfTheWholeImage puts into each of many layers what one may have.
func TestTheBudgetIsOfTheWholeImage(t *testing.T) {
	t.Parallel()
	budget := layer.NewBudget()
	big := fx.File("usr/lib/python3.11/site-packages/x/direct_url.json", strings.Repeat("b", 15<<20))
	data := fx.Tar(big)
	for i := range 40 {
		s, err := layer.Read(t.Context(), "", bytes.NewReader(data), layer.Limits{Budget: budget})
		if err != nil {
			if i < 10 {
				t.Errorf("layer %d: %v", i, err)
			}
			return
		}
		if len(s.Entries) != 1 {
			t.Fatalf("%d entries", len(s.Entries))
		}
	}
	t.Error("600 MiB of metadata fit into the budget")
}
