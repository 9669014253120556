// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"context"
	"io"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Seek gives the bytes of a file for reading at any place, as ranges and resumed downloads need. The caller closes it.
//
// Errors: Corrupt when the bytes are gone; Unavailable when the store does not answer.
func (s *Stage) Seek(ctx context.Context, f *catalog.File) (io.ReadSeekCloser, error) {
	whole, err := s.blobs.Open(ctx, f.Key, 0, -1)
	if errs.Is(err, errs.NotFound) {
		return nil, errs.Wrap(err, errs.Corrupt, "stage file %s has lost its content: put it again", f.Path)
	}
	if err != nil {
		return nil, err
	}
	if file, ok := whole.(io.ReadSeekCloser); ok {
		return file, nil
	}
	return &seeker{ctx: ctx, blobs: s.blobs, file: f, body: whole}, nil
}

// seeker reads a blob of a store that cannot seek: a new place is a new request.
type seeker struct {
	ctx   context.Context // of the request that reads
	blobs blob.Store
	file  *catalog.File
	body  io.ReadCloser // nil until the next read opens it
	at    int64
}

func (s *seeker) Read(p []byte) (int, error) {
	if s.at >= s.file.Size {
		return 0, io.EOF
	}
	if s.body == nil {
		body, err := s.blobs.Open(s.ctx, s.file.Key, s.at, -1)
		if err != nil {
			return 0, err
		}
		s.body = body
	}
	n, err := s.body.Read(p)
	s.at += int64(n)
	return n, err
}

func (s *seeker) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.file.Size
	}
	if offset < 0 {
		return s.at, errs.New(errs.Invalid, "seek before the beginning of %s", s.file.Path)
	}
	if offset != s.at {
		if err := s.Close(); err != nil {
			return s.at, err
		}
		s.at = offset
	}
	return offset, nil
}

func (s *seeker) Close() error {
	if s.body == nil {
		return nil
	}
	body := s.body
	s.body = nil
	return body.Close()
}
