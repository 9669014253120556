// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"time"
)

// silence is how long a client that sends may be silent; one that is answered may take nothing for twice as long. S3 breaks off such
// connections, too, so clients know how to go on.
const silence = 2 * time.Minute

// patiently breaks off requests whose body does not come and answers that are not taken: nobody holds a connection, an upload or a file
// by doing nothing. How long all of a body or an answer may take is not bounded, as long as it goes on.
func patiently(patience time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		// A write may wait for the body first; the deadline of the request before on this connection may have passed.
		answer := &taken{ResponseWriter: w, patience: 2 * patience, set: control.SetWriteDeadline}
		_ = answer.set(time.Time{})
		defer answer.expect() // for what net/http writes after the handler
		w = answer
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		body := &awaited{ReadCloser: r.Body, patience: patience, set: control.SetReadDeadline}
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

// taken is an answer that the client takes piece by piece, each in time.
type taken struct {
	http.ResponseWriter
	patience time.Duration
	set      func(deadline time.Time) error
}

// piece is how much of an answer a client takes in time, in bytes: 4 KiB a second are enough.
const piece = 512 << 10

func (t *taken) expect() { _ = t.set(time.Now().Add(t.patience)) } // it fails for a connection that is gone, which the write tells

// inTime runs a write. After it nothing is expected: over HTTP/2 a deadline that passes while more of the answer is made would end it.
func (t *taken) inTime(write func() error) error {
	t.expect()
	err := write()
	_ = t.set(time.Time{})
	return err
}

// Write implements io.Writer.
func (t *taken) Write(p []byte) (done int, err error) {
	for {
		next := p[done:min(done+piece, len(p))]
		err = t.inTime(func() error {
			n, err := t.ResponseWriter.Write(next)
			done += n
			return err
		})
		if err != nil || done == len(p) {
			return done, err
		}
	}
}

// ReadFrom implements io.ReaderFrom. A file goes to the socket by sendfile.
func (t *taken) ReadFrom(r io.Reader) (done int64, err error) {
	source, left := r, int64(math.MaxInt64)
	limited, ok := r.(*io.LimitedReader)
	if ok {
		source, left = limited.R, limited.N
		defer func() { limited.N -= done }()
	}
	below, sends := t.ResponseWriter.(io.ReaderFrom)
	if _, ok := source.(*os.File); !ok || !sends { // what makes the answer may take its time
		return io.Copy(struct{ io.Writer }{t}, io.LimitReader(source, left))
	}
	for err == nil && done < left {
		part := &io.LimitedReader{R: source, N: min(piece, left-done)} // net finds a file in one, not in two of them
		err = t.inTime(func() error {
			n, err := below.ReadFrom(part)
			done += n
			return err
		})
		if part.N > 0 { // the file has ended
			break
		}
	}
	return done, err
}

// Unwrap gives the writer below to http.ResponseController.
func (t *taken) Unwrap() http.ResponseWriter { return t.ResponseWriter }
