// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"

	"github.com/minio/minio-go/v7"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// Open implements blob.Store. A stream that breaks off is asked for again from where it broke, of the same version of the object.
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, errs.New(errs.Invalid, "blob %s has no offset %d", key, offset)
	}
	if length == 0 {
		return s.openNothing(ctx, key, offset)
	}
	r := &reader{ctx: ctx, store: s, key: key, at: offset, end: math.MaxInt64}
	if length > 0 && length < math.MaxInt64-offset {
		r.end = offset + length
	}
	err := s.retry(ctx, r.open)
	if isRange(err) {
		return s.openNothing(ctx, key, offset)
	}
	if err != nil {
		return nil, s.failure(err, key)
	}
	return r, nil
}

// openNothing gives no bytes of a blob that has the offset.
func (s *Store) openNothing(ctx context.Context, key string, offset int64) (io.ReadCloser, error) {
	info, err := s.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	if offset > info.Size {
		return nil, errs.New(errs.Invalid, "blob %s has %d bytes, offset %d is beyond them", key, info.Size, offset)
	}
	return io.NopCloser(bytes.NewReader(nil)), nil
}

// reader is a part of an object that is being read. It is for one goroutine.
type reader struct {
	ctx     context.Context
	store   *Store
	key     string
	at, end int64
	etag    string // of the version that is read; "" before the first answer
	body    io.ReadCloser
	broken  int // times in a row that the stream broke without a byte
}

// open asks for the rest. Its first success sets etag and end.
func (r *reader) open() error {
	var options minio.GetObjectOptions
	ranged := r.at > 0 || r.end < math.MaxInt64
	switch {
	case r.end < math.MaxInt64:
		options.Set("Range", fmt.Sprintf("bytes=%d-%d", r.at, r.end-1))
	case ranged:
		options.Set("Range", fmt.Sprintf("bytes=%d-", r.at))
	}
	if r.etag != "" {
		options.Set("If-Match", `"`+r.etag+`"`)
	}
	body, o, header, err := r.store.core.GetObject(r.ctx, r.store.o.Bucket, r.store.name(r.key), options)
	if err != nil {
		return err
	}
	if ranged && header.Get("Content-Range") == "" || o.Size < 0 {
		body.Close()
		return errs.New(errs.Unavailable, "bucket %s at %s answers without the range or the length of blob %s", r.store.o.Bucket, r.store.o.Endpoint, r.key)
	}
	r.body = body
	if r.etag == "" {
		r.etag, r.end = o.ETag, r.at+o.Size
	}
	return nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for {
		if r.at == r.end {
			return 0, io.EOF
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.end-r.at)])
		r.at += int64(n)
		if n > 0 {
			r.broken = 0
			return n, nil // an error comes again
		}
		if err == nil {
			return 0, nil
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if r.broken++; r.broken == attempts || r.ctx.Err() != nil {
			return 0, r.store.failure(err, r.key)
		}
		r.body.Close()
		switch err := r.store.retry(r.ctx, r.open); {
		case isPrecondition(err), isMissing(err):
			r.body = gone{}
			return 0, errs.Wrap(err, errs.Unavailable, "blob %s was replaced while it was read", r.key)
		case err != nil:
			r.body = gone{}
			return 0, r.store.failure(err, r.key)
		}
	}
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.body.Close() }

// gone is the body of a stream that could not be opened again.
type gone struct{}

func (gone) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
func (gone) Close() error             { return nil }
