// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// live begins a statement whose $1 is the time before. live has the used manifests, kept the used links of images to blobs.
// $2 is the time of the transaction.
const live = `WITH RECURSIVE
	leads (repository, image, digest, target) AS (
		SELECT repository, image, manifest, digest FROM manifest_ref WHERE kind = 'child'
		UNION ALL SELECT repository, image, subject, digest FROM manifest WHERE subject <> ''),
	live (repository, image, digest) AS (
		SELECT repository, image, digest FROM tag
		UNION SELECT repository, image, digest FROM manifest WHERE leased >= $1
		UNION SELECT leads.repository, leads.image, leads.target FROM live JOIN leads
			ON leads.repository = live.repository AND leads.image = live.image AND leads.digest = live.digest),
	needed (repository, image, digest) AS (
		SELECT DISTINCT r.repository, r.image, r.digest FROM manifest_ref AS r JOIN live
			ON live.repository = r.repository AND live.image = r.image AND live.digest = r.manifest WHERE r.kind = 'blob'),
	pushed (repository, image) AS (SELECT DISTINCT repository, image FROM upload WHERE expires >= $2)
`

// behindLinks is what a link of an image to a blob is judged by.
const behindLinks = ` FROM image_blob AS l JOIN blob ON blob.digest = l.digest
	LEFT JOIN needed ON needed.repository = l.repository AND needed.image = l.image AND needed.digest = l.digest
	LEFT JOIN pushed ON pushed.repository = l.repository AND pushed.image = l.image
	WHERE `

func readUnused(scan scan) (u catalog.Unused, err error) {
	return u, scan(&u.Repository, &u.Image, &u.Digest, &u.Size)
}

// RenewHeld implements catalog.Garbage.
func (t *tx) RenewHeld(before time.Time) error {
	account, err := t.account()
	if err != nil {
		return err
	}
	_, err = t.exec(`UPDATE manifest SET leased = $1 WHERE leased < $2 AND digest IN
		(SELECT digest FROM job WHERE digest <> '' AND (completed = 0 OR completed > $3))`,
		micros(t.now), micros(before), micros(t.now.Add(-account.JobHold())))
	if err != nil {
		return err
	}
	_, err = t.exec(`UPDATE manifest SET leased = $1 WHERE leased < $2 AND (repository, image, digest) IN
		(SELECT repository, image, digest FROM environment_history WHERE ended > $3
		UNION SELECT repository, image, tag_digest FROM environment_history WHERE ended > $3)`,
		micros(t.now), micros(before), micros(t.now.Add(-account.HistoryHold())))
	if err != nil {
		return err
	}
	for o, err := range t.Objects(catalog.KindRuntimeEnvironment, catalog.Name{}) {
		if err != nil {
			return err
		}
		s := o.Spec.(*catalog.RuntimeEnvironmentSpec)
		_, err = t.exec(`UPDATE manifest SET leased = $1 WHERE leased < $2 AND repository = $3 AND image = $4 AND digest IN ($5, $6)`,
			micros(t.now), micros(before), s.Repository, s.Image, s.Digest, s.TagDigest)
		if err != nil {
			return err
		}
	}
	return nil
}

// UnusedManifests implements catalog.Garbage.
func (t *tx) UnusedManifests(before time.Time) iter.Seq2[catalog.Unused, error] {
	return list(t, readUnused, live+`SELECT m.repository, m.image, m.digest, LENGTH(m.body) FROM manifest AS m
		LEFT JOIN live ON live.repository = m.repository AND live.image = m.image AND live.digest = m.digest
		WHERE live.digest IS NULL AND $2 = $2 ORDER BY m.repository, m.image, m.digest`, micros(before), micros(t.now))
}

// UnusedLinks implements catalog.Garbage.
func (t *tx) UnusedLinks(before time.Time) iter.Seq2[catalog.Unused, error] {
	return list(t, readUnused, live+`SELECT l.repository, l.image, l.digest, blob.size`+behindLinks+`blob.leased < $1
		AND needed.digest IS NULL AND pushed.image IS NULL ORDER BY l.repository, l.image, l.digest`, micros(before), micros(t.now))
}

// UnusedBlobs implements catalog.Garbage.
func (t *tx) UnusedBlobs(before time.Time) iter.Seq2[*catalog.Blob, error] {
	read := func(scan scan) (*catalog.Blob, error) {
		b := &catalog.Blob{}
		return b, scan(&b.Digest, &b.Size, &b.Key, &b.DiffID, stamp{&b.Leased}, stamp{&b.Created})
	}
	return list(t, read, live+`, kept (digest) AS (SELECT DISTINCT l.digest`+behindLinks+`needed.digest IS NOT NULL OR pushed.image IS NOT NULL)
		SELECT b.digest, b.size, b.key, b.diff_id, b.leased, b.created FROM blob AS b LEFT JOIN kept ON kept.digest = b.digest
		WHERE b.leased < $1 AND kept.digest IS NULL ORDER BY b.digest`, micros(before), micros(t.now))
}

// CollectManifest implements catalog.Garbage.
func (t *tx) CollectManifest(u catalog.Unused, before time.Time) (bool, error) {
	n, err := t.exec(`DELETE FROM manifest WHERE repository = $1 AND image = $2 AND digest = $3 AND leased < $4
		AND NOT EXISTS (SELECT 1 FROM tag WHERE tag.repository = $1 AND tag.image = $2 AND tag.digest = $3)
		AND NOT EXISTS (SELECT 1 FROM manifest_ref AS r WHERE r.repository = $1 AND r.image = $2 AND r.digest = $3 AND r.kind = 'child')
		AND NOT EXISTS (SELECT 1 FROM manifest AS s WHERE s.repository = $1 AND s.image = $2 AND s.digest = manifest.subject)`,
		u.Repository, u.Image, u.Digest, micros(before))
	return n > 0, err
}

// CollectLink implements catalog.Garbage.
func (t *tx) CollectLink(u catalog.Unused, before time.Time) (bool, error) {
	n, err := t.exec(`DELETE FROM image_blob WHERE repository = $1 AND image = $2 AND digest = $3
		AND EXISTS (SELECT 1 FROM blob WHERE blob.digest = $3 AND blob.leased < $4)
		AND NOT EXISTS (SELECT 1 FROM manifest_ref AS r WHERE r.repository = $1 AND r.image = $2 AND r.digest = $3 AND r.kind = 'blob')
		AND NOT EXISTS (SELECT 1 FROM upload WHERE upload.repository = $1 AND upload.image = $2 AND upload.expires >= $5)`,
		u.Repository, u.Image, u.Digest, micros(before), micros(t.now))
	return n > 0, err
}

// CollectBlob implements catalog.Garbage.
func (t *tx) CollectBlob(digest, key string, before time.Time) (bool, error) {
	t.leased = ""
	n, err := t.exec(`DELETE FROM blob WHERE digest = $1 AND key = $2 AND leased < $3
		AND NOT EXISTS (SELECT 1 FROM image_blob WHERE image_blob.digest = $1)`, digest, key, micros(before))
	return n > 0, err
}

// TakeDuty implements catalog.Duties.
func (t *tx) TakeDuty(name, holder string, until, since time.Time) error {
	d, err := t.Duty(name)
	switch {
	case errs.Is(err, errs.NotFound):
	case err != nil:
		return err
	case d.Holder != holder && t.now.Before(d.Until):
		return errs.New(errs.Conflict, "%s is done by %s at the moment", name, d.Holder)
	case !since.IsZero() && !d.Done.Before(since):
		return errs.New(errs.Conflict, "%s was done at %s", name, d.Done.Format(time.RFC3339))
	}
	_, err = t.exec(`INSERT INTO duty (name, holder, held_until, done) VALUES ($1, $2, $3, 0)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until`, name, holder, micros(until))
	return err
}

// EndDuty implements catalog.Duties.
func (t *tx) EndDuty(name, holder string, done bool) error {
	_, err := t.exec(`UPDATE duty SET held_until = 0, done = CASE WHEN $3 = 1 THEN $4 ELSE done END WHERE name = $1 AND holder = $2`,
		name, holder, number(done), micros(t.now))
	return err
}

// Duty implements catalog.Duties.
func (t *tx) Duty(name string) (catalog.Duty, error) {
	d, found, err := one(t, func(scan scan) (d catalog.Duty, err error) {
		return d, scan(&d.Name, &d.Holder, stamp{&d.Until}, stamp{&d.Done})
	}, `SELECT name, holder, held_until, done FROM duty WHERE name = $1`, name)
	if err == nil && !found {
		return d, errs.New(errs.NotFound, "nobody has ever done %s", name)
	}
	return d, err
}
