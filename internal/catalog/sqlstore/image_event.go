// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"fmt"
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const imageEventColumns columns = "id, at, repository, image, tag, digest, previous, kind, user_name, environment"

func readImageEvent(row scan) (e catalog.ImageEvent, err error) {
	return e, row(&e.ID, stamp{&e.Time}, &e.Repository, &e.Image, &e.Tag, &e.Digest, &e.Previous, &e.Kind, &e.User, &e.Environment)
}

// AddImageEvent implements catalog.ImageEvents.
func (t *tx) AddImageEvent(e catalog.ImageEvent) error {
	if err := t.hasRepository(e.Repository); err != nil {
		return err
	}
	if e.ID == "" {
		e.ID = t.newID()
	}
	if e.Time.IsZero() {
		e.Time = t.now
	}
	_, err := t.exec("INSERT INTO image_event ("+string(imageEventColumns)+") VALUES ("+imageEventColumns.places()+")",
		e.ID, micros(e.Time), e.Repository, e.Image, e.Tag, e.Digest, e.Previous, string(e.Kind), e.User, e.Environment)
	return err
}

// ImageEvents implements catalog.ImageEvents.
func (t *tx) ImageEvents(repositories []catalog.ID, limit int) iter.Seq2[catalog.ImageEvent, error] {
	f := ofRepositories(repositories)
	return list(t, readImageEvent, "SELECT "+string(imageEventColumns)+" FROM image_event"+f.where()+
		fmt.Sprintf(" ORDER BY at DESC, id DESC LIMIT %d", max(limit, 0)), f.args...)
}

// ofRepositories is the condition that a row belongs to one of the repositories.
func ofRepositories(repositories []catalog.ID) *filter {
	if repositories == nil {
		repositories = []catalog.ID{}
	}
	f := &filter{}
	oneOf(f, "repository", repositories)
	return f
}

// PurgeImageEvents implements catalog.ImageEvents.
func (t *tx) PurgeImageEvents(before time.Time) (int, error) {
	n, err := t.exec("DELETE FROM image_event WHERE at < $1", micros(before))
	return int(n), err
}

// PutImagePull implements catalog.ImageEvents.
func (t *tx) PutImagePull(p catalog.ImagePull) error {
	_, err := t.exec(`INSERT INTO image_pull (repository, image, digest, at, user_name)
		SELECT repository, image, digest, CAST($4 AS BIGINT), $5 FROM manifest WHERE repository = $1 AND image = $2 AND digest = $3
		ON CONFLICT (repository, image, digest) DO UPDATE SET at = excluded.at, user_name = excluded.user_name`,
		p.Repository, p.Image, p.Digest, micros(p.Time), p.User)
	return err
}

func readImagePull(row scan) (p catalog.ImagePull, err error) {
	return p, row(&p.Repository, &p.Image, &p.Digest, stamp{&p.Time}, &p.User)
}

// ImagePulls implements catalog.ImageEvents.
func (t *tx) ImagePulls(repository catalog.ID) iter.Seq2[catalog.ImagePull, error] {
	return list(t, readImagePull, `SELECT repository, image, digest, at, user_name FROM image_pull WHERE repository = $1 ORDER BY image, digest`, repository)
}

// ImagePull implements catalog.ImageEvents.
func (t *tx) ImagePull(repository catalog.ID, image, digest string) (catalog.ImagePull, error) {
	p, found, err := one(t, readImagePull, `SELECT repository, image, digest, at, user_name FROM image_pull
		WHERE repository = $1 AND image = $2 AND digest = $3`, repository, image, digest)
	if err == nil && !found {
		return p, errs.New(errs.NotFound, "manifest %s of image %s was never pulled", digest, image)
	}
	return p, err
}
