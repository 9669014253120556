// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry"
)

// faulty is a blob store of which one call fails: the next of an operation after it is armed.
type faulty struct {
	registry.Store
	next atomic.Pointer[fault]
}

type fault struct{ operation, moment string }

// The moments at which a call fails.
const (
	before = "before anything is done"
	midway = "midway through the content"
	after  = "after all is done"
)

var errDisk = errs.New(errs.Unavailable, "the disk does not answer")

// strikes gives the moment at which the call has to fail, or "".
func (f *faulty) strikes(operation string) string {
	if next := f.next.Load(); next != nil && next.operation == operation && f.next.CompareAndSwap(next, nil) {
		return next.moment
	}
	return ""
}

func (f *faulty) Put(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
	switch f.strikes("put") {
	case before:
		return blob.Info{}, errDisk
	case midway:
		return f.Store.Put(ctx, key, io.MultiReader(io.LimitReader(r, 70<<10), iotest.ErrReader(errDisk)))
	case after:
		_, _ = f.Store.Put(ctx, key, r) // the answer is lost
		return blob.Info{}, errDisk
	}
	return f.Store.Put(ctx, key, r)
}

func (f *faulty) Append(ctx context.Context, key string, offset int64, r io.Reader) (int64, error) {
	switch f.strikes("append") {
	case before:
		return offset, errDisk
	case midway:
		_, _ = f.Store.Append(ctx, key, offset, io.LimitReader(r, 30<<10)) // the answer is lost
		return offset, errDisk
	case after:
		_, _ = f.Store.Append(ctx, key, offset, r) // the answer is lost
		return offset, errDisk
	}
	return f.Store.Append(ctx, key, offset, r)
}

func (f *faulty) Finish(ctx context.Context, key string, size int64) (blob.Info, error) {
	switch f.strikes("finish") {
	case before:
		return blob.Info{}, errDisk
	case after:
		_, _ = f.Store.Finish(ctx, key, size) // the answer is lost
		return blob.Info{}, errDisk
	}
	return f.Store.Finish(ctx, key, size)
}

func (f *faulty) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	moment := f.strikes("open")
	if moment == before {
		return nil, errDisk
	}
	r, err := f.Store.Open(ctx, key, offset, length)
	if err != nil || moment == "" {
		return r, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r, 30<<10), iotest.ErrReader(errDisk)), r}, nil
}

// serveFaulty serves a registry whose blob store fails when it is told to.
func serveFaulty(t *testing.T) (*door, *faulty) {
	t.Helper()
	sound := serve(t)
	f := &faulty{Store: sound.blobs}
	d, err := open(sound.store, f, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	d.url, d.host = server.URL, strings.TrimPrefix(server.URL, "http://")
	return d, f
}

// pushStep sends what an upload has not got: in one or two requests, from where it stands. It gives the last status.
func (c client) pushStep(at string, content []byte, digest string, chunked bool) int {
	c.t.Helper()
	r := c.do("GET", at, nil)
	if r.StatusCode != http.StatusNoContent {
		return r.StatusCode
	}
	offset := 0
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "0-%d", &offset); err == nil && offset > 0 {
		offset++
	}
	if half := 100 << 10; chunked && offset < half {
		r = c.do("PATCH", at, bytes.NewReader(content[offset:half]), "Content-Range", fmt.Sprintf("%d-%d", offset, half-1))
		if r.StatusCode != http.StatusAccepted {
			return r.StatusCode
		}
		offset = half
	}
	return c.do("PUT", at+"?digest="+digest, bytes.NewReader(content[offset:])).StatusCode
}

// TestFailingStore lets each operation of the blob store fail once, at each moment, in each kind of push. The push is refused and
// nothing of it can be pulled; the client goes on, where the upload stands or anew, and then all of it is there. What was
// acknowledged before stays whole.
func TestFailingStore(t *testing.T) {
	t.Parallel()
	d, f := serveFaulty(t)
	c := d.as(t, "writer")
	acknowledged := map[string][]byte{}
	for i, e := range []struct {
		fault
		way string
	}{
		{fault{"put", before}, "one"}, {fault{"put", midway}, "one"}, {fault{"put", after}, "one"},
		{fault{"append", before}, "put"}, {fault{"append", midway}, "put"}, {fault{"append", after}, "put"},
		{fault{"append", before}, "patch"}, {fault{"append", midway}, "patch"}, {fault{"append", after}, "patch"},
		{fault{"finish", before}, "put"}, {fault{"finish", after}, "put"}, {fault{"finish", before}, "patch"}, {fault{"finish", after}, "patch"},
		{fault{"open", before}, "sha512"}, {fault{"open", midway}, "sha512"},
	} {
		content := randomBytes(uint64(i), 300<<10+i)
		digest := sha256Of(content)
		if e.way == "sha512" { // which the server reads again, as it has hashed something else
			digest = sha512Of(content)
		}
		at := ""
		push := func() int {
			if e.way == "one" {
				return c.do("POST", "/v2/"+image+"/blobs/uploads/?digest="+digest, bytes.NewReader(content)).StatusCode
			}
			if at == "" {
				at = c.begin()
			}
			return c.pushStep(at, content, digest, e.way != "put")
		}
		f.next.Store(&e.fault)
		if status := push(); status != http.StatusServiceUnavailable && status != http.StatusInternalServerError {
			t.Errorf("%v: a push by %s gets %d", e.fault, e.way, status)
		}
		if f.next.Load() != nil {
			t.Fatalf("%v: a push by %s does not come to it", e.fault, e.way)
		}
		c.want(404, "GET", "/v2/"+image+"/blobs/"+digest, nil)
		for tries := 0; ; tries++ {
			status := push()
			if status == http.StatusCreated {
				break
			}
			if tries == 2 {
				t.Fatalf("%v: a push by %s does not end: %d", e.fault, e.way, status)
			}
			at = "" // the server does not have the upload any more
		}
		acknowledged[digest] = content
		for digest, content := range acknowledged {
			c.wantBlob(digest, content)
		}
	}
}

// TestFailedMove: what an upload has acknowledged while it was small stays when it cannot move to the blob store.
func TestFailedMove(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{before, midway, after} {
		d, f := serveFaulty(t)
		c := d.as(t, "writer")
		content := randomBytes(1, 200<<10)
		at := c.begin()
		c.want(202, "PATCH", at, bytes.NewReader(content[:10<<10]))
		f.next.Store(&fault{"append", moment})
		c.want(503, "PATCH", at, bytes.NewReader(content[10<<10:]))
		if got := c.want(204, "GET", at, nil).Header.Get("Range"); got != "0-10239" {
			t.Errorf("the disk fails %s: the upload goes on with %s", moment, got)
		}
		c.want(202, "PATCH", at, bytes.NewReader(content[10<<10:]))
		c.want(201, "PUT", at+"?digest="+sha256Of(content), nil)
		c.wantBlob(sha256Of(content), content)
	}
}

// TestFailingPull: a pull that the disk breaks off is not taken for a whole one.
func TestFailingPull(t *testing.T) {
	t.Parallel()
	d, f := serveFaulty(t)
	c := d.as(t, "writer")
	content := randomBytes(1, 200<<10)
	digest := c.pushBlob(image, content)
	f.next.Store(&fault{"open", before})
	c.want(503, "GET", "/v2/"+image+"/blobs/"+digest, nil)
	f.next.Store(&fault{"open", midway})
	r, err := http.NewRequestWithContext(t.Context(), "GET", d.url+"/v2/"+image+"/blobs/"+digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("writer", "secret:writer")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a pull that broke off gives status %d and %d bytes without an error", resp.StatusCode, len(got))
	}
	c.wantBlob(digest, content)
}
