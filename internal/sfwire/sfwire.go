// SPDX-License-Identifier: Apache-2.0

// Package sfwire is the SQL door: the HTTP protocol that Snowflake's own clients speak, over sessions and the executor.
//
// The Python connector (4.x and 5.x), Snowpark, snow, snowflake.ml and gosnowflake come in here unmodified. The package
// translates and decides nothing: who somebody is says auth, what may be done says the executor. There is no public specification
// of the protocol; each file names the client sources that fix it.
//
// https://github.com/snowflakedb/snowflake-connector-python (network.py, cursor.py, connection.py) and
// https://github.com/snowflakedb/gosnowflake (restful.go, query.go).
package sfwire

import (
	"cmp"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/session"
	"firn.dev/firn/internal/sql/executor"
)

// Options is what the door needs. All fields but JobsOnly and Hold are required.
type Options struct {
	Auth     *auth.Service
	Sessions *session.Manager
	Executor *executor.Executor
	Files    Files
	Version  string        // x.y.z
	JobsOnly bool          // only the tokens of jobs log in: the listener that containers reach
	Hold     time.Duration // how long a request waits for its statement before the client is told to ask again; 0 is 40 seconds
	Now      func() time.Time
	Log      *slog.Logger
}

// Door serves the protocol. It is safe for concurrent use.
type Door struct {
	Options
	mux  *http.ServeMux
	kept *shelf // pieces of large results
}

// defaultHold is below the 60 seconds that clients read for. They ask again at once.
const defaultHold = 40 * time.Second

// New makes the door.
func New(o Options) *Door {
	o.Hold = cmp.Or(o.Hold, defaultHold)
	d := &Door{Options: o, mux: http.NewServeMux(), kept: newShelf(mostKept)}
	for pattern, h := range map[string]handler{
		"POST /session/v1/login-request":    d.login,
		"POST /session/token-request":       d.token,
		"POST /session/heartbeat":           d.heartbeat,
		"POST /session":                     d.endSession,
		"POST /queries/v1/query-request":    d.query,
		"POST /queries/v1/abort-request":    d.abortRequest,
		"GET /queries/{id}/result":          d.result,
		"GET /queries/{id}/{format}/result": d.result,
		"POST /queries/{id}/abort-request":  d.abortQuery,
		"GET /monitoring/queries":           d.history,
		"GET /monitoring/queries/{id}":      d.monitor,
		"POST /telemetry/send":              d.telemetry,
		"POST /telemetry/send/sessionless":  d.telemetry,
	} {
		d.mux.HandleFunc(pattern, d.serve(h))
	}
	d.mux.HandleFunc("GET /queries/{id}/{format}/pieces/{n}", d.piece)
	return d
}

// ServeHTTP answers the protocol's paths; Serves tells which those are.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, filePrefix); ok {
		d.file(w, r, rest)
		return
	}
	// Connector 5.x asks /monitoring/queries//<id>; the mux would redirect it.
	if rest, ok := strings.CutPrefix(r.URL.Path, "/monitoring/queries//"); ok {
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = "/monitoring/queries/"+rest, ""
	}
	d.mux.ServeHTTP(w, r)
}

// Serves tells whether a path belongs to this door.
func Serves(path string) bool {
	for _, prefix := range []string{"/session", "/queries/", "/monitoring/", "/telemetry/", filePrefix} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// answer is what a handler gives: data on success, with a code for the answers that are neither success nor failure.
type answer struct {
	data any
	code string // "333333" or "333334" while a statement runs; "" else
	text string
}

type handler func(r *http.Request) (answer, error)

// serve turns a handler into HTTP: everything is status 200 with an envelope, as clients retry anything else for ever.
func (d *Door) serve(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := h(r)
		env := envelope{Data: a.data, Success: true}
		if a.code != "" {
			env.Code, env.Message = &a.code, &a.text
		}
		if err != nil {
			env = d.failure(r, err)
		}
		write(w, r, env)
	}
}

func (d *Door) telemetry(r *http.Request) (answer, error) {
	_, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxBody))
	return answer{data: "Log Received"}, err
}
