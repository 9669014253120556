// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// StorageUsed implements catalog.ImageStorage.
func (t *tx) StorageUsed(repositories []catalog.ID) (int64, error) {
	f := ofRepositories(repositories)
	used, _, err := one(t, readNumber, `SELECT CAST(
		COALESCE((SELECT SUM(size) FROM blob WHERE digest IN (SELECT digest FROM image_blob`+f.where()+`)), 0) +
		COALESCE((SELECT SUM(LENGTH(body)) FROM manifest`+f.where()+`), 0) AS BIGINT)`, f.args...)
	return used, err
}

// StorageReserved implements catalog.ImageStorage.
func (t *tx) StorageReserved(repositories []catalog.ID, except catalog.ID) (int64, error) {
	f := ofRepositories(repositories)
	f.add("id <> ?", except)
	reserved, _, err := one(t, readNumber, `SELECT CAST(COALESCE(SUM(reserved), 0) AS BIGINT) FROM upload`+f.where(), f.args...)
	return reserved, err
}

// HoldsBlob implements catalog.ImageStorage.
func (t *tx) HoldsBlob(repositories []catalog.ID, digest string) (bool, error) {
	f := ofRepositories(repositories)
	f.add("digest = ?", digest)
	_, found, err := one(t, readText, `SELECT digest FROM image_blob`+f.where()+` LIMIT 1`, f.args...)
	return found, err
}

// ImageSize implements catalog.ImageStorage. What is shared is found in two ways: another image of the repository holds the blob, or
// a manifest of the same image names it that the tree does not have.
func (t *tx) ImageSize(repository catalog.ID, image, digest string) (catalog.ImageSize, error) {
	read := func(scan scan) (size catalog.ImageSize, err error) {
		return size, scan(&size.Bytes, &size.Shared, &size.SharedBytes)
	}
	size, _, err := one(t, read, `WITH RECURSIVE tree (digest) AS (
			SELECT digest FROM manifest WHERE repository = $1 AND image = $2 AND digest = $3
			UNION SELECT r.digest FROM manifest_ref AS r JOIN tree ON r.manifest = tree.digest WHERE r.repository = $1 AND r.image = $2 AND r.kind = 'child'
		), content (digest, size) AS (
			SELECT DISTINCT blob.digest, blob.size FROM tree JOIN manifest_ref AS r ON r.repository = $1 AND r.image = $2 AND r.manifest = tree.digest
				AND r.kind = 'blob' JOIN blob ON blob.digest = r.digest
		), marked (size, shared) AS (
			SELECT size, CASE
				WHEN EXISTS (SELECT 1 FROM image_blob AS o WHERE o.digest = content.digest AND o.repository = $1 AND o.image <> $2) THEN 1
				WHEN EXISTS (SELECT 1 FROM manifest_ref AS o WHERE o.repository = $1 AND o.image = $2 AND o.digest = content.digest
					AND o.kind = 'blob' AND o.manifest NOT IN (SELECT digest FROM tree)) THEN 1
				ELSE 0 END FROM content
		)
		SELECT CAST(COALESCE((SELECT SUM(LENGTH(body)) FROM manifest WHERE repository = $1 AND image = $2 AND digest IN (SELECT digest FROM tree)), -1)
				+ COALESCE(SUM(size), 0) AS BIGINT),
			CAST(COALESCE(SUM(shared), 0) AS BIGINT), CAST(COALESCE(SUM(shared * size), 0) AS BIGINT)
		FROM marked`, repository, image, digest)
	if err == nil && size.Bytes < 0 {
		return catalog.ImageSize{}, errs.New(errs.NotFound, "image %s has no manifest %s", image, digest)
	}
	return size, err
}
