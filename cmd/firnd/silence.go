// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// silence is how long a client that sends may be silent. S3 breaks off such connections, too, so clients know how to go on.
const silence = 2 * time.Minute

// patiently breaks off requests whose body does not come: nobody holds a connection and an upload by sending nothing. How long all of a
// body may take is not bounded, as long as something comes.
func patiently(patience time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		body := &awaited{ReadCloser: r.Body, patience: patience, set: http.NewResponseController(w).SetReadDeadline}
		body.expect() // for what net/http reads itself, when a long answer begins before the body is read
		r.Body = body
		next.ServeHTTP(w, r)
		if !body.ended {
			body.expect() // and for what it reads after the answer
		}
	})
}

// awaited is a body of which each read ends in time.
type awaited struct {
	io.ReadCloser
	patience time.Duration
	set      func(deadline time.Time) error
	ended    bool
}

func (a *awaited) expect() { _ = a.set(time.Now().Add(a.patience)) } // it fails for a connection that is gone, which the read tells

// Read implements io.Reader.
func (a *awaited) Read(p []byte) (int, error) {
	a.expect()
	n, err := a.ReadCloser.Read(p)
	if a.ended = err != nil; !errors.Is(err, os.ErrDeadlineExceeded) {
		_ = a.set(time.Time{}) // a deadline that passes while the answer is made would end the request
	}
	return n, err
}
