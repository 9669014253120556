// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/blob/dir"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/session"
	"firn.dev/firn/internal/sql/executor"
	"firn.dev/firn/internal/stage"
)

const adminPassword errs.Secret = "correct horse battery"

// house is an account behind a door, with a clock that the test moves.
type house struct {
	t     *testing.T
	door  *Door
	store catalog.Store
	url   string
	log   *lines

	mu  sync.Mutex
	now time.Time
}

// lines is what the door logged.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func newHouse(t *testing.T, change ...func(*Options)) *house {
	t.Helper()
	h := &house{t: t, now: time.Now(), log: &lines{}}
	store, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	h.store = store
	hash, err := auth.HashPassword(t.Context(), adminPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := executor.Bootstrap(t.Context(), store, hash, h.now); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ex := executor.New(executor.Options{
		Catalog: store, Node: "node", Account: "FIRN", Version: "1.2.3", Registry: func() string { return "registry.test" }, Now: h.clock, Log: log,
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = ex.Close(ctx)
	})
	blobs, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tokens := auth.New(store, "FIRN", h.clock, rand.Reader)
	o := Options{
		Auth: tokens, Sessions: session.New(store, tokens, h.clock), Executor: ex, Files: stage.New(store, blobs), Version: "1.2.3",
		Now: h.clock, Log: log,
	}
	for _, c := range change {
		c(&o)
	}
	h.door = New(o)
	server := httptest.NewServer(h.door)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// object is a JSON object.
type object = map[string]any

// reply is an answer of the door.
type reply struct {
	Data    object  `json:"data"`
	Code    *string `json:"code"`
	Message *string `json:"message"`
	Success bool    `json:"success"`
}

func (a reply) code() string {
	if a.Code == nil {
		return ""
	}
	return *a.Code
}

// raw sends a request and gives the whole answer. Headers are name, value, name, value.
func (h *house) raw(method, path string, body []byte, headers ...string) (*http.Response, []byte) {
	h.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = h.url + path
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp, text
}

// call sends a request of the protocol: the answer must be status 200 with an envelope.
func (h *house) call(method, path, token string, body any, headers ...string) reply {
	h.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		headers = append(headers, "Authorization", fmt.Sprintf("Snowflake Token=%q", token))
	}
	resp, answer := h.raw(method, path, text, headers...)
	var a reply
	if err := json.Unmarshal(answer, &a); err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		h.t.Fatalf("%s %s: %s, %s: %v\n%.500s", method, path, resp.Status, resp.Header.Get("Content-Type"), err, answer)
	}
	return a
}

func (h *house) tryLogin(fields object) reply {
	h.t.Helper()
	return h.call("POST", "/session/v1/login-request?request_id="+uuid.NewString(), "None", object{"data": fields})
}

// login gives session and master token of ADMIN.
func (h *house) login() (token, master string) {
	h.t.Helper()
	a := h.tryLogin(object{"LOGIN_NAME": "admin", "PASSWORD": adminPassword.Reveal(), "CLIENT_APP_ID": "Test", "CLIENT_APP_VERSION": "1"})
	if !a.Success {
		h.t.Fatalf("login: %s %s", a.code(), *a.Message)
	}
	return a.Data["token"].(string), a.Data["masterToken"].(string)
}

// query runs a statement. Headers are as in raw.
func (h *house) query(token, text string, headers ...string) reply {
	h.t.Helper()
	return h.queryWith(token, object{"sqlText": text}, headers...)
}

func (h *house) queryWith(token string, body object, headers ...string) reply {
	h.t.Helper()
	return h.call("POST", "/queries/v1/query-request?requestId="+uuid.NewString(), token, body, headers...)
}

// must is query for statements that have to succeed.
func (h *house) must(token, text string, headers ...string) object {
	h.t.Helper()
	a := h.query(token, text, headers...)
	if !a.Success {
		h.t.Fatalf("%s: %s %s", text, a.code(), *a.Message)
	}
	return a.Data
}

func packed(text []byte) []byte {
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	_, _ = zw.Write(text)
	_ = zw.Close()
	return out.Bytes()
}

// cell gives the first cell of a result.
func cell(data object) any { return data["rowset"].([]any)[0].([]any)[0] }
