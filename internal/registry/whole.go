// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"firn.dev/firn/internal/catalog"
)

// A blob that comes whole, in one request or from an upstream, is an upload that begins and ends at once.

// postBlob takes a whole blob in one request.
func (g *Registry) postBlob(w http.ResponseWriter, r *request, digest string) error {
	if err := checkDigest(digest); err != nil {
		return err
	}
	var u *upload
	err := g.Catalog.View(r.Context(), func(tx catalog.Tx) error {
		repository, err := g.repository(tx, r.id, r.repository, catalog.Write)
		if err != nil {
			return err
		}
		if err := takesPushes(repository); err != nil {
			return err
		}
		u, err = g.beginWhole(tx, repository, r.image, r.id.User, digest, r.ContentLength)
		return err
	})
	if err != nil {
		return err
	}
	if err := g.keepWhole(r.Context(), u, digest, r.Body, r.ContentLength); err != nil {
		return err
	}
	created(w, r, digest)
	return nil
}

// beginWhole begins an upload that takes a whole blob at once. The length is -1 when it is not known.
func (g *Registry) beginWhole(tx catalog.Tx, repository *catalog.Object, image, user, digest string, length int64) (*upload, error) {
	if err := fits(tx, repository, digest, "", max(length, 0)); err != nil {
		return nil, err
	}
	u, err := g.newUpload(repository.ID, image, user)
	if err != nil {
		return nil, err
	}
	u.limited, err = isLimited(tx, repository)
	return u, err
}

// keepWhole receives the whole content of a blob and makes it visible in the image.
func (g *Registry) keepWhole(ctx context.Context, u *upload, digest string, content io.Reader, length int64) error {
	b, err := g.takeBlob(ctx, u, digest, content, length)
	if err != nil && u.stored {
		return g.end(ctx, u, err)
	} else if err != nil {
		return err
	}
	return g.commit(ctx, u, b)
}

// takeBlob receives the whole content of a blob and makes it durable, unless it is small.
func (g *Registry) takeBlob(ctx context.Context, u *upload, digest string, content io.Reader, length int64) (*catalog.Blob, error) {
	body, err := g.metered(ctx, u, content, length)
	if err != nil {
		return nil, err
	}
	h := newHash(digest)
	head, err := io.ReadAll(io.LimitReader(body, smallBlob+1))
	if err != nil {
		return nil, broken(err)
	}
	b := &catalog.Blob{Digest: digest, Size: int64(len(head)), Body: head}
	if h.Write(head); len(head) > smallBlob {
		if err := g.register(ctx, u); err != nil {
			return nil, err
		}
		stream := g.newHashing(body, h)
		info, err := g.Blobs.Put(ctx, u.Key, io.MultiReader(bytes.NewReader(head), stream))
		stream.Close()
		if err != nil {
			return nil, broken(err)
		}
		b.Size, b.Key, b.Body = info.Size, u.Key, nil
	}
	if err := verify(h, digest); err != nil {
		g.discard(ctx, b.Key)
		return nil, err
	}
	return b, nil
}
