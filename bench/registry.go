// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// registryRounds is how often each registry is measured; the first round warms up and does not count.
const registryRounds = 5

// onPlaces makes a bench of what measures firnd as a registry beside the durable limit and beside CNCF distribution. firnd asks for a
// login in every request, the others do not. Each bench has empty registries, so that none pays for what another left.
func onPlaces(measure func(context.Context, []*place) ([]measurement, error)) func(context.Context) ([]measurement, error) {
	return func(ctx context.Context) ([]measurement, error) {
		places, stop, err := startPlaces(ctx)
		if err != nil {
			return nil, err
		}
		defer stop()
		return measure(ctx, places)
	}
}

// turns measures every place in each round, in an order that changes, and compares the rates of firnd with the others. The ratio is
// the median of those of each round: what else the machine does falls on all. An aim of 0 leaves a comparison out.
func turns(name, unit string, places []*place, rounds int, limit, peer float64, rate func(*place) (float64, error)) ([]measurement, error) {
	seen := make([][]float64, len(places))
	for round := range rounds + 1 {
		for i := range places {
			at := (i + round) % len(places)
			if at == placeLimit && limit == 0 {
				continue
			}
			syscall.Sync() // nobody pays for what another has written
			x, err := rate(places[at])
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, places[at].name, err)
			}
			if round > 0 {
				seen[at] = append(seen[at], x)
			}
		}
	}
	var all []measurement
	for at, aim := range map[int]float64{placeLimit: limit, placeDistribution: peer} {
		if aim == 0 {
			continue
		}
		ratios := make([]float64, rounds)
		for i := range ratios {
			ratios[i] = seen[placeFirnd][i] / seen[at][i]
		}
		m := compared("registry_"+name+"_"+places[at].name, unit, median(seen[placeFirnd]), places[at].name, median(seen[at]),
			map[string]any{"ours": seen[placeFirnd], "theirs": seen[at], "ratios": ratios, "aim_ratio": aim})
		m.Ratio = median(ratios)
		all = append(all, m)
	}
	return all, nil
}

// content makes random bytes.
func content(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // it never fails
	return b
}

// marks makes content that was not there before.
var marks atomic.Uint64

// fresh changes content and gives its digest.
func fresh(content []byte) string {
	binary.BigEndian.PutUint64(content, marks.Add(1))
	return sha256Of(content)
}

func sha256Of(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// megabytes times something that moves bytes and gives MB/s.
func megabytes(size int, do func() error) (float64, error) {
	s, err := seconds(do)
	return float64(size) / 1e6 / s, err
}

// pushLarge pushes blobs of 512 MiB in both ways.
func pushLarge(ctx context.Context, places []*place) ([]measurement, error) {
	blob := content(512 << 20)
	push := func(send func(*place, string) error) func(*place) (float64, error) {
		return func(p *place) (float64, error) {
			digest := fresh(blob)
			return megabytes(len(blob), func() error { return send(p, digest) })
		}
	}
	stream, err := turns("push_patch", "MB/s", places, registryRounds, 0.8, 1,
		push(func(p *place, digest string) error { return p.pushStream(ctx, blob, digest) }))
	if err != nil {
		return nil, err
	}
	whole, err := turns("push_put", "MB/s", places, registryRounds, 0.8, 1,
		push(func(p *place, digest string) error { return p.pushWhole(ctx, blob, digest) }))
	return append(stream, whole...), err
}

// pullOne pulls one blob of 1 GiB by one client.
func pullOne(ctx context.Context, places []*place) ([]measurement, error) {
	return pulls(ctx, "pull_1", places, 1<<30, 1, 0.9)
}

// pullEight pulls eight blobs of 256 MiB by eight clients at once.
func pullEight(ctx context.Context, places []*place) ([]measurement, error) {
	return pulls(ctx, "pull_8", places, 256<<20, 8, 0.9)
}

func pulls(ctx context.Context, name string, places []*place, size, clients int, aim float64) ([]measurement, error) {
	blob := content(size)
	digests := make([]string, clients)
	for i := range digests {
		digests[i] = fresh(blob)
		for _, p := range places {
			if err := p.pushWhole(ctx, blob, digests[i]); err != nil {
				return nil, err
			}
		}
	}
	return turns(name, "MB/s", places, registryRounds, aim, aim, func(p *place) (float64, error) {
		return megabytes(size*clients, func() error {
			group, ctx := errgroup.WithContext(ctx)
			for _, digest := range digests {
				group.Go(func() error { return p.pull(ctx, digest) })
			}
			return group.Wait()
		})
	})
}

// smallLayer is the size of the config and of each layer of a small image, in bytes.
const smallLayer = 20_000

// pushImage pushes an image of a config and three small layers under a tag of its own, and gives that and the digest.
func pushImage(ctx context.Context, p *place, blob []byte) (tag, digest string, err error) {
	var digests [4]any
	for i := range digests {
		d := fresh(blob)
		if err := p.pushWhole(ctx, blob, d); err != nil {
			return "", "", err
		}
		digests[i] = d
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":20000,"digest":%q},"layers":[`+
		`{"mediaType":%[6]q,"size":20000,"digest":%[3]q},{"mediaType":%[6]q,"size":20000,"digest":%[4]q},{"mediaType":%[6]q,"size":20000,"digest":%[5]q}]}`,
		append([]any{manifestType}, append(digests[:], "application/vnd.oci.image.layer.v1.tar")...)...)
	tag = fmt.Sprintf("t%d", marks.Add(1))
	_, err = p.send(ctx, http.StatusCreated, http.MethodPut, "/manifests/"+tag, strings.NewReader(manifest), int64(len(manifest)), manifestType)
	return tag, sha256Of([]byte(manifest)), err
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// smallImages pushes images of three small layers by eight clients.
func smallImages(ctx context.Context, places []*place) ([]measurement, error) {
	return smallImagesAs(ctx, "small_images", places)
}

// smallImagesSlow is smallImages on a slow disk.
func smallImagesSlow(ctx context.Context, places []*place) ([]measurement, error) {
	return smallImagesAs(ctx, "small_images_slow_disk", places)
}

func smallImagesAs(ctx context.Context, name string, places []*place) ([]measurement, error) {
	var blobs [8][]byte
	for i := range blobs {
		blobs[i] = content(smallLayer)
	}
	return turns(name, "/s", places, registryRounds, 0.6, 1.5, func(p *place) (float64, error) {
		return parallel(ctx, len(blobs), 3*time.Second, func(worker int) error {
			_, _, err := pushImage(ctx, p, blobs[worker])
			return err
		})
	})
}

// headManifest asks for a manifest by tag by sixteen clients.
func headManifest(ctx context.Context, places []*place) ([]measurement, error) {
	tags := map[*place]string{}
	for _, p := range places {
		tag, _, err := pushImage(ctx, p, content(smallLayer))
		if err != nil {
			return nil, err
		}
		tags[p] = tag
	}
	return turns("head_manifest", "/s", places, registryRounds, 0.5, 3, func(p *place) (float64, error) {
		return parallel(ctx, 16, 2*time.Second, func(int) error {
			_, err := p.send(ctx, http.StatusOK, http.MethodHead, "/manifests/"+tags[p], http.NoBody, 0, "")
			return err
		})
	})
}

// listTags times the listing of ten thousand tags, in pages as firnd gives them.
func listTags(ctx context.Context, places []*place) ([]measurement, error) {
	const count, most = 10_000, 100 // ms
	p := places[placeFirnd]
	_, digest, err := pushImage(ctx, p, content(smallLayer))
	if err != nil {
		return nil, err
	}
	manifest, err := p.get(ctx, "/manifests/"+digest)
	if err != nil {
		return nil, err
	}
	for at := 1; at < count; { // one tag is there
		query := "/manifests/" + digest + "?"
		for range min(32, count-at) {
			query += fmt.Sprintf("tag=n%d&", at)
			at++
		}
		if _, err := p.send(ctx, http.StatusCreated, http.MethodPut, query, strings.NewReader(manifest), int64(len(manifest)), manifestType); err != nil {
			return nil, err
		}
	}
	var times []float64
	for range registryRounds + 1 {
		s, err := seconds(func() error { return p.allTags(ctx, count) })
		if err != nil {
			return nil, err
		}
		times = append(times, s*1000)
	}
	return []measurement{compared("registry_list_10000_tags", "ms", median(times[1:]), "aim", most, map[string]any{"ours_ms": times[1:], "aim_ratio": 1})}, nil
}

// registryMemory reads by how much sixteen open transfers, first pushes and then pulls, raise the memory of each registry at most.
func registryMemory(ctx context.Context, places []*place) ([]measurement, error) {
	const transfers, size, allowed = 16, 128 << 20, 64 + 16*0.524288 // MB
	blob := content(size)
	grown := make([]float64, len(places))
	for at, p := range places {
		before, err := residentMB(p.pid)
		if err != nil {
			return nil, err
		}
		most, done := make(chan float64), make(chan struct{})
		go func() { most <- peak(p.pid, done) }()
		digests := make([]string, transfers)
		group, inner := errgroup.WithContext(ctx)
		for i := range digests {
			own := blob[i<<10:] // so each has content of its own
			digests[i] = sha256Of(own)
			group.Go(func() error { return p.pushStream(inner, own, digests[i]) })
		}
		err = group.Wait()
		for _, digest := range digests {
			if err == nil {
				group.Go(func() error { return p.pull(ctx, digest) })
			}
		}
		if pulled := group.Wait(); err == nil {
			err = pulled
		}
		close(done)
		if grown[at] = <-most - before; err != nil {
			return nil, err
		}
	}
	detail := map[string]any{"transfers": transfers, "aim_ratio": 1, "limit_mb": grown[placeLimit], "distribution_mb": grown[placeDistribution]}
	return []measurement{
		compared("registry_memory", "MB", grown[placeFirnd], "aim", allowed, detail),
		compared("registry_memory_distribution", "MB", grown[placeFirnd], "distribution", grown[placeDistribution], nil),
	}, nil
}

// peak reads the memory of a process until done, and gives the most.
func peak(pid int, done <-chan struct{}) float64 {
	most := 0.0
	for {
		if mb, err := residentMB(pid); err == nil {
			most = max(most, mb)
		}
		select {
		case <-done:
			return most
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// scratch makes a directory that forget removes.
func scratch() (dir string, forget func(), err error) {
	dir, err = os.MkdirTemp("", "firn-bench-docker")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}
