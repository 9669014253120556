// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// smallBlob is the size up to which a blob is kept in its row: then a push of it costs one commit and no file.
const smallBlob = 64 << 10

// rested tells whether a lease must be renewed before somebody is told that what it protects need not be sent. HEAD should not cost a
// commit each time, so a fresh one is left as it is.
func (g *Registry) rested(lease time.Time) bool { return g.Now().Sub(lease) > g.Grace/24 }

// octetStream is the media type of blobs: what they are only manifests know.
const octetStream = "application/octet-stream"

// findBlob finds the blob of a request in the image that holds it.
func (g *Registry) findBlob(r *request) (*catalog.Blob, error) {
	at, err := g.admit(r, catalog.Read)
	if err != nil {
		return nil, err
	}
	var b *catalog.Blob
	err = g.Catalog.View(r.Context(), func(tx catalog.Tx) (err error) {
		b, err = tx.LinkedBlob(at.repository.ID, r.image, r.reference)
		return coded(blobUnknown, err)
	})
	return b, err
}

// blobHeaders sets what GET and HEAD of a blob say about it.
func blobHeaders(w http.ResponseWriter, digest string) {
	h := w.Header()
	h.Set("Content-Type", octetStream)
	h.Set("Docker-Content-Digest", digest)
	h.Set("ETag", `"`+digest+`"`)
}

// getBlob serves a blob or ranges of it. A file goes to the client by sendfile.
func (g *Registry) getBlob(w http.ResponseWriter, r *request) error {
	b, err := g.findBlob(r)
	if err != nil {
		return err
	}
	if g.redirect(w, r, b) {
		return nil
	}
	content, err := g.openBlob(r.Context(), b)
	if err != nil {
		return err
	}
	defer content.Close()
	blobHeaders(w, b.Digest)
	http.ServeContent(w, r.Request, "", time.Time{}, content)
	return nil
}

// headBlob tells that the image holds a blob. To a client that may push, this is a promise: it will not send the blob again,
// so the lease is renewed first, and content that the store has lost is denied: then the client sends it and heals the blob.
func (g *Registry) headBlob(w http.ResponseWriter, r *request) error {
	b, err := g.findBlob(r)
	if err != nil {
		return err
	}
	if whole, err := g.whole(r.Context(), b); err != nil {
		return err
	} else if !whole {
		g.Log.Error("the content of a blob is lost", "digest", b.Digest, "key", b.Key)
		return coded(blobUnknown, errs.New(errs.NotFound, "the content of blob %s is lost: push it again", b.Digest))
	}
	if g.rested(b.Leased) {
		if err := g.renewLease(r); err != nil {
			return err
		}
	}
	blobHeaders(w, b.Digest)
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Length", strconv.FormatInt(b.Size, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

// renewLease renews the lease of a request's blob when the identity may push.
func (g *Registry) renewLease(r *request) error {
	return g.Catalog.Update(r.Context(), func(tx catalog.Tx) error {
		repository, err := g.repository(tx, r.id, r.repository, catalog.Read)
		if err != nil {
			return err
		}
		write, err := g.Authorizer.Allowed(tx, r.id, catalog.Write, repository)
		if err != nil || !write {
			return err
		}
		if _, err := tx.LinkedBlob(repository.ID, r.image, r.reference); err != nil {
			return coded(blobUnknown, err)
		}
		return tx.LinkBlob(repository.ID, r.image, r.reference)
	})
}

// deleteBlob takes a blob out of an image.
func (g *Registry) deleteBlob(w http.ResponseWriter, r *request) error {
	err := g.Catalog.Update(r.Context(), func(tx catalog.Tx) error {
		repository, err := g.repository(tx, r.id, r.repository, catalog.Write)
		if err != nil {
			return err
		}
		if err := tx.UnlinkBlob(repository.ID, r.image, r.reference); err != nil {
			if errs.Is(err, errs.NotFound) {
				return coded(blobUnknown, err)
			}
			return err
		}
		return tx.AddEvent(r.event(actionDelete, r.reference))
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// openBlob opens the content of a blob. The result is an *os.File where the store has files.
func (g *Registry) openBlob(ctx context.Context, b *catalog.Blob) (io.ReadSeekCloser, error) {
	if !b.Lost.IsZero() {
		return nil, errs.New(errs.Corrupt, "the content of blob %s is lost: push it again", b.Digest)
	}
	if b.Key == "" {
		return inRow{bytes.NewReader(b.Body)}, nil
	}
	content, err := openKey(ctx, g.Blobs, b, 0)
	if err != nil {
		return nil, err
	}
	if file, ok := content.(io.ReadSeekCloser); ok {
		return file, nil
	}
	return &seeker{ctx: ctx, store: g.Blobs, blob: b, open: content}, nil
}

// openKey opens a blob of the store from an offset. Content that a row promises and the store lacks is damage, not absence.
func openKey(ctx context.Context, s blob.Store, b *catalog.Blob, offset int64) (io.ReadCloser, error) {
	content, err := s.Open(ctx, b.Key, offset, -1)
	if errs.Is(err, errs.NotFound) {
		return nil, errs.Wrap(err, errs.Corrupt, "the content of blob %s is lost: push it again", b.Digest)
	}
	return content, err
}

// inRow is the content of a blob that its row has.
type inRow struct{ *bytes.Reader }

func (inRow) Close() error { return nil }

// seeker makes a stream of the store seekable by opening it anew. It is for one goroutine.
type seeker struct {
	ctx    context.Context
	store  blob.Store
	blob   *catalog.Blob
	offset int64         // where the next read is
	at     int64         // where open is: a seek that comes back, as net/http asks for the size, costs no request
	open   io.ReadCloser // nil after Close
}

func (s *seeker) Read(p []byte) (int, error) {
	if s.offset >= s.blob.Size {
		return 0, io.EOF
	}
	if s.at != s.offset {
		_ = s.Close()
	}
	if s.open == nil {
		content, err := openKey(s.ctx, s.store, s.blob, s.offset)
		if err != nil {
			return 0, err
		}
		s.open, s.at = content, s.offset
	}
	n, err := s.open.Read(p)
	s.offset, s.at = s.offset+int64(n), s.at+int64(n)
	return n, err
}

func (s *seeker) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.offset
	case io.SeekEnd:
		offset += s.blob.Size
	}
	if offset < 0 {
		return s.offset, errors.New("seek before the start of a blob")
	}
	s.offset = offset
	return offset, nil
}

func (s *seeker) Close() error {
	if s.open == nil {
		return nil
	}
	open := s.open
	s.open = nil
	return open.Close()
}
