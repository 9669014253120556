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
