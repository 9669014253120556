// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"firn.dev/firn/internal/catalog"
)

// unsized hides from the client how long a body is, as docker does when it compresses what it sends.
func unsized(content []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(content)} }

// used gives what DB.S.REPO holds and what uploads have reserved there.
func (d *door) used(t *testing.T) (used, reserved int64) {
	t.Helper()
	err := d.store.View(t.Context(), func(tx catalog.Tx) error {
		o, err := tx.Object(catalog.KindImageRepository, catalog.Name{Database: "DB", Schema: "S", Object: "REPO"})
		if err != nil {
			return err
		}
		if used, err = tx.StorageUsed([]catalog.ID{o.ID}); err != nil {
			return err
		}
		reserved, err = tx.StorageReserved([]catalog.ID{o.ID}, "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return used, reserved
}

// wantUsed checks used.
func (d *door) wantUsed(t *testing.T, used, reserved int64) {
	t.Helper()
	if u, r := d.used(t); u != used || r != reserved {
		t.Errorf("%d bytes are used and %d reserved, want %d and %d", u, r, used, reserved)
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	const k = 1000
	uploads := "/v2/" + image + "/blobs/uploads/"
	onEach(t, func(t *testing.T, d *door, _ *clock) {
		c := d.as(t, "mounter")
		elsewhere := d.as(t, "owner").pushBlob("db/s/other/img", randomBytes(99, 300*k))
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.Quota = 1000 * k })
		first := c.pushBlob(image, randomBytes(1, 400*k))
		d.wantUsed(t, 400*k, 0)
		c.pushBlob(image, randomBytes(1, 400*k)) // is there already
		c.pushBlob(image+"2", randomBytes(1, 400*k))
		d.wantUsed(t, 400*k, 0)

		// What is announced is refused before a byte of it is read, with the numbers.
		big := randomBytes(2, 700*k)
		words := []string{
			"image repository DB.S.REPO", "1000000 bytes hold 400000", "needs 700000 more", "ALTER IMAGE REPOSITORY DB.S.REPO SET STORAGE_QUOTA",
		}
		c.refused(403, words, "POST", uploads+"?digest="+sha256Of(big), bytes.NewReader(big))
		c.refused(403, words, "PATCH", c.begin(), bytes.NewReader(big))
		c.refused(403, words, "PUT", c.begin()+"?digest="+sha256Of(big), bytes.NewReader(big))
		// What is not announced is refused when it hits the quota.
		c.refused(403, []string{"1000000 bytes hold 400000"}, "PATCH", c.begin(), unsized(big))
		c.refused(403, nil, "PUT", c.begin()+"?digest="+sha256Of(big), unsized(big))
		c.refused(403, nil, "POST", uploads+"?digest="+sha256Of(big), unsized(big))
		d.wantUsed(t, 400*k, 0)
		d.wantNoGarbage(t)

		// An upload that has begun holds its place; a chunk that does not fit ends it and gives the place back.
		open := c.begin()
		open = c.want(202, "PATCH", open, unsized(randomBytes(3, 500*k))).Header.Get("Location")
		d.wantUsed(t, 400*k, 500*k)
		c.refused(403, []string{"1000000 bytes hold 400000 bytes and open uploads have reserved 500000"}, "PATCH", c.begin(), bytes.NewReader(randomBytes(4, 200*k)))
		c.refused(403, nil, "POST", uploads+"?mount="+elsewhere+"&from=db/s/other/img", nil)
		c.refused(403, nil, "PATCH", open, bytes.NewReader(randomBytes(4, 200*k)))
		d.wantUsed(t, 400*k, 0)
		d.wantNoGarbage(t)

		c.want(201, "POST", uploads+"?mount="+elsewhere+"&from=db/s/other/img", nil)
		c.want(201, "POST", "/v2/"+image+"2/blobs/uploads/?mount="+first+"&from="+image, nil) // costs nothing
		d.wantUsed(t, 700*k, 0)
		exact := randomBytes(5, 300*k)
		location := c.want(202, "PATCH", c.begin(), unsized(exact)).Header.Get("Location")
		c.want(201, "PUT", location+"?digest="+sha256Of(exact), nil)
		d.wantUsed(t, 1000*k, 0)
		c.refused(403, nil, "POST", uploads, nil) // full
		c.refused(403, nil, "POST", uploads+"?digest="+sha256Of([]byte("a")), strings.NewReader("a"))
		c.want(201, "POST", "/v2/"+image+"3/blobs/uploads/?mount="+first+"&from="+image, nil)
		index := `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `","manifests":[]}`
		c.refused(403, []string{fmt.Sprint("needs ", len(index), " more")}, "PUT", "/v2/"+image+"/manifests/i", strings.NewReader(index))
		c.want(202, "DELETE", "/v2/"+image+"/blobs/"+sha256Of(exact), nil)
		c.want(201, "PUT", "/v2/"+image+"/manifests/i", strings.NewReader(index))
		d.wantUsed(t, int64(700*k+len(index)), 0)
	})
}

// TestDatabaseQuota: the repositories of a database share its quota, and content that two of them hold counts once.
func TestDatabaseQuota(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *door, _ *clock) {
		c := d.as(t, "owner")
		err := d.store.Update(t.Context(), func(tx catalog.Tx) error {
			o, spec, err := catalog.Get[*catalog.DatabaseSpec](tx, catalog.Name{Object: "DB"})
			if err != nil {
				return err
			}
			spec.ImageQuota = 500
			return tx.AlterObject(o)
		})
		if err != nil {
			t.Fatal(err)
		}
		c.pushBlob("db/s/other/img", randomBytes(1, 400))
		c.pushBlob(image, randomBytes(1, 400))
		c.refused(403, []string{"database DB", "500 bytes hold 400", "needs 101 more", "ALTER DATABASE DB SET IMAGE_STORAGE_QUOTA"},
			"POST", "/v2/"+image+"/blobs/uploads/?digest="+sha256Of(randomBytes(2, 101)), bytes.NewReader(randomBytes(2, 101)))
		c.pushBlob(image, randomBytes(2, 100))
	})
}

// TestQuotaHoldsTogether lets many push at once more than there is room for: some are taken, and never too many.
func TestQuotaHoldsTogether(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *door, _ *clock) {
		const size, room = 100_000, 450_000
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.Quota = room })
		c := d.as(t, "writer")
		begun := make([]string, 12)
		for i := range begun {
			begun[i] = c.begin()
		}
		var wg sync.WaitGroup
		taken := make([]bool, len(begun))
		for i, location := range begun {
			wg.Go(func() {
				content := randomBytes(uint64(i), size)
				body := io.Reader(bytes.NewReader(content))
				if i%2 == 0 {
					body = unsized(content)
				}
				r := c.do("PUT", location+"?digest="+sha256Of(content), body)
				switch taken[i] = r.StatusCode == http.StatusCreated; {
				case taken[i]:
				case r.StatusCode != http.StatusForbidden || r.code() != "DENIED":
					t.Errorf("a push answers %d %s", r.StatusCode, r.body)
				}
			})
		}
		wg.Wait()
		n := int64(0)
		for _, ok := range taken {
			if ok {
				n++
			}
		}
		if n == 0 || n*size > room {
			t.Errorf("%d pushes of %d bytes were taken where %d are allowed", n, size, room)
		}
		d.wantUsed(t, n*size, 0)
		d.wantNoGarbage(t)
	})
}

// TestCutUpload: what an upload that broke off has stays reserved until it goes on, is cancelled, or expires.
func TestCutUpload(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *door, clock *clock) {
		d.rule(t, func(s *catalog.ImageRepositorySpec) { s.Quota = 10 << 20 })
		c := d.as(t, "writer")
		upload := c.want(202, "PATCH", c.begin(), unsized(randomBytes(1, 1<<20))).Header.Get("Location")
		d.wantUsed(t, 0, 1<<20)
		c.want(204, "DELETE", upload, nil)
		d.wantUsed(t, 0, 0)
		c.want(202, "PATCH", c.begin(), unsized(randomBytes(1, 1<<20)))
		clock.advance(25 * time.Hour)
		if n, err := d.ExpireUploads(t.Context()); n != 1 || err != nil {
			t.Errorf("%d uploads expired, %v", n, err)
		}
		d.wantUsed(t, 0, 0)
		d.wantNoGarbage(t)
	})
}
