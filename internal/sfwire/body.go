// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"

	"firn.dev/firn/internal/errs"
)

// What requests may have after decompression. Statements with ten thousand bound values fit many times; before a login anybody can
// send anything.
const (
	maxBody  = 64 << 20
	maxLogin = 1 << 20
)

// envelope is the form of every answer. Code is a string of six digits, or null: gosnowflake refuses a number.
type envelope struct {
	Data    any     `json:"data"`
	Code    *string `json:"code"`
	Message *string `json:"message"`
	Success bool    `json:"success"`
}

// read decodes a request's JSON body of at most so many bytes, compressed or not. An empty body leaves v as it is.
//
// Errors: Invalid, Exhausted.
func read(r *http.Request, most int64, v any) error {
	var body io.Reader = r.Body
	if strings.EqualFold(r.Header.Get("Content-Encoding"), "gzip") {
		zr, err := gzip.NewReader(r.Body)
		if err != nil {
			return errs.Wrap(err, errs.Invalid, "request body is not gzip, as its Content-Encoding says")
		}
		body = zr
	}
	limited := &io.LimitedReader{R: body, N: most + 1}
	dec := json.NewDecoder(limited)
	dec.UseNumber()
	err := dec.Decode(v)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case limited.N <= 0:
		return errs.New(errs.Exhausted, "request body is larger than %d MiB", most>>20)
	case err != nil:
		return errs.Wrap(err, errs.Invalid, "request body is not the JSON that was expected")
	}
	return nil
}

// write sends an answer, compressed when it is large and the client can read that.
func write(w http.ResponseWriter, r *http.Request, env envelope) {
	w.Header().Set("Content-Type", "application/json")
	body, err := json.Marshal(env)
	if err != nil {
		http.Error(w, `{"data":null,"code":"000603","message":"internal error","success":false}`, http.StatusOK)
		return
	}
	if len(body) < 4096 || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		_, _ = w.Write(body) // a client that has gone away is nobody to tell
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	zw, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
	_, _ = zw.Write(body)
	_ = zw.Close()
}

// sessionToken gives the token of "Authorization: Snowflake Token="..."", "" when there is none.
func sessionToken(r *http.Request) errs.Secret {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Snowflake Token=")
	if !ok {
		return ""
	}
	return errs.Secret(strings.Trim(text, `"`))
}
