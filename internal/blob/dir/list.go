// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// List implements blob.Store. It reads one directory at a time and only those that the prefix leads to.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		s.list(ctx, "", prefix, yield)
	}
}

// list yields the blobs below a directory, given as the start of their keys, and tells whether to go on.
func (s *Store) list(ctx context.Context, below, prefix string, yield func(blob.Info, error) bool) bool {
	if ctx.Err() != nil {
		return yield(blob.Info{}, errs.Wrap(context.Cause(ctx), errs.Canceled, "listing blobs was stopped"))
	}
	names, err := s.names(below)
	if err != nil {
		return yield(blob.Info{}, failure(err, below))
	}
	for _, name := range names {
		key := below + name
		isDir := strings.HasSuffix(key, "/")
		switch {
		case isDir && (strings.HasPrefix(key, prefix) || strings.HasPrefix(prefix, key)):
			if !s.list(ctx, key, prefix, yield) {
				return false
			}
		case !isDir && strings.HasPrefix(key, prefix):
			info, err := s.Stat(ctx, key)
			if errs.Is(err, errs.NotFound) {
				continue // deleted since the directory was read
			}
			if !yield(info, err) || err != nil {
				return false
			}
		}
	}
	return true
}

// names lists a directory in byte order of the keys: directories end in "/" as the keys below them go on.
func (s *Store) names(below string) ([]string, error) {
	directory := blobsDir
	if below != "" {
		directory = strings.TrimSuffix(file(below), "/")
	}
	d, err := s.root.Open(directory)
	if err != nil {
		return nil, err
	}
	entries, err := d.ReadDir(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = key(e)
	}
	slices.Sort(names)
	return names, nil
}

// key gives the part of a key that a directory entry stands for.
func key(e fs.DirEntry) string {
	if base, ok := strings.CutSuffix(e.Name(), "+"); ok && e.IsDir() {
		return base + "/"
	}
	return e.Name()
}
