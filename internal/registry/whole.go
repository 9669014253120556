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
	at, err := g.admit(r, catalog.Write)
	if err != nil {
		return err
	}
	if err := takesPushes(at.repository); err != nil {
		return err
	}
	if err := g.ask(r.Context(), at, digest, max(r.ContentLength, 0)); err != nil {
		return err
	}
	u, err := g.newUpload(at, r.image, r.id.User)
	if err != nil {
		return err
	}
	if err := g.keepWhole(r.Context(), u, digest, r.Body, r.ContentLength); err != nil {
		return err
	}
	created(w, r, digest)
	return nil
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
	head, err := readHead(body, length, smallBlob+1)
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
