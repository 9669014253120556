// SPDX-License-Identifier: Apache-2.0

// Package dir keeps blobs as files of one directory. It implements blob.Store and blob.Appender for one host; it is not
// for a directory that several hosts share. Only cmd/firnd and tests call it.
//
// Layout: blobs/ holds what is visible, partial/ what is being appended, tmp/ what Put has not finished. A key's file is
// blobs/ and the key, where directories carry a trailing "+" so that the keys "a" and "a/b" can both exist.
// What Put and Finish acknowledge is on disk: data fsync, rename, fsync of the directory and of the parents it made. So is what Append
// acknowledges: data fsync, and fsync of the directory for the first bytes.
package dir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// The top directories.
const (
	blobsDir   = "blobs"
	partialDir = "partial"
	tmpDir     = "tmp"
)

// bufferSize fits the second-level cache: larger buffers measured slower.
const bufferSize = 128 << 10

// Store is a directory of blobs. It is safe for concurrent use.
type Store struct {
	root    *os.Root
	lock    *os.File // shared flock while open: whoever gets it alone may clean tmp/
	buffers sync.Pool
	temps   atomic.Uint64
	durable sync.Map // directories whose entry in their parent is on disk
}

// Open opens the directory, makes it when it is missing, and removes what a crash left behind in it.
//
// Errors: Unavailable when the directory cannot be used.
func Open(directory string) (*Store, error) {
	if err := Make(directory); err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "blob directory %s cannot be made", directory)
	}
	root, err := os.OpenRoot(directory)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "blob directory %s cannot be opened", directory)
	}
	s := &Store{root: root, buffers: sync.Pool{New: func() any { return new([bufferSize]byte) }}}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Make makes a directory and its missing parents, each with its entry on disk: what is flushed in a directory that a power cut takes away
// is gone with it. Programs call it for other directories, too.
func Make(directory string) error {
	parent := filepath.Dir(directory)
	err := os.Mkdir(directory, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := Make(parent); err != nil {
			return err
		}
		err = os.Mkdir(directory, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		if info, err := os.Stat(directory); err != nil || !info.IsDir() {
			return errors.Join(&fs.PathError{Op: "mkdir", Path: directory, Err: syscall.ENOTDIR}, err)
		}
		_ = syncEntries(parent) // who made it may have died before this; a parent that may not be read is not ours
		return nil
	}
	if err != nil {
		return err
	}
	return syncEntries(parent)
}

func syncEntries(directory string) error {
	d, err := os.Open(directory)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// prepare makes the top directories and, when no other process has the store open, empties tmp/.
func (s *Store) prepare() error {
	for _, d := range []string{blobsDir, partialDir, tmpDir} {
		if err := s.mkdirs(d); err != nil {
			return err
		}
	}
	lock, err := s.root.Open(tmpDir)
	if err != nil {
		return failure(err, tmpDir)
	}
	s.lock = lock
	fd := int(lock.Fd())
	if syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		names, err := lock.Readdirnames(-1)
		if err != nil {
			return failure(err, tmpDir)
		}
		for _, name := range names {
			if err := s.root.Remove(path.Join(tmpDir, name)); err != nil {
				return failure(err, name)
			}
		}
	}
	if err := syscall.Flock(fd, syscall.LOCK_SH); err != nil {
		return failure(err, tmpDir)
	}
	return nil
}

// Close releases the directory. Files that Open gave stay readable.
func (s *Store) Close() error {
	if s.lock == nil {
		return s.root.Close()
	}
	return errors.Join(s.lock.Close(), s.root.Close())
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	f, name, err := s.temp()
	if err != nil {
		return blob.Info{}, failure(err, key)
	}
	info, err := func() (blob.Info, error) {
		defer f.Close()
		if _, err := s.write(ctx, f, key, 0, r); err != nil {
			return blob.Info{}, err
		}
		return s.publish(f, name, key)
	}()
	if err != nil {
		return blob.Info{}, errors.Join(err, ignoreMissing(s.root.Remove(name)))
	}
	return info, nil
}

// temp makes a new file below tmp/.
func (s *Store) temp() (*os.File, string, error) {
	for {
		name := path.Join(tmpDir, strconv.Itoa(os.Getpid())+"-"+strconv.FormatUint(s.temps.Add(1), 10))
		f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return f, name, err
		}
	}
}

// Open implements blob.Store.
func (s *Store) Open(_ context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	f, err := s.root.Open(file(key))
	if err != nil {
		return nil, failure(err, key)
	}
	if err := position(f, key, offset); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if length < 0 {
		return f, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, length), f}, nil
}

// position moves an open blob to offset.
func position(f *os.File, key string, offset int64) error {
	info, err := f.Stat()
	if err != nil {
		return failure(err, key)
	}
	if offset < 0 || offset > info.Size() {
		return errs.New(errs.Invalid, "blob %s has %d bytes, offset %d is beyond them", key, info.Size(), offset)
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return failure(err, key)
	}
	return nil
}

// Stat implements blob.Store.
func (s *Store) Stat(_ context.Context, key string) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	info, err := s.root.Stat(file(key))
	if err != nil {
		return blob.Info{}, failure(err, key)
	}
	return blob.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}

// Delete implements blob.Store. Directories stay: a Put may be about to rename into them.
func (s *Store) Delete(_ context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	return failure(ignoreMissing(s.root.Remove(file(key))), key)
}

// file gives the path of a key's visible file.
func file(key string) string {
	return blobsDir + "/" + strings.ReplaceAll(key, "/", "+/")
}

// ignoreMissing gives nil for a file that is absent.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// failure says what a failed file operation means for the blob; nil stays nil.
func failure(err error, key string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return errs.Wrap(err, errs.NotFound, "blob %s does not exist", key)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return errs.Wrap(err, errs.Exhausted, "no space left for blob %s", key)
	default:
		return errs.Wrap(err, errs.Unavailable, "the blob directory does not answer for %s", key)
	}
}
