// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// Append implements blob.Appender.
func (s *Store) Append(ctx context.Context, key string, offset int64, r io.Reader) (int64, error) {
	flags := os.O_RDWR
	if offset == 0 {
		flags |= os.O_CREATE
	}
	f, err := s.openPartial(key, flags, offset)
	if err != nil {
		return offset, err
	}
	defer f.Close()
	end, err := s.write(ctx, f, key, offset, r)
	if end == offset && offset > 0 {
		return end, err
	}
	if failed := s.flush(f, key, offset == 0); failed != nil {
		return offset, failed
	}
	return end, err
}

// flush puts an unfinished blob on disk, with its name when that is new. It is not left to Finish: whoever goes on after a power cut
// goes by the length, which may have come to disk without the bytes.
func (s *Store) flush(f *os.File, key string, named bool) error {
	if err := f.Sync(); err != nil {
		return failure(err, key)
	}
	if named {
		return s.syncDir(partialDir)
	}
	return nil
}

// Finish implements blob.Appender.
func (s *Store) Finish(_ context.Context, key string, size int64) (blob.Info, error) {
	f, err := s.openPartial(key, os.O_RDWR, size)
	if errs.Is(err, errs.NotFound) {
		return s.finished(key, size, err)
	} else if err != nil {
		return blob.Info{}, err
	}
	defer f.Close()
	return s.publish(f, partial(key), key)
}

// finished gives a blob that is visible with that size, or else the error. Whoever renamed it may have died before its name was on disk.
func (s *Store) finished(key string, size int64, missing error) (blob.Info, error) {
	info, err := s.root.Stat(file(key))
	if err != nil || info.Size() != size {
		return blob.Info{}, missing
	}
	directory := path.Dir(file(key))
	if err := errors.Join(s.mkdirs(directory), s.syncDir(directory)); err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Key: key, Size: size, Modified: info.ModTime()}, nil
}

// Abort implements blob.Appender.
func (s *Store) Abort(_ context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	return failure(ignoreMissing(s.root.Remove(partial(key))), key)
}

// openPartial opens an unfinished blob, cut at size.
func (s *Store) openPartial(key string, flags int, size int64) (*os.File, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	f, err := s.root.OpenFile(partial(key), flags, 0o600)
	if err != nil {
		return nil, failure(err, key)
	}
	if err := cut(f, key, size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// cut takes away what is beyond size.
func cut(f *os.File, key string, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return failure(err, key)
	}
	if info.Size() < size {
		return errs.New(errs.Conflict, "unfinished blob %s has %d bytes, fewer than %d", key, info.Size(), size)
	}
	if size < 0 {
		return errs.New(errs.Invalid, "blob %s cannot have %d bytes", key, size)
	}
	if info.Size() == size {
		return nil // to truncate it all the same would be a change that has to be flushed
	}
	return failure(f.Truncate(size), key)
}

// partial gives the path of an unfinished blob: flat, as they are few.
func partial(key string) string {
	return partialDir + "/" + strings.ReplaceAll(key, "/", "+")
}
