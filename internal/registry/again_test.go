// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/firn/internal/registry"
)

// TestHeadGivenAgain: an answer is given again to the same token for the same path, until something is committed or a second is over.
// Nothing that is committed is seen late. The test takes a token away without a commit, to see which answers are new.
func TestHeadGivenAgain(t *testing.T) {
	t.Parallel()
	var late atomic.Int64
	d := serveAt(t, func() time.Time { return time.Now().Add(time.Duration(late.Load())) })
	owner, nobody := d.as(t, "owner"), d.as(t, "")
	_, first := owner.pushImage(image, "v1", []byte("first"), nil)
	token := func() []string {
		text, _, err := d.people.IssueRegistryToken(t.Context(), identity("reader"), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return []string{"Authorization", "Bearer " + text.Reveal()}
	}
	forget := func() {
		d.people.mu.Lock()
		defer d.people.mu.Unlock()
		d.people.tokens = map[string]registry.Identity{}
	}
	path, login := "/v2/"+image+"/manifests/v1", token()
	head := func(status int, digest string, login ...string) {
		t.Helper()
		r := nobody.want(status, "HEAD", path, nil, login...)
		if got := r.Header.Get("Docker-Content-Digest"); got != digest {
			t.Errorf("HEAD gave digest %q, want %q", got, digest)
		}
	}
	fresh := nobody.want(http.StatusOK, "HEAD", path, nil, login...)
	forget()
	again := nobody.want(http.StatusOK, "HEAD", path, nil, login...)
	for key := range fresh.Header {
		if key != "Date" && fresh.Header.Get(key) != again.Header.Get(key) {
			t.Errorf("%s is %q, and %q when it is given again", key, fresh.Header.Get(key), again.Header.Get(key))
		}
	}
	head(http.StatusUnauthorized, "")
	head(http.StatusUnauthorized, "", "Authorization", "Bearer another")
	late.Store(int64(2 * time.Second))
	head(http.StatusUnauthorized, "", login...)

	login = token()
	head(http.StatusOK, first, login...)
	_, second := owner.pushImage(image, "v1", []byte("second"), nil)
	head(http.StatusOK, second, login...)
	owner.want(http.StatusAccepted, "DELETE", path, nil)
	head(http.StatusNotFound, "", login...)

	owner.pushImage(image, "v1", []byte("second"), nil)
	head(http.StatusOK, second, login...)
	forget()
	d.takeAccess(t)
	head(http.StatusUnauthorized, "", login...)
}
