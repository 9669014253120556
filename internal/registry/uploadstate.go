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
	stored  bool   // it has a row
	unseen  bool   // whether it has a row was not looked at
	taken   bool   // the row says that another process writes to it, which runs
	claimed bool   // the row says that this process writes to it
	in      *place // where it was begun or goes on
}

// newUpload makes an upload with an id of now: a UUIDv7.
func (g *Registry) newUpload(in *place, image, user string) (*upload, error) {
	id, err := uuid.NewRandomFromReader(g.Rand)
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "there is no randomness for an upload id")
	}
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(g.Now().UnixMilli()))
	copy(id[:6], at[2:])
	id[6] = id[6]&0x0f | 0x70
	return g.emptyUpload(in, image, user, id)
}

// emptyUpload is the upload of an id that nothing was written to. Its key is new each time, and neither the digest nor the id: what is
// pushed again, to an id that has ended too, never overwrites what is in use.
func (g *Registry) emptyUpload(at *place, image, user string, id uuid.UUID) (*upload, error) {
	key, err := uuid.NewRandomFromReader(g.Rand)
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "there is no randomness for a key")
	}
	text := key.String()
	return &upload{in: at, Upload: &catalog.Upload{
		ID: catalog.ID(id.String()), Repository: at.repository.ID, Image: image, User: user, Key: KeyPrefix + text[:2] + "/" + text,
		Expires: time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).Add(g.UploadTTL),
	}}, nil
}

// clockSkew is by how much the clocks of replicas may differ.
const clockSkew = 5 * time.Minute

// freshUpload gives the upload of an id without a row, or nil when the id is none that newUpload may have made.
func (g *Registry) freshUpload(r *request, at *place) (*upload, error) {
	id, err := uuid.Parse(r.reference)
	if err != nil || id.String() != r.reference || id.Version() != 7 {
		return nil, nil
	}
	u, err := g.emptyUpload(at, r.image, r.id.User, id)
	if err != nil {
		return nil, err
	}
	if rest := u.Expires.Sub(g.Now()); rest <= 0 || rest > g.UploadTTL+clockSkew {
		return nil, nil
	}
	return u, nil
}

// loadUpload finds the upload of a request.
func (g *Registry) loadUpload(r *request) (u *upload, err error) {
	at, err := g.admit(r, catalog.Write)
	if err != nil {
		return nil, err
	}
	err = g.Catalog.View(r.Context(), func(tx catalog.Tx) (err error) {
		u, err = g.findUpload(tx, r, at)
		return err
	})
	return u, err
}

// writeUpload finds the upload of a request and keeps other requests, of all replicas, from writing to it until release. Without that
// two of them could mix their bytes, and one replace what the other has been acknowledged for.
func (g *Registry) writeUpload(r *request) (u *upload, release func(), err error) {
	u, unlock, err := g.lockUpload(r)
	if err != nil {
		return nil, nil, err
	}
	release = func() {
		g.unclaim(r.Context(), u)
		unlock()
	}
	if u.stored {
		err = g.claim(r.Context(), u)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return u, release, nil
}

// lockUpload finds the upload of a request and keeps other requests of this process from it until release. It writes nothing, so that
// an upload can be given up on a full disk.
func (g *Registry) lockUpload(r *request) (u *upload, release func(), err error) {
	id := catalog.ID(r.reference)
	if _, busy := g.busy.LoadOrStore(id, nil); busy {
		return nil, nil, occupied(id)
	}
	release = func() { g.busy.Delete(id) }
	if u, err = g.loadUpload(r); err == nil && u.taken {
		err = occupied(id)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return u, release, nil
}

func occupied(id catalog.ID) error {
	return coded(blobUploadInvalid, errs.New(errs.Conflict, "another request writes to upload %.100s", id))
}

// claim notes in the row of an upload that this process writes to it.
//
// Errors: Conflict when another process does that runs.
func (g *Registry) claim(ctx context.Context, u *upload) error {
	err := g.Catalog.Update(ctx, func(tx catalog.Tx) error {
		row, err := tx.Upload(u.ID)
		if errs.Is(err, errs.NotFound) {
			return coded(blobUploadUnknown, errs.Wrap(err, errs.NotFound, "upload %s has ended: begin a new one", u.ID))
		} else if err != nil {
			return err
		}
		if taken, err := g.taken(tx, row); err != nil {
			return err
		} else if taken {
			return occupied(u.ID)
		}
		row.Writer = g.Writer
		u.Upload = row
		return tx.PutUpload(row)
	})
	u.claimed = err == nil
	return err
}

// taken tells whether another process that runs writes to an upload.
func (g *Registry) taken(tx catalog.Tx, row *catalog.Upload) (bool, error) {
	if row.Writer == "" || row.Writer == g.Writer {
		return false, nil
	}
	return g.Alive(tx, row.Writer)
}

// unclaim ends the claim of a request that neither ended the upload nor stored its progress.
func (g *Registry) unclaim(ctx context.Context, u *upload) {
	if !u.claimed {
		return
	}
	err := g.Catalog.Update(context.WithoutCancel(ctx), func(tx catalog.Tx) error {
		row, err := tx.Upload(u.ID)
		if err != nil || row.Writer != g.Writer {
			return err
		}
		row.Writer = ""
		return tx.PutUpload(row)
	})
	if err != nil && !errs.Is(err, errs.NotFound) {
		g.Log.Warn("an upload stays with this process", "upload", u.ID, "error", err)
	}
}

// findUpload finds the upload that a request names, in the image where it began and for the user who began it.
func (g *Registry) findUpload(tx catalog.Tx, r *request, at *place) (*upload, error) {
	row, err := tx.Upload(catalog.ID(r.reference))
	if err == nil && row.Repository == at.repository.ID && row.Image == r.image && row.User == r.id.User {
		taken, err := g.taken(tx, row)
		return &upload{Upload: row, stored: true, taken: taken, in: at}, err
	}
	if errs.Is(err, errs.NotFound) {
		if u, err := g.freshUpload(r, at); err != nil || u != nil {
			return u, err
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
	u.Writer, u.claimed = g.Writer, true
	return g.save(ctx, u, u.Offset)
}

// saveEnd stores how far an upload has come at the end of a request, which began at an offset.
func (g *Registry) saveEnd(ctx context.Context, u *upload, began int64) error {
	u.Writer = ""
	err := g.save(ctx, u, began)
	u.claimed = u.claimed && err != nil
	return err
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

// putProgress stores an upload that is at an offset and this process's, or that had no row.
func (g *Registry) putProgress(tx catalog.Tx, u *catalog.Upload, stored bool, began int64) error {
	row, err := tx.Upload(u.ID)
	switch {
	case err == nil && stored && row.Offset == began && row.Writer == g.Writer, errs.Is(err, errs.NotFound) && !stored:
		u.Expires = tx.Now().Add(g.UploadTTL)
		return tx.PutUpload(u)
	case err == nil:
		return occupied(u.ID)
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
		if err != nil {
			return err
		}
		taken, err := g.taken(tx, now)
		if err == nil && (taken || !now.Expires.Equal(u.Expires)) {
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
	return g.forget(ctx, u)
}

// forget removes the row of an upload, whose bytes are gone or are those of a blob now.
func (g *Registry) forget(ctx context.Context, u *upload) error {
	err := g.Catalog.Update(ctx, func(tx catalog.Tx) error { return tx.DeleteUpload(u.ID) })
	u.claimed = u.claimed && err != nil
	return err
}
