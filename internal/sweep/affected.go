// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// users names the images that need a blob.
func (c *check) users(ctx context.Context, digest string) (images []string, err error) {
	err = c.Catalog.View(ctx, func(tx catalog.Tx) error {
		images = nil
		for link, err := range tx.BlobLinks(digest) {
			if err != nil {
				return err
			}
			paths, err := tagsOver(tx, link, digest)
			if err != nil {
				return err
			}
			images = append(images, paths...)
		}
		return nil
	})
	return images, err
}

// tagsOver gives the paths of the tags of an image that lead to a blob or manifest; that of the image itself when none does.
func tagsOver(tx catalog.Tx, in catalog.Unused, digest string) ([]string, error) {
	path, err := imagePath(tx, in)
	if err != nil {
		return nil, err
	}
	var paths []string
	for t, err := range tx.Tags(in.Repository, in.Image, "") {
		if err != nil {
			return nil, err
		}
		leads, err := needs(tx, in, t.Digest, digest)
		if err != nil {
			return nil, err
		}
		if leads {
			paths = append(paths, path+":"+t.Name)
		}
	}
	if len(paths) == 0 {
		paths = []string{path}
	}
	return paths, nil
}

// imagePath is the path of an image as users write it.
func imagePath(tx catalog.Tx, in catalog.Unused) (string, error) {
	o, err := tx.ObjectByID(in.Repository)
	if err != nil {
		return "", err
	}
	n := o.Name
	return "/" + strings.ToLower(n.Database+"/"+n.Schema+"/"+n.Object) + "/" + in.Image, nil
}

// needs tells whether a manifest is, or leads to, a digest.
func needs(tx catalog.Tx, in catalog.Unused, manifest, digest string) (bool, error) {
	if manifest == digest {
		return true, nil
	}
	m, err := tx.Manifest(in.Repository, in.Image, manifest)
	if errs.Is(err, errs.NotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	for _, d := range m.Blobs {
		if d == digest {
			return true, nil
		}
	}
	for _, child := range m.Children {
		if leads, err := needs(tx, in, child, digest); leads || err != nil {
			return leads, err
		}
	}
	return false, nil
}
