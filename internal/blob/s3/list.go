// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return s.list(ctx, blobsPlace, prefix)
}

// list yields the objects of a place whose key starts with the prefix.
func (s *Store) list(ctx context.Context, place, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		after := ""
		for failed := 0; ; {
			last, more, err := s.listAfter(ctx, place, prefix, after, yield)
			if !more {
				return
			}
			if last != "" {
				after, failed = last, 0
			}
			if failed++; failed == attempts || !transient(err) || !wait(ctx, failed) {
				yield(blob.Info{}, s.failure(err, ""))
				return
			}
		}
	}
}

// listAfter yields objects until there are no more or a request fails, and gives the last one's name.
func (s *Store) listAfter(ctx context.Context, place, prefix, after string, yield func(blob.Info, error) bool) (last string, more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options := minio.ListObjectsOptions{Prefix: s.prefix() + place + prefix, StartAfter: after, Recursive: true}
	for o := range s.core.ListObjectsIter(ctx, s.o.Bucket, options) {
		if o.Err != nil {
			return last, true, o.Err
		}
		last = o.Key
		key, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, s.prefix()+place), nameEnd)
		if ok && !yield(blob.Info{Key: key, Size: o.Size, Modified: o.LastModified}, nil) {
			return last, false, nil
		}
	}
	return last, ctx.Err() != nil, ctx.Err()
}

// Sweep removes what crashes left before a time: unfinished blobs that rest since then, and parts that no state names. It gives
// their number. Blobs that are visible stay. Several replicas may sweep at once.
//
// Errors: Unavailable; what could be removed is.
func (s *Store) Sweep(ctx context.Context, before time.Time) (removed int, err error) {
	for info, listErr := range s.list(ctx, partialPlace, "") {
		if listErr != nil {
			return removed, errors.Join(err, listErr)
		}
		if info.Modified.Before(before) {
			abortErr := s.Abort(ctx, info.Key)
			if err = errors.Join(err, abortErr); abortErr == nil {
				removed++
			}
		}
	}
	for u := range s.core.ListIncompleteUploads(ctx, s.o.Bucket, s.prefix()+blobsPlace, true) {
		if u.Err != nil {
			return removed, errors.Join(err, s.failure(u.Err, ""))
		}
		swept, sweepErr := s.sweepUpload(ctx, u, before)
		if err = errors.Join(err, sweepErr); swept {
			removed++
		}
	}
	return removed, err
}

// sweepUpload aborts an upload that began before a time and that no younger state may name.
func (s *Store) sweepUpload(ctx context.Context, u minio.ObjectMultipartInfo, before time.Time) (bool, error) {
	key, ok := strings.CutSuffix(strings.TrimPrefix(u.Key, s.prefix()+blobsPlace), nameEnd)
	if !ok || !u.Initiated.Before(before) {
		return false, nil
	}
	switch state, err := s.stat(ctx, s.partial(key)); {
	case err == nil && !state.LastModified.Before(before):
		return false, nil
	case err != nil && !isMissing(err):
		return false, s.failure(err, key)
	}
	m := &multipart{store: s, key: key, id: u.UploadID}
	if err := m.abort(ctx); err != nil {
		return false, errs.Wrap(s.failure(err, key), errs.Unavailable, "parts of blob %s stay", key)
	}
	return true, nil
}
