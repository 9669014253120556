// SPDX-License-Identifier: Apache-2.0

// Package blob is the contract of the byte store: large content under opaque keys. It holds nouns and promises, and the
// one function that tells good keys from bad ones. It verifies no digests: the registry does, while it receives.
//
// What a key means is known to the catalog alone; a key without a row is garbage. blob/dir keeps files in a directory,
// blob/s3 objects in a bucket; blob/blobtest is the suite that both pass, and holds a store in memory that passes it too.
package blob

import (
	"context"
	"io"
	"iter"
	"time"
)

// Info describes a stored blob.
type Info struct {
	Key      string
	Size     int64
	Modified time.Time
}

// Store keeps blobs. Keys are slash-separated, of [a-z0-9._-], at most 200 bytes, never empty, with no part "." or "..".
// All methods are safe for concurrent use.
type Store interface {
	// Put stores what r gives under the key, replacing what was there. The blob is visible whole or not at all, and durable
	// when Put returns. A failing r leaves everything as it was.
	//
	// Errors: Invalid for a bad key; Exhausted when the disk is full; Unavailable; the error of r.
	Put(ctx context.Context, key string, r io.Reader) (Info, error)
	// Open gives bytes [offset, offset+length) of a blob; a length below zero means to its end. The result may also be an
	// *os.File positioned at offset when the whole rest is asked for, which servers use for sendfile. What is open stays
	// readable as it was, whatever happens to the key.
	//
	// Errors: NotFound; Invalid when offset is beyond the end.
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// Stat describes a blob.
	//
	// Errors: NotFound.
	Stat(ctx context.Context, key string) (Info, error)
	// List gives the blobs whose key starts with the prefix, in byte order of the keys.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Delete removes a blob; nothing happens when it is absent.
	Delete(ctx context.Context, key string) error
}

// Appender is what a store also has to gather a blob in several steps, over restarts and replicas.
type Appender interface {
	// Append writes r at the offset of an unfinished blob and gives the new end. Bytes beyond offset from an earlier, unacknowledged
	// Append are overwritten. What was appended is durable when Append returns. When r fails, what it gave before is kept and the end
	// comes with its error; after an error of the store the end is offset. Callers append to one key one after the other. offset is 0
	// or an end that Append gave: elsewhere a store need not be able to cut.
	//
	// Errors: NotFound when offset > 0 and there is no such unfinished blob; Conflict when it is shorter than offset; as Put.
	Append(ctx context.Context, key string, offset int64, r io.Reader) (int64, error)
	// Finish makes an unfinished blob durable and visible under the same key, cut at size, which is an end that Append gave. When there
	// is none, a visible blob of that size under the key counts as finished before: whoever asked may have died before the answer.
	//
	// Errors: NotFound; Conflict when it is shorter than size.
	Finish(ctx context.Context, key string, size int64) (Info, error)
	// Abort removes an unfinished blob; nothing happens when it is absent.
	Abort(ctx context.Context, key string) error
}

// Presigner is what a store also has that can send readers to its bytes directly.
type Presigner interface {
	// Presign gives a URL from which the blob can be read without credentials, also in ranges, until ttl is over. The blob need not
	// exist. The URL is as secret as the blob.
	//
	// Errors: Invalid for a bad key.
	Presign(ctx context.Context, key string, ttl time.Duration) (url string, err error)
}
