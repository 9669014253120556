// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"iter"

	"firn.dev/firn/internal/catalog"
)

// BlobsAfter implements catalog.Contents.
func (t *tx) BlobsAfter(digest string, limit int) iter.Seq2[*catalog.Blob, error] {
	return list(t, readBlob, `SELECT `+blobColumns+` FROM blob WHERE digest > $1 ORDER BY digest LIMIT $2`, digest, limit)
}

// ManifestsAfter implements catalog.Contents.
func (t *tx) ManifestsAfter(u catalog.Unused, limit int) iter.Seq2[*catalog.Manifest, error] {
	return list(t, readManifest, `SELECT `+string(manifestColumns)+` FROM manifest
		WHERE (repository, image, digest) > ($1, $2, $3) ORDER BY repository, image, digest LIMIT $4`, u.Repository, u.Image, u.Digest, limit)
}

// FilesAfter implements catalog.Contents.
func (t *tx) FilesAfter(stage catalog.ID, path string, limit int) iter.Seq2[*catalog.File, error] {
	return list(t, readFile, `SELECT `+string(fileColumns)+` FROM file WHERE (stage, path) > ($1, $2) ORDER BY stage, path LIMIT $3`, stage, path, limit)
}

// NamesKey implements catalog.Contents.
func (t *tx) NamesKey(key string) (bool, error) {
	_, found, err := one(t, readText, `SELECT key FROM blob WHERE key <> '' AND key = $1
		UNION ALL SELECT key FROM upload WHERE key = $1
		UNION ALL SELECT content FROM file WHERE content = $1
		UNION ALL SELECT content FROM orphan WHERE content = $1`, key)
	return found, err
}

// LoseBlob implements catalog.Contents.
func (t *tx) LoseBlob(digest, key string) error {
	_, err := t.exec(`UPDATE blob SET lost = $3 WHERE digest = $1 AND key = $2`, digest, key, micros(t.now))
	return err
}

// LacksContent implements catalog.Contents. Mostly no blob is lost, which the index of lost ones tells at once.
func (t *tx) LacksContent(repository catalog.ID, image, digest string) (bool, error) {
	_, found, err := one(t, readText, `WITH RECURSIVE below (digest) AS (
			SELECT digest FROM manifest WHERE repository = $1 AND image = $2 AND digest = $3
			UNION SELECT r.digest FROM below JOIN manifest_ref AS r
				ON r.repository = $1 AND r.image = $2 AND r.manifest = below.digest AND r.kind = 'child')
		SELECT blob.digest FROM blob JOIN manifest_ref AS r ON r.repository = $1 AND r.image = $2 AND r.digest = blob.digest AND r.kind = 'blob'
		WHERE blob.lost <> 0 AND r.manifest IN (SELECT digest FROM below) LIMIT 1`, repository, image, digest)
	return found, err
}

// BlobLinks implements catalog.Contents.
func (t *tx) BlobLinks(digest string) iter.Seq2[catalog.Unused, error] {
	return list(t, readUnused, `SELECT repository, image, digest, 0 FROM image_blob WHERE digest = $1 ORDER BY repository, image`, digest)
}

// MissingBlobs implements catalog.Contents.
func (t *tx) MissingBlobs() iter.Seq2[catalog.Unused, error] {
	return list(t, readUnused, `SELECT r.repository, r.image, r.digest, 0 FROM manifest_ref AS r
		LEFT JOIN image_blob AS l ON l.repository = r.repository AND l.image = r.image AND l.digest = r.digest
		WHERE r.kind = 'blob' AND l.digest IS NULL ORDER BY r.repository, r.image, r.digest`)
}
