// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/firn/internal/blob/blobtest"
	"firn.dev/firn/internal/blob/dir"
	"firn.dev/firn/internal/blob/s3"
	"firn.dev/firn/internal/blob/s3test"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/registry"
)

// bucketEnv names a place in a bucket: then the registries of all tests keep their blobs there, and not in a directory.
const bucketEnv = "FIRN_REGISTRY_TEST_BUCKET"

// blobStore is where a registry of the tests keeps blobs.
type blobStore interface {
	registry.Store
	io.Closer
}

// openBlobs opens the store that belongs to a directory.
func openBlobs(ctx context.Context, directory string) (blobStore, error) {
	place := os.Getenv(bucketEnv)
	if place == "" {
		return dir.Open(filepath.Join(directory, "blobs"))
	}
	o, err := s3.ParseURL(place, s3test.Getenv)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(directory))
	o.Prefix, o.Rand = o.Prefix+"/"+hex.EncodeToString(sum[:8]), rand.Reader
	return s3.Open(ctx, o)
}

// TestOverS3 runs the other tests of this package once more, with their blobs in S3.
func TestOverS3(t *testing.T) {
	t.Parallel()
	bucket := s3test.URL(t)
	own := "^(TestOverS3|TestSendfile|TestConformance|TestReplicas|TestRedirect|TestStoreAway)$" // those that choose their store
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.skip="+own, "-test.timeout=15m")
	cmd.Env = append(os.Environ(), bucketEnv+"="+bucket)
	out, err := cmd.CombinedOutput()
	passed := len(regexp.MustCompile(`(?m)^--- PASS`).FindAll(out, -1))
	if err != nil || passed < 20 {
		t.Fatalf("%d tests passed, %v\n%s", passed, err, out)
	}
	t.Logf("%d tests passed", passed)
}

// replicas serves n registries over the same catalog and bucket.
func replicas(t *testing.T, n int, source string) []*door {
	t.Helper()
	o := s3test.Options(t)
	doors := make([]*door, n)
	for i := range doors {
		store, err := sqlstore.Open(t.Context(), source, sqlstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		if doors[i], err = open(store, s3test.Open(t, o), time.Now); err != nil {
			t.Fatal(err)
		}
		doors[i].Writer = fmt.Sprintf("replica %d", i)
		doors[i].Alive = func(catalog.Tx, string) (bool, error) { return true, nil }
		server := httptest.NewServer(doors[i])
		t.Cleanup(server.Close)
		doors[i].url, doors[i].host = server.URL, strings.TrimPrefix(server.URL, "http://")
	}
	return doors
}

// TestReplicas pushes each chunk of a blob to another replica, and lets two of them write to one upload at once.
func TestReplicas(t *testing.T) {
	t.Parallel()
	for database, source := range catalogtest.Databases() {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			doors := replicas(t, 3, source(t))
			as := func(i int) client { return doors[i%3].as(t, "writer") }
			content := randomBytes(1, 23<<20)
			digest := sha256Of(content)
			at := as(0).begin()
			for i, offset := 0, 0; offset < len(content); i++ {
				end := min(offset+[]int{1000, 100 << 10, 9 << 20, 6 << 20}[i%4], len(content))
				as(i).want(202, "PATCH", at, bytes.NewReader(content[offset:end]), "Content-Range", fmt.Sprintf("%d-%d", offset, end-1))
				offset = end
			}
			as(1).want(201, "PUT", at+"?digest="+digest, nil)
			for i := range doors {
				as(i).wantBlob(digest, content)
			}
			doors[0].wantNoGarbage(t)
			race(t, as)
			doors[0].wantSound(t)
		})
	}
}

// race sends two contents to one upload through two replicas, many times: at most one is taken, and a digest always has its bytes.
func race(t *testing.T, as func(int) client) {
	t.Helper()
	for round := range 8 {
		at := as(0).begin()
		contents := [][]byte{randomBytes(uint64(100+round), 200<<10), randomBytes(uint64(200+round), 200<<10)}
		var wg sync.WaitGroup
		for i, content := range contents {
			wg.Go(func() {
				digest := "?digest=" + sha256Of(content)
				if as(i).do("PATCH", at, bytes.NewReader(content[:100<<10])).StatusCode == http.StatusAccepted {
					as(i).do("PUT", at+digest, bytes.NewReader(content[100<<10:]))
				}
			})
		}
		wg.Wait()
		as(2).do("DELETE", at, nil)
	}
}

// wantSound reads every blob that the catalog has and compares its digest. Content that no row names is garbage, and nobody's.
func (d *door) wantSound(t *testing.T) {
	t.Helper()
	var rows []*catalog.Blob
	err := d.store.View(t.Context(), func(tx catalog.Tx) error {
		for b, err := range tx.BlobsAfter("", 1000) {
			if err != nil {
				return err
			}
			rows = append(rows, b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range rows {
		if b.Key == "" {
			continue
		}
		r, err := d.blobs.Open(t.Context(), b.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256Of(content); got != b.Digest {
			t.Errorf("%s has %d bytes of digest %s, its row says %s", b.Key, len(content), got, b.Digest)
		}
	}
}

// TestRedirect pulls by signed URLs, whole and in ranges, and in the usual way what has none.
func TestRedirect(t *testing.T) {
	t.Parallel()
	d := replicas(t, 1, catalogtest.SQLite(t))[0]
	d.Redirect = true
	c := d.as(t, "writer")
	small, large := randomBytes(1, 1000), randomBytes(2, 300<<10)
	smallPath, largePath := "/v2/"+image+"/blobs/"+c.pushBlob(image, small), "/v2/"+image+"/blobs/"+c.pushBlob(image, large)
	for _, method := range []string{"GET", "HEAD"} {
		r, err := http.NewRequestWithContext(t.Context(), method, d.url+largePath, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("writer", "secret:writer")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if status := map[string]int{"GET": 307, "HEAD": 200}[method]; resp.StatusCode != status || resp.Header.Get("Docker-Content-Digest") != sha256Of(large) {
			t.Errorf("%s: %s, %v", method, resp.Status, resp.Header)
		}
		if method == "GET" && !strings.Contains(resp.Header.Get("Location"), "X-Amz-Signature=") {
			t.Errorf("location %q", resp.Header.Get("Location"))
		}
	}
	for _, redirect := range []bool{true, false} {
		d.Redirect = redirect
		d.wantPull(t, smallPath, "", small)
		d.wantPull(t, largePath, "", large)
		d.wantPull(t, largePath, "bytes=1000-1999", large[1000:2000])
		d.wantPull(t, largePath, "bytes=300000-", large[300000:])
	}
	d.Redirect = true
	d.as(t, "nobody").want(404, "GET", largePath, nil)
	b, err := d.blob(t, sha256Of(large))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.blobs.Delete(t.Context(), b.Key); err != nil {
		t.Fatal(err)
	}
	c.want(500, "GET", largePath, nil) // lost content is told by the registry
}

// wantPull follows redirects as clients do: without the credentials, which another host must not see.
func (d *door) wantPull(t *testing.T, path, ranged string, content []byte) {
	t.Helper()
	follow := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error { r.Header.Del("Authorization"); return nil }}
	r, err := http.NewRequestWithContext(t.Context(), "GET", d.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("reader", "secret:reader")
	status := http.StatusOK
	if ranged != "" {
		r.Header.Set("Range", ranged)
		status = http.StatusPartialContent
	}
	resp, err := follow.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || !bytes.Equal(got, content) {
		t.Errorf("%s %q: %s, %d bytes, %v", path, ranged, resp.Status, len(got), err)
	}
}

// TestStoreAway: while the bucket cannot be reached, a push fails as 503 and nothing of it is acknowledged; afterwards it goes on.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	d := replicas(t, 1, catalogtest.SQLite(t))[0]
	c := d.as(t, "writer")
	o := s3test.Options(t)
	working, away := d.Blobs, unreachable(t, o)
	content := randomBytes(3, 300<<10)
	at := c.begin()
	c.want(202, "PATCH", at, bytes.NewReader(content[:200<<10]))
	d.Blobs = away
	c.want(503, "PATCH", at, bytes.NewReader(content[200<<10:]))
	c.want(503, "PUT", at+"?digest="+sha256Of(content), bytes.NewReader(content[200<<10:]))
	c.want(503, "POST", "/v2/"+image+"/blobs/uploads/?digest="+sha256Of(content), bytes.NewReader(content))
	d.Blobs = working
	if got := c.want(204, "GET", at, nil).Header.Get("Range"); got != fmt.Sprintf("0-%d", 200<<10-1) {
		t.Errorf("the upload has %s", got)
	}
	c.want(404, "HEAD", "/v2/"+image+"/blobs/"+sha256Of(content), nil)
	c.want(201, "PUT", at+"?digest="+sha256Of(content), bytes.NewReader(content[200<<10:]))
	c.wantBlob(sha256Of(content), content)
	d.wantSound(t)
}

// unreachable gives a store whose server is gone.
func unreachable(t *testing.T, o s3.Options) blobStore {
	t.Helper()
	front, target := httptest.NewUnstartedServer(nil), o.Endpoint
	front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r2, err := http.NewRequestWithContext(r.Context(), r.Method, target+r.URL.RequestURI(), r.Body)
		if err != nil {
			panic(err)
		}
		r2.Header, r2.Host, r2.ContentLength = r.Header, r.Host, r.ContentLength
		resp, err := http.DefaultTransport.RoundTrip(r2)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})
	front.Start()
	o.Endpoint = front.URL
	s := s3test.Open(t, o)
	front.Close()
	return s
}

// counted counts how often blobs are opened.
type counted struct {
	registry.Store
	opened atomic.Int64
}

func (c *counted) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	c.opened.Add(1)
	return c.Store.Open(ctx, key, offset, length)
}

// TestPullIsOneRequest: a store of streams is asked once for a whole blob.
func TestPullIsOneRequest(t *testing.T) {
	t.Parallel()
	d := serve(t)
	store := &counted{Store: blobtest.NewMemory()}
	d.Blobs = store
	c := d.as(t, "writer")
	content := randomBytes(1, 300<<10)
	digest := c.pushBlob(image, content)
	store.opened.Store(0)
	d.wantPull(t, "/v2/"+image+"/blobs/"+digest, "", content)
	if n := store.opened.Load(); n != 1 {
		t.Errorf("the store is asked %d times", n)
	}
}
