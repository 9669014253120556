// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"iter"
	"time"
)

// File is one file of a stage. Its bytes are in the blob store; several files may share them after COPY FILES.
type File struct {
	Stage    ID
	Path     string // below the stage root, no leading slash: "dir/a.txt"
	Key      string // where the blob store has the bytes
	Size     int64
	MD5      string            // lower-case hex over the bytes as stored
	Meta     map[string]string // x-goog-meta-* headers that clients want back, lower-case names without the prefix
	Modified time.Time
}

// Files keeps the files of stages.
type Files interface {
	// PutFile adds or replaces a file; Modified is filled. Bytes that no file uses any more become orphans.
	PutFile(f *File) error
	// File finds a file by its exact path.
	//
	// Errors: NotFound.
	File(stage ID, path string) (*File, error)
	// Files lists the files of a stage whose path starts with the prefix, ordered by path in byte order.
	Files(stage ID, prefix string) iter.Seq2[*File, error]
	// DeleteFile removes a file. Bytes that no file uses any more become orphans.
	//
	// Errors: NotFound.
	DeleteFile(stage ID, path string) error
	// OrphanKeys lists the keys of bytes that no file has used since before the time, for the collector.
	OrphanKeys(before time.Time) iter.Seq2[string, error]
	// ForgetOrphan says that the bytes are gone from the blob store.
	ForgetOrphan(key string) error
}
