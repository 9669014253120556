// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// mount makes a blob visible in the image of the request when the identity may pull it elsewhere: from the image named, or
// from any when none is. What the token was asked for does not matter, what the identity may do does.
func (g *Registry) mount(r *request, digest, from string) (mounted bool, err error) {
	if digest == "" {
		return false, nil
	}
	if err := checkDigest(digest); err != nil {
		return false, err
	}
	err = g.Catalog.Update(r.Context(), func(tx catalog.Tx) error {
		mounted = false
		target, err := g.repository(tx, r.id, r.repository, catalog.Write)
		if err != nil {
			return err
		}
		if readable, err := g.mayMount(tx, r, digest, from); err != nil || !readable {
			return err
		}
		b, err := tx.Blob(digest)
		if err != nil || !b.Lost.IsZero() { // what is lost is to be sent
			return err
		}
		at, err := placeOf(tx, target)
		if err != nil {
			return err
		}
		if err := fits(tx, at, digest, "", b.Size); err != nil {
			return err
		}
		mounted = true
		return tx.LinkBlob(target.ID, r.image, digest)
	})
	return mounted, err
}

// mayMount tells whether the identity may pull the blob from where it is.
func (g *Registry) mayMount(tx catalog.Tx, r *request, digest, from string) (bool, error) {
	if from != "" {
		source, err := parseRoute("/v2/" + from + "/blobs/" + digest)
		if err != nil {
			return false, nil // a source that cannot exist mounts nothing; the client sends the blob
		}
		repository, err := g.repository(tx, r.id, source.repository, catalog.Read)
		if err == nil {
			_, err = tx.LinkedBlob(repository.ID, source.image, digest)
		}
		return err == nil, unlessMissing(err)
	}
	for id, err := range tx.BlobRepositories(digest) {
		if err != nil {
			return false, err
		}
		repository, err := tx.ObjectByID(id)
		if err == nil {
			_, err = g.repository(tx, r.id, repository.Name, catalog.Read)
		}
		if err == nil || !errs.Is(err, errs.NotFound) {
			return err == nil, err
		}
	}
	return false, nil
}

// unlessMissing gives nil for what is not there or may not be seen.
func unlessMissing(err error) error {
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}
