// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// parseProxies reads a list of addresses and networks, separated by commas.
func parseProxies(text string) (proxies []netip.Prefix, err error) {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if a, single := netip.ParseAddr(part); err != nil && single == nil {
			p, err = a.Prefix(a.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("trusted-proxies: '%s' is no address and no network such as 10.0.0.0/8", part)
		}
		proxies = append(proxies, p.Masked())
	}
	return proxies, nil
}

// behindProxies gives requests that come through a trusted proxy the address of the client: the last one in X-Forwarded-For that
// is not such a proxy itself. What others write into that header does not count.
func behindProxies(proxies []netip.Prefix, next http.Handler) http.Handler {
	if len(proxies) == 0 {
		return next
	}
	trusted := func(text string) bool {
		a, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return false
		}
		for _, p := range proxies {
			if p.Contains(a.Unmap().WithZone("")) {
				return true
			}
		}
		return false
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address, port, err := net.SplitHostPort(r.RemoteAddr)
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; err == nil && i >= 0 && trusted(address); i-- {
			hop := strings.TrimSpace(hops[i])
			if _, invalid := netip.ParseAddr(hop); invalid != nil {
				break
			}
			address = hop
		}
		if err == nil {
			seen := *r
			seen.RemoteAddr = net.JoinHostPort(address, port)
			r = &seen
		}
		next.ServeHTTP(w, r)
	})
}
