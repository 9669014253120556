// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"fmt"

	"firn.dev/firn/internal/catalog"
)

// actionCollect is the action of the audit event of one thing that was collected.
const actionCollect = "collect"

// told tells of what has gone from an image, in the transaction in which it went, to those who may pull from the repository and in the
// audit trail. It is for the answers of CollectManifest and CollectLink.
func told(tx catalog.Tx, u catalog.Unused, kind catalog.ImageEventKind, gone bool, err error) (bool, error) {
	if err != nil || !gone {
		return false, err
	}
	err = tx.AddImageEvent(catalog.ImageEvent{Kind: kind, Repository: u.Repository, Image: u.Image, Digest: u.Digest})
	if err != nil {
		return false, err
	}
	path, err := imagePath(tx, u)
	if err != nil {
		return false, err
	}
	detail := "garbage: nothing named the manifest"
	if kind == catalog.ImageBlobCollected {
		detail = "garbage: no manifest of the image named the blob"
	}
	return true, tx.AddEvent(catalog.Event{
		Action: actionCollect, Kind: catalog.KindImageRepository, Object: path, Digest: u.Digest, Allowed: true, Detail: detail,
	})
}

// toldOfBlob writes into the audit trail that the content of a blob goes. No repository has it any more.
func toldOfBlob(tx catalog.Tx, b *catalog.Blob, gone bool, err error) (bool, error) {
	if err != nil || !gone {
		return false, err
	}
	return true, tx.AddEvent(catalog.Event{
		Action: actionCollect, Digest: b.Digest, Allowed: true, Detail: fmt.Sprintf("garbage: no image held the %d bytes", b.Size),
	})
}
