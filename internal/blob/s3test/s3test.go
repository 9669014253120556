// SPDX-License-Identifier: Apache-2.0

// Package s3test gives tests a place of their own on the S3 server that FIRN_TEST_S3 names. It starts no server: make test does. Where
// the variable is not set such tests are skipped, so that one package can be tested without services; make test takes a skipped
// test for a failed one. It is imported by tests only.
//
//	FIRN_TEST_S3             s3://BUCKET?endpoint=URL; the bucket is made when it is missing
//	FIRN_TEST_S3_ACCESS_KEY  with FIRN_TEST_S3_SECRET_KEY, the credentials
package s3test

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"firn.dev/firn/internal/blob/s3"
)

// The environment of tests.
const (
	urlEnv    = "FIRN_TEST_S3"
	accessEnv = "FIRN_TEST_S3_ACCESS_KEY"
	secretEnv = "FIRN_TEST_S3_SECRET_KEY"
)

// Getenv answers for the variables of AWS tools with what is for tests.
func Getenv(name string) string {
	switch name {
	case "AWS_ACCESS_KEY_ID":
		return os.Getenv(accessEnv)
	case "AWS_SECRET_ACCESS_KEY":
		return os.Getenv(secretEnv)
	}
	return ""
}

// URL gives an empty place in the bucket, in the form of the setting blobs.
func URL(tb testing.TB) string {
	tb.Helper()
	server := os.Getenv(urlEnv)
	if server == "" {
		tb.Skip("not tested with S3: FIRN_TEST_S3 names no server; make test starts one")
	}
	o, err := s3.ParseURL(server, Getenv)
	if err != nil {
		tb.Fatal(err)
	}
	makeBucket(tb, o)
	u := url.URL{
		Scheme: "s3", Host: o.Bucket, Path: "/test-" + strings.ToLower(rand.Text()),
		RawQuery: url.Values{"endpoint": {o.Endpoint}, "region": {o.Region}}.Encode(),
	}
	return u.String()
}

// Options gives an empty place in the bucket.
func Options(tb testing.TB) s3.Options {
	tb.Helper()
	o, err := s3.ParseURL(URL(tb), Getenv)
	if err != nil {
		tb.Fatal(err)
	}
	o.Rand = rand.Reader
	return o
}

// Open opens a store.
func Open(tb testing.TB, o s3.Options) *s3.Store {
	tb.Helper()
	s, err := s3.Open(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// Client gives a plain client of the server, for looking behind a store's back.
func Client(tb testing.TB, o s3.Options) *minio.Client {
	tb.Helper()
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(o.AccessKey, o.SecretKey.Reveal(), ""), Secure: u.Scheme == "https", Region: o.Region,
		BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func makeBucket(tb testing.TB, o s3.Options) {
	tb.Helper()
	c := Client(tb, o)
	if found, err := c.BucketExists(context.Background(), o.Bucket); err != nil || found {
		if err != nil {
			tb.Fatalf("the S3 server of the tests: %v", err)
		}
		return
	}
	err := c.MakeBucket(context.Background(), o.Bucket, minio.MakeBucketOptions{Region: o.Region})
	if code := minio.ToErrorResponse(err).Code; err != nil && code != "BucketAlreadyOwnedByYou" && code != "BucketAlreadyExists" {
		tb.Fatalf("bucket %s cannot be made: %v", o.Bucket, err)
	}
}
