// SPDX-License-Identifier: Apache-2.0

package catalogtest_test

import (
	"iter"
	"slices"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// brokenImages breaks one promise of images each.
func brokenImages() map[string]func(catalog.Store) catalog.Store {
	all := map[string]func(catalog.Store) catalog.Store{}
	for check, spoil := range spoiledImages() {
		all[check] = onTx(func(tx catalog.Tx) catalog.Tx {
			t := &imagesTx{
				Tx: tx, putBlob: tx.PutBlob, linkedBlob: tx.LinkedBlob, putManifest: tx.PutManifest,
				referrers: tx.Referrers, holders: tx.ManifestHolders, putTag: tx.PutTag, tags: tx.Tags, putUpload: tx.PutUpload, dropObject: tx.DropObject,
			}
			spoil(t)
			return t
		})
	}
	return all
}

// imagesTx is a transaction with some methods replaced.
type imagesTx struct {
	catalog.Tx
	putBlob     func(*catalog.Blob) (*catalog.Blob, error)
	linkedBlob  func(catalog.ID, string, string) (*catalog.Blob, error)
	putManifest func(*catalog.Manifest) error
	referrers   func(catalog.ID, string, string) iter.Seq2[*catalog.Manifest, error]
	holders     func(catalog.ID, string, string) ([]string, error)
	putTag      func(*catalog.Tag) error
	tags        func(catalog.ID, string, string) iter.Seq2[*catalog.Tag, error]
	putUpload   func(*catalog.Upload) error
	dropObject  func(catalog.ID) error
}

func (t *imagesTx) PutBlob(b *catalog.Blob) (*catalog.Blob, error) { return t.putBlob(b) }
func (t *imagesTx) LinkedBlob(r catalog.ID, image, digest string) (*catalog.Blob, error) {
	return t.linkedBlob(r, image, digest)
}
func (t *imagesTx) PutManifest(m *catalog.Manifest) error { return t.putManifest(m) }
func (t *imagesTx) Referrers(r catalog.ID, image, digest string) iter.Seq2[*catalog.Manifest, error] {
	return t.referrers(r, image, digest)
}
func (t *imagesTx) ManifestHolders(r catalog.ID, image, digest string) ([]string, error) {
	return t.holders(r, image, digest)
}
func (t *imagesTx) PutTag(g *catalog.Tag) error { return t.putTag(g) }
func (t *imagesTx) Tags(r catalog.ID, image, after string) iter.Seq2[*catalog.Tag, error] {
	return t.tags(r, image, after)
}
func (t *imagesTx) PutUpload(u *catalog.Upload) error { return t.putUpload(u) }
func (t *imagesTx) DropObject(id catalog.ID) error    { return t.dropObject(id) }

// spoiledImages gives, for each check of images, a method that is wrong.
func spoiledImages() map[string]func(*imagesTx) {
	return map[string]func(*imagesTx){
		"a blob exists once": func(t *imagesTx) {
			t.putBlob = func(b *catalog.Blob) (*catalog.Blob, error) {
				kept, err := t.Tx.PutBlob(b)
				if err == nil && kept.Key != b.Key {
					return kept, t.RestoreBlob(b, kept.Key)
				}
				return kept, err
			}
		},
		"a blob is visible in the images that hold it": func(t *imagesTx) {
			t.linkedBlob = func(_ catalog.ID, _, digest string) (*catalog.Blob, error) { return t.Blob(digest) }
		},
		"manifests come back as they were pushed": func(t *imagesTx) {
			t.putManifest = func(m *catalog.Manifest) error {
				sorted := *m
				sorted.Blobs = slices.Compact(slices.Sorted(slices.Values(m.Blobs)))
				err := t.Tx.PutManifest(&sorted)
				m.Created = sorted.Created
				return err
			}
		},
		"a manifest needs what it names": func(t *imagesTx) {
			t.putManifest = func(m *catalog.Manifest) error {
				bare := *m
				bare.Blobs = nil
				return t.Tx.PutManifest(&bare)
			}
		},
		"what is about a manifest is found": func(t *imagesTx) {
			t.referrers = func(r catalog.ID, _, digest string) iter.Seq2[*catalog.Manifest, error] {
				return t.Tx.Referrers(r, "else", digest)
			}
		},
		"manifests in use are not deleted": func(t *imagesTx) {
			t.holders = func(r catalog.ID, image, digest string) ([]string, error) {
				all, err := t.Tx.ManifestHolders(r, image, digest)
				return all[:min(1, len(all))], err
			}
		},
		"tags move": func(t *imagesTx) {
			t.putTag = func(g *catalog.Tag) error {
				if err := t.DeleteTag(g.Repository, g.Image, g.Name); err != nil && !errs.Is(err, errs.NotFound) {
					return err
				}
				return t.Tx.PutTag(g)
			}
		},
		"tags are listed in byte order": func(t *imagesTx) {
			t.tags = func(r catalog.ID, image, _ string) iter.Seq2[*catalog.Tag, error] { return t.Tx.Tags(r, image, "") }
		},
		"uploads make progress and expire": func(t *imagesTx) {
			t.putUpload = func(u *catalog.Upload) error {
				if _, err := t.Upload(u.ID); err == nil {
					return nil
				}
				return t.Tx.PutUpload(u)
			}
		},
		"a dropped repository takes its images along": func(t *imagesTx) {
			t.dropObject = func(id catalog.ID) error {
				if err := t.DeleteUpload("u1"); err != nil {
					return err
				}
				return t.Tx.DropObject(id)
			}
		},
	}
}
