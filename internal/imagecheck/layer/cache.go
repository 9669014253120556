// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
	"github.com/klauspost/compress/zstd"
)

// Cache keeps scans of verified layers in a directory, one file per diffID. Several processes may share the directory: a file is
// written aside and renamed into place, a damaged or foreign file is a miss and is written anew. Its methods may be called
// concurrently. A nil Cache never hits and stores nothing.
type Cache struct {
	dir      string
	maxBytes int64
	now      func() time.Time
}

// DefaultCacheBytes bounds a cache directory unless the caller says otherwise.
const DefaultCacheBytes = 512 << 20

// decodedMax bounds what one cache file may unpack to, so that a hostile file cannot exhaust the memory.
const decodedMax = 384 << 20

// OpenCache makes the directory when it is missing and gives the cache in it. When the files together exceed maxBytes, those
// used longest ago go first.
//
// Errors: Unavailable when the directory cannot be made or written to.
func OpenCache(dir string, maxBytes int64, now func() time.Time) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "layer cache %s", dir)
	}
	probe, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "layer cache %s", dir)
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	return &Cache{dir: dir, maxBytes: maxBytes, now: now}, nil
}

const (
	temporary = "tmp-"
	suffix    = ".scan"
	blobs     = ".blob"
)

// file gives the place of a key with an ending, "" for a key that is no digest.
func (c *Cache) file(key, ending string) string {
	name := strings.ReplaceAll(key, ":", "-")
	if name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	}) {
		return ""
	}
	return filepath.Join(c.dir, name+ending)
}

// Get gives the scan stored for a diffID of the kind, false when there is none that can be used.
func (c *Cache) Get(diffID string, kind Kind) (*Scan, bool) {
	if c == nil {
		return nil, false
	}
	name := c.file(diffID+string(kind), suffix)
	packed, err := os.ReadFile(name)
	if err != nil {
		return nil, false
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(decodedMax))
	if err != nil {
		return nil, false
	}
	defer z.Close()
	data, err := z.DecodeAll(packed, nil)
	if err != nil {
		return nil, false
	}
	s, err := decode(data)
	if err != nil || s.DiffID != diffID {
		return nil, false
	}
	now := c.now()
	_ = os.Chtimes(name, now, now)
	return s, true
}

// DiffIDOf gives what the stored bytes with a digest are known to unpack to, because somebody has unpacked them; false when nobody
// has. Only then may a scan stand in for the bytes: what a manifest claims of its layers proves nothing.
func (c *Cache) DiffIDOf(blobDigest string) (string, bool) {
	if c == nil {
		return "", false
	}
	data, err := os.ReadFile(c.file(blobDigest, blobs))
	return string(data), err == nil
}

// Learn remembers that the stored bytes with a digest unpack to diffID. The caller has verified both.
//
// Errors: Unavailable.
func (c *Cache) Learn(blobDigest, diffID string) error {
	if c == nil {
		return nil
	}
	name := c.file(blobDigest, blobs)
	if name == "" {
		return errs.New(errs.Invalid, "blob %q is no digest", blobDigest)
	}
	if err := c.write(name, []byte(diffID)); err != nil {
		return errs.Wrap(err, errs.Unavailable, "layer cache %s", name)
	}
	return nil
}

// Kind tells scans of one diffID apart by what they were made from.
type Kind string

// The kinds.
const (
	FromTar Kind = ""     // the tar stream was read and hashed
	FromDir Kind = "-dir" // the engine's unpacked directory was read; it has no UnpackedSize
)

// Put stores a verified scan. Its errors are of no consequence to a check: the next run scans again.
//
// Errors: Unavailable.
func (c *Cache) Put(s *Scan, kind Kind) error {
	if c == nil {
		return nil
	}
	name := c.file(s.DiffID+string(kind), suffix)
	if name == "" {
		return errs.New(errs.Invalid, "layer %q is no digest", s.DiffID)
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return errs.Wrap(err, errs.Internal, "layer cache")
	}
	packed := z.EncodeAll(encode(s), nil)
	if err := c.write(name, packed); err != nil {
		return errs.Wrap(err, errs.Unavailable, "layer cache %s", name)
	}
	return c.evict()
}

func (c *Cache) write(name string, packed []byte) error {
	f, err := os.CreateTemp(c.dir, temporary+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(packed)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// staleTemporary is the age at which a file written aside belongs to a process that died.
const staleTemporary = time.Hour

// evict removes the files used longest ago until the rest fits.
func (c *Cache) evict() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return errs.Wrap(err, errs.Unavailable, "layer cache %s", c.dir)
	}
	var files []os.FileInfo
	total := int64(0)
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if strings.HasPrefix(info.Name(), temporary) && c.now().Sub(info.ModTime()) > staleTemporary {
			_ = os.Remove(filepath.Join(c.dir, info.Name()))
		}
		if strings.HasSuffix(info.Name(), suffix) || strings.HasSuffix(info.Name(), blobs) {
			files, total = append(files, info), total+info.Size()
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, info := range files {
		if total <= c.maxBytes {
			break
		}
		if os.Remove(filepath.Join(c.dir, info.Name())) == nil {
			total -= info.Size()
		}
	}
	return nil
}
