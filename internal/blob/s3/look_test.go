// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/minio/minio-go/v7"

	"firn.dev/firn/internal/blob/s3"
	"firn.dev/firn/internal/blob/s3test"
)

func minioList(prefix string) minio.ListObjectsOptions {
	return minio.ListObjectsOptions{Prefix: prefix, Recursive: true}
}

// orphan leaves an upload with one part, as a process that was killed in the middle of Put does.
func orphan(t *testing.T, o s3.Options, key string) {
	t.Helper()
	core := minio.Core{Client: s3test.Client(t, o)}
	name := o.Prefix + "/blobs/" + key + "!"
	id, err := core.NewMultipartUpload(context.Background(), o.Bucket, name, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	part := random(5 * mib)
	if _, err := core.PutObjectPart(context.Background(), o.Bucket, name, id, 1, bytes.NewReader(part), int64(len(part)), minio.PutObjectPartOptions{}); err != nil {
		t.Fatal(err)
	}
}
