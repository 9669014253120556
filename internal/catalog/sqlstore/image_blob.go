// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const blobColumns = `blob.digest, blob.size, blob.key, blob.body, blob.diff_id, blob.leased, blob.created, blob.lost`

func readBlob(scan scan) (*catalog.Blob, error) {
	b := &catalog.Blob{}
	return b, scan(&b.Digest, &b.Size, &b.Key, &b.Body, &b.DiffID, stamp{&b.Leased}, stamp{&b.Created}, stamp{&b.Lost})
}

// bareBlobColumns is blobColumns without the content.
const bareBlobColumns = `blob.digest, blob.size, blob.key, NULL, blob.diff_id, blob.leased, blob.created, blob.lost`

// PutBlob implements catalog.Blobs.
func (t *tx) PutBlob(b *catalog.Blob) (*catalog.Blob, error) {
	added, err := t.exec(`INSERT INTO blob (digest, size, key, body, diff_id, leased, created) VALUES ($1, $2, $3, $4, $5, $6, $6)
		ON CONFLICT DO NOTHING`, b.Digest, b.Size, b.Key, b.Body, b.DiffID, micros(t.now))
	if err != nil {
		return nil, err
	}
	t.leased = b.Digest
	if added == 1 {
		kept := *b
		kept.Body, kept.Leased, kept.Created, kept.Lost = nil, t.now, t.now, time.Time{}
		return &kept, nil
	}
	kept, _, err := one(t, readBlob, `UPDATE blob SET leased = $2 WHERE digest = $1 RETURNING `+bareBlobColumns, b.Digest, micros(t.now))
	return kept, err
}

// Blob implements catalog.Blobs.
func (t *tx) Blob(digest string) (*catalog.Blob, error) {
	b, found, err := one(t, readBlob, `SELECT `+blobColumns+` FROM blob WHERE digest = $1`, digest)
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "blob %s does not exist", digest)
	}
	return b, err
}

// SetDiffID implements catalog.Blobs.
func (t *tx) SetDiffID(digest, diffID string) error {
	n, err := t.exec(`UPDATE blob SET diff_id = $2 WHERE digest = $1`, digest, diffID)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "blob %s does not exist", digest)
	}
	return err
}

// RestoreBlob implements catalog.Blobs.
func (t *tx) RestoreBlob(b *catalog.Blob, from string) error {
	stored, err := t.Blob(b.Digest)
	if err != nil {
		return err
	}
	if stored.Key != from {
		return errs.New(errs.Conflict, "blob %s is not under key %q but %q", b.Digest, from, stored.Key)
	}
	_, err = t.exec(`UPDATE blob SET key = $2, body = $3, lost = 0 WHERE digest = $1`, b.Digest, b.Key, b.Body)
	return err
}

// LinkBlob implements catalog.Blobs. Whether repository and blob are there is looked at only when nothing could be linked. What the
// transaction has just put is there and has its lease.
func (t *tx) LinkBlob(repository catalog.ID, image, digest string) error {
	if t.leased == digest && t.repository == repository { // both are there
		_, err := t.exec(`INSERT INTO image_blob (repository, image, digest) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, repository, image, digest)
		return err
	}
	linked, err := t.exec(`INSERT INTO image_blob (repository, image, digest) SELECT object.id, $2, blob.digest FROM object, blob
		WHERE object.id = $1 AND object.kind = $4 AND blob.digest = $3 ON CONFLICT DO NOTHING`, repository, image, digest, catalog.KindImageRepository)
	if err == nil && linked == 0 {
		err = t.hasRepository(repository)
	}
	if err != nil {
		return err
	}
	n, err := t.exec(`UPDATE blob SET leased = $2 WHERE digest = $1`, digest, micros(t.now))
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "blob %s does not exist", digest)
	}
	return err
}

// hasRepository tells whether the repository of an image is there: a foreign key that fails would doom the transaction.
func (t *tx) hasRepository(repository catalog.ID) error {
	if t.repository == repository {
		return nil
	}
	_, found, err := one(t, readID, `SELECT id FROM object WHERE id = $1 AND kind = $2`, repository, catalog.KindImageRepository)
	if err == nil && !found {
		return errs.New(errs.NotFound, "there is no image repository with id %s any more", repository)
	}
	if err == nil {
		t.repository = repository
	}
	return err
}

// LinkedBlob implements catalog.Blobs.
func (t *tx) LinkedBlob(repository catalog.ID, image, digest string) (*catalog.Blob, error) {
	b, found, err := one(t, readBlob, `SELECT `+blobColumns+` FROM image_blob JOIN blob ON blob.digest = image_blob.digest
		WHERE image_blob.repository = $1 AND image_blob.image = $2 AND image_blob.digest = $3`, repository, image, digest)
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "image %s has no blob %s", image, digest)
	}
	return b, err
}

// UnlinkBlob implements catalog.Blobs.
func (t *tx) UnlinkBlob(repository catalog.ID, image, digest string) error {
	needs, found, err := one(t, readText, `SELECT manifest FROM manifest_ref
		WHERE repository = $1 AND image = $2 AND digest = $3 AND kind = 'blob' ORDER BY manifest LIMIT 1`, repository, image, digest)
	if err != nil {
		return err
	}
	if found {
		return errs.New(errs.Refused, "blob %s is needed by manifest %s of image %s: delete that first", digest, needs, image)
	}
	n, err := t.exec(`DELETE FROM image_blob WHERE repository = $1 AND image = $2 AND digest = $3`, repository, image, digest)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "image %s has no blob %s", image, digest)
	}
	return err
}

// BlobRepositories implements catalog.Blobs.
func (t *tx) BlobRepositories(digest string) iter.Seq2[catalog.ID, error] {
	return list(t, readID,
		`SELECT DISTINCT repository FROM image_blob WHERE digest = $1 ORDER BY repository`, digest)
}
