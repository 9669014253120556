// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSilentClients: a body that stops coming is broken off, whatever the handler does with it; one that comes slowly is not, and
// neither is a request whose answer takes longer.
func TestSilentClients(t *testing.T) {
	t.Parallel()
	const short = 2 * time.Second
	read := func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s, %v", content, err != nil)
	}
	tests := []struct {
		name    string
		head    string
		pieces  []string // sent a quarter of the time apart that is allowed
		handler http.HandlerFunc
		want    string // in the answer
	}{
		{"slow and whole", "Content-Length: 8", []string{"a", "b", "c", "d", "e", "f", "g", "h"}, read, "abcdefgh, false"},
		{"silent in the midst", "Content-Length: 9", []string{"a", "b"}, read, "ab, true"},
		{"silent from the start", "Content-Length: 9", nil, read, ", true"},
		{"silent in the midst of a chunk", "Transfer-Encoding: chunked", []string{"5\r\nab"}, read, "ab, true"},
		{"silent and not read", "Content-Length: 9", nil, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "no") }, "no"},
		{"silent and answered at length", "Content-Length: 9", nil, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat("x", 1<<20))
		}, "xxx"},
		{"an answer that takes longer", "Content-Length: 2", []string{"ab"}, func(w http.ResponseWriter, r *http.Request) {
			read(w, r)
			select {
			case <-r.Context().Done():
				panic("the request was ended")
			case <-time.After(2 * short):
			}
		}, "ab, false"},
		{"no body", "X: y", nil, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
				panic("the request was ended")
			case <-time.After(2 * short):
			}
			fmt.Fprint(w, "done")
		}, "done"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(patiently(short, tt.handler))
			defer s.Close()
			c, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", tt.head)
			for _, piece := range tt.pieces {
				time.Sleep(short / 4) // what is tested is a client that waits
				fmt.Fprint(c, piece)
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || !strings.HasPrefix(string(got), tt.want) {
				t.Errorf("%.100s, %v", got, err)
			}
		})
	}
}

// TestIdleReaders: an answer that the client takes no more is broken off; one that it takes slowly is not, neither one that is made
// slowly, nor the next request on a connection that has rested.
func TestIdleReaders(t *testing.T) {
	t.Parallel()
	const short, size = time.Second, 64 << 20 // more than the buffers of two sockets
	path := filepath.Join(t.TempDir(), "layer")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	answers := map[string]http.HandlerFunc{
		"a file": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) },
		"bytes":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) },
		"a stream": func(w http.ResponseWriter, _ *http.Request) {
			f, err := os.Open(path)
			if err != nil {
				panic(err)
			}
			defer f.Close()
			_, _ = io.Copy(w, bufio.NewReader(f))
		},
	}
	doors := map[string]func(*httptest.Server){
		"HTTP/1.1": (*httptest.Server).Start,
		"HTTP/2":   func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	}
	start := func(t *testing.T, door string, answer http.HandlerFunc) (get func(path string) io.Reader, answered <-chan struct{}) {
		over := make(chan struct{}, 3)
		s := httptest.NewUnstartedServer(patiently(short, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer(w, r)
			over <- struct{}{}
		})))
		doors[door](s)
		t.Cleanup(s.Close)
		return func(path string) io.Reader {
			resp, err := s.Client().Get(s.URL + path) //nolint:noctx // the server ends it
			if err != nil {
				t.Fatal(path, err)
			}
			t.Cleanup(func() { resp.Body.Close() })
			return resp.Body
		}, over
	}
	for door := range doors {
		for name, answer := range answers {
			t.Run(door+", "+name+" not taken", func(t *testing.T) {
				t.Parallel()
				get, answered := start(t, door, answer)
				body := get("/")
				<-answered
				if n, err := io.Copy(io.Discard, body); err == nil || n == size {
					t.Errorf("%d bytes, %v", n, err)
				}
			})
			t.Run(door+", "+name+" taken slowly", func(t *testing.T) {
				t.Parallel()
				get, _ := start(t, door, answer)
				body := get("/")
				taken, began, err := int64(0), time.Now(), error(nil)
				for err == nil {
					var n int64
					n, err = io.CopyN(io.Discard, body, size/16)
					taken += n
					time.Sleep(short / 5) // what is tested is a client that takes its time
				}
				if taken != size || err != io.EOF || time.Since(began) < 3*short {
					t.Errorf("%d bytes, %v in %s", taken, err, time.Since(began))
				}
			})
		}
		t.Run(door+", made slowly", func(t *testing.T) {
			t.Parallel()
			get, _ := start(t, door, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/empty" {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				fmt.Fprint(w, "first, ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(3 * short) // what is tested is a server that takes its time
				fmt.Fprint(w, "second")
			})
			for _, path := range []string{"/", "/empty"} {
				text, err := io.ReadAll(get(path))
				if err != nil || path == "/" && string(text) != "first, second" {
					t.Errorf("%s: %q, %v", path, text, err)
				}
				time.Sleep(3 * short) // the connection rests
			}
		})
	}
}
