// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"

	"firn.dev/firn/internal/errs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// countingReader counts what it passes on, and stops when its context ends.
type countingReader struct {
	ctx context.Context
	r   io.Reader
	n   int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// unpack gives the tar stream inside stored bytes: plain, gzip (also of several members) or zstd, decided by the content.
func unpack(r io.Reader) (io.Reader, func(), error) {
	b := bufio.NewReaderSize(r, 256<<10)
	magic, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil, err
		}
		return z, func() { _ = z.Close() }, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return b, func() {}, nil
}

// tarStream is the unpacked stream of one layer: inflated by a goroutine of its own, hashed and counted by the reader.
type tarStream struct {
	diffID string
	blocks chan block
	free   chan []byte
	stop   chan struct{}
	cur    []byte
	whole  []byte
	err    error
	hash   hash.Hash
	offset int64
}

type block struct {
	data []byte
	err  error
}

const (
	blockSize  = 256 << 10
	blockCount = 4
)

// newTarStream starts to inflate stored. Close must be called.
func newTarStream(ctx context.Context, diffID string, stored io.Reader, maxUnpacked int64) *tarStream {
	t := &tarStream{
		diffID: diffID, hash: sha256.New(),
		blocks: make(chan block, blockCount), free: make(chan []byte, blockCount), stop: make(chan struct{}),
	}
	for range blockCount {
		t.free <- make([]byte, blockSize)
	}
	go t.inflate(&countingReader{ctx: ctx, r: stored}, maxUnpacked)
	return t
}

func (t *tarStream) inflate(stored *countingReader, maxUnpacked int64) {
	defer close(t.blocks)
	unpacked, closeIt, err := unpack(stored)
	if err != nil {
		t.blocks <- block{err: err}
		return
	}
	defer closeIt()
	total := int64(0)
	for {
		var buffer []byte
		select {
		case <-t.stop:
			return
		case buffer = <-t.free:
		}
		n, err := fill(unpacked, buffer)
		total += int64(n)
		if e := t.limit(total, stored.n, maxUnpacked); e != nil {
			err = e
		}
		select {
		case <-t.stop:
			return
		case t.blocks <- block{data: buffer[:n], err: err}:
		}
		if err != nil {
			return
		}
	}
}

// fill reads until the buffer is full. Unlike io.ReadFull it keeps io.EOF and a decoder's io.ErrUnexpectedEOF apart.
func fill(r io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var more int
		more, err = r.Read(buffer[n:])
		n += more
	}
	return n, err
}

func (t *tarStream) limit(unpacked, stored, maxUnpacked int64) error {
	switch {
	case unpacked > maxUnpacked:
		return errs.New(errs.Exhausted, "layer %s unpacks to more than %d bytes", t.diffID, maxUnpacked)
	case unpacked > ratioFloor && unpacked > ratioMax*stored:
		return errs.New(errs.Exhausted, "layer %s unpacks to more than %d times its %d stored bytes", t.diffID, ratioMax, stored)
	}
	return nil
}

// Read implements io.Reader.
func (t *tarStream) Read(p []byte) (int, error) {
	for len(t.cur) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		if t.whole != nil {
			t.free <- t.whole[:blockSize]
			t.whole = nil
		}
		b, ok := <-t.blocks
		if !ok {
			t.err = io.ErrUnexpectedEOF
			continue
		}
		t.cur, t.err = b.data, b.err
		if b.data != nil {
			t.whole = b.data[:0]
		}
		t.hash.Write(t.cur)
	}
	n := copy(p, t.cur)
	t.cur = t.cur[n:]
	t.offset += int64(n)
	return n, nil
}

// digest gives the diffID of what was read.
func (t *tarStream) digest() string { return "sha256:" + hex.EncodeToString(t.hash.Sum(nil)) }

// Close ends the goroutine.
func (t *tarStream) Close() {
	close(t.stop)
	for range t.blocks {
	}
}

// Unpack writes what stored bytes unpack to, at most DefaultMaxUnpacked of it; plain bytes are copied.
//
// Errors: Exhausted for a limit, else what the decoder, r or w gave.
func Unpack(w io.Writer, r io.Reader) error {
	unpacked, closeIt, err := unpack(r)
	if err != nil {
		return err
	}
	defer closeIt()
	n, err := io.Copy(w, io.LimitReader(unpacked, DefaultMaxUnpacked+1))
	if err == nil && n > DefaultMaxUnpacked {
		err = errs.New(errs.Exhausted, "the archive unpacks to more than %d bytes", int64(DefaultMaxUnpacked))
	}
	return err
}
