// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestSilentClients: a body that stops coming is broken off, whatever the handler does with it; one that comes slowly is not, and
// neither is a request whose answer takes longer.
func TestSilentClients(t *testing.T) {
	t.Parallel()
	const short = time.Second
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
			if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
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
