// SPDX-License-Identifier: Apache-2.0

// Package stage keeps the files of stages: their bytes in the blob store, their rows in the catalog, and copies of their
// directories for containers (Mirror). The doors, the executor and the scheduler use it.
//
// It knows no privileges and no paths as users write them: callers have checked the one and resolved the other.
package stage

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"io"
	"iter"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// KeyPrefix begins the key of every blob that this package writes.
const KeyPrefix = "stage/"

// maxPath is the longest path of a file below its stage, in bytes.
const maxPath = 1024

// Stage reads and writes files of stages. It is safe for concurrent use.
type Stage struct {
	catalog catalog.Store
	blobs   blob.Store
}

// New makes a Stage over the two stores.
func New(c catalog.Store, b blob.Store) *Stage { return &Stage{catalog: c, blobs: b} }

// CheckPath tells whether a path may name a file: parts separated by single slashes, none of them "." or "..", valid UTF-8.
//
// Errors: Invalid.
func CheckPath(p string) error {
	switch {
	case p == "" || len(p) > maxPath:
		return errs.New(errs.Invalid, "stage path %.60q must have 1 to %d bytes", p, maxPath)
	case !utf8.ValidString(p) || strings.ContainsRune(p, 0):
		return errs.New(errs.Invalid, "stage path %q is not valid text", p)
	case path.Clean("/"+p) != "/"+p:
		return errs.New(errs.Invalid, "stage path %q must not have empty parts, \".\" or \"..\"", p)
	}
	return nil
}

// Put stores a file, replacing the one that was there. It is visible whole or not at all. A failing r leaves everything as
// it was.
//
// Errors: Invalid for a bad path; NotFound when the stage is gone; Exhausted when a disk is full; Unavailable; the error of r.
func (s *Stage) Put(ctx context.Context, stage catalog.ID, path string, r io.Reader, meta map[string]string) (*catalog.File, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	sum := md5.New() //nolint:gosec // clients compare it; nothing here relies on it
	key := KeyPrefix + strings.ToLower(rand.Text())
	info, err := s.blobs.Put(ctx, key, io.TeeReader(r, sum))
	if err != nil {
		return nil, err
	}
	f := &catalog.File{Stage: stage, Path: path, Key: key, Size: info.Size, MD5: hex.EncodeToString(sum.Sum(nil)), Meta: meta}
	err = s.catalog.Update(ctx, func(tx catalog.Tx) error { return tx.PutFile(f) })
	if err != nil {
		_ = s.blobs.Delete(context.WithoutCancel(ctx), key)
		return nil, err
	}
	return f, nil
}

// Stat finds a file by its exact path.
//
// Errors: NotFound; Unavailable.
func (s *Stage) Stat(ctx context.Context, stage catalog.ID, path string) (f *catalog.File, err error) {
	err = s.catalog.View(ctx, func(tx catalog.Tx) error {
		f, err = tx.File(stage, path)
		return err
	})
	return f, err
}

// Open gives the content of a file. The caller closes it.
//
// Errors: NotFound; Corrupt when the blob store has lost the bytes; Unavailable.
func (s *Stage) Open(ctx context.Context, stage catalog.ID, path string) (io.ReadCloser, *catalog.File, error) {
	for attempt := 0; ; attempt++ {
		f, err := s.Stat(ctx, stage, path)
		if err != nil {
			return nil, nil, err
		}
		r, err := s.blobs.Open(ctx, f.Key, 0, -1)
		if errs.Is(err, errs.NotFound) {
			if attempt == 0 {
				continue // the file was replaced and its old bytes collected since we read the row
			}
			return nil, nil, errs.Wrap(err, errs.Corrupt, "stage file %s has lost its content", path)
		}
		return r, f, err
	}
}

// List gives the files of a stage whose path starts with the prefix, ordered by path in byte order. They are read in one
// snapshot before the first is given, so that the caller may write meanwhile.
func (s *Stage) List(ctx context.Context, stage catalog.ID, prefix string) iter.Seq2[*catalog.File, error] {
	return func(yield func(*catalog.File, error) bool) {
		var files []*catalog.File
		err := s.catalog.View(ctx, func(tx catalog.Tx) error {
			files = files[:0]
			for f, err := range tx.Files(stage, prefix) {
				if err != nil {
					return err
				}
				files = append(files, f)
			}
			return nil
		})
		if err != nil {
			yield(nil, err)
			return
		}
		for _, f := range files {
			if !yield(f, nil) {
				return
			}
		}
	}
}

// Delete removes a file.
//
// Errors: NotFound; Unavailable.
func (s *Stage) Delete(ctx context.Context, stage catalog.ID, path string) error {
	return s.catalog.Update(ctx, func(tx catalog.Tx) error { return tx.DeleteFile(stage, path) })
}

// Copy makes a second file of the same content without reading it: the rows share the bytes.
//
// Errors: NotFound; Invalid for a bad new path; Unavailable.
func (s *Stage) Copy(ctx context.Context, from catalog.ID, fromPath string, to catalog.ID, toPath string) error {
	if err := CheckPath(toPath); err != nil {
		return err
	}
	return s.catalog.Update(ctx, func(tx catalog.Tx) error {
		f, err := tx.File(from, fromPath)
		if err != nil {
			return err
		}
		copied := *f
		copied.Stage, copied.Path = to, toPath
		return tx.PutFile(&copied)
	})
}

// CollectOrphans deletes the bytes that no file has used since before the time, and tells how many blobs that were. Readers
// that opened a file before have until then to finish.
//
// Errors: Unavailable; what is left is found again next time.
func (s *Stage) CollectOrphans(ctx context.Context, before time.Time) (int, error) {
	var keys []string
	err := s.catalog.View(ctx, func(tx catalog.Tx) error {
		keys = keys[:0]
		for key, err := range tx.OrphanKeys(before) {
			if err != nil {
				return err
			}
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, key := range keys {
		if err := s.blobs.Delete(ctx, key); err != nil {
			return i, err
		}
		// No row can come to use the key again: rows get keys from Put, which never repeats one, or from other rows.
		if err := s.catalog.Update(ctx, func(tx catalog.Tx) error { return tx.ForgetOrphan(key) }); err != nil {
			return i, err
		}
	}
	return len(keys), nil
}
