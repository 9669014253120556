// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Problem says in what way a row and its content disagree.
type Problem string

// The problems.
const (
	Lost    Problem = "lost"    // the content is not there
	Damaged Problem = "damaged" // it is other content
	Missing Problem = "missing" // a manifest names a blob that its image does not hold
)

// Finding is one thing that is not as it should be.
type Finding struct {
	Problem Problem
	What    string   // "blob sha256:...", "manifest sha256:...", "stage file DB.S.STAGE/path"
	Reason  string   // for the reader
	Images  []string // that it makes unusable, as paths: /db/schema/repository/image:tag, or without a tag when none leads there
	Moved   string   // key under which the damaged content is kept from now on; "" when it was not moved
}

// Report is what Check found.
type Report struct {
	Blobs, Manifests, Files int   // rows that were compared with their content
	Bytes                   int64 // content that was read
	Objects                 int   // in the blob store
	Orphans                 int   // objects that no row leads to: Collect removes them when they are old enough
	OrphanBytes             int64
	Quarantined             int // objects that were moved aside, now or before
	Findings                []Finding
}

// quarantine begins the keys of content that Check has moved aside.
const quarantine = "quarantine/"

// CheckOptions says what Check does with what it finds.
type CheckOptions struct {
	// Repair moves damaged content aside. A client that pushes the image again is told that the blob is missing, sends
	// it, and so heals every image that uses it.
	Repair bool
	// Found is told each finding as soon as it is made, by one goroutine at a time; nil: nobody is.
	Found func(Finding)
}

// Check reads all content and compares it with the rows that lead to it, and looks for objects that no row leads to. Whoever
// pushes, pulls or collects meanwhile is not disturbed.
//
// Errors: Refused when catalog and blob store do not belong together; Unavailable.
func (s *Sweeper) Check(ctx context.Context, o CheckOptions) (Report, error) {
	if err := s.belongs(ctx); err != nil {
		return Report{}, err
	}
	c := &check{Sweeper: s, o: o}
	for _, step := range []func(context.Context) error{c.blobs, c.manifests, c.files, c.objects} {
		if err := step(ctx); err != nil {
			return c.report, err
		}
	}
	return c.report, nil
}

// check is one run of Check.
type check struct {
	*Sweeper
	o      CheckOptions
	report Report
}

// found notes a finding.
func (c *check) found(f Finding) {
	c.report.Findings = append(c.report.Findings, f)
	if c.o.Found != nil {
		c.o.Found(f)
	}
}

// page is how many rows are read at once.
const page = 200

// blobs compares the blobs of images with their digests.
func (c *check) blobs(ctx context.Context) error {
	for last := ""; ; {
		var rows []*catalog.Blob
		err := c.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
			rows, err = gather(tx.BlobsAfter(last, page))
			return err
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, b := range rows {
			if err := c.blob(ctx, b); err != nil {
				return err
			}
			last = b.Digest
		}
	}
}

// blob checks one blob, again when it was moved or collected meanwhile.
func (c *check) blob(ctx context.Context, b *catalog.Blob) error {
	problem, reason, err := c.read(ctx, b)
	if err != nil {
		return err
	}
	if problem != "" {
		now, err := c.now(ctx, b.Digest)
		switch {
		case errs.Is(err, errs.NotFound):
			return nil
		case err != nil:
			return err
		case now.Key != b.Key:
			return c.blob(ctx, now)
		}
	}
	c.report.Blobs++
	if problem == "" {
		return nil
	}
	f := Finding{Problem: problem, What: "blob " + b.Digest, Reason: reason}
	if f.Images, err = c.users(ctx, b.Digest); err != nil {
		return err
	}
	if c.o.Repair && b.Lost.IsZero() {
		if f.Moved, err = c.isolate(ctx, b, problem); err != nil {
			return err
		}
	}
	c.found(f)
	return nil
}

// now gives a blob as the catalog has it now.
func (c *check) now(ctx context.Context, digest string) (b *catalog.Blob, err error) {
	err = c.Catalog.View(ctx, func(tx catalog.Tx) error {
		b, err = tx.Blob(digest)
		return err
	})
	return b, err
}

// read compares the content of a blob with its digest and size.
func (c *check) read(ctx context.Context, b *catalog.Blob) (Problem, string, error) {
	if !b.Lost.IsZero() {
		return Lost, "it was found lost or damaged at " + b.Lost.Format(time.RFC3339), nil
	}
	d := digest.Digest(b.Digest)
	if err := d.Validate(); err != nil {
		return Damaged, "its digest is malformed", nil
	}
	h := d.Algorithm().Hash()
	var content io.ReadCloser = io.NopCloser(bytes.NewReader(b.Body))
	if b.Key != "" {
		var err error
		if content, err = c.Blobs.Open(ctx, b.Key, 0, -1); errs.Is(err, errs.NotFound) {
			return Lost, "the blob store has no object " + b.Key, nil
		} else if err != nil {
			return "", "", err
		}
	}
	defer content.Close()
	n, err := c.hash(ctx, h, content)
	if err != nil {
		return Damaged, "its content cannot be read: " + errs.MessageOf(err), ctx.Err()
	}
	if got := digest.NewDigest(d.Algorithm(), h); got != d || n != b.Size {
		return Damaged, fmt.Sprintf("its content has %d bytes and digest %s, %d bytes are expected", n, got, b.Size), nil
	}
	return "", "", nil
}

// hash reads content and counts it.
func (c *check) hash(ctx context.Context, h hash.Hash, content io.Reader) (int64, error) {
	n, err := io.Copy(h, readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return content.Read(p)
	}))
	c.report.Bytes += n
	return n, err
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// isolate says that the content of a blob is to be pushed again, moves aside what is there of it, and gives the key of that.
func (c *check) isolate(ctx context.Context, b *catalog.Blob, p Problem) (moved string, err error) {
	err = c.Catalog.Update(ctx, func(tx catalog.Tx) error { return tx.LoseBlob(b.Digest, b.Key) })
	if err != nil || p == Lost {
		return "", err
	}
	if b.Key != "" {
		return c.move(ctx, b.Key)
	}
	moved = quarantine + "rows/" + strings.ReplaceAll(b.Digest, ":", "-")
	_, err = c.Blobs.Put(ctx, moved, bytes.NewReader(b.Body))
	return moved, err
}

// move moves an object aside. Content that cannot be read at all is removed: nobody can use it.
func (c *check) move(ctx context.Context, key string) (string, error) {
	content, err := c.Blobs.Open(ctx, key, 0, -1)
	if err != nil {
		return "", err
	}
	defer content.Close()
	if _, err := c.Blobs.Put(ctx, quarantine+key, content); err != nil {
		if errs.Is(err, errs.Exhausted) || errs.Is(err, errs.Unavailable) || ctx.Err() != nil {
			return "", err
		}
		return "", c.Blobs.Delete(ctx, key)
	}
	return quarantine + key, c.Blobs.Delete(ctx, key)
}

// manifests compares manifests with their digests, and looks whether their images hold what they name.
func (c *check) manifests(ctx context.Context) error {
	for last := (catalog.Unused{}); ; {
		var rows []*catalog.Manifest
		err := c.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
			rows, err = gather(tx.ManifestsAfter(last, page))
			return err
		})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return c.missing(ctx)
		}
		for _, m := range rows {
			last = catalog.Unused{Repository: m.Repository, Image: m.Image, Digest: m.Digest}
			c.report.Manifests++
			c.report.Bytes += int64(len(m.Body))
			d := digest.Digest(m.Digest)
			if d.Validate() == nil && d.Algorithm().FromBytes(m.Body) == d {
				continue
			}
			f := Finding{Problem: Damaged, What: "manifest " + m.Digest, Reason: "its content has another digest"}
			if err := c.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
				f.Images, err = tagsOver(tx, last, m.Digest)
				return err
			}); err != nil {
				return err
			}
			c.found(f)
		}
	}
}

// missing finds manifests whose blobs their image does not hold.
func (c *check) missing(ctx context.Context) error {
	var findings []Finding
	err := c.Catalog.View(ctx, func(tx catalog.Tx) error {
		findings = nil
		for u, err := range tx.MissingBlobs() {
			if err != nil {
				return err
			}
			f := Finding{Problem: Missing, What: "blob " + u.Digest, Reason: "a manifest names it and the image does not hold it"}
			if f.Images, err = tagsOver(tx, u, u.Digest); err != nil {
				return err
			}
			findings = append(findings, f)
		}
		return nil
	})
	for _, f := range findings {
		c.found(f)
	}
	return err
}

// objects counts what the blob store has and no row leads to.
func (c *check) objects(ctx context.Context) error {
	var group []blob.Info
	count := func() error {
		defer func() { group = group[:0] }()
		orphans, size := 0, int64(0)
		err := c.Catalog.View(ctx, func(tx catalog.Tx) error {
			for _, o := range group {
				named, err := tx.NamesKey(o.Key)
				if err != nil {
					return err
				}
				if !named {
					orphans++
					size += o.Size
				}
			}
			return nil
		})
		c.report.Orphans += orphans
		c.report.OrphanBytes += size
		return err
	}
	for o, err := range c.Blobs.List(ctx, "") {
		if err != nil {
			return errors.Join(err, ctx.Err())
		}
		c.report.Objects++
		if strings.HasPrefix(o.Key, quarantine) {
			c.report.Quarantined++
		}
		for _, prefix := range c.Prefixes {
			if strings.HasPrefix(o.Key, prefix) {
				group = append(group, o)
			}
		}
		if len(group) >= page {
			if err := count(); err != nil {
				return err
			}
		}
	}
	return count()
}
