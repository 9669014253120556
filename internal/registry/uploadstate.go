// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// upload is an open upload. It has a row from the moment when it has content that another request or a restart must find: until then
// its id alone says that it may go on, so that the push of a small blob is one commit. An id without a row is an upload
// without content, whoever asks, as long as the id is young enough.
type upload struct {
	*catalog.Upload
	stored  bool // it has a row
	limited bool // it counts against a quota
}

// newUpload makes an upload with an id of now: a UUIDv7.
func (g *Registry) newUpload(r *request, repository catalog.ID) (*upload, error) {
	id, err := uuid.NewRandomFromReader(g.Rand)
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "there is no randomness for an upload id")
	}
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(g.Now().UnixMilli()))
	copy(id[:6], at[2:])
	id[6] = id[6]&0x0f | 0x70
	return g.emptyUpload(r, repository, id), nil
}

// emptyUpload is the upload of an id that nothing was written to.
func (g *Registry) emptyUpload(r *request, repository catalog.ID, id uuid.UUID) *upload {
	text := id.String()
	return &upload{Upload: &catalog.Upload{
		ID: catalog.ID(text), Repository: repository, Image: r.image, User: r.id.User,
		// The key is not the digest, so a blob that is pushed again never overwrites one that is in use.
		Key:     KeyPrefix + text[len(text)-2:] + "/" + text,
		Expires: time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).Add(g.UploadTTL),
	}}
}

// clockSkew is by how much the clocks of replicas may differ.
const clockSkew = 5 * time.Minute

// freshUpload gives the upload of an id without a row; ok is false when the id is none that newUpload may have made.
func (g *Registry) freshUpload(r *request, repository catalog.ID) (u *upload, ok bool) {
	id, err := uuid.Parse(r.reference)
	if err != nil || id.String() != r.reference || id.Version() != 7 {
		return nil, false
	}
	u = g.emptyUpload(r, repository, id)
	rest := u.Expires.Sub(g.Now())
	return u, rest > 0 && rest <= g.UploadTTL+clockSkew
}

// loadUpload finds the upload of a request.
func (g *Registry) loadUpload(r *request) (u *upload, err error) {
	err = g.Catalog.View(r.Context(), func(tx catalog.Tx) error {
		repository, err := g.repository(tx, r.id, r.repository, catalog.Write)
		if err != nil {
			return err
		}
		if u, err = g.findUpload(tx, r, repository.ID); err != nil {
			return err
		}
		u.limited, err = isLimited(tx, repository)
		return err
	})
	return u, err
}

// lockUpload finds the upload of a request and keeps other requests from writing to it until release.
func (g *Registry) lockUpload(r *request) (u *upload, release func(), err error) {
	id := catalog.ID(r.reference)
	if _, busy := g.busy.LoadOrStore(id, nil); busy {
		return nil, nil, coded(blobUploadInvalid, errs.New(errs.Conflict, "another request writes to upload %.100s", id))
	}
	release = func() { g.busy.Delete(id) }
	if u, err = g.loadUpload(r); err != nil {
		release()
		return nil, nil, err
	}
	return u, release, nil
}

// findUpload finds the upload that a request names, in the image where it began and for the user who began it.
func (g *Registry) findUpload(tx catalog.Tx, r *request, repository catalog.ID) (*upload, error) {
	row, err := tx.Upload(catalog.ID(r.reference))
	if err == nil && row.Repository == repository && row.Image == r.image && row.User == r.id.User {
		return &upload{Upload: row, stored: true}, nil
	}
	if errs.Is(err, errs.NotFound) {
		if u, ok := g.freshUpload(r, repository); ok {
			return u, nil
		}
	} else if err != nil {
		return nil, err
	}
	return nil, coded(blobUploadUnknown, errs.New(errs.NotFound, "upload %.100s of %s does not exist or has ended: begin a new one", r.reference, r.name))
}

// register gives an upload a row if it has none: before the store has bytes there must be a row that leads to them.
func (g *Registry) register(ctx context.Context, u *upload) error {
	if u.stored {
		return nil
	}
	return g.save(ctx, u, u.Offset)
}

// save stores how far an upload has come, which began this request at an offset. It keeps reserved what it has.
func (g *Registry) save(ctx context.Context, u *upload, began int64) error {
	u.Reserved = max(u.Offset, u.Reserved)
	if u.Offset > began {
		u.Reserved = u.Offset
	}
	err := g.Catalog.Update(ctx, func(tx catalog.Tx) error { return g.putProgress(tx, u.Upload, u.stored, began) })
	u.stored = u.stored || err == nil
	return err
}

// putProgress stores an upload that nobody else has written to since it was at an offset, or that had no row.
func (g *Registry) putProgress(tx catalog.Tx, u *catalog.Upload, stored bool, began int64) error {
	row, err := tx.Upload(u.ID)
	switch {
	case err == nil && stored && row.Offset == began, errs.Is(err, errs.NotFound) && !stored:
		u.Expires = tx.Now().Add(g.UploadTTL)
		return tx.PutUpload(u)
	case err == nil:
		return coded(blobUploadInvalid, errs.New(errs.Conflict, "another request wrote to upload %s", u.ID))
	default:
		return coded(blobUploadUnknown, err)
	}
}

// end ends an upload that cannot succeed any more and passes the reason on.
func (g *Registry) end(ctx context.Context, u *upload, reason error) error {
	if err := g.endUpload(context.WithoutCancel(ctx), u); err != nil {
		g.Log.Warn("a failed upload stays until it expires", "upload", u.ID, "error", err)
	}
	return reason
}

// ExpireUploads removes the uploads that have rested for too long, and tells how many.
//
// Errors: Unavailable.
func (g *Registry) ExpireUploads(ctx context.Context) (int, error) {
	var expired []*catalog.Upload
	err := g.Catalog.View(ctx, func(tx catalog.Tx) error {
		expired = nil
		for u, err := range tx.ExpiredUploads(tx.Now()) {
			if err != nil {
				return err
			}
			expired = append(expired, u)
		}
		return nil
	})
	removed := 0
	for _, u := range expired {
		gone, expireErr := g.expire(ctx, &upload{Upload: u, stored: true})
		if gone {
			removed++
		}
		err = errors.Join(err, expireErr)
	}
	return removed, err
}

// expire removes an upload unless a request writes to it or has since it was found.
func (g *Registry) expire(ctx context.Context, u *upload) (bool, error) {
	if _, busy := g.busy.LoadOrStore(u.ID, nil); busy {
		return false, nil
	}
	defer g.busy.Delete(u.ID)
	err := g.Catalog.View(ctx, func(tx catalog.Tx) error {
		now, err := tx.Upload(u.ID)
		if err == nil && !now.Expires.Equal(u.Expires) {
			return errs.New(errs.NotFound, "upload %s goes on", u.ID)
		}
		return err
	})
	if err == nil {
		err = g.endUpload(ctx, u)
	} else if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// endUpload removes an upload: its bytes first, as the row is how they are found.
func (g *Registry) endUpload(ctx context.Context, u *upload) error {
	if err := g.Blobs.Abort(ctx, u.Key); err != nil {
		return err
	}
	if !u.stored {
		return nil
	}
	return g.Catalog.Update(ctx, func(tx catalog.Tx) error { return tx.DeleteUpload(u.ID) })
}
