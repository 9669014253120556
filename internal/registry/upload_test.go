// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const image = "db/s/repo/img"

// sizes are those around which uploads change their ways: empty, in the row, just too large for it, several buffers.
var sizes = []int{0, 1, 64 << 10, 64<<10 + 1, 300<<10 + 7}

// begin begins an upload.
func (c client) begin() string {
	c.t.Helper()
	return c.want(http.StatusAccepted, "POST", "/v2/"+image+"/blobs/uploads/", nil).Header.Get("Location")
}

// wantBlob pulls a blob and compares it.
func (c client) wantBlob(digest string, content []byte) {
	c.t.Helper()
	r := c.want(http.StatusOK, "GET", "/v2/"+image+"/blobs/"+digest, nil)
	if !bytes.Equal(r.body, content) || r.Header.Get("Docker-Content-Digest") != digest {
		c.t.Errorf("blob %s has %d other bytes, digest %q", digest, len(r.body), r.Header.Get("Docker-Content-Digest"))
	}
	head := c.want(http.StatusOK, "HEAD", "/v2/"+image+"/blobs/"+digest, nil)
	if head.ContentLength != int64(len(content)) {
		c.t.Errorf("blob %s has length %d, want %d", digest, head.ContentLength, len(content))
	}
}

// TestPushBlob pushes blobs of all sizes in all ways, with both algorithms.
func TestPushBlob(t *testing.T) {
	t.Parallel()
	for way, push := range map[string]func(c client, digest string, content []byte){
		"post": func(c client, digest string, content []byte) {
			c.want(201, "POST", "/v2/"+image+"/blobs/uploads/?digest="+digest, bytes.NewReader(content))
		},
		"put": func(c client, digest string, content []byte) {
			c.want(201, "PUT", c.begin()+"?digest="+digest, bytes.NewReader(content))
		},
		"stream": func(c client, digest string, content []byte) {
			r := c.want(202, "PATCH", c.begin(), iotest.HalfReader(bytes.NewReader(content)))
			c.want(201, "PUT", r.Header.Get("Location")+"?digest="+digest, nil)
		},
		"chunks": func(c client, digest string, content []byte) {
			at := c.begin()
			for i, n := 0, len(content)/3+1; i < len(content); i += n {
				end := min(i+n, len(content))
				r := c.want(202, "PATCH", at, bytes.NewReader(content[i:end]), "Content-Range", fmt.Sprintf("%d-%d", i, end-1))
				if got, want := r.Header.Get("Range"), fmt.Sprintf("0-%d", end-1); got != want {
					c.t.Errorf("range %q after a chunk, want %q", got, want)
				}
				at = r.Header.Get("Location")
			}
			c.want(201, "PUT", at+"?digest="+digest, nil)
		},
		"last chunk in put": func(c client, digest string, content []byte) {
			half := len(content) / 2
			r := c.want(202, "PATCH", c.begin(), bytes.NewReader(content[:half]))
			c.want(201, "PUT", r.Header.Get("Location")+"?digest="+digest, bytes.NewReader(content[half:]))
		},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			d := serve(t)
			c := d.as(t, "writer")
			for i, size := range sizes {
				for _, digestOf := range []func([]byte) string{sha256Of, sha512Of} {
					content := randomBytes(uint64(i), size)
					digest := digestOf(content)
					c.want(404, "HEAD", "/v2/"+image+"/blobs/"+digest, nil)
					push(c, digest, content)
					c.wantBlob(digest, content)
					push(c, digest, content) // again: the first stays
					c.wantBlob(digest, content)
				}
			}
			d.wantNoGarbage(t)
		})
	}
}

// wantNoGarbage checks that the blob store has exactly what rows name, and that no upload is open.
func (d *door) wantNoGarbage(t *testing.T) {
	t.Helper()
	for info, err := range d.blobs.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.blobs.Open(t.Context(), info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		named := false
		for _, digest := range []string{sha256Of(content), sha512Of(content)} {
			if b, err := d.blob(t, digest); err == nil && b.Key == info.Key {
				named = true
			}
		}
		if !named {
			t.Errorf("%s of %d bytes is garbage", info.Key, info.Size)
		}
	}
	err := d.store.View(t.Context(), func(tx catalog.Tx) error {
		for u, err := range tx.ExpiredUploads(tx.Now().Add(1000 * time.Hour)) {
			if err != nil {
				return err
			}
			t.Errorf("upload %s is still open at %d", u.ID, u.Offset)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// blob finds a blob's row.
func (d *door) blob(t *testing.T, digest string) (b *catalog.Blob, err error) {
	t.Helper()
	err = d.store.View(t.Context(), func(tx catalog.Tx) error {
		b, err = tx.Blob(digest)
		return err
	})
	return b, err
}

func TestWrongDigest(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	for i, size := range sizes {
		content := randomBytes(uint64(i), size)
		for _, wrong := range []string{sha256Of([]byte("x")), sha512Of([]byte("x"))} {
			r := c.want(400, "POST", "/v2/"+image+"/blobs/uploads/?digest="+wrong, bytes.NewReader(content))
			if r.code() != "DIGEST_INVALID" {
				t.Errorf("code %s", r.code())
			}
			at := c.begin()
			c.want(400, "PUT", at+"?digest="+wrong, bytes.NewReader(content))
			if got := c.want(204, "GET", at, nil).Header.Get("Range"); got != "0-0" {
				t.Errorf("after wrong content the upload goes on with %s", got)
			}
			c.want(404, "HEAD", "/v2/"+image+"/blobs/"+wrong, nil)
		}
	}
	for _, bad := range []string{"", "sha256:abc", "sha384:" + strings.Repeat("a", 96), "md5:" + strings.Repeat("a", 32), strings.ToUpper(sha256Of(nil))} {
		at := c.begin()
		if r := c.want(400, "PUT", at+"?digest="+bad, nil); r.code() != "DIGEST_INVALID" {
			t.Errorf("digest %q: code %s", bad, r.code())
		}
		c.want(204, "DELETE", at, nil)
	}
	d.wantNoGarbage(t)
}

// TestSmallPut: the body of a PUT alone is the blob only when nothing was sent before.
func TestSmallPut(t *testing.T) {
	t.Parallel()
	d := serve(t)
	owner, writer := d.as(t, "owner"), d.as(t, "writer")
	body := randomBytes(7, 1000)
	digest, all := sha256Of(body), append(randomBytes(8, 10), body...)
	for name, before := range map[string][]byte{"other content": []byte("other"), "the same content": body} {
		at := owner.want(202, "PATCH", owner.begin(), bytes.NewReader(before)).Header.Get("Location")
		if r := owner.want(400, "PUT", at+"?digest="+digest, bytes.NewReader(body)); r.code() != "DIGEST_INVALID" {
			t.Errorf("%s before it: %s", name, r.body)
		}
		owner.want(404, "HEAD", "/v2/"+image+"/blobs/"+digest, nil)
	}
	at := owner.want(202, "PATCH", owner.begin(), bytes.NewReader(all[:10])).Header.Get("Location")
	writer.want(404, "PUT", at+"?digest="+digest, bytes.NewReader(body))
	owner.want(201, "PUT", at+"?digest="+sha256Of(all), bytes.NewReader(body))
	owner.wantBlob(sha256Of(all), all)
	owner.want(201, "PUT", owner.begin()+"?digest="+digest, bytes.NewReader(body))
	owner.wantBlob(digest, body)
	d.wantNoGarbage(t)
}

// TestResume: what a broken request brought counts, a chunk elsewhere does not.
func TestResume(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1000, 500 << 10} {
		d := serve(t)
		c := d.as(t, "writer")
		content := randomBytes(7, size)
		at := c.begin()
		half := size / 2
		d.cutOff(t, at, content, half)
		offset := c.waitIdle(at)
		if offset != half {
			t.Errorf("after a cut at %d the upload has %d bytes", half, offset)
		}
		for _, first := range []int{0, offset - 1, offset + 1} {
			r := c.want(416, "PATCH", at, bytes.NewReader(content[first:size]), "Content-Range", fmt.Sprintf("%d-%d", first, size-1))
			if got, want := r.Header.Get("Range"), fmt.Sprintf("0-%d", offset-1); got != want {
				t.Errorf("range %q, want %q", got, want)
			}
		}
		c.want(400, "PATCH", at, bytes.NewReader(content[offset:]), "Content-Range", fmt.Sprintf("%d-%d", offset, size))
		c.want(400, "PATCH", at, bytes.NewReader(content[offset:]), "Content-Range", "all of it")
		c.want(202, "PATCH", at, bytes.NewReader(content[offset:]), "Content-Range", fmt.Sprintf("%d-%d", offset, size-1))
		digest := sha256Of(content)
		c.want(201, "PUT", at+"?digest="+digest, nil)
		c.wantBlob(digest, content)
		d.wantNoGarbage(t)
	}
}

// cutOff sends the head of a PATCH and the first n bytes of its body, and hangs up.
func (d *door) cutOff(t *testing.T, at string, content []byte, n int) {
	t.Helper()
	conn, err := net.Dial("tcp", d.host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	credentials := base64.StdEncoding.EncodeToString([]byte("writer:secret:writer"))
	_, err = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Length: %d\r\n\r\n%s",
		at, d.host, credentials, len(content), content[:n])
	if err != nil {
		t.Fatal(err)
	}
}

// waitIdle waits until no request writes to an upload that has content, and gives its offset.
func (c client) waitIdle(at string) int {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		var last int
		_, err := fmt.Sscanf(c.want(204, "GET", at, nil).Header.Get("Range"), "0-%d", &last)
		if err == nil && last > 0 && c.do("PATCH", at, nil, "Content-Range", "999999999-999999999").StatusCode == 416 {
			return last + 1
		}
	}
	c.t.Fatalf("upload %s does not come to rest", at)
	return 0
}

// TestAnswerLost: who did not hear that an upload has ended asks again, and is told so as long as the image holds the blob.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	for _, size := range sizes[1:] {
		content := randomBytes(uint64(size), size)
		digest := sha256Of(content)
		at := c.want(202, "PATCH", c.begin(), bytes.NewReader(content)).Header.Get("Location")
		for range 2 {
			if got := c.want(201, "PUT", at+"?digest="+digest, nil).Header.Get("Docker-Content-Digest"); got != digest {
				t.Errorf("%d bytes: digest %q", size, got)
			}
		}
		c.wantBlob(digest, content)
		c.want(400, "PUT", at+"?digest="+sha256Of([]byte("another")), nil)
		c.want(202, "DELETE", "/v2/"+image+"/blobs/"+digest, nil)
		if r := c.want(400, "PUT", at+"?digest="+digest, nil); r.code() != "DIGEST_INVALID" {
			t.Errorf("%d bytes, deleted: code %s", size, r.code())
		}
	}
	d.wantNoGarbage(t)
}

// TestUploadID: an id is good for as long as an upload may rest, and only in the form that the registry gives.
func TestUploadID(t *testing.T) {
	t.Parallel()
	clock := &clock{now: time.Now()}
	d := serveAt(t, clock.read)
	c := d.as(t, "writer")
	at := c.begin()
	c.want(204, "GET", at, nil)
	c.want(204, "DELETE", at, nil)
	d.as(t, "reader").want(403, "GET", at, nil)
	id := at[strings.LastIndex(at, "/")+1:]
	for _, bad := range []string{strings.ToUpper(id), "{" + id + "}", id[:14] + "4" + id[15:], "ffffffff" + id[8:], "00000000" + id[8:], "..", id + "x"} {
		c.want(404, "GET", strings.TrimSuffix(at, id)+bad, nil)
		c.want(404, "PATCH", strings.TrimSuffix(at, id)+bad, strings.NewReader("x"))
	}
	clock.advance(24*time.Hour + time.Second)
	c.want(404, "GET", at, nil)
	d.wantNoGarbage(t)
}

// TestOneWriter: of two requests that write to one upload at once, one is refused and nothing is mixed.
func TestOneWriter(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	at := c.begin()
	content := randomBytes(1, 200<<10)
	slow, first := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "PATCH", d.url+at, slow)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("writer", "secret:writer")
	r.Header.Set("Expect", "100-continue") // so that content is sent when the server has begun to read
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	var wg sync.WaitGroup
	wg.Go(func() {
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted {
			t.Errorf("the first writer gets %s", resp.Status)
		}
	})
	if _, err := first.Write(content[:100<<10]); err != nil {
		t.Fatal(err)
	}
	c.want(http.StatusConflict, "PATCH", at, strings.NewReader("x"))
	c.want(http.StatusConflict, "PUT", at+"?digest="+sha256Of(content), strings.NewReader("x"))
	c.want(http.StatusConflict, "DELETE", at, nil)
	if _, err := first.Write(content[100<<10:]); err != nil {
		t.Fatal(err)
	}
	first.Close()
	wg.Wait()
	digest := sha256Of(content)
	c.want(201, "PUT", at+"?digest="+digest, nil)
	c.wantBlob(digest, content)
}

// TestManyPushers pushes the same and other blobs at once.
func TestManyPushers(t *testing.T) {
	t.Parallel()
	d := serve(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c := d.as(t, "writer")
			for seed := range 4 {
				content := randomBytes(uint64(seed), 100<<10)
				c.pushBlob(image, content)
				c.wantBlob(sha256Of(content), content)
			}
			c.pushBlob(image, randomBytes(uint64(100+i), 70<<10))
		})
	}
	wg.Wait()
	d.wantNoGarbage(t)
}

// TestExpiry: uploads that rest too long go, with their bytes; others stay.
func TestExpiry(t *testing.T) {
	t.Parallel()
	clock := &clock{now: time.Now()}
	d := serveAt(t, clock.read)
	c := d.as(t, "writer")
	small, large := c.begin(), c.begin()
	c.want(202, "PATCH", small, bytes.NewReader(randomBytes(1, 10)))
	c.want(202, "PATCH", large, bytes.NewReader(randomBytes(1, 100<<10)))
	clock.advance(23 * time.Hour)
	kept := c.begin()
	clock.advance(2 * time.Hour)
	if n, err := d.ExpireUploads(t.Context()); n != 2 || err != nil {
		t.Errorf("%d uploads expired, %v", n, err)
	}
	c.want(404, "GET", small, nil)
	c.want(404, "GET", large, nil)
	c.want(204, "GET", kept, nil)
	key := "registry/" + large[len(large)-2:] + "/" + large[strings.LastIndex(large, "/")+1:]
	if _, err := d.blobs.Finish(t.Context(), key, 0); !errs.Is(err, errs.NotFound) {
		t.Errorf("the bytes of an expired upload are still there: %v", err)
	}
}

// clock is a clock that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// TestEndedUpload writes to an upload that has ended: what it became stays as it was acknowledged.
func TestEndedUpload(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	at := c.begin()
	first, second := randomBytes(1, 300<<10), randomBytes(2, 300<<10)
	for _, content := range [][]byte{first, second} {
		c.want(202, "PATCH", at, bytes.NewReader(content[:200<<10]))
		c.want(201, "PUT", at+"?digest="+sha256Of(content), bytes.NewReader(content[200<<10:]))
	}
	c.wantBlob(sha256Of(first), first)
	c.wantBlob(sha256Of(second), second)
	d.wantNoGarbage(t)
}

// TestUploadOfAnotherProcess finds an upload that another process writes to, while that runs and when it has gone.
func TestUploadOfAnotherProcess(t *testing.T) {
	t.Parallel()
	d := serve(t)
	runs := true
	d.Alive = func(catalog.Tx, string) (bool, error) { return runs, nil }
	c := d.as(t, "writer")
	content := randomBytes(1, 300<<10)
	at := c.begin()
	c.want(202, "PATCH", at, bytes.NewReader(content[:200<<10]))
	change := func(do func(u *catalog.Upload)) {
		err := d.store.Update(t.Context(), func(tx catalog.Tx) error {
			u, err := tx.Upload(catalog.ID(path.Base(at)))
			if err != nil {
				return err
			}
			if u.Writer != "" {
				t.Errorf("%s writes to the upload", u.Writer)
			}
			do(u)
			return tx.PutUpload(u)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	change(func(u *catalog.Upload) { u.Writer = "another" })
	last := content[200<<10:]
	c.want(409, "PATCH", at, bytes.NewReader(last))
	c.want(409, "PUT", at+"?digest="+sha256Of(content), bytes.NewReader(last))
	c.want(409, "DELETE", at, nil)
	runs = false
	c.want(416, "PATCH", at, bytes.NewReader(last), "Content-Range", "1-2") // fails, and leaves the upload to everybody
	change(func(*catalog.Upload) {})
	c.want(201, "PUT", at+"?digest="+sha256Of(content), bytes.NewReader(last))
	c.wantBlob(sha256Of(content), content)
	d.wantNoGarbage(t)
}
