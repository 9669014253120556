// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"strings"

	"firn.dev/firn/internal/errs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// source passes on stored bytes, tells how many, and stops when its context ends.
type source struct {
	ctx  context.Context
	r    io.Reader
	seen func(bytes int)
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	if s.seen != nil && n > 0 {
		s.seen(n)
	}
	return n, err
}

// counted counts what is read through it.
type counted struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// packing is how stored bytes are compressed.
type packing int

const (
	plain packing = iota
	gzipped
	zstandard
)

// packingOf decides by the first four bytes, because media types lie.
func packingOf(magic []byte) packing {
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzipped
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18}):
		return zstandard
	}
	return plain
}

// peekPacking looks at the beginning of r without reading it.
func peekPacking(r *bufio.Reader) (packing, error) {
	magic, err := r.Peek(4)
	if err != nil && err != io.EOF {
		return plain, err
	}
	return packingOf(magic), nil
}

// inflater gives what r unpacks to. A bufio.Reader is what the decoders are fastest with.
func inflater(r *bufio.Reader, p packing) (io.Reader, func(), error) {
	switch p {
	case gzipped:
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, err
		}
		return z, func() { _ = z.Close() }, nil
	case zstandard:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

// tarStream is the unpacked stream of one layer. Reading and hashing the stored bytes, inflating them, and hashing and reading what
// comes out are three goroutines. Plain bytes are hashed once and need two, or one when they are in a file, which is faster read than
// handed over.
type tarStream struct {
	diffID string
	next   func() ([]byte, error)
	close  func()
	cur    []byte
	err    error
	hash   digester
	offset int64

	// What follows belongs to the goroutine that inflates until the stream has ended.
	packing     packing
	stored      *bufio.Reader
	storedHash  digester // of plain bytes only if it is another one than hash
	storedAhead *ahead
	taken       counted
	unpacked    io.Reader
	total       int64
	maxUnpacked int64
	closeIt     func()
}

// newTarStream starts to inflate stored, which is hashed as blobDigest is. Close must be called.
func newTarStream(ctx context.Context, diffID, blobDigest string, stored io.Reader, limits Limits) *tarStream {
	t := &tarStream{
		diffID: diffID, hash: digesterOf(diffID), storedHash: digesterOf(blobDigest), maxUnpacked: limits.MaxUnpacked, closeIt: func() {}, close: func() {},
		stored: bufio.NewReaderSize(&source{ctx: ctx, r: stored, seen: limits.Seen}, blockSize),
	}
	if t.packing, t.err = peekPacking(t.stored); t.err != nil {
		return t
	}
	if _, file := stored.(io.ReaderAt); file && t.packing == plain {
		buffer := make([]byte, blockSize)
		t.next = func() ([]byte, error) {
			n, err := t.inflate(buffer)
			return buffer[:n], err
		}
		return t
	}
	inflated := readAhead(t.inflate, t.end)
	t.next, t.close = inflated.next, inflated.Close
	return t
}

// Close ends the goroutines.
func (t *tarStream) Close() { t.close() }

// inflate fills a buffer with unpacked bytes.
func (t *tarStream) inflate(buffer []byte) (int, error) {
	if t.unpacked == nil {
		if err := t.open(); err != nil {
			return 0, err
		}
	}
	n, err := fill(t.unpacked, buffer)
	t.total += int64(n)
	if e := t.limit(); e != nil {
		return n, e
	}
	if err == io.EOF && t.storedAhead != nil {
		// The digest of the stored bytes is of all of them, also of those that a decoder does not look at.
		if _, e := io.Copy(io.Discard, t.storedAhead); e != nil {
			return n, e
		}
	}
	return n, err
}

// open begins to inflate.
func (t *tarStream) open() (err error) {
	if t.packing == plain {
		t.taken.r = t.stored
		if t.unpacked = &t.taken; t.storedHash.algorithm != t.hash.algorithm {
			t.unpacked = io.TeeReader(&t.taken, t.storedHash)
		}
		return nil
	}
	t.storedAhead = readAhead(func(buffer []byte) (int, error) {
		n, err := t.stored.Read(buffer)
		t.storedHash.Write(buffer[:n])
		return n, err
	}, func() {})
	t.taken.r = t.storedAhead
	t.unpacked, t.closeIt, err = inflater(bufio.NewReaderSize(&t.taken, blockSize), t.packing)
	if err != nil {
		t.closeIt = func() {}
	}
	return err
}

// end lets go of what open made.
func (t *tarStream) end() {
	t.closeIt()
	if t.storedAhead != nil {
		t.storedAhead.Close()
	}
}

func (t *tarStream) limit() error {
	switch {
	case t.total > t.maxUnpacked:
		return errs.New(errs.Exhausted, "layer %s unpacks to more than %d bytes", t.diffID, t.maxUnpacked)
	case t.total > ratioFloor && t.total > ratioMax*t.taken.n:
		return errs.New(errs.Exhausted, "layer %s unpacks to more than %d times its %d stored bytes", t.diffID, ratioMax, t.taken.n)
	}
	return nil
}

// advance makes sure that there are current bytes, and that they are hashed.
func (t *tarStream) advance() error {
	for len(t.cur) == 0 {
		if t.err != nil {
			return t.err
		}
		t.cur, t.err = t.next()
		t.hash.Write(t.cur)
	}
	return nil
}

// Read implements io.Reader.
func (t *tarStream) Read(p []byte) (int, error) {
	if err := t.advance(); err != nil {
		return 0, err
	}
	n := copy(p, t.cur)
	t.take(n)
	return n, nil
}

func (t *tarStream) take(n int) {
	t.cur = t.cur[n:]
	t.offset += int64(n)
}

// Seek implements io.Seeker forwards only, which is how a tar reader passes over bodies: they are hashed and not copied.
func (t *tarStream) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || offset < 0 {
		return 0, errs.New(errs.Unsupported, "layer %s is read forwards", t.diffID)
	}
	for offset > 0 {
		if err := t.advance(); err == io.EOF {
			return t.offset, io.ErrUnexpectedEOF // io.EOF would pass for the end of the archive
		} else if err != nil {
			return t.offset, err
		}
		n := min(offset, int64(len(t.cur)))
		t.take(int(n))
		offset -= n
	}
	return t.offset, nil
}

// digest gives the diffID of what was read.
func (t *tarStream) digest() string { return t.hash.digest() }

// blob describes the stored bytes. The stream has been read to its end.
func (t *tarStream) blob() Blob {
	if t.packing == plain && t.storedHash.algorithm == t.hash.algorithm {
		return Blob{Digest: t.digest(), Size: t.offset}
	}
	return Blob{Digest: t.storedHash.digest(), Size: t.taken.n}
}

// digester hashes with one of the algorithms of OCI digests.
type digester struct {
	hash.Hash
	algorithm string
}

// digesterOf hashes as a digest says, with SHA-256 unless it names SHA-512.
func digesterOf(digest string) digester {
	if strings.HasPrefix(digest, "sha512:") {
		return digester{sha512.New(), "sha512"}
	}
	return digester{sha256.New(), "sha256"}
}

func (d digester) digest() string { return d.algorithm + ":" + hex.EncodeToString(d.Sum(nil)) }

// DigestLike hashes data with the algorithm of another digest, SHA-256 for one that is "".
func DigestLike(digest string, data []byte) string {
	d := digesterOf(digest)
	d.Write(data)
	return d.digest()
}

// Unpack writes what stored bytes unpack to, within the bounds of a layer; plain bytes are copied. name is for errors.
//
// Errors: Exhausted for a limit, else what the decoder, r or w gave.
func Unpack(ctx context.Context, w io.Writer, r io.Reader, name string) error {
	stored := &counted{r: &source{ctx: ctx, r: r}}
	b := bufio.NewReaderSize(stored, blockSize)
	p, err := peekPacking(b)
	if err != nil {
		return err
	}
	unpacked, closeIt, err := inflater(b, p)
	if err != nil {
		return err
	}
	defer closeIt()
	for total := int64(0); ; {
		n, err := io.CopyN(w, unpacked, blockSize)
		total += n
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case total > DefaultMaxUnpacked:
			return errs.New(errs.Exhausted, "archive %s unpacks to more than %d bytes", name, int64(DefaultMaxUnpacked))
		case total > ratioFloor && total > ratioMax*stored.n:
			return errs.New(errs.Exhausted, "archive %s unpacks to more than %d times its %d stored bytes", name, ratioMax, stored.n)
		}
	}
}
