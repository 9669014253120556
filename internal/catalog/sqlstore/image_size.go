// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"iter"

	"firn.dev/firn/internal/catalog"
)

// stock is what a repository holds, read at once: asking for each image by itself would read most of it each time.
type stock struct {
	manifests []catalog.ImageSize            // in order, Bytes being those of the manifest alone
	children  map[string]map[string][]string // image -> manifest -> digests of its manifests
	blobs     map[string]map[string][]string // image -> manifest -> digests of its blobs
	named     map[string]map[string]int      // image -> blob -> number of manifests that name it
	size      map[string]int64               // of blobs
	images    map[string]int                 // blob -> number of images that hold it
}

// ImageSizes implements catalog.ImageStorage.
func (t *tx) ImageSizes(repository catalog.ID) iter.Seq2[catalog.ImageSize, error] {
	return func(yield func(catalog.ImageSize, error) bool) {
		s, err := t.stockOf(repository)
		if err != nil {
			yield(catalog.ImageSize{}, err)
			return
		}
		own := map[string]map[string]int64{}
		for _, m := range s.manifests {
			child(own, m.Image)[m.Digest] = m.Bytes
		}
		for _, m := range s.manifests {
			if !yield(s.measure(m.Image, m.Digest, own[m.Image]), nil) {
				return
			}
		}
	}
}

// stockOf reads what a repository holds.
func (t *tx) stockOf(repository catalog.ID) (*stock, error) {
	s := &stock{
		children: map[string]map[string][]string{}, blobs: map[string]map[string][]string{}, named: map[string]map[string]int{}, size: map[string]int64{},
		images: map[string]int{},
	}
	readManifestSize := func(row scan) (m catalog.ImageSize, err error) { return m, row(&m.Image, &m.Digest, &m.Bytes) }
	for m, err := range list(t, readManifestSize, `SELECT image, digest, LENGTH(body) FROM manifest WHERE repository = $1 ORDER BY image, digest`, repository) {
		if err != nil {
			return nil, err
		}
		s.manifests = append(s.manifests, m)
	}
	type ref struct{ image, manifest, kind, digest string }
	readRef := func(row scan) (r ref, err error) { return r, row(&r.image, &r.manifest, &r.kind, &r.digest) }
	for r, err := range list(t, readRef, `SELECT image, manifest, kind, digest FROM manifest_ref WHERE repository = $1`, repository) {
		if err != nil {
			return nil, err
		}
		if r.kind == refChild {
			child(s.children, r.image)[r.manifest] = append(s.children[r.image][r.manifest], r.digest)
			continue
		}
		child(s.blobs, r.image)[r.manifest] = append(s.blobs[r.image][r.manifest], r.digest)
		child(s.named, r.image)[r.digest]++
	}
	for b, err := range list(t, readManifestSize, `SELECT image_blob.image, blob.digest, blob.size FROM image_blob JOIN blob ON blob.digest = image_blob.digest
		WHERE image_blob.repository = $1`, repository) {
		if err != nil {
			return nil, err
		}
		s.size[b.Digest] = b.Bytes
		s.images[b.Digest]++
	}
	return s, nil
}

// child gives an inner map, which it makes when it is missing.
func child[V any](m map[string]map[string]V, key string) map[string]V {
	if m[key] == nil {
		m[key] = map[string]V{}
	}
	return m[key]
}

// measure tells how large a manifest with all that it leads to is. A blob is shared when another image holds it, or when a manifest of
// the image names it that is not among those.
func (s *stock) measure(image, digest string, own map[string]int64) catalog.ImageSize {
	size := catalog.ImageSize{Image: image, Digest: digest}
	seen, within := map[string]bool{digest: true}, map[string]int{} // manifests; how many of them name a blob
	for next := []string{digest}; len(next) > 0; next = next[1:] {
		size.Bytes += own[next[0]]
		for _, b := range s.blobs[image][next[0]] {
			within[b]++
		}
		for _, c := range s.children[image][next[0]] {
			if !seen[c] {
				seen[c] = true
				next = append(next, c)
			}
		}
	}
	for b, n := range within {
		size.Bytes += s.size[b]
		if s.images[b] > 1 || s.named[image][b] > n {
			size.Shared++
			size.SharedBytes += s.size[b]
		}
	}
	return size
}
