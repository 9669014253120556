// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// cleanup is how long what failed may take to be cleaned up, also when its request is gone.
const cleanup = 30 * time.Second

// Put implements blob.Store: what fits a part is one request, the rest an upload in parts.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	nonce, err := s.nonce()
	if err != nil {
		return blob.Info{}, err
	}
	m := &multipart{store: s, key: key, nonce: nonce}
	rest, size, readErr, err := m.fill(ctx, ctx, content{}, r)
	if err == nil {
		defer rest.close()
		err = readErr
	}
	if err == nil {
		err = s.publish(ctx, m, rest.content())
	}
	if err != nil {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
		defer cancel()
		return blob.Info{}, errors.Join(err, m.abort(limit)) // parts that stay are for Sweep
	}
	return s.confirm(ctx, key, size)
}

// publish makes the visible object of what was uploaded and its rest.
func (s *Store) publish(ctx context.Context, m *multipart, rest content) error {
	if len(m.etags) > 0 {
		return s.failure(m.complete(ctx, rest), m.key)
	}
	_, err := s.put(ctx, s.name(m.key), rest, minio.PutObjectOptions{UserMetadata: map[string]string{nonceHeader: m.nonce}})
	return s.failure(err, m.key)
}

// confirm looks at an object that was just made: only what the server shows is acknowledged.
func (s *Store) confirm(ctx context.Context, key string, size int64) (blob.Info, error) {
	o, err := s.stat(ctx, s.name(key))
	if isMissing(err) {
		return blob.Info{}, errs.Wrap(err, errs.Unavailable, "bucket %s at %s took blob %s and does not have it", s.o.Bucket, s.o.Endpoint, key)
	} else if err != nil {
		return blob.Info{}, s.failure(err, key)
	}
	return blob.Info{Key: key, Size: size, Modified: o.LastModified}, nil
}

// nonce gives a text that nobody else has.
func (s *Store) nonce() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.o.Rand, b[:]); err != nil {
		return "", errs.Wrap(err, errs.Internal, "there is no randomness for a blob")
	}
	return hex.EncodeToString(b[:]), nil
}
