// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"errors"
	"net/http"

	"firn.dev/firn/internal/errs"
)

// ociCode is an error code of the distribution specification.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
type ociCode string

const (
	blobUnknown         ociCode = "BLOB_UNKNOWN"
	blobUploadInvalid   ociCode = "BLOB_UPLOAD_INVALID"
	blobUploadUnknown   ociCode = "BLOB_UPLOAD_UNKNOWN"
	digestInvalid       ociCode = "DIGEST_INVALID"
	manifestBlobUnknown ociCode = "MANIFEST_BLOB_UNKNOWN"
	manifestInvalid     ociCode = "MANIFEST_INVALID"
	manifestUnknown     ociCode = "MANIFEST_UNKNOWN"
	nameInvalid         ociCode = "NAME_INVALID"
	nameUnknown         ociCode = "NAME_UNKNOWN"
	sizeInvalid         ociCode = "SIZE_INVALID"
	unauthorized        ociCode = "UNAUTHORIZED"
	denied              ociCode = "DENIED"
	unsupported         ociCode = "UNSUPPORTED"
	unknown             ociCode = "UNKNOWN"
)

// errNotAuthorized is the cause of failures that lack a privilege, also where the answer says "does not exist".
var errNotAuthorized = errors.New("not authorized")

// codedError is a failure whose OCI code is finer than its errs.Code tells.
type codedError struct {
	code   ociCode
	status int // 0: as the errs.Code implies
	err    error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// coded gives a failure an OCI code; nil stays nil.
func coded(code ociCode, err error) error { return statused(code, 0, err) }

// statused gives a failure an OCI code and an HTTP status; nil stays nil.
func statused(code ociCode, status int, err error) error {
	if err == nil {
		return nil
	}
	return &codedError{code, status, err}
}

// answers is what each errs.Code means to a client when nothing finer is known.
var answers = map[errs.Code]struct {
	status int
	code   ociCode
}{
	errs.Invalid:         {http.StatusBadRequest, manifestInvalid},
	errs.NotFound:        {http.StatusNotFound, nameUnknown},
	errs.Exists:          {http.StatusConflict, denied},
	errs.Denied:          {http.StatusForbidden, denied},
	errs.Unauthenticated: {http.StatusUnauthorized, unauthorized},
	errs.Conflict:        {http.StatusConflict, denied},
	errs.Refused:         {http.StatusConflict, denied},
	errs.Canceled:        {http.StatusBadRequest, unknown},
	errs.Timeout:         {http.StatusGatewayTimeout, unknown},
	errs.Unavailable:     {http.StatusServiceUnavailable, unknown},
	errs.Exhausted:       {http.StatusInsufficientStorage, denied},
	errs.Unsupported:     {http.StatusMethodNotAllowed, unsupported},
}

// answer maps an error to the outside: this is the only place that does.
func answer(err error) (status int, code ociCode, message string) {
	a, known := answers[errs.CodeOf(err)]
	if !known {
		return http.StatusInternalServerError, unknown, "internal error"
	}
	status, code = a.status, a.code
	if c, ok := errors.AsType[*codedError](err); ok {
		code = c.code
		if c.status != 0 {
			status = c.status
		}
	}
	return status, code, errs.MessageOf(err)
}

// fail answers a request with an error.
func (g *Registry) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, code, message := g.prepareFailure(w, r, err)
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	writeJSON(w, status, map[string]any{"errors": []ociError{{code, message}}})
}

// failToken answers a token request with an error, in the words of docker and of OAuth2 at once (RFC 6749, 5.2).
func (g *Registry) failToken(w http.ResponseWriter, r *http.Request, err error) {
	status, code, message := g.prepareFailure(w, r, err)
	oauth := "invalid_request"
	if status == http.StatusUnauthorized {
		oauth = "invalid_grant"
	}
	writeJSON(w, status, map[string]any{
		"errors": []ociError{{code, message}}, "error": oauth, "error_description": message,
	})
}

type ociError struct {
	Code    ociCode `json:"code"`
	Message string  `json:"message"`
}

// prepareFailure logs what is the registry's own fault and sets the headers that go with an error.
func (g *Registry) prepareFailure(w http.ResponseWriter, r *http.Request, err error) (int, ociCode, string) {
	status, code, message := answer(err)
	if status >= http.StatusInternalServerError {
		g.Log.Error("image request went wrong", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", g.challenge(r))
	}
	// Headers of the success that did not come about must not describe the error.
	for _, name := range []string{"Content-Length", "ETag", "Docker-Content-Digest", "Accept-Ranges"} {
		w.Header().Del(name)
	}
	return status, code, message
}

// writeJSON answers with a document.
func writeJSON(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // the client is gone when this fails
}
