// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"firn.dev/firn/internal/errs"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	c := New(Options{Approved: []string{"registry.example.com", "registry.example.com:5000", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "images.example.org"}})
	for text, want := range map[string]string{
		"https://registry.example.com":                 "https://registry.example.com",
		"https://Registry.Example.com/":                "https://registry.example.com",
		"https://registry.example.com/a/b-c/d_e/":      "https://registry.example.com/a/b-c/d_e",
		"https://registry.example.com:5000/team":       "https://registry.example.com:5000/team",
		"https://images.example.org/library":           "https://images.example.org/library",
		"http://localhost:5000/x":                      "http://localhost:5000/x",
		"http://127.0.0.1:5000":                        "http://127.0.0.1:5000",
		"http://[::1]:5000":                            "http://[::1]:5000",
		"https://127.0.0.1:5000":                       "https://127.0.0.1:5000",
		"http://registry.example.com":                  "!plain HTTP",
		"http://10.0.0.1:5000":                         "!plain HTTP",
		"https://registry.example.com:443":             "!not approved",
		"https://registry.example.com.evil.example":    "!not approved",
		"https://registry.example.com@evil.example":    "!login in its URL",
		"https://u:secret@registry.example.com":        "!login in its URL",
		"https://registry.example.com/../x":            "!begins no image name",
		"https://registry.example.com/A":               "!begins no image name",
		"https://registry.example.com/a//b":            "!begins no image name",
		"https://registry.example.com/" + long("a"):    "!begins no image name",
		"https://registry.example.com/a?b":             "!more than a path",
		"https://registry.example.com/a#b":             "!more than a path",
		"registry.example.com":                         "!no URL of a registry",
		"ftp://registry.example.com":                   "!no URL of a registry",
		"https:///team":                                "!no URL of a registry",
		"":                                             "!no URL of a registry",
		"https://registry.example.com\\@evil.example/": "!no URL of a registry",
	} {
		got, err := c.Check(text)
		if reason, refused := strings.CutPrefix(want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: %v, want %s", text, err, reason)
			}
		} else if err != nil || got != want {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
	if _, err := New(Options{}).Check("https://registry.example.com"); !errs.Is(err, errs.Refused) {
		t.Errorf("nothing is approved: %v", err)
	}
}

func long(s string) string { return strings.Repeat(s, 201) }

func TestParseHosts(t *testing.T) {
	t.Parallel()
	got, err := ParseHosts(" Registry.example.com ,,127.0.0.1:5000,[::1]:5000, images.example.org")
	if err != nil || !slices.Equal(got, []string{"registry.example.com", "127.0.0.1:5000", "[::1]:5000", "images.example.org"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := ParseHosts(""); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"https://registry.example.com", "registry.example.com/team", "user@registry.example.com", "a b", "registry.example.com:x", ":5000"} {
		if got, err := ParseHosts("images.example.org," + bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q gives %q, %v", bad, got, err)
		}
	}
}

// TestTLS reads over TLS, and never in plain text from an upstream that should speak TLS.
func TestTLS(t *testing.T) {
	t.Parallel()
	images := quietRegistry()
	server := httptest.NewTLSServer(images)
	t.Cleanup(server.Close)
	put(t, server.Client(), server.URL, "team/img")
	host := strings.TrimPrefix(server.URL, "https://")

	strange := New(Options{Approved: []string{host}})
	image, err := strange.Image(server.URL+"/team", "img", Login{"robot", "hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := image.Resolve(t.Context(), "v1"); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of nobody: %v", err)
	}
	trusting := New(Options{Approved: []string{host}})
	trusting.transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	if image, err = trusting.Image(server.URL+"/team", "img", Login{}); err != nil {
		t.Fatal(err)
	}
	d, err := image.Resolve(t.Context(), "v1")
	if err != nil || d.Size != int64(len(manifest)) {
		t.Fatalf("%+v, %v", d, err)
	}
	if body, _, err := image.Manifest(t.Context(), d.Digest); err != nil || string(body) != manifest {
		t.Errorf("manifest %q, %v", body, err)
	}

	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked in plain text") }))
	t.Cleanup(plain.Close)
	host = strings.TrimPrefix(plain.URL, "http://")
	if image, err = New(Options{Approved: []string{host}}).Image("https://"+host, "img", Login{"robot", "hunter2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := image.Resolve(t.Context(), "v1"); !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an upstream without TLS: %v", err)
	}
}

const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`

func quietRegistry() http.Handler {
	return registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
}

// put pushes an empty index as v1.
func put(t *testing.T, client *http.Client, url, name string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "PUT", url+"/v2/"+name+"/manifests/v1", strings.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
}

// TestLogins: a login goes to the upstream and to the token server that it names, and what they answer is told to nobody.
func TestLogins(t *testing.T) {
	t.Parallel()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("robot:hunter2"))
	images := quietRegistry()
	for name, answer := range map[string]string{
		"token": `{"token":"opens"}`, "access token": `{"access_token":"opens"}`, "none": `{"refresh_token":"s3cret"}`, "no document": "s3cret",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var seen []string
			server := httptest.NewUnstartedServer(nil)
			server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				authorization := r.Header.Get("Authorization")
				mu.Lock()
				seen = append(seen, r.Method+" "+r.URL.Path+" "+authorization)
				mu.Unlock()
				switch {
				case r.URL.Path == "/token":
					io.WriteString(w, answer)
				case r.Method != "PUT" && authorization != "Bearer opens":
					w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="company"`, server.URL))
					w.WriteHeader(http.StatusUnauthorized)
				default:
					images.ServeHTTP(w, r)
				}
			})
			server.Start()
			t.Cleanup(server.Close)
			put(t, server.Client(), server.URL, "img")
			var fetched []Fetch
			host := strings.TrimPrefix(server.URL, "http://")
			c := New(Options{Approved: []string{host}, Observe: func(f Fetch) { fetched = append(fetched, f) }})
			image, err := c.Image(server.URL, "img", Login{"robot", "hunter2"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = image.Resolve(t.Context(), "v1")
			works := strings.Contains(answer, "opens")
			if works != (err == nil) || err != nil && (!errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("%v", err)
			}
			if !slices.Equal(fetched, []Fetch{{host, "tag", works, 0}}) {
				t.Errorf("observed %v", fetched)
			}
			if !slices.Contains(seen, "GET /token "+basic) || works && !slices.Contains(seen, "HEAD /v2/img/manifests/v1 Bearer opens") {
				t.Errorf("asked %q", seen)
			}
		})
	}
}

// TestLeftOut: registries that leave out headers of HEAD are asked by GET.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	images := quietRegistry()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	put(t, server.Client(), server.URL, "img")
	image, err := New(Options{Approved: []string{strings.TrimPrefix(server.URL, "http://")}, Patience: 20 * time.Second}).Image(server.URL, "img", Login{})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := image.Resolve(t.Context(), "v1"); err != nil || d.Size != int64(len(manifest)) {
		t.Errorf("%+v, %v", d, err)
	}
}
