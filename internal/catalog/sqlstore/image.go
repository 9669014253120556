// SPDX-License-Identifier: Apache-2.0

package sqlstore

import "firn.dev/firn/internal/catalog"

// The nouns of images are in image_blob.go, image_manifest.go, image_tag.go and image_upload.go.

// readText reads a row of one text.
func readText(scan scan) (s string, err error) {
	err = scan(&s)
	return s, err
}

// readID reads a row of one id.
func readID(scan scan) (id catalog.ID, err error) {
	err = scan(&id)
	return id, err
}
