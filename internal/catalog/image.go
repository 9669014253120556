// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"iter"
	"time"
)

// Blob is content that the registry holds. It exists once, whichever images use it.
type Blob struct {
	Digest  string // sha256:... or sha512:...
	Size    int64
	Key     string    // where the blob store has it; "" when Body has it
	Body    []byte    // content of a small blob, kept in the row so that a small push costs one commit
	DiffID  string    // digest of the uncompressed tar once somebody has verified it, else ""
	Leased  time.Time // when somebody last relied on it: uploaded, mounted, or was told that it need not be sent
	Created time.Time
	Lost    time.Time // when its content was found lost or damaged, until it is pushed again; zero: it is whole
}

// Manifest is an image manifest or index inside one image of a repository.
type Manifest struct {
	Repository   ID
	Image        string
	Digest       string
	MediaType    string
	ArtifactType string
	Subject      string // digest of the manifest that this one is about, or ""
	Annotations  map[string]string
	Body         []byte
	Blobs        []string // digests of config and layers
	Children     []string // digests of the manifests of an index; some may be missing
	PushedBy     string   // user
	Created      time.Time
	Leased       time.Time // when somebody last relied on it: pushed it, was told that it need not be pushed, took away its tag or index
}

// Tag names a manifest.
type Tag struct {
	Repository ID
	Image      string
	Name       string
	Digest     string
	MovedBy    string // user
	Created    time.Time
	Moved      time.Time // when it last came to name another digest
}

// Upload is an open blob upload.
type Upload struct {
	ID         ID
	Repository ID
	Image      string
	User       string
	Writer     string // process that writes to it at this moment, or ""
	Key        string // where the blob store gathers it, from the first byte that does not fit in Body on
	Body       []byte // what was received while it is small enough for a row: then its length is Offset
	Offset     int64  // bytes that are safe
	Hash       []byte // state of the running SHA-256 at Offset
	Reserved   int64  // bytes that count against quotas: Offset, or more when more is announced
	Expires    time.Time
}

// Images keeps what the registry serves. Image is always the path below the repository, lower case.
type Images interface {
	Blobs
	Manifests
	Tags
	Uploads
	ImageEvents
	ImageStorage
}

// Blobs keeps blobs, and which image may serve which: a blob is visible only in images that hold it.
type Blobs interface {
	// PutBlob adds a blob that is durable in the blob store (or in Body), or renews the lease of the one that exists, and gives
	// the blob that the catalog then holds, without its Body: the caller's own copy is garbage when the keys differ. Leased and Created
	// are filled.
	PutBlob(b *Blob) (*Blob, error)
	// Blob finds a blob wherever it is used.
	//
	// Errors: NotFound.
	Blob(digest string) (*Blob, error)
	// SetDiffID stores the verified diffID of a blob.
	//
	// Errors: NotFound.
	SetDiffID(digest, diffID string) error
	// RestoreBlob stores where the content of b.Digest is now, in b.Key or b.Body, because it was lost under the key from, and that it
	// is whole.
	//
	// Errors: NotFound; Conflict when the blob is not under the key from.
	RestoreBlob(b *Blob, from string) error
	// LinkBlob makes a blob visible in an image, where it may be already, and renews its lease.
	//
	// Errors: NotFound.
	LinkBlob(repository ID, image, digest string) error
	// LinkedBlob finds a blob that an image holds.
	//
	// Errors: NotFound, also when only other images hold it.
	LinkedBlob(repository ID, image, digest string) (*Blob, error)
	// UnlinkBlob takes a blob out of an image.
	//
	// Errors: NotFound; Refused when a manifest of the image needs it.
	UnlinkBlob(repository ID, image, digest string) error
	// BlobRepositories lists the repositories in which an image holds the blob.
	BlobRepositories(digest string) iter.Seq2[ID, error]
}

// Manifests keeps manifests and indexes.
type Manifests interface {
	// PutManifest adds a manifest; of one that the image has already it renews the lease and, in case it was damaged, the Body. Created and
	// Leased are filled. The subject and children may be missing: those that come later are held by the index all the same.
	//
	// Errors: NotFound when the repository is gone, or a blob that it names is not held by the image.
	PutManifest(m *Manifest) error
	// Manifest finds a manifest by digest.
	//
	// Errors: NotFound.
	Manifest(repository ID, image, digest string) (*Manifest, error)
	// RenewManifest renews the lease of a manifest.
	//
	// Errors: NotFound.
	RenewManifest(repository ID, image, digest string) error
	// DeleteManifest removes a manifest and its tags, and renews the leases of the manifests that it named.
	//
	// Errors: NotFound; Refused when a runtime environment, its history, a job or an index holds it (ManifestHolders): the message names the holders.
	DeleteManifest(repository ID, image, digest string) error
	// Referrers lists the manifests of an image whose subject is the digest, ordered by digest.
	Referrers(repository ID, image, digest string) iter.Seq2[*Manifest, error]
	// ImageNames lists the images of a repository that have a manifest, in byte order.
	ImageNames(repository ID) iter.Seq2[string, error]
	// ManifestHolders names what needs a manifest, so that it may not be deleted: custom runtime environments, by their Digest
	// and TagDigest, whatever their status, their history likewise for HistoryHold of the account after its Until, and jobs by their
	// Digest that are not final or ended less than the account's JobHold ago. With digest "" it names what needs any manifest of the
	// repository, without history and jobs that have ended: what to look at before the repository is dropped. Names read "custom
	// runtime environment MY_ENV", "history of environment MY_ENV until 2026-01-31 15:04 UTC", "job <id>", in byte order.
	ManifestHolders(repository ID, image, digest string) ([]string, error)
}

// Tags keeps tags.
type Tags interface {
	// PutTag adds or moves a tag, and renews the lease of the manifest that it named before. Created and Moved are filled; a tag that
	// names the digest already stays as it is.
	//
	// Errors: NotFound when the image has no such manifest.
	PutTag(t *Tag) error
	// Tag finds a tag.
	//
	// Errors: NotFound.
	Tag(repository ID, image, name string) (*Tag, error)
	// DeleteTag removes a tag, never a manifest: its lease is renewed.
	//
	// Errors: NotFound.
	DeleteTag(repository ID, image, name string) error
	// Tags lists the tags of an image ("" for all images of the repository), ordered by image and name in byte order, starting after
	// the name after.
	Tags(repository ID, image, after string) iter.Seq2[*Tag, error]
}

// Uploads keeps open uploads.
type Uploads interface {
	// PutUpload adds an upload or stores its progress.
	PutUpload(u *Upload) error
	// Upload finds an open upload.
	//
	// Errors: NotFound.
	Upload(id ID) (*Upload, error)
	// DeleteUpload ends an upload; nothing happens when it is gone.
	DeleteUpload(id ID) error
	// ExpiredUploads lists the uploads whose Expires is before the time.
	ExpiredUploads(before time.Time) iter.Seq2[*Upload, error]
}
