// SPDX-License-Identifier: Apache-2.0

package vulndb

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"slices"
	"time"

	"firn.dev/firn/internal/errs"
	"github.com/klauspost/compress/zstd"
)

// The file: magic, blocks, index, offset of the index (8 bytes, big endian), SHA-256 of everything before it. A block is some
// packages, each a JSON list of entries, compressed together; the index is compressed as well. Numbers in it are varints.
const (
	magic      = "firnvdb1"
	magicKind  = "firnvdb" // followed by the version of the layout
	blockBytes = 32 << 10
	rawMax     = 256 << 20 // unpacked bytes of one block or of the index
	footerSize = 8 + sha256.Size
)

// index says where the packages are.
type index struct {
	built, newest time.Time
	records       int
	blocks        []span
	keys          []string // sorted
	places        []place  // of the keys
}

// span is a compressed part of the file.
type span struct {
	offset int64
	size   int
}

// place is one package within an unpacked block.
type place struct {
	block, offset, size int
}

func (x *index) find(key string) (place, bool) {
	i, ok := slices.BinarySearch(x.keys, key)
	if !ok {
		return place{}, false
	}
	return x.places[i], true
}

// writer makes a database file; packages must be added in the order of their keys.
type writer struct {
	out   *bufio.Writer
	sum   hash.Hash
	at    int64
	pack  *zstd.Encoder
	index index
	block []byte
}

func newWriter(out io.Writer) (*writer, error) {
	pack, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return nil, err
	}
	w := &writer{out: bufio.NewWriter(out), sum: sha256.New(), pack: pack}
	return w, w.write([]byte(magic))
}

func (w *writer) write(p []byte) error {
	w.sum.Write(p)
	w.at += int64(len(p))
	_, err := w.out.Write(p)
	return err
}

func (w *writer) add(key string, data []byte) error {
	w.index.keys = append(w.index.keys, key)
	w.index.places = append(w.index.places, place{block: len(w.index.blocks), offset: len(w.block), size: len(data)})
	if w.block = append(w.block, data...); len(w.block) < blockBytes {
		return nil
	}
	return w.flush()
}

func (w *writer) flush() error {
	if len(w.block) == 0 {
		return nil
	}
	packed := w.pack.EncodeAll(w.block, nil)
	w.index.blocks = append(w.index.blocks, span{offset: w.at, size: len(packed)})
	w.block = w.block[:0]
	return w.write(packed)
}

// finish writes the index and gives the checksum of the whole file.
func (w *writer) finish() (sum string, size int64, err error) {
	if err := w.flush(); err != nil {
		return "", 0, err
	}
	start := w.at
	if err := w.write(w.pack.EncodeAll(w.index.encode(), nil)); err != nil {
		return "", 0, err
	}
	if err := w.write(binary.BigEndian.AppendUint64(nil, uint64(start))); err != nil {
		return "", 0, err
	}
	if err := w.write(w.sum.Sum(nil)); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(w.sum.Sum(nil)), w.at, w.out.Flush()
}

func (x *index) encode() []byte {
	var b []byte
	number := func(n int64) { b = binary.AppendVarint(b, n) }
	number(x.built.Unix())
	number(x.newest.Unix())
	number(int64(x.records))
	number(int64(len(x.blocks)))
	for _, s := range x.blocks {
		number(s.offset)
		number(int64(s.size))
	}
	number(int64(len(x.keys)))
	for i, key := range x.keys {
		number(int64(len(key)))
		b = append(b, key...)
		p := x.places[i]
		number(int64(p.block))
		number(int64(p.offset))
		number(int64(p.size))
	}
	return b
}

var errDamaged = errs.New(errs.Corrupt, "the file is damaged or cut off: make it again with firn db import")

// readFile verifies a database file and gives its index and the SHA-256 of the whole file.
func readFile(f *os.File) (*index, string, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, "", errs.New(errs.Unavailable, "it is no regular file")
	}
	head := make([]byte, len(magic))
	if _, err := f.ReadAt(head, 0); err != nil || !bytes.HasPrefix(head, []byte(magicKind)) {
		return nil, "", errs.New(errs.Corrupt, "the file is no vulnerability database: make one with firn db import")
	}
	if string(head) != magic {
		return nil, "", errs.New(errs.Unsupported, "the file has layout %q, this program reads %q: make it again with firn db import", head, magic)
	}
	body := info.Size() - sha256.Size
	if body < int64(len(magic))+8 {
		return nil, "", errDamaged
	}
	h := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, io.NewSectionReader(f, 0, body), make([]byte, 256<<10)); err != nil {
		return nil, "", errs.Wrap(err, errs.Unavailable, "the file cannot be read")
	}
	tail := make([]byte, footerSize)
	if _, err := f.ReadAt(tail, info.Size()-footerSize); err != nil {
		return nil, "", errs.Wrap(err, errs.Unavailable, "the file cannot be read")
	}
	if !bytes.Equal(h.Sum(nil), tail[8:]) {
		return nil, "", errDamaged
	}
	h.Write(tail[8:])
	start := binary.BigEndian.Uint64(tail)
	end := uint64(info.Size() - footerSize)
	if start > end {
		return nil, "", errDamaged
	}
	raw, err := unpack(f, span{offset: int64(start), size: int(end - start)})
	if err != nil {
		return nil, "", err
	}
	x, err := decodeIndex(raw, int64(end))
	return x, hex.EncodeToString(h.Sum(nil)), err
}

func unpack(f io.ReaderAt, s span) ([]byte, error) {
	packed := make([]byte, s.size)
	if _, err := f.ReadAt(packed, s.offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, errs.Wrap(err, errs.Unavailable, "the file cannot be read")
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(rawMax))
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "decoder")
	}
	defer z.Close()
	raw, err := z.DecodeAll(packed, nil)
	if err != nil {
		return nil, errDamaged
	}
	return raw, nil
}

func (x *index) readBlock(f io.ReaderAt, block int) ([]byte, error) {
	return unpack(f, x.blocks[block])
}

// numbers reads what encode wrote; bad stays set once something did not fit.
type numbers struct {
	b   []byte
	bad bool
}

// next gives a number between 0 and most.
func (n *numbers) next(most int64) int64 {
	v, used := binary.Varint(n.b)
	if used <= 0 || v < 0 || v > most {
		n.bad = true
		return 0
	}
	n.b = n.b[used:]
	return v
}

func (n *numbers) text(size int64) string {
	if size > int64(len(n.b)) {
		n.bad = true
		return ""
	}
	s := string(n.b[:size])
	n.b = n.b[size:]
	return s
}

// decodeIndex reads an index of a file whose blocks end before end.
func decodeIndex(raw []byte, end int64) (*index, error) {
	const forever = 1 << 40
	n := &numbers{b: raw}
	x := &index{built: time.Unix(n.next(forever), 0).UTC(), newest: time.Unix(n.next(forever), 0).UTC(), records: int(n.next(1 << 31))}
	for range n.next(int64(len(n.b))) {
		s := span{offset: n.next(end), size: int(n.next(end))}
		if n.bad || s.offset+int64(s.size) > end {
			return nil, errDamaged
		}
		x.blocks = append(x.blocks, s)
	}
	count := n.next(int64(len(n.b)))
	x.keys, x.places = make([]string, 0, count), make([]place, 0, count)
	for range count {
		x.keys = append(x.keys, n.text(n.next(1<<16)))
		p := place{block: int(n.next(int64(len(x.blocks)) - 1)), offset: int(n.next(rawMax)), size: int(n.next(rawMax))}
		if n.bad {
			return nil, errDamaged
		}
		x.places = append(x.places, p)
	}
	if n.bad || !slices.IsSortedFunc(x.keys, cmp.Compare[string]) {
		return nil, errDamaged
	}
	return x, nil
}
