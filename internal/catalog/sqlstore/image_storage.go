// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"firn.dev/firn/internal/catalog"
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
