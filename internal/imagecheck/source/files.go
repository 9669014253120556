// SPDX-License-Identifier: Apache-2.0

package source

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/layer"
)

// files is the content of an archive or of a directory, by name.
type files interface {
	// open gives a file's bytes.
	//
	// Errors: NotFound, Corrupt.
	open(name string) (io.ReadCloser, error)
	// size gives the number of a file's bytes.
	//
	// Errors: NotFound, Corrupt.
	size(name string) (int64, error)
	io.Closer
}

// readFile reads a small file whole.
//
// Errors: as open, Exhausted beyond max bytes.
func readFile(f files, name string, limit int64) ([]byte, error) {
	r, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, errs.New(errs.Corrupt, "file %s cannot be read: %v", name, err)
	}
	if int64(len(data)) > limit {
		return nil, errs.New(errs.Exhausted, "file %s has more than %d bytes", name, limit)
	}
	return data, nil
}

// directory is files of a directory.
type directory struct{ root *os.Root }

func openDirectory(dir string) (files, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fileError(err, dir)
	}
	return directory{root}, nil
}

func (d directory) open(name string) (io.ReadCloser, error) {
	f, err := d.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, fileError(err, name)
	}
	return f, nil
}

func (d directory) size(name string) (int64, error) {
	info, err := d.root.Stat(filepath.FromSlash(name))
	if err != nil {
		return 0, fileError(err, name)
	}
	return info.Size(), nil
}

func (d directory) Close() error { return d.root.Close() }

func fileError(err error, name string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errs.Wrap(err, errs.NotFound, "file %s does not exist", name)
	case errors.Is(err, fs.ErrPermission):
		return errs.Wrap(err, errs.Denied, "file %s may not be read", name)
	}
	return errs.Wrap(err, errs.Corrupt, "file %s cannot be read: %v", name, err)
}

// tarball is files of a tar archive: only their places are remembered, bodies are read when asked for.
type tarball struct {
	file    *os.File
	entries map[string]place
}

type place struct {
	offset, size int64
	link         string
}

// openTarball indexes an archive. One that is compressed as a whole is unpacked into a temporary file that has no name.
func openTarball(ctx context.Context, name string, s Settings) (files, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fileError(err, name)
	}
	magic := make([]byte, 4)
	n, _ := io.ReadFull(f, magic)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fileError(err, name)
	}
	if magic = magic[:n]; bytes.HasPrefix(magic, []byte{0x1f, 0x8b}) || bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		plain, err := inflated(ctx, f, name, s)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		f = plain
	}
	t := &tarball{file: f, entries: map[string]place{}}
	if err := t.index(name); err != nil {
		_ = f.Close()
		return nil, err
	}
	return t, nil
}

func inflated(ctx context.Context, f *os.File, name string, s Settings) (*os.File, error) {
	temp, err := os.CreateTemp(s.TempDir, "firn-archive-*")
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "temporary file for archive %s", name)
	}
	_ = os.Remove(temp.Name())
	err = layer.Unpack(ctx, temp, f, name)
	if err == nil {
		_, err = temp.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = temp.Close()
		switch {
		case ctx.Err() != nil:
			return nil, errs.Wrap(ctx.Err(), errs.Canceled, "archive %s", name)
		case errs.Is(err, errs.Exhausted):
			return nil, err
		}
		return nil, errs.New(errs.Corrupt, "archive %s does not decode: %v", name, err)
	}
	return temp, nil
}

// Archive is the files of a tar archive, which may be compressed as a whole. It can be read by several goroutines at once.
type Archive struct{ files }

// OpenArchive opens an archive; close it after use.
//
// Errors: NotFound, Denied, Corrupt, Exhausted, Unavailable, Canceled.
func OpenArchive(ctx context.Context, name string, s Settings) (*Archive, error) {
	f, err := openTarball(ctx, name, s)
	if err != nil {
		return nil, err
	}
	return &Archive{f}, nil
}

// Open gives the content of a file by its name in the archive.
//
// Errors: NotFound.
func (a *Archive) Open(name string) (io.ReadCloser, error) { return a.open(name) }

// Read gives the content of a small file.
//
// Errors: NotFound, Corrupt; Exhausted beyond limit bytes.
func (a *Archive) Read(name string, limit int64) ([]byte, error) { return readFile(a, name, limit) }

// filesMax bounds the index of a hostile archive.
const filesMax = 100_000

func (t *tarball) index(name string) error {
	r := tar.NewReader(t.file)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return errs.New(errs.Corrupt, "archive %s is no tar file or damaged: %v", name, err)
		}
		at, err := t.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return fileError(err, name)
		}
		p := place{offset: at, size: h.Size}
		switch h.Typeflag {
		case tar.TypeReg:
		case tar.TypeSymlink:
			p.link = path.Join(path.Dir(path.Clean(h.Name)), h.Linkname)
		case tar.TypeLink:
			p.link = path.Clean(h.Linkname)
		default:
			continue
		}
		if t.entries[path.Clean(h.Name)] = p; len(t.entries) > filesMax {
			return errs.New(errs.Exhausted, "archive %s holds more than %d files", name, filesMax)
		}
	}
}

func (t *tarball) open(name string) (io.ReadCloser, error) {
	p, err := t.find(name)
	if err != nil {
		return nil, err
	}
	return part{io.NewSectionReader(t.file, p.offset, p.size)}, nil
}

func (t *tarball) size(name string) (int64, error) {
	p, err := t.find(name)
	return p.size, err
}

// find follows links to the file that a name means.
//
// Errors: NotFound.
func (t *tarball) find(name string) (place, error) {
	name = path.Clean(name)
	for range 10 {
		p, ok := t.entries[name]
		if !ok {
			break
		}
		if p.link == "" {
			return p, nil
		}
		name = p.link
	}
	return place{}, errs.New(errs.NotFound, "file %s is not in the archive", name)
}

// part is a file inside an archive. It can be read at any place, so that headers can be read without what lies between them.
type part struct{ *io.SectionReader }

// Close implements io.Closer; the archive stays open.
func (part) Close() error { return nil }

func (t *tarball) Close() error { return t.file.Close() }
