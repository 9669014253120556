// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"firn.dev/firn/internal/blob/blobtest"
)

// TestRanges pulls parts of a small and a large blob, from files and from streams.
func TestRanges(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"files", "streams"} {
		d := serve(t)
		if store == "streams" {
			d.Blobs = blobtest.NewMemory()
		}
		c := d.as(t, "writer")
		for i, size := range []int{1000, 200 << 10} {
			content := randomBytes(uint64(i), size)
			path := "/v2/" + image + "/blobs/" + c.pushBlob(image, content)
			for _, r := range []struct {
				header      string
				first, last int
			}{{"bytes=0-0", 0, 0}, {"bytes=10-19", 10, 19}, {"bytes=990-", 990, size - 1}, {"bytes=-5", size - 5, size - 1}, {"bytes=900-9999999", 900, size - 1}} {
				got := c.want(http.StatusPartialContent, "GET", path, nil, "Range", r.header)
				if !bytes.Equal(got.body, content[r.first:r.last+1]) {
					t.Errorf("%s: %s of %d bytes gave %d other bytes", store, r.header, size, len(got.body))
				}
			}
			c.want(http.StatusRequestedRangeNotSatisfiable, "GET", path, nil, "Range", "bytes=9999999-")
			c.want(http.StatusNotModified, "GET", path, nil, "If-None-Match", `"`+sha256Of(content)+`"`)
			c.wantBlob(sha256Of(content), content)
		}
	}
}

// sendfileWatcher tells whether the registry hands files on as files.
type sendfileWatcher struct {
	http.ResponseWriter
	file bool
}

func (w *sendfileWatcher) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		_, w.file = limited.R.(*os.File)
	}
	return io.Copy(w.ResponseWriter, r)
}

// TestSendfile: a blob reaches net/http as a file, so that the kernel can send it.
func TestSendfile(t *testing.T) {
	t.Parallel()
	d := serve(t)
	content := randomBytes(1, 100<<10)
	digest := d.as(t, "writer").pushBlob(image, content)
	r, err := http.NewRequestWithContext(t.Context(), "GET", "/v2/"+image+"/blobs/"+digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("reader", "secret:reader")
	w := &sendfileWatcher{ResponseWriter: &recorder{header: http.Header{}}}
	d.ServeHTTP(w, r)
	if !w.file {
		t.Error("the blob is copied by the program")
	}
}

// recorder is a ResponseWriter that keeps only the header.
type recorder struct{ header http.Header }

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }
func (r *recorder) WriteHeader(int)             {}

// TestLostContent: a row without its file is damage that a new push heals, never "not found".
func TestLostContent(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	content := randomBytes(1, 100<<10)
	digest := c.pushBlob(image, content)
	b, err := d.blob(t, digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.blobs.Delete(t.Context(), b.Key); err != nil {
		t.Fatal(err)
	}
	c.want(http.StatusInternalServerError, "GET", "/v2/"+image+"/blobs/"+digest, nil)
	c.want(http.StatusNotFound, "HEAD", "/v2/"+image+"/blobs/"+digest, nil)
	c.pushBlob(image, content)
	c.wantBlob(digest, content)
	d.wantNoGarbage(t)
}

// TestLease: HEAD by one who may push renews an old lease, HEAD by a reader does not.
func TestLease(t *testing.T) {
	t.Parallel()
	clock := &clock{now: time.Now()}
	d := serveAt(t, clock.read)
	digest := d.as(t, "writer").pushBlob(image, randomBytes(1, 10))
	leased := func() time.Time {
		b, err := d.blob(t, digest)
		if err != nil {
			t.Fatal(err)
		}
		return b.Leased
	}
	began := leased()
	for _, step := range []struct {
		after time.Duration
		user  string
		renew bool
	}{{time.Minute, "writer", false}, {2 * time.Hour, "reader", false}, {0, "writer", true}, {time.Minute, "writer", false}} {
		clock.advance(step.after)
		d.as(t, step.user).want(200, "HEAD", "/v2/"+image+"/blobs/"+digest, nil)
		if renewed := leased().After(began); renewed != step.renew {
			t.Errorf("HEAD by %s after %v: renewed is %v", step.user, step.after, renewed)
		}
		began = leased()
	}
}
