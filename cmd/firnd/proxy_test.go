// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestProxies: only a trusted proxy may say where a request comes from.
func TestProxies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, proxies, peer string
		forwarded           []string
		want                string
	}{
		{"no proxies", "", "10.0.0.1:5", []string{"192.0.2.7"}, "10.0.0.1:5"},
		{"a trusted one", "10.0.0.1", "10.0.0.1:5", []string{"192.0.2.7"}, "192.0.2.7:5"},
		{"a network", "127.0.0.1, 10.0.0.0/8", "10.1.2.3:5", []string{"192.0.2.7"}, "192.0.2.7:5"},
		{"somebody else", "10.0.0.1", "10.0.0.2:5", []string{"192.0.2.7"}, "10.0.0.2:5"},
		{"what the client made up", "10.0.0.1", "10.0.0.1:5", []string{"1.1.1.1, 192.0.2.7"}, "192.0.2.7:5"},
		{"made up in a header of its own", "10.0.0.1", "10.0.0.1:5", []string{"1.1.1.1", "192.0.2.7"}, "192.0.2.7:5"},
		{"two proxies", "10.0.0.0/8", "10.0.0.1:5", []string{"1.1.1.1, 192.0.2.7, 10.0.0.9"}, "192.0.2.7:5"},
		{"no header", "10.0.0.1", "10.0.0.1:5", nil, "10.0.0.1:5"},
		{"no address", "10.0.0.1", "10.0.0.1:5", []string{"192.0.2.7, unknown"}, "10.0.0.1:5"},
		{"IPv6", "::1", "[::1]:5", []string{"2001:db8::1"}, "[2001:db8::1]:5"},
		{"IPv4 in IPv6", "10.0.0.1", "[::ffff:10.0.0.1]:5", []string{"192.0.2.7"}, "192.0.2.7:5"},
	} {
		proxies, err := parseProxies(tt.proxies)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		h := behindProxies(proxies, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = tt.peer
		for _, f := range tt.forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		if h.ServeHTTP(httptest.NewRecorder(), r); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if _, err := parseProxies("10.0.0.0/8,proxy.test"); err == nil {
		t.Error("a name is taken for an address")
	}
}
