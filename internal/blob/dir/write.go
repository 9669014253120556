// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// writeBack is after how many bytes the kernel is told to start writing, so that the fsync at the end finds little to do.
const writeBack = 64 << 20

// write copies r to the file from offset on and gives the new end. The end is right also when it comes with an error of r. Each write but
// the first and last is of whole buffers, aligned: the larger the pieces in which the kernel keeps a file, the faster it is pulled.
func (s *Store) write(ctx context.Context, f *os.File, key string, offset int64, r io.Reader) (int64, error) {
	buffer := s.buffers.Get().(*[bufferSize]byte)
	defer s.buffers.Put(buffer)
	end, started := offset, offset
	for {
		if ctx.Err() != nil {
			return end, errs.Wrap(context.Cause(ctx), errs.Canceled, "writing blob %s was stopped", key)
		}
		n, readErr := fill(r, buffer[:bufferSize-end%bufferSize])
		if n > 0 {
			if _, err := f.WriteAt(buffer[:n], end); err != nil {
				return end, failure(err, key)
			}
			end += int64(n)
		}
		if end-started >= writeBack {
			startWriteBack(f, started, end-started)
			started = end
		}
		if readErr == io.EOF {
			return end, nil
		}
		if readErr != nil {
			return end, readErr
		}
	}
}

// fill reads until p is full or r has an error, which may come with bytes.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	return n, err
}

// publish makes a written file durable and visible under the key, in this order: data, name, directory.
func (s *Store) publish(f *os.File, name, key string) (blob.Info, error) {
	if err := f.Sync(); err != nil {
		return blob.Info{}, failure(err, key)
	}
	info, err := f.Stat()
	if err != nil {
		return blob.Info{}, failure(err, key)
	}
	target := file(key)
	if err := s.mkdirs(path.Dir(target)); err != nil {
		return blob.Info{}, err
	}
	if err := s.root.Rename(name, target); err != nil {
		return blob.Info{}, failure(err, key)
	}
	if err := s.syncDir(path.Dir(target)); err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}

// mkdirs makes a directory and its parents, each with its entry on disk. A directory that somebody else made counts only
// once this process has synced its parent: the other one may not have come so far.
func (s *Store) mkdirs(directory string) error {
	if _, ok := s.durable.Load(directory); ok || directory == "." {
		return nil
	}
	parent := path.Dir(directory)
	if err := s.mkdirs(parent); err != nil {
		return err
	}
	if err := s.root.Mkdir(directory, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return failure(err, directory)
	}
	if err := s.syncDir(parent); err != nil {
		return err
	}
	s.durable.Store(directory, nil)
	return nil
}

// syncDir puts the entries of a directory on disk.
func (s *Store) syncDir(directory string) error {
	d, err := s.root.Open(directory)
	if err != nil {
		return failure(err, directory)
	}
	return failure(errors.Join(d.Sync(), d.Close()), directory)
}
