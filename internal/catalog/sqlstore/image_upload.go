// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const uploadColumns columns = `id, repository, image, user_name, writer, key, body, received, hash_state, reserved, expires`

func readUpload(scan scan) (*catalog.Upload, error) {
	u := &catalog.Upload{}
	return u, scan(&u.ID, &u.Repository, &u.Image, &u.User, &u.Writer, &u.Key, &u.Body, &u.Offset, &u.Hash, &u.Reserved, stamp{&u.Expires})
}

// PutUpload implements catalog.Uploads.
func (t *tx) PutUpload(u *catalog.Upload) error {
	_, err := t.exec(`INSERT INTO upload (`+string(uploadColumns)+`) VALUES (`+uploadColumns.places()+`)
		ON CONFLICT (id) DO UPDATE SET writer = excluded.writer, body = excluded.body, received = excluded.received, hash_state = excluded.hash_state,
			reserved = excluded.reserved, expires = excluded.expires`,
		u.ID, u.Repository, u.Image, u.User, u.Writer, u.Key, u.Body, u.Offset, u.Hash, u.Reserved, micros(u.Expires))
	return err
}

// Upload implements catalog.Uploads.
func (t *tx) Upload(id catalog.ID) (*catalog.Upload, error) {
	u, found, err := one(t, readUpload, `SELECT `+string(uploadColumns)+` FROM upload WHERE id = $1`, id)
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "upload %s does not exist", id)
	}
	return u, err
}

// DeleteUpload implements catalog.Uploads.
func (t *tx) DeleteUpload(id catalog.ID) error {
	_, err := t.exec(`DELETE FROM upload WHERE id = $1`, id)
	return err
}

// ExpiredUploads implements catalog.Uploads.
func (t *tx) ExpiredUploads(before time.Time) iter.Seq2[*catalog.Upload, error] {
	return list(t, readUpload, `SELECT `+string(uploadColumns)+` FROM upload WHERE expires < $1 ORDER BY expires, id`, micros(before))
}
