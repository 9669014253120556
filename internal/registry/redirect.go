// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/http"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/catalog"
)

// redirectTTL is how long the URL of a redirect may be used for the first time: clients follow at once.
const redirectTTL = 15 * time.Minute

// redirect sends a pull to the store itself, and tells whether it did: only when the registry is asked to, the store has URLs, and
// the content is there. Everything else is served, and failures are told, in the usual way.
func (g *Registry) redirect(w http.ResponseWriter, r *request, b *catalog.Blob) bool {
	store, ok := g.Blobs.(blob.Presigner)
	if !g.Redirect || !ok || b.Key == "" {
		return false
	}
	if _, err := g.Blobs.Stat(r.Context(), b.Key); err != nil {
		return false
	}
	url, err := store.Presign(r.Context(), b.Key, redirectTTL)
	if err != nil {
		g.Log.Warn("a blob has no URL, so it is sent", "digest", b.Digest, "error", err)
		return false
	}
	w.Header().Set("Docker-Content-Digest", b.Digest)
	w.Header().Set("Cache-Control", "no-store") // the URL is as secret as the blob
	w.Header().Set("Location", url)
	w.WriteHeader(http.StatusTemporaryRedirect)
	return true
}
