// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// The life of a blob that is pushed: POST gives an upload an id, PATCH and PUT append to the unfinished blob in the store
// and note the progress in the row of the upload, PUT ends it. Before PUT answers 201 the bytes are on disk under their final name
// (Store.Finish) and the transaction that makes the blob and links it to the image is committed, in that order. A small
// blob never reaches the store: it is in the row, so its commit alone makes it durable.

// postUpload begins an upload, or mounts a blob that another image has (?mount=), or takes a whole blob (?digest=).
func (g *Registry) postUpload(w http.ResponseWriter, r *request) error {
	query := r.URL.Query()
	if mount := query.Get("mount"); mount != "" {
		return g.mountOrBegin(w, r, mount, query.Get("from"))
	}
	if digest := query.Get("digest"); digest != "" {
		return g.postBlob(w, r, digest)
	}
	return g.mountOrBegin(w, r, "", "")
}

// mountOrBegin begins an upload unless the blob can be mounted.
func (g *Registry) mountOrBegin(w http.ResponseWriter, r *request, mount, from string) error {
	at, err := g.admit(r, catalog.Write)
	if err != nil {
		return err
	}
	if err := takesPushes(at.repository); err != nil {
		return err
	}
	if mounted, err := g.mount(r, mount, from); err != nil {
		return err
	} else if mounted {
		created(w, r, mount)
		return nil
	}
	if err := g.ask(r.Context(), at, "", 1); err != nil {
		return err
	}
	u, err := g.newUpload(at, r.image, r.id.User) // nothing is written to begin it
	if err != nil {
		return err
	}
	progress(w, r, u)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// getUpload tells how far an upload has come; what a request is writing at the moment does not count yet.
func (g *Registry) getUpload(w http.ResponseWriter, r *request) error {
	u, err := g.loadUpload(r)
	if err != nil {
		return err
	}
	progress(w, r, u)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// cancelUpload ends an upload that is not wanted any more.
func (g *Registry) cancelUpload(w http.ResponseWriter, r *request) error {
	u, release, err := g.lockUpload(r)
	if err != nil {
		return err
	}
	defer release()
	if err := g.endUpload(r.Context(), u); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// patchUpload appends to an upload.
func (g *Registry) patchUpload(w http.ResponseWriter, r *request) error {
	u, release, err := g.writeUpload(r)
	if err != nil {
		return err
	}
	defer release()
	if err := g.appendBody(w, r, u); err != nil {
		return err
	}
	progress(w, r, u)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// putUpload appends what the request has, checks the digest and makes the blob.
func (g *Registry) putUpload(w http.ResponseWriter, r *request) error {
	digest := r.URL.Query().Get("digest")
	if err := checkDigest(digest); err != nil {
		return err
	}
	if done, err := g.putSmall(r, digest); done || err != nil {
		if err == nil {
			created(w, r, digest)
		}
		return err
	}
	u, release, err := g.writeUpload(r)
	if err != nil {
		return err
	}
	defer release()
	if r.ContentLength != 0 {
		if err := g.appendBody(w, r, u); err != nil {
			return err
		}
	}
	ended, err := g.endedBefore(r.Context(), u, digest)
	if err != nil {
		return err
	}
	if !ended {
		b, err := g.finish(r.Context(), u, digest)
		if err != nil {
			return err
		}
		if err := g.commit(r.Context(), u, b); err != nil {
			return err
		}
	}
	created(w, r, digest)
	return nil
}

// putSmall takes a small blob of which the body of a PUT is all. That the upload has no row, so that nothing was sent before, shows in the
// transaction that makes the blob. Where the body is not all, done is false, and it can be read once more.
func (g *Registry) putSmall(r *request, digest string) (done bool, err error) {
	if r.ContentLength <= 0 || r.ContentLength > smallBlob || r.Header.Get("Content-Range") != "" {
		return false, nil
	}
	at, err := g.admit(r, catalog.Write)
	if err != nil {
		return false, err
	}
	u, err := g.freshUpload(r, at)
	if u == nil || err != nil {
		return false, err
	}
	content, broke := readHead(r.Body, r.ContentLength, smallBlob)
	rest, end := io.Pipe()        // behind the content: its end, or the error
	_ = end.CloseWithError(broke) // it never fails
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(content), rest), r.Body}
	if broke != nil { // the client may be gone, but what came is kept
		r.Request = r.WithContext(context.WithoutCancel(r.Context()))
		return false, nil
	}
	h := newHash(digest)
	h.Write(content)
	if verify(h, digest) != nil {
		return false, nil
	}
	u.unseen = true
	err = g.commit(r.Context(), u, &catalog.Blob{Digest: digest, Size: int64(len(content)), Body: content})
	if errors.Is(err, errSeen) {
		return false, nil
	}
	return true, err
}

// errSeen tells that an upload has a row.
var errSeen = errors.New("the upload has a row")

// endedBefore tells whether an upload without content is to end as a blob that the image holds: it has ended so before, and the answer was
// lost. Who asks again will not send the blob either, so its lease is renewed.
func (g *Registry) endedBefore(ctx context.Context, u *upload, digest string) (bool, error) {
	if u.stored || u.Offset > 0 {
		return false, nil
	}
	var held *catalog.Blob
	err := g.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
		held, err = tx.LinkedBlob(u.Repository, u.Image, digest)
		return err
	})
	if err != nil {
		return false, unlessMissing(err)
	}
	if whole, err := g.whole(ctx, held); err != nil || !whole {
		return false, err
	}
	err = g.Catalog.Update(ctx, func(tx catalog.Tx) error {
		if _, err := tx.LinkedBlob(u.Repository, u.Image, digest); err != nil {
			return err
		}
		return tx.LinkBlob(u.Repository, u.Image, digest)
	})
	return err == nil, unlessMissing(err)
}

// appendBody receives the body of a request and stores the progress, also that of a body that broke off: the client may ask and go on.
func (g *Registry) appendBody(w http.ResponseWriter, r *request, u *upload) error {
	if err := checkRange(r, u); err != nil {
		progress(w, r, u)
		return err
	}
	began := u.Offset
	body, err := g.metered(r.Context(), u, r.Body, r.ContentLength)
	if errors.Is(err, errOverQuota) {
		return g.end(r.Context(), u, err)
	} else if err != nil {
		return err
	}
	received := g.receive(r.Context(), u, body, r.ContentLength)
	if errors.Is(received, errOverQuota) {
		return g.end(r.Context(), u, received) // it gives back what it has reserved
	}
	if received == nil && r.Method == http.MethodPut {
		return nil // the upload ends with this request: its progress need not be durable
	}
	if err := g.saveEnd(context.WithoutCancel(r.Context()), u, began); received == nil {
		return err
	}
	return broken(received)
}

// contentRange is the form that the specification gives the header, and the one of HTTP that some clients send.
var contentRange = regexp.MustCompile(`^(?:bytes[ =])?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]+|\*))?$`)

// checkRange tells whether the chunk of a request begins where the upload ends. A request without Content-Range just goes on.
func checkRange(r *request, u *upload) error {
	header := r.Header.Get("Content-Range")
	if header == "" {
		return nil
	}
	m := contentRange.FindStringSubmatch(header)
	if m == nil {
		return coded(blobUploadInvalid, errs.New(errs.Invalid, "content range %.100q has not the form <first>-<last>", header))
	}
	first, _ := strconv.ParseInt(m[1], 10, 64) // 18 digits fit
	last, _ := strconv.ParseInt(m[2], 10, 64)
	if first != u.Offset {
		return statused(blobUploadInvalid, http.StatusRequestedRangeNotSatisfiable,
			errs.New(errs.Conflict, "the chunk begins at %d, the upload has %d bytes", first, u.Offset))
	}
	if r.ContentLength >= 0 && last-first+1 != r.ContentLength {
		return coded(sizeInvalid, errs.New(errs.Invalid, "content range %s is not of %d bytes", header, r.ContentLength))
	}
	return nil
}

// broken says that the client's stream ended early; failures of ours stay what they are.
func broken(err error) error {
	if errs.CodeOf(err) != errs.Internal {
		return err
	}
	return coded(blobUploadInvalid, errs.Wrap(err, errs.Canceled, "the content broke off"))
}

// finish checks the digest of an upload and makes its content durable. Content with another digest is thrown away.
func (g *Registry) finish(ctx context.Context, u *upload, digest string) (*catalog.Blob, error) {
	h, err := restore(u.Hash)
	if err != nil {
		return nil, err
	}
	small := u.Offset == int64(len(u.Body))
	running := newHash(digest).Size() == h.Size() // the upload has hashed what the client names
	if !running && small {
		h = newHash(digest)
		h.Write(u.Body)
	}
	b := &catalog.Blob{Digest: digest, Size: u.Offset, Body: u.Body}
	if small || running {
		if err := verify(h, digest); err != nil {
			return nil, g.end(ctx, u, err)
		}
	}
	if small {
		return b, nil
	}
	b.Key, b.Body = u.Key, nil
	if _, err := g.Blobs.Finish(ctx, u.Key, u.Offset); err != nil {
		if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Conflict) {
			return nil, g.end(ctx, u, coded(blobUploadUnknown, err))
		}
		return nil, err
	}
	if !running {
		h = newHash(digest)
		if err := hashStored(ctx, g.Blobs, b.Key, h); err != nil {
			return nil, err
		}
		if err := verify(h, digest); err != nil {
			g.discard(ctx, b.Key)
			return nil, g.end(ctx, u, err)
		}
	}
	return b, nil
}

// stillOurs tells whether an upload, at its end, is what it was when this request began.
func (g *Registry) stillOurs(tx catalog.Tx, u *upload) error {
	if !u.stored && !u.unseen {
		return nil
	}
	row, err := tx.Upload(u.ID)
	switch {
	case u.unseen && err == nil:
		return errSeen
	case u.unseen:
		return unlessMissing(err)
	case err != nil: // without its row the collector may have taken the content for garbage
		return coded(blobUploadUnknown, err)
	case u.claimed && row.Writer != g.Writer:
		return occupied(u.ID)
	}
	return nil
}

// commit makes a durable blob visible in the image and ends the upload.
func (g *Registry) commit(ctx context.Context, u *upload, b *catalog.Blob) error {
	var kept *catalog.Blob
	err := g.Catalog.Update(ctx, func(tx catalog.Tx) error {
		at, err := u.in.now(tx)
		if err != nil {
			return err
		}
		if err := fits(tx, at, b.Digest, u.ID, b.Size); err != nil {
			return err
		}
		if err := g.stillOurs(tx, u); err != nil {
			return err
		}
		if kept, err = tx.PutBlob(b); err != nil {
			return err
		}
		if err := tx.LinkBlob(u.Repository, u.Image, b.Digest); err != nil {
			return err
		}
		if !u.stored || kept.Key != b.Key || !kept.Lost.IsZero() {
			return nil
		}
		return tx.DeleteUpload(u.ID)
	})
	if errors.Is(err, errOverQuota) {
		g.discard(ctx, b.Key)
		return g.end(ctx, u, err)
	}
	if err != nil {
		return err
	}
	return g.settle(ctx, u, kept, b)
}

// settle decides between the content that was pushed and the content that the catalog has already: that stays, unless the store
// has lost it. The upload ends here: until then its row leads to what was pushed.
func (g *Registry) settle(ctx context.Context, u *upload, kept, pushed *catalog.Blob) error {
	whole, err := g.whole(ctx, kept)
	switch {
	case err != nil:
		return err
	case !whole:
		err = g.heal(ctx, u, kept, pushed)
		if !errs.Is(err, errs.Conflict) { // somebody else was faster
			return err
		}
	case kept.Key == pushed.Key:
		u.claimed = false // its row is gone
		return nil
	}
	g.discard(ctx, pushed.Key)
	if !u.stored {
		return nil
	}
	return g.forget(ctx, u)
}

// whole tells whether the content of a blob is there.
func (g *Registry) whole(ctx context.Context, b *catalog.Blob) (bool, error) {
	if !b.Lost.IsZero() || b.Key == "" {
		return b.Lost.IsZero(), nil
	}
	_, err := g.Blobs.Stat(ctx, b.Key)
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// heal puts content that was pushed in the place of content that the store has lost.
func (g *Registry) heal(ctx context.Context, u *upload, lost, pushed *catalog.Blob) error {
	g.Log.Warn("lost content of a blob was pushed again", "digest", lost.Digest, "lost", lost.Key, "key", pushed.Key)
	return g.Catalog.Update(ctx, func(tx catalog.Tx) error {
		if err := tx.RestoreBlob(pushed, lost.Key); err != nil || !u.stored {
			return err
		}
		return tx.DeleteUpload(u.ID)
	})
}

// discard deletes content that no row names. What stays behind is garbage for the collector.
func (g *Registry) discard(ctx context.Context, key string) {
	if key == "" {
		return
	}
	if err := g.Blobs.Delete(context.WithoutCancel(ctx), key); err != nil {
		g.Log.Warn("garbage stays in the blob store", "key", key, "error", err)
	}
}

// created answers that the image now holds the blob.
func created(w http.ResponseWriter, r *request, digest string) {
	w.Header().Set("Location", "/v2/"+r.name+"/blobs/"+digest)
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}

// progress sets the headers that say how far an upload has come. Nothing is written 0-0, as clients expect.
func progress(w http.ResponseWriter, r *request, u *upload) {
	h := w.Header()
	h.Set("Location", fmt.Sprintf("/v2/%s/blobs/uploads/%s", r.name, u.ID))
	h.Set("Docker-Upload-Uuid", string(u.ID))
	h.Set("Range", fmt.Sprintf("0-%d", max(u.Offset-1, 0)))
}
