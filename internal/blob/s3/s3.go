// SPDX-License-Identifier: Apache-2.0

// Package s3 keeps blobs as objects of a bucket. It implements blob.Store, blob.Appender and blob.Presigner for any number of
// replicas over AWS S3 and servers that speak its protocol. It makes no bucket and sets no policy. Only cmd/firnd and tests call it.
//
// Layout, below the prefix: blobs/<key>! is a visible blob, partial/<key>! the state of an unfinished one, probe what Open tries
// the bucket with. The "!" lets the keys "a" and "a/b" both exist on servers that keep objects as files, and sorts before
// every character of a key, so objects are listed in the order of their keys.
//
// An unfinished blob is a multipart upload of the final object: nothing is copied or moved when it is finished. Read state.go
// for what is remembered of it, append.go for how it grows, content.go for where bytes wait, retry.go for what is tried again.
package s3

import (
	"context"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// partSize is the size of every part but the last. All are alike, as some servers demand; 10,000 of them are the most.
const partSize = 8 << 20

// maxParts is how many parts an object may have.
const maxParts = 10_000

// bufferSize is the piece in which content is read.
const bufferSize = 128 << 10

// maxExtra is how many parts may be on their way beyond one for each stream: it bounds room on the local disk.
const maxExtra = 16

// The places of objects below the prefix.
const (
	blobsPlace   = "blobs/"
	partialPlace = "partial/"
	probeName    = "probe"
	nameEnd      = "!"
)

// nonceHeader is the metadata by which an object is known to come from a certain upload.
const nonceHeader = "Firn-Upload"

// Options says where the objects are. Endpoint, Region, Bucket, Rand and credentials must be set.
type Options struct {
	Endpoint string // "https://s3.eu-central-1.amazonaws.com"
	Region   string
	Bucket   string
	Prefix   string // of all objects; "" or a path without slashes around it

	AccessKey    string // with SecretKey; "" means CredentialsFile
	SecretKey    errs.Secret
	SessionToken errs.Secret // "" for keys that last
	// CredentialsFile is a file as AWS tools write it, of which Profile is taken.
	CredentialsFile, Profile string

	Rand io.Reader // of nonces
	// Scratch is the folder for parts that fill, 8 MiB each. "" means os.TempDir.
	Scratch string
	// Idle is how long the server may be silent in the middle of a request. Zero means two minutes.
	Idle time.Duration
}

// Store is a place in a bucket. It is safe for concurrent use, also by several processes.
type Store struct {
	o       Options
	core    *minio.Core
	close   func()
	fenced  bool
	buffers sync.Pool     // *[bufferSize]byte
	extra   chan struct{} // a place for each part on its way beyond one for each stream
}

// Open connects, and tries whether the bucket can be listed and written.
//
// Errors: Invalid for options that cannot work; Unavailable with endpoint, bucket and reason.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Idle == 0 {
		o.Idle = 2 * time.Minute
	}
	core, closeIdle, err := connect(o)
	if err != nil {
		return nil, err
	}
	s := &Store{
		o: o, core: core, close: closeIdle,
		buffers: sync.Pool{New: func() any { return new([bufferSize]byte) }},
		extra:   make(chan struct{}, maxExtra),
	}
	if err := s.retry(ctx, func() error { return s.list1(ctx) }); err != nil {
		return nil, s.failure(err, "")
	}
	if err := s.probe(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// probe writes an object, and then asks to write it only over a version that never was.
func (s *Store) probe(ctx context.Context) error {
	name := s.prefix() + probeName
	if _, err := s.put(ctx, name, inMemory([]byte("firn")), minio.PutObjectOptions{}); err != nil {
		return s.failure(err, "")
	}
	options := minio.PutObjectOptions{}
	options.SetMatchETag(strings.Repeat("0", 32))
	_, err := s.put(ctx, name, inMemory([]byte("firn")), options)
	s.fenced = isPrecondition(err)
	if err != nil && !s.fenced && minio.ToErrorResponse(err).Code != "NotImplemented" {
		return s.failure(err, "")
	}
	return nil
}

// Fenced tells whether the server honours If-Match. When it does not, two replicas that append to one blob at the same moment
// are told apart only if one has finished before the other.
func (s *Store) Fenced() bool { return s.fenced }

// Close lets idle connections go. What Open of blobs gave stays readable.
func (s *Store) Close() error {
	s.close()
	return nil
}

// Ping asks once whether the bucket answers.
//
// Errors: Unavailable with endpoint, bucket and reason.
func (s *Store) Ping(ctx context.Context) error { return s.failure(s.list1(ctx), "") }

// list1 lists at most one object: a request that names the reason when it is refused.
func (s *Store) list1(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range s.core.ListObjectsIter(ctx, s.o.Bucket, minio.ListObjectsOptions{Prefix: s.prefix(), MaxKeys: 1, Recursive: true}) {
		return o.Err
	}
	return ctx.Err()
}

// prefix is what all names of objects begin with.
func (s *Store) prefix() string {
	if s.o.Prefix == "" {
		return ""
	}
	return s.o.Prefix + "/"
}

// name gives the object of a visible blob.
func (s *Store) name(key string) string { return s.prefix() + blobsPlace + key + nameEnd }

// partial gives the object of an unfinished blob's state.
func (s *Store) partial(key string) string { return s.prefix() + partialPlace + key + nameEnd }

// put stores one small object with retries and gives its ETag.
func (s *Store) put(ctx context.Context, name string, c content, options minio.PutObjectOptions) (etag string, err error) {
	sum, err := c.digest()
	if err != nil {
		return "", err
	}
	options.DisableContentSha256 = true // the sum is in the signature, so the server refuses content that changed on its way
	err = s.retry(ctx, func() error {
		info, err := s.core.PutObject(ctx, s.o.Bucket, name, c.body(), c.size, "", sum, options)
		etag = info.ETag
		return err
	})
	return etag, err
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	o, err := s.stat(ctx, s.name(key))
	if err != nil {
		return blob.Info{}, s.failure(err, key)
	}
	return blob.Info{Key: key, Size: o.Size, Modified: o.LastModified}, nil
}

func (s *Store) stat(ctx context.Context, name string) (o minio.ObjectInfo, err error) {
	err = s.retry(ctx, func() (err error) {
		o, err = s.core.StatObject(ctx, s.o.Bucket, name, minio.StatObjectOptions{})
		return err
	})
	return o, err
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	return s.failure(s.remove(ctx, s.name(key)), key)
}

// remove deletes an object; nothing happens when it is absent.
func (s *Store) remove(ctx context.Context, name string) error {
	err := s.retry(ctx, func() error {
		return s.core.RemoveObject(ctx, s.o.Bucket, name, minio.RemoveObjectOptions{})
	})
	if isMissing(err) {
		return nil
	}
	return err
}

// Presign implements blob.Presigner.
func (s *Store) Presign(ctx context.Context, key string, ttl time.Duration) (string, error) {
	if err := blob.CheckKey(key); err != nil {
		return "", err
	}
	u, err := s.core.PresignedGetObject(ctx, s.o.Bucket, s.name(key), ttl, url.Values{})
	if err != nil {
		return "", errs.Wrap(err, errs.Internal, "blob %s has no signed URL", key)
	}
	return u.String(), nil
}
