// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"iter"
	"time"
)

// Unused is a manifest or a blob of an image that nothing needs.
type Unused struct {
	Repository ID
	Image      string
	Digest     string
	Size       int64 // bytes of the manifest's body, or of the blob
}

// Garbage finds and removes what no image needs any more. It rests on leases: whoever relies on a blob or manifest renews its
// lease in the same transaction (PutBlob, LinkBlob, PutManifest, RenewManifest, and whatever takes away a tag or an index), and
// nothing goes whose lease was renewed since the time before.
//
// A manifest is used when it is tagged, when its lease was renewed since, when a used index names it, or when it is about a
// used manifest (Subject). A link of an image to a blob is used when a used manifest of the image names the blob, when the
// blob's lease was renewed since, or while the image has an open upload: its manifest is still to come. A blob is used
// when a used link leads to it or its lease was renewed since.
//
// The listings say what is unused in one snapshot, whole chains at once. Each Collect method decides again, about one row, and
// does nothing when somebody has come to need it: an index goes before what it names, a subject before what is about it.
type Garbage interface {
	// RenewHeld renews the leases that ended before the time of all manifests that custom runtime environments, their
	// history and jobs hold (ManifestHolders). Collect calls rely on it, in the same transaction.
	RenewHeld(before time.Time) error
	// UnusedManifests lists unused manifests, ordered by repository, image and digest.
	UnusedManifests(before time.Time) iter.Seq2[Unused, error]
	// UnusedLinks lists unused links of images to blobs, ordered like manifests.
	UnusedLinks(before time.Time) iter.Seq2[Unused, error]
	// UnusedBlobs lists unused blobs, without Body, ordered by digest.
	UnusedBlobs(before time.Time) iter.Seq2[*Blob, error]
	// CollectManifest removes an unused manifest that no index names and whose subject is gone, and tells whether it did.
	CollectManifest(u Unused, before time.Time) (bool, error)
	// CollectLink takes a blob out of an image in which no manifest names it, and tells whether it did.
	CollectLink(u Unused, before time.Time) (bool, error)
	// CollectBlob removes the row of a blob that no image holds, and tells whether it did. Its content, under the key that
	// UnusedBlobs gave, is garbage then: no row ever comes to name the key again. When another row of the digest has
	// come meanwhile, under another key, nothing is removed.
	CollectBlob(digest, key string, before time.Time) (bool, error)
}

// Contents is for comparing the catalog with the blob store: listings in pages, as a comparison may take hours.
type Contents interface {
	// BlobsAfter lists at most limit blobs whose digest comes after the one given, ordered by digest in byte order.
	BlobsAfter(digest string, limit int) iter.Seq2[*Blob, error]
	// ManifestsAfter lists at most limit manifests that come after the one given, by repository, image and digest in byte order.
	ManifestsAfter(u Unused, limit int) iter.Seq2[*Manifest, error]
	// FilesAfter lists at most limit files of all stages that come after the one given, by stage and path in byte order.
	FilesAfter(stage ID, path string, limit int) iter.Seq2[*File, error]
	// NamesKey tells whether a row leads to the key in the blob store: a blob, an upload, a file, or an orphan of Files that is
	// yet to be collected.
	NamesKey(key string) (bool, error)
	// LoseBlob sets Lost of a blob that is under the key; nothing happens when it is under another one.
	LoseBlob(digest, key string) error
	// LacksContent tells whether a manifest, or one that it names, needs a blob that is lost.
	LacksContent(repository ID, image, digest string) (bool, error)
	// BlobLinks lists the images that hold a blob, ordered by repository and image; Size is not set.
	BlobLinks(digest string) iter.Seq2[Unused, error]
	// MissingBlobs lists what manifests name and their images do not hold: one for each manifest and digest, with the
	// image of the manifest and the digest that is missing.
	MissingBlobs() iter.Seq2[Unused, error]
}

// Duty is housekeeping that one replica at a time does.
type Duty struct {
	Name   string
	Holder string
	Until  time.Time // end of the holder's lease
	Done   time.Time // when it was last done, zero for never
}

// Duties keeps duties.
type Duties interface {
	// TakeDuty gives a duty to the holder until the time, also one that it holds already. It was not done since the time
	// since; zero means whenever it was done.
	//
	// Errors: Conflict when another holder's lease has not ended, or the duty was done since.
	TakeDuty(name, holder string, until, since time.Time) error
	// EndDuty gives a duty back; done tells whether it was done. Nothing happens when the holder does not have it.
	EndDuty(name, holder string, done bool) error
	// Duty finds a duty.
	//
	// Errors: NotFound when nobody has ever taken it.
	Duty(name string) (Duty, error)
}
