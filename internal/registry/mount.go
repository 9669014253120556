// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// mount makes a blob visible in the image of the request when the identity may pull it elsewhere: from the image named, or
// from any when none is. What the token was asked for does not matter, what the identity may do does.
func (g *Registry) mount(tx catalog.Tx, r *request, target *catalog.Object, digest, from string) (bool, error) {
	if digest == "" {
		return false, nil
	}
	readable, err := g.mayMount(tx, r, digest, from)
	if err != nil || !readable {
		return false, err
	}
	b, err := tx.Blob(digest)
	if err != nil || !b.Lost.IsZero() { // what is lost is to be sent
		return false, err
	}
	if err := fits(tx, target, digest, "", b.Size); err != nil {
		return false, err
	}
	return true, tx.LinkBlob(target.ID, r.image, digest)
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
