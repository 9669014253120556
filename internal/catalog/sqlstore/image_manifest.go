// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// What a manifest_ref points to.
const (
	refBlob  = "blob"
	refChild = "child"
)

const manifestColumns columns = `repository, image, digest, media_type, artifact_type, subject, annotations, body, blobs, children, pushed_by, created, leased`

func readManifest(scan scan) (*catalog.Manifest, error) {
	m := &catalog.Manifest{}
	err := scan(&m.Repository, &m.Image, &m.Digest, &m.MediaType, &m.ArtifactType, &m.Subject, documentColumn{&m.Annotations}, &m.Body,
		documentColumn{&m.Blobs}, documentColumn{&m.Children}, &m.PushedBy, stamp{&m.Created}, stamp{&m.Leased})
	return m, err
}

// PutManifest implements catalog.Manifests.
func (t *tx) PutManifest(m *catalog.Manifest) error {
	if err := t.writable(); err != nil {
		return err
	}
	created, stored, err := one(t, readStamp, `UPDATE manifest SET leased = $4, body = $5 WHERE repository = $1 AND image = $2 AND digest = $3 RETURNING created`,
		m.Repository, m.Image, m.Digest, micros(t.now), m.Body)
	if stored {
		m.Created, m.Leased = created, t.now
	}
	if err != nil || stored {
		return err
	}
	if err := t.hasRepository(m.Repository); err != nil {
		return err
	}
	if err := t.holdsBlobs(m); err != nil {
		return err
	}
	if err := t.addManifest(m); err != nil {
		return err
	}
	if err := t.addRefs(m, refBlob, m.Blobs); err != nil {
		return err
	}
	return t.addRefs(m, refChild, m.Children)
}

// addManifest adds the row of a manifest.
func (t *tx) addManifest(m *catalog.Manifest) error {
	args := []any{m.Repository, m.Image, m.Digest, m.MediaType, m.ArtifactType, m.Subject}
	annotations, err := document(m.Annotations)
	if err != nil {
		return err
	}
	args = append(args, annotations, m.Body)
	for _, digests := range [][]string{m.Blobs, m.Children} {
		text, err := document(digests)
		if err != nil {
			return err
		}
		args = append(args, text)
	}
	m.Created, m.Leased = t.now, t.now
	_, err = t.exec(`INSERT INTO manifest (`+string(manifestColumns)+`) VALUES (`+manifestColumns.places()+`)`, append(args, m.PushedBy, micros(t.now), micros(t.now))...)
	return err
}

// holdsBlobs tells whether the image holds the blobs that the manifest names.
func (t *tx) holdsBlobs(m *catalog.Manifest) error {
	missing := map[string]bool{}
	for _, digest := range m.Blobs {
		missing[digest] = true
	}
	for digests := range slices.Chunk(slices.Sorted(maps.Keys(missing)), rowsMax) {
		args := []any{m.Repository, m.Image}
		for _, digest := range digests {
			args = append(args, digest)
		}
		for digest, err := range list(t, readText, `SELECT digest FROM image_blob WHERE repository = $1 AND image = $2 AND digest IN (`+places(3, len(args))+`)`, args...) {
			if err != nil {
				return err
			}
			delete(missing, digest)
		}
	}
	for _, digest := range m.Blobs {
		if missing[digest] {
			return errs.New(errs.NotFound, "image %s has no blob %s, which the manifest names: push it first", m.Image, digest)
		}
	}
	return nil
}

// rowsMax bounds the values of one statement that has many.
const rowsMax = 100

// addRefs adds the references of a manifest; a layer may occur twice.
func (t *tx) addRefs(m *catalog.Manifest, kind string, digests []string) error {
	for digests := range slices.Chunk(digests, rowsMax) {
		args, rows := []any{m.Repository, m.Image, m.Digest, kind}, []string{}
		for _, digest := range digests {
			args = append(args, digest)
			rows = append(rows, "($1, $2, $3, $4, $"+strconv.Itoa(len(args))+")")
		}
		_, err := t.exec(`INSERT INTO manifest_ref (repository, image, manifest, kind, digest) VALUES `+strings.Join(rows, ", ")+` ON CONFLICT DO NOTHING`, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// Manifest implements catalog.Manifests.
func (t *tx) Manifest(repository catalog.ID, image, digest string) (*catalog.Manifest, error) {
	m, found, err := one(t, readManifest, `SELECT `+string(manifestColumns)+` FROM manifest WHERE repository = $1 AND image = $2 AND digest = $3`, repository, image, digest)
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "image %s has no manifest %s", image, digest)
	}
	return m, err
}

// RenewManifest implements catalog.Manifests.
func (t *tx) RenewManifest(repository catalog.ID, image, digest string) error {
	n, err := t.exec(`UPDATE manifest SET leased = $4 WHERE repository = $1 AND image = $2 AND digest = $3`, repository, image, digest, micros(t.now))
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "image %s has no manifest %s", image, digest)
	}
	return err
}

// DeleteManifest implements catalog.Manifests.
func (t *tx) DeleteManifest(repository catalog.ID, image, digest string) error {
	if _, err := t.Manifest(repository, image, digest); err != nil {
		return err
	}
	holders, err := t.ManifestHolders(repository, image, digest)
	if err != nil {
		return err
	}
	for index, err := range list(t, readText, `SELECT manifest FROM manifest_ref
		WHERE repository = $1 AND image = $2 AND digest = $3 AND kind = 'child' ORDER BY manifest`, repository, image, digest) {
		if err != nil {
			return err
		}
		holders = append(holders, "index "+index)
	}
	if len(holders) > 0 {
		slices.Sort(holders)
		hint := ""
		if slices.ContainsFunc(holders, func(h string) bool { return strings.HasPrefix(h, "job ") }) {
			account, err := t.account()
			if err != nil {
				return err
			}
			hint = fmt.Sprintf("; a job holds its image until %d days after its end", int(account.JobHold().Hours()/24))
		}
		return errs.New(errs.Refused, "manifest %s of image %s is in use by %s%s", digest, image, strings.Join(holders, ", "), hint)
	}
	if _, err := t.exec(`UPDATE manifest SET leased = $4 WHERE repository = $1 AND image = $2 AND digest IN
		(SELECT digest FROM manifest_ref WHERE repository = $1 AND image = $2 AND manifest = $3 AND kind = 'child')`,
		repository, image, digest, micros(t.now)); err != nil {
		return err
	}
	_, err = t.exec(`DELETE FROM manifest WHERE repository = $1 AND image = $2 AND digest = $3`, repository, image, digest)
	return err
}

// Referrers implements catalog.Manifests.
func (t *tx) Referrers(repository catalog.ID, image, digest string) iter.Seq2[*catalog.Manifest, error] {
	return list(t, readManifest, `SELECT `+string(manifestColumns)+` FROM manifest
		WHERE repository = $1 AND image = $2 AND subject = $3 AND subject <> '' ORDER BY digest`, repository, image, digest)
}

// ImageNames implements catalog.Manifests.
func (t *tx) ImageNames(repository catalog.ID) iter.Seq2[string, error] {
	return list(t, readText, `SELECT DISTINCT image FROM manifest WHERE repository = $1 ORDER BY image`, repository)
}

// ManifestHolders implements catalog.Manifests.
func (t *tx) ManifestHolders(repository catalog.ID, image, digest string) ([]string, error) {
	var holders []string
	for o, err := range t.Objects(catalog.KindRuntimeEnvironment, catalog.Name{}) {
		if err != nil {
			return nil, err
		}
		spec := o.Spec.(*catalog.RuntimeEnvironmentSpec)
		if spec.Repository == repository && (digest == "" || spec.Image == image && (spec.Digest == digest || spec.TagDigest == digest)) {
			holders = append(holders, "custom runtime environment "+o.Name.String())
		}
	}
	account, err := t.account()
	if err != nil {
		return nil, err
	}
	if digest != "" {
		past, err := t.historyHolding(repository, image, digest, account.HistoryHold())
		if err != nil {
			return nil, err
		}
		holders = append(holders, past...)
	}
	jobs, err := t.jobsHolding(repository, digest, account.JobHold())
	if err != nil {
		return nil, err
	}
	holders = append(holders, jobs...)
	slices.Sort(holders)
	return holders, nil
}

// jobsHolding names the jobs that need a manifest of the repository, or with digest "" any. The digest of a job does not say where
// its image is, so the repository must have it. hold is for how long after their end.
func (t *tx) jobsHolding(repository catalog.ID, digest string, hold time.Duration) ([]string, error) {
	here := ` AND EXISTS (SELECT 1 FROM manifest WHERE manifest.digest = job.digest AND manifest.repository = $1)`
	jobs := list(t, readID, `SELECT id FROM job WHERE digest <> '' AND completed = 0`+here, repository)
	if digest != "" {
		jobs = list(t, readID, `SELECT id FROM job WHERE digest <> '' AND digest = $2 AND (completed = 0 OR completed > $3)`+here,
			repository, digest, micros(t.now.Add(-hold)))
	}
	var names []string
	for id, err := range jobs {
		if err != nil {
			return nil, err
		}
		names = append(names, "job "+string(id))
	}
	return names, nil
}
