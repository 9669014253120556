// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/tar"
	"context"
	"io"

	"firn.dev/firn/internal/errs"
)

// IsPlain tells whether stored bytes are an uncompressed layer, which Skim can read.
func IsPlain(stored io.ReaderAt) bool {
	magic := make([]byte, 4)
	n, _ := stored.ReadAt(magic, 0)
	return packingOf(magic[:n]) == plain
}

// Skim scans one uncompressed layer of size bytes without reading the bodies that a scan does not keep. It takes on trust that the
// bytes hash to diffID: until Verify has found so, its scan must not enter a Cache.
//
// Errors: as Read.
func Skim(ctx context.Context, diffID string, stored io.ReaderAt, size int64, limits Limits) (*Scan, error) {
	limits = limits.orDefaults()
	if size > limits.MaxUnpacked {
		return nil, &Failure{DiffID: diffID, Err: errs.New(errs.Exhausted, "layer %s unpacks to more than %d bytes", diffID, limits.MaxUnpacked)}
	}
	w := &window{ctx: ctx, r: stored, size: size, seen: limits.Seen}
	b := newBuilder(diffID, limits.Budget)
	if err := b.readTar(tar.NewReader(w)); err != nil {
		return nil, readError(ctx, err, diffID, w.at)
	}
	b.scan.UnpackedSize = size
	return b.finish(), nil
}

// Verify reads all of an uncompressed layer and compares it with diffID. It gives the digest of the bytes in the algorithm of blobDigest,
// which may be "".
//
// Errors: Corrupt for another diffID, else what stored or ctx gave.
func Verify(ctx context.Context, diffID, blobDigest string, stored io.Reader, limits Limits) (string, error) {
	unpacked, blob := digesterOf(diffID), digesterOf(blobDigest)
	hash := io.Writer(unpacked)
	if blob.algorithm != unpacked.algorithm {
		hash = io.MultiWriter(unpacked, blob)
	} else {
		blob = unpacked
	}
	n, err := io.CopyBuffer(hash, &source{ctx: ctx, r: stored, seen: limits.Seen}, make([]byte, blockSize))
	if err != nil {
		return "", readError(ctx, err, diffID, n)
	}
	if got := unpacked.digest(); got != diffID {
		return "", notTheDiffID(diffID, got)
	}
	return blob.digest(), nil
}

// window reads a file in small blocks, so that a header and a short body come with one call.
type window struct {
	ctx      context.Context
	r        io.ReaderAt
	size, at int64
	from     int64 // offset of data
	data     []byte
	buffer   [windowSize]byte
	seen     func(bytes int)
}

const windowSize = 8 << 10

// Read implements io.Reader.
func (w *window) Read(p []byte) (int, error) {
	if w.at >= w.size {
		return 0, io.EOF
	}
	if w.at < w.from || w.at >= w.from+int64(len(w.data)) {
		if err := w.load(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.data[w.at-w.from:])
	w.at += int64(n)
	return n, nil
}

func (w *window) load() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	n, err := w.r.ReadAt(w.buffer[:min(windowSize, w.size-w.at)], w.at)
	if n == 0 {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the file has become shorter
		}
		return err
	}
	w.from, w.data = w.at, w.buffer[:n]
	if w.seen != nil {
		w.seen(n)
	}
	return nil
}

// Seek implements io.Seeker forwards only, which is how a tar reader passes over bodies.
func (w *window) Seek(offset int64, whence int) (int64, error) {
	switch {
	case whence != io.SeekCurrent || offset < 0:
		return 0, errs.New(errs.Unsupported, "a layer is read forwards")
	case offset > w.size-w.at:
		return w.at, io.ErrUnexpectedEOF
	}
	w.at += offset
	return w.at, nil
}
