// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry/upstream"
)

// origin is a registry that another one has as its upstream, which notes what it is asked for.
type origin struct {
	*door
	host   string
	mu     sync.Mutex
	asked  []string                                          // "HEAD v1"
	answer func(w http.ResponseWriter, r *http.Request) bool // answers in the place of the registry
}

var ofImage = regexp.MustCompile(`^/v2/` + image + `/(?:manifests|blobs)/([^/]+)$`)

// ServeHTTP implements http.Handler.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	answer := o.answer
	if m := ofImage.FindStringSubmatch(r.URL.Path); m != nil && r.Header.Get("User-Agent") != "Go-http-client/1.1" { // tests push to it too
		o.asked = append(o.asked, r.Method+" "+m[1])
	}
	o.mu.Unlock()
	if answer == nil || !answer(w, r) {
		o.door.ServeHTTP(w, r)
	}
}

// set changes how it answers; nil lets the registry do so.
func (o *origin) set(answer func(w http.ResponseWriter, r *http.Request) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = answer
}

// wantAsked checks what it was asked for since the last time, in any order, digests by their names.
func (o *origin) wantAsked(t *testing.T, names map[string]string, want ...string) {
	t.Helper()
	o.mu.Lock()
	got := o.asked
	o.asked = nil
	o.mu.Unlock()
	for i, line := range got {
		method, what, _ := strings.Cut(line, " ")
		got[i] = method + " " + cmp.Or(names[what], what)
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := diff.Diff(want, got); d != "" && len(want)+len(got) > 0 {
		t.Errorf("the upstream was asked for: %s", d)
	}
}

// newOrigin serves a registry that others may follow.
func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{door: serve(t)}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	o.host = strings.TrimPrefix(server.URL, "http://")
	return o
}

// follow lets DB.S.REPO of a registry have its images from another one, with the login of a user.
func (d *door) follow(t *testing.T, host, user string) {
	t.Helper()
	d.Upstream = upstream.New(upstream.Options{Approved: []string{host}, Patience: 2 * time.Second})
	err := d.store.Update(t.Context(), func(tx catalog.Tx) error {
		return tx.CreateObject(&catalog.Object{
			Kind: catalog.KindSecret, Name: secretName, Spec: &catalog.SecretSpec{Type: "PASSWORD", Username: user, Value: "secret:" + user},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	d.rule(t, func(s *catalog.ImageRepositorySpec) {
		s.Upstream, s.UpstreamSecret = "http://"+host+"/db/s/repo", secretName
	})
}

var secretName = catalog.Name{Database: "DB", Schema: "S", Object: "LOGIN"}

// tagged gives what a tag names and who moved it there, "" when it is not there.
func (d *door) tagged(t *testing.T, tag string) (now, by string) {
	t.Helper()
	err := d.store.View(t.Context(), func(tx catalog.Tx) error {
		o, err := tx.Object(catalog.KindImageRepository, repo)
		if err != nil {
			return err
		}
		found, err := tx.Tag(o.ID, "img", tag)
		if err == nil {
			now, by = found.Digest, found.MovedBy
		} else if errs.Is(err, errs.NotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return now, by
}

func manifestAt(reference string) string { return "/v2/" + image + "/manifests/" + reference }
func blobAt(digest string) string        { return "/v2/" + image + "/blobs/" + digest }

// eachFollows runs a test with a registry, on each database, that follows another one.
func eachFollows(t *testing.T, test func(t *testing.T, d *door, o *origin, clock *clock)) {
	onEach(t, func(t *testing.T, d *door, clock *clock) {
		o := newOrigin(t)
		d.follow(t, o.host, "reader")
		test(t, d, o, clock)
		d.wantNoGarbage(t)
		d.wantSound(t)
	})
}
