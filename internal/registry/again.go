// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
)

// Clients and orchestrators ask again and again whether a tag has moved. As long as nothing is committed to the catalog the answer
// to the same question with the same token is the same: it depends on the catalog and, as tokens expire, on the time only.

// versioned is a catalog that can tell cheaply whether it has changed.
type versioned interface {
	// Version gives a number that stays the same only while nothing is committed to the catalog, by this process or another; ok is
	// false when the database has no such number.
	Version(ctx context.Context) (version int64, ok bool, err error)
}

// question is what an answer depends on beside the catalog: a path, and the hash of the header Authorization.
type question struct {
	path          string
	authorization [sha256.Size]byte
}

// serveHead serves HEAD. Of a manifest the answer is given again while it holds; the version of the catalog is read before the
// answer is looked for or made, so a commit in between makes it void, never wrong.
func (g *Registry) serveHead(w http.ResponseWriter, r *http.Request) {
	catalog, ok := g.Catalog.(versioned)
	header := r.Header.Get("Authorization")
	// A password is checked each time: guesses are counted.
	if !ok || !strings.Contains(r.URL.Path, "/manifests/") || header != "" && !strings.HasPrefix(header, "Bearer ") {
		g.serveAPI(w, r)
		return
	}
	version, ok, err := catalog.Version(r.Context())
	if err != nil || !ok {
		g.serveAPI(w, r)
		return
	}
	q, now := question{r.URL.Path, sha256.Sum256([]byte(header))}, g.Now()
	if known, ok := g.heads.get(version, now, q); ok {
		for key, values := range known {
			w.Header()[key] = values
		}
		w.WriteHeader(http.StatusOK)
		return
	}
	seen := &headOnly{ResponseWriter: w}
	g.serveAPI(seen, r)
	if seen.status != http.StatusOK {
		return
	}
	given := http.Header{}
	for _, key := range []string{"Content-Length", "Content-Type", "Docker-Content-Digest", "Docker-Distribution-Api-Version", "Etag"} {
		if values := w.Header().Values(key); len(values) > 0 {
			given[key] = values[:1:1]
		}
	}
	g.heads.put(version, now, q, given)
}

// headOnly remembers the status of an answer without a body.
type headOnly struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (h *headOnly) WriteHeader(status int) {
	h.status = status
	h.ResponseWriter.WriteHeader(status)
}

// Unwrap gives the writer below to http.ResponseController.
func (h *headOnly) Unwrap() http.ResponseWriter { return h.ResponseWriter }
