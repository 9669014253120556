// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"iter"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const tagColumns = `repository, image, name, digest, moved_by, created, moved`

func readTag(scan scan) (*catalog.Tag, error) {
	g := &catalog.Tag{}
	return g, scan(&g.Repository, &g.Image, &g.Name, &g.Digest, &g.MovedBy, stamp{&g.Created}, stamp{&g.Moved})
}

// PutTag implements catalog.Tags.
func (t *tx) PutTag(g *catalog.Tag) error {
	added, err := t.exec(`INSERT INTO tag (`+tagColumns+`) SELECT repository, image, $3, digest, $5, CAST($6 AS BIGINT), CAST($6 AS BIGINT) FROM manifest
		WHERE repository = $1 AND image = $2 AND digest = $4 ON CONFLICT DO NOTHING`, g.Repository, g.Image, g.Name, g.Digest, g.MovedBy, micros(t.now))
	if added == 1 {
		g.Created, g.Moved = t.now, t.now
	}
	if err != nil || added == 1 {
		return err
	}
	if _, err := t.Manifest(g.Repository, g.Image, g.Digest); err != nil {
		return err
	}
	if err := t.leaveTag(g.Repository, g.Image, g.Name, g.Digest); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE tag SET digest = $4, moved_by = $5, moved = $6 WHERE repository = $1 AND image = $2 AND name = $3 AND digest <> $4`,
		g.Repository, g.Image, g.Name, g.Digest, g.MovedBy, micros(t.now)); err != nil {
		return err
	}
	stored, err := t.Tag(g.Repository, g.Image, g.Name)
	if err == nil {
		*g = *stored
	}
	return err
}

// leaveTag renews the lease of the manifest that a tag is about to leave for another digest: from now on nothing may name it.
func (t *tx) leaveTag(repository catalog.ID, image, name, digest string) error {
	_, err := t.exec(`UPDATE manifest SET leased = $5 WHERE repository = $1 AND image = $2 AND digest =
		(SELECT digest FROM tag WHERE repository = $1 AND image = $2 AND name = $3 AND digest <> $4)`, repository, image, name, digest, micros(t.now))
	return err
}

// Tag implements catalog.Tags.
func (t *tx) Tag(repository catalog.ID, image, name string) (*catalog.Tag, error) {
	g, found, err := one(t, readTag, `SELECT `+tagColumns+` FROM tag WHERE repository = $1 AND image = $2 AND name = $3`, repository, image, name)
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "image %s has no tag %s", image, name)
	}
	return g, err
}

// DeleteTag implements catalog.Tags.
func (t *tx) DeleteTag(repository catalog.ID, image, name string) error {
	if err := t.leaveTag(repository, image, name, ""); err != nil {
		return err
	}
	n, err := t.exec(`DELETE FROM tag WHERE repository = $1 AND image = $2 AND name = $3`, repository, image, name)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "image %s has no tag %s", image, name)
	}
	return err
}

// Tags implements catalog.Tags.
func (t *tx) Tags(repository catalog.ID, image, after string) iter.Seq2[*catalog.Tag, error] {
	if image == "" {
		return list(t, readTag, `SELECT `+tagColumns+` FROM tag WHERE repository = $1 AND name > $2 ORDER BY image, name`, repository, after)
	}
	return list(t, readTag, `SELECT `+tagColumns+` FROM tag WHERE repository = $1 AND image = $2 AND name > $3 ORDER BY name`, repository, image, after)
}
