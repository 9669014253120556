// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"context"
	"io"
	"net/http"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Files is where stage files are: the stage room.
type Files interface {
	// Put stores a file, replacing one of the same path.
	Put(ctx context.Context, stage catalog.ID, path string, r io.Reader, meta map[string]string) (*catalog.File, error)
	// Stat finds a file.
	//
	// Errors: NotFound.
	Stat(ctx context.Context, stage catalog.ID, path string) (*catalog.File, error)
	// Seek gives the bytes of a file for reading at any place.
	Seek(ctx context.Context, f *catalog.File) (io.ReadSeekCloser, error)
}

// metaPrefix is what clients put before their own headers on an upload and want back on a download.
const metaPrefix = "x-goog-meta-"

// file serves one stage file: PUT stores, GET and HEAD read. It answers as an object store does, with HTTP statuses: 200 exactly for
// an upload, 400 for a link that has expired (the client asks for a new one), 401 for such a token, 404, 412.
func (d *Door) file(w http.ResponseWriter, r *http.Request, place string) {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		token = r.URL.Query().Get(tokenKey)
	}
	text, err := d.Auth.Verify(r.Context(), errs.Secret(token))
	if err != nil || !granted(text, r.Method, place) {
		status := http.StatusBadRequest
		if bearer {
			status = http.StatusUnauthorized
		}
		http.Error(w, "this link or token does not open this file, or has expired", status)
		return
	}
	stage, path, ok := strings.Cut(place, "/")
	if !ok || path == "" {
		http.Error(w, "no file is named", http.StatusNotFound)
		return
	}
	if r.Method == http.MethodPut {
		err = d.putFile(r, catalog.ID(stage), path)
	} else {
		err = d.getFile(w, r, catalog.ID(stage), path)
	}
	switch errs.CodeOf(err) {
	case "":
	case errs.NotFound:
		http.Error(w, errs.MessageOf(err), http.StatusNotFound)
	case errs.Conflict:
		http.Error(w, errs.MessageOf(err), http.StatusPreconditionFailed)
	case errs.Invalid:
		http.Error(w, errs.MessageOf(err), http.StatusUnprocessableEntity)
	case errs.Exhausted:
		http.Error(w, errs.MessageOf(err), http.StatusInsufficientStorage)
	default:
		d.Log.Error("stage file", "method", r.Method, "stage", stage, "path", path, "err", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}

func (d *Door) putFile(r *http.Request, stage catalog.ID, path string) error {
	if r.Header.Get("X-Goog-If-Generation-Match") == "0" {
		if _, err := d.Files.Stat(r.Context(), stage, path); err == nil {
			return errs.New(errs.Conflict, "the file '%s' exists", path)
		}
	}
	meta := map[string]string{}
	for name, values := range r.Header {
		if key, ok := strings.CutPrefix(strings.ToLower(name), metaPrefix); ok && len(values) > 0 {
			meta[key] = values[0]
		}
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" {
		meta["content-encoding"] = enc // what the bytes are, not how they travelled: stored as they came
	}
	_, err := d.Files.Put(r.Context(), stage, path, r.Body, meta)
	return err
}

func (d *Door) getFile(w http.ResponseWriter, r *http.Request, stage catalog.ID, path string) error {
	f, err := d.Files.Stat(r.Context(), stage, path)
	if err != nil {
		return err
	}
	body, err := d.Files.Seek(r.Context(), f)
	if err != nil {
		return err
	}
	defer body.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("ETag", `"`+f.MD5+`"`)
	for key, value := range f.Meta {
		if key != "content-encoding" {
			h.Set(metaPrefix+key, value)
		}
	}
	http.ServeContent(w, r, "", f.Modified, body)
	return nil
}
