// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestCatalog: everybody sees the images that they may pull, page by page, and no others.
func TestCatalog(t *testing.T) {
	t.Parallel()
	d := serve(t)
	owner := d.as(t, "owner")
	for _, name := range []string{"db/s/repo/b", "db/s/repo/a/x", "db/s/other/c", "db/s/open/d"} {
		owner.pushImage(name, "v1", []byte(name), nil)
	}
	for user, want := range map[string]string{
		"owner":   "db/s/open/d db/s/other/c db/s/repo/a/x db/s/repo/b",
		"writer":  "db/s/repo/a/x db/s/repo/b",
		"reader":  "db/s/repo/a/x db/s/repo/b",
		"mounter": "db/s/other/c db/s/repo/a/x db/s/repo/b",
		"nobody":  "",
	} {
		c := d.as(t, user)
		for _, size := range []string{"", "?n=1", "?n=3"} {
			var all []string
			for next, pages := "/v2/_catalog"+size, 0; next != ""; pages++ {
				if pages > 5 {
					t.Fatal("there is no last page")
				}
				r := c.want(http.StatusOK, "GET", next, nil)
				var page struct{ Repositories []string }
				if err := json.Unmarshal(r.body, &page); err != nil || page.Repositories == nil {
					t.Fatalf("%s: %v", r.body, err)
				}
				all = append(all, page.Repositories...)
				next, _, _ = strings.Cut(strings.TrimPrefix(r.Header.Get("Link"), "<"), ">")
			}
			if got := strings.Join(all, " "); got != want {
				t.Errorf("%s sees %q, want %q", user, got, want)
			}
		}
	}
	d.as(t, "").want(http.StatusUnauthorized, "GET", "/v2/_catalog", nil)
	owner.want(http.StatusBadRequest, "GET", "/v2/_catalog?n=x", nil)
	owner.want(http.StatusMethodNotAllowed, "DELETE", "/v2/_catalog", nil)
}
