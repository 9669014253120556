// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"iter"
	"time"
)

// ImageEventKind is what happened to an image.
type ImageEventKind string

// The kinds of image events.
const (
	ImagePushed          ImageEventKind = "PUSH"               // a manifest came, or a tag that was not there
	ImageTagMoved        ImageEventKind = "TAG_MOVED"          // a tag names another digest
	ImageTagDeleted      ImageEventKind = "TAG_DELETED"        // somebody deleted a tag
	ImageManifestDeleted ImageEventKind = "MANIFEST_DELETED"   // somebody deleted a manifest, with its tags
	ImageRetention       ImageEventKind = "RETENTION"          // the repository's rule of retention deleted a tag
	ImageDrifted         ImageEventKind = "DRIFTED"            // a tag does not name what an environment was registered with any more
	ImageCollected       ImageEventKind = "MANIFEST_COLLECTED" // nothing named a manifest any more, so it was collected as garbage
	ImageBlobCollected   ImageEventKind = "BLOB_COLLECTED"     // likewise a blob, which Digest names, of the image
	ImagePulled          ImageEventKind = "PULL"               // first pull after a while: not each one
)

// ImageEvent is one thing that happened to an image of a repository.
type ImageEvent struct {
	ID          ID
	Time        time.Time
	Kind        ImageEventKind
	Repository  ID
	Image       string
	Tag         string // "" when the event is about a digest alone
	Digest      string // what the tag names now, "" when it is gone; else the manifest, or of ImageBlobCollected the blob
	Previous    string // what the tag named before
	User        string // "" for Firn itself and for anonymous pulls
	Environment string // of ImageDrifted: the name of the custom runtime environment
}

// ImagePull is the last pull of a manifest that was noted.
type ImagePull struct {
	Repository ID
	Image      string
	Digest     string
	Time       time.Time
	User       string // "" for an anonymous pull
}

// ImageEvents keeps what happened to images.
type ImageEvents interface {
	// AddImageEvent appends an event; ID and Time are filled when empty.
	//
	// Errors: NotFound when the repository is gone.
	AddImageEvent(e ImageEvent) error
	// ImageEvents lists the events of repositories, newest first, at most limit.
	ImageEvents(repositories []ID, limit int) iter.Seq2[ImageEvent, error]
	// PurgeImageEvents removes the events before a time, and tells how many.
	PurgeImageEvents(before time.Time) (int, error)
	// PutImagePull stores the last pull of a manifest; nothing happens when the manifest is gone.
	PutImagePull(p ImagePull) error
	// ImagePull gives the last pull of a manifest that was stored.
	//
	// Errors: NotFound when there is none.
	ImagePull(repository ID, image, digest string) (ImagePull, error)
	// ImagePulls lists the last pulls of the manifests of a repository, ordered by image and digest.
	ImagePulls(repository ID) iter.Seq2[ImagePull, error]
}

// ImageSize is how large an image is, all that its manifest or index leads to counted once. Foreign layers are not here and do not count.
type ImageSize struct {
	Image       string
	Digest      string // of the manifest or index
	Bytes       int64  // of its manifests, configs and layers
	Shared      int    // configs and layers that something else in the repository holds too
	SharedBytes int64
}

// ImageStorage tells how much image repositories hold. Content counts once, whatever images hold it.
type ImageStorage interface {
	// StorageUsed gives the bytes of blobs and manifests that repositories hold together.
	StorageUsed(repositories []ID) (int64, error)
	// StorageReserved gives the bytes that open uploads to repositories have reserved, except for one of them ("": all).
	StorageReserved(repositories []ID, except ID) (int64, error)
	// HoldsBlob tells whether an image of the repositories holds the blob.
	HoldsBlob(repositories []ID, digest string) (bool, error)
	// ImageSizes lists how large each manifest and index of a repository is, ordered by image and digest. It reads all that the repository has
	// before the first one.
	ImageSizes(repository ID) iter.Seq2[ImageSize, error]
}
