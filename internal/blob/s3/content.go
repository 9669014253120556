// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"

	"firn.dev/firn/internal/errs"
)

// content is what a request sends, once for each attempt. The zero value has no bytes.
type content struct {
	size   int64
	sum    string           // SHA-256 in hexadecimal digits, "" when it is not known yet
	source func() io.Reader // nil for no bytes
}

// open reads from the start.
func (c content) open() io.Reader {
	if c.source == nil {
		return bytes.NewReader(nil)
	}
	return c.source()
}

// inMemory is content of bytes.
func inMemory(b []byte) content {
	return content{size: int64(len(b)), source: func() io.Reader { return bytes.NewReader(b) }}
}

// inFile is content that a file has at an offset.
func inFile(f *os.File, offset, size int64) content {
	return content{size: size, source: func() io.Reader { return io.NewSectionReader(f, offset, size) }}
}

// upTo is the first bytes of content.
func (c content) upTo(size int64) content {
	if size == c.size {
		return c
	}
	return content{size: size, source: func() io.Reader { return io.LimitReader(c.open(), size) }}
}

// joined is content that is one after the other.
func joined(all ...content) content {
	whole := content{source: func() io.Reader {
		var readers []io.Reader
		for _, c := range all {
			readers = append(readers, c.open())
		}
		return io.MultiReader(readers...)
	}}
	for _, c := range all {
		whole.size += c.size
	}
	return whole
}

// body is the content for one attempt. It hides Seek: the client would rewind it for attempts of its own.
func (c content) body() io.Reader { return struct{ io.Reader }{c.open()} }

// digest gives the SHA-256 of content.
func (c content) digest() (string, error) {
	if c.sum != "" {
		return c.sum, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, c.open()); err != nil {
		return "", scratchFailure(err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// part is content that is gathered until it fills a part. It is in a file without a name, as memory for so much of each push is scarce.
type part struct {
	file *os.File
	size int64
	hash hash.Hash
}

// newPart makes an empty part. close must be called.
func (s *Store) newPart() (*part, error) {
	f, err := s.scratch()
	return &part{file: f, hash: sha256.New()}, err
}

// scratch makes a file without a name.
func (s *Store) scratch() (*os.File, error) {
	f, err := os.CreateTemp(s.o.Scratch, "firn-part-*")
	if err != nil {
		return nil, scratchFailure(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, scratchFailure(errors.Join(err, f.Close()))
	}
	return f, nil
}

// scratchFailure says that the local disk failed.
func scratchFailure(err error) error {
	reason := err
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		reason = p.Err
	}
	return errs.Wrap(err, errs.Exhausted, "the server has no room for a part on its way to the bucket, in the folder for temporary files: %s", reason)
}

// fill adds what r has until the part is full, r or the context ends. err is a failure of the disk.
func (p *part) fill(ctx context.Context, r io.Reader, buffer []byte) (read int64, readErr, err error) {
	for p.size < partSize && readErr == nil {
		var n int
		n, readErr = readFull(ctx, r, buffer[:min(int64(len(buffer)), partSize-p.size)])
		if _, err := p.file.WriteAt(buffer[:n], p.size); err != nil {
			return read, readErr, scratchFailure(err)
		}
		p.hash.Write(buffer[:n])
		p.size, read = p.size+int64(n), read+int64(n)
	}
	return read, readErr, nil
}

// readFull fills p from r until r or the context ends.
func readFull(ctx context.Context, r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if ctx.Err() != nil {
			return n, errs.Wrap(context.Cause(ctx), errs.Canceled, "writing a blob was stopped")
		}
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	return n, err
}

// content is what was gathered, until close.
func (p *part) content() content {
	c := inFile(p.file, 0, p.size)
	c.sum = hex.EncodeToString(p.hash.Sum(nil))
	return c
}

// close forgets what was gathered. A request that was given up and still reads it fails.
func (p *part) close() { _ = p.file.Close() }
