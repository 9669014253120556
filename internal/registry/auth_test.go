// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestChallenge: exactly one challenge, Bearer, and neither word twice: some clients fail otherwise.
func TestChallenge(t *testing.T) {
	t.Parallel()
	d := serve(t)
	for _, path := range []string{"/v2/", "/v2/db/s/repo/img/tags/list", "/v2/no/such/thing", "/login"} {
		r := d.as(t, "").want(http.StatusUnauthorized, "GET", path, nil)
		want := []string{fmt.Sprintf(`Bearer realm="%s/token",service="firn"`, d.url)}
		if got := r.Header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != want[0] {
			t.Errorf("%s challenges with %q, want %q", path, got, want)
		}
		if strings.Count(strings.ToLower(r.Header.Get("WWW-Authenticate")), "bearer") != 1 || r.code() != "UNAUTHORIZED" {
			t.Errorf("%s: challenge %q, body %s", path, r.Header.Get("WWW-Authenticate"), r.body)
		}
	}
	d.as(t, "nobody").want(http.StatusOK, "GET", "/v2/", nil)
	d.as(t, "stranger").want(http.StatusUnauthorized, "GET", "/v2/", nil)
	d.as(t, "").want(http.StatusUnauthorized, "GET", "/v2/", nil, "Authorization", "Bearer wrong")
}

// token reads the answer of a token request and checks its fields.
func (c client) token(r reply) string {
	c.t.Helper()
	var document struct {
		Token, AccessToken string
		Expires            int       `json:"expires_in"`
		Issued             time.Time `json:"issued_at"`
		Access             string    `json:"access_token"`
		Type               string    `json:"token_type"`
	}
	if err := json.Unmarshal(r.body, &document); err != nil || r.StatusCode != http.StatusOK {
		c.t.Fatalf("token request: %d %v\n%s", r.StatusCode, err, r.body)
	}
	if document.Token == "" || document.Token != document.Access || document.Expires < 3600 || time.Since(document.Issued) > time.Minute || document.Type != "Bearer" {
		c.t.Errorf("token answer %s", r.body)
	}
	return document.Token
}

func TestToken(t *testing.T) {
	t.Parallel()
	d := serve(t)
	reader, nobody := d.as(t, "reader"), d.as(t, "")
	first := reader.token(reader.do("GET", "/token?service=firn&scope=repository:db/s/repo/img:pull&account=reader", nil))
	form := func(values ...string) *strings.Reader {
		v := url.Values{}
		for i := 0; i < len(values); i += 2 {
			v.Set(values[i], values[i+1])
		}
		return strings.NewReader(v.Encode())
	}
	const formType = "application/x-www-form-urlencoded"
	session := fmt.Sprintf(`{"token": %q, "expires_in": 10}`, first)
	tokens := []string{first}
	for _, body := range []*strings.Reader{
		form("grant_type", "password", "username", "reader", "password", "secret:reader", "service", "firn", "client_id", "containerd"),
		form("grant_type", "password", "username", "0sessiontoken", "password", session),
		form("grant_type", "password", "username", "0sessiontoken", "password", first),
		form("grant_type", "refresh_token", "refresh_token", first),
	} {
		tokens = append(tokens, nobody.token(nobody.do("POST", "/token", body, "Content-Type", formType)))
	}
	login := d.as(t, "reader").want(http.StatusOK, "GET", "/login", nil)
	var document struct{ Token string }
	if err := json.Unmarshal(login.body, &document); err != nil {
		t.Fatal(err)
	}
	for _, token := range append(tokens, document.Token) {
		r := nobody.do("GET", "/v2/db/s/repo/img/tags/list", nil, "Authorization", "Bearer "+token)
		if r.StatusCode != http.StatusNotFound || r.code() != "NAME_UNKNOWN" || !strings.Contains(string(r.body), "image img does not exist") {
			t.Errorf("a token does not open the registry: %d %s", r.StatusCode, r.body)
		}
	}

	for _, c := range []struct {
		method string
		body   *strings.Reader
		status int
		oauth  string
	}{
		{"POST", form("grant_type", "password", "username", "reader", "password", "wrong"), http.StatusUnauthorized, "invalid_grant"},
		{"POST", form("grant_type", "password", "username", "0sessiontoken", "password", `{"token": "wrong"}`), http.StatusUnauthorized, "invalid_grant"},
		{"POST", form("grant_type", "password"), http.StatusUnauthorized, "invalid_grant"},
		{"POST", form("grant_type", "refresh_token", "refresh_token", "wrong"), http.StatusUnauthorized, "invalid_grant"},
		{"POST", form("grant_type", "magic"), http.StatusBadRequest, "invalid_request"},
		{"PUT", form(), http.StatusMethodNotAllowed, "invalid_request"},
	} {
		r := nobody.want(c.status, c.method, "/token", c.body, "Content-Type", formType)
		var document struct{ Error string }
		if err := json.Unmarshal(r.body, &document); err != nil || document.Error != c.oauth || r.code() == "" {
			t.Errorf("%s %v answers %s", c.method, c.status, r.body)
		}
	}
}

// TestPrivileges is the matrix of every verb and every kind of user.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	d := serve(t)
	owner := d.as(t, "owner")
	layer := randomBytes(1, 100)
	const name, other = "db/s/repo/img", "db/s/other/img"
	_, manifest := owner.pushImage(name, "v1", layer, nil)
	blob := sha256Of(layer)
	secret := owner.pushBlob(other, randomBytes(2, 100))

	// Each verb: what it answers to one who may only know nothing, pull, or push.
	const hidden, denied = http.StatusNotFound, http.StatusForbidden
	for _, c := range []struct {
		method, path              string
		nobody, reader, writeable int
	}{
		{"GET", "/v2/", 200, 200, 200},
		{"GET", "/v2/" + name + "/tags/list", hidden, 200, 200},
		{"GET", "/v2/" + name + "/manifests/v1", hidden, 200, 200},
		{"HEAD", "/v2/" + name + "/manifests/v1", hidden, 200, 200},
		{"GET", "/v2/" + name + "/manifests/" + manifest, hidden, 200, 200},
		{"GET", "/v2/" + name + "/blobs/" + blob, hidden, 200, 200},
		{"HEAD", "/v2/" + name + "/blobs/" + blob, hidden, 200, 200},
		{"GET", "/v2/" + name + "/referrers/" + manifest, hidden, 200, 200},
		{"POST", "/v2/" + name + "/blobs/uploads/", hidden, denied, 202},
		{"POST", "/v2/" + name + "/blobs/uploads/?digest=" + sha256Of(nil), hidden, denied, 201},
		{"POST", "/v2/" + name + "/blobs/uploads/?mount=" + blob + "&from=" + name, hidden, denied, 201},
		{"GET", "/v2/" + name + "/blobs/uploads/x", hidden, denied, 404},
		{"PATCH", "/v2/" + name + "/blobs/uploads/x", hidden, denied, 404},
		{"PUT", "/v2/" + name + "/blobs/uploads/x?digest=" + blob, hidden, denied, 404},
		{"DELETE", "/v2/" + name + "/blobs/uploads/x", hidden, denied, 404},
		{"DELETE", "/v2/" + name + "/blobs/" + blob, hidden, denied, 409}, // the manifest needs it
		{"DELETE", "/v2/" + name + "/blobs/" + sha256Of(nil), hidden, denied, 202},
		{"DELETE", "/v2/" + name + "/manifests/v2", hidden, denied, 404},
		{"PUT", "/v2/" + name + "/manifests/v2", hidden, denied, 201},
		{"DELETE", "/v2/" + name + "/manifests/v2", hidden, denied, 202},
	} {
		body := func() *strings.Reader { return strings.NewReader("") }
		var header []string
		if c.method == "PUT" && strings.Contains(c.path, "/manifests/") {
			content := owner.want(200, "GET", "/v2/"+name+"/manifests/v1", nil)
			body = func() *strings.Reader { return strings.NewReader(string(content.body)) }
			header = []string{"Content-Type", content.Header.Get("Content-Type")}
		}
		for user, status := range map[string]int{"": 401, "nobody": c.nobody, "reader": c.reader, "writer": c.writeable} {
			r := d.as(t, user).do(c.method, c.path, body(), header...)
			if r.StatusCode != status {
				t.Errorf("%s %s as %q: status %d, want %d\n%s", c.method, c.path, user, r.StatusCode, status, r.body)
			}
		}
	}

	// Without a login: what everybody may pull, and nothing else. Whether a repository exists is not told.
	const open = "db/s/open/img"
	pushed, openManifest := owner.pushImage(open, "v1", layer, nil)
	anonymous := d.as(t, "").token(d.as(t, "").do("GET", "/token?service=firn&scope=repository:"+open+":pull", nil))
	for _, header := range [][]string{nil, {"Authorization", "Bearer " + anonymous}} {
		nobody := d.as(t, "")
		for path, status := range map[string]int{
			"/manifests/v1": 200, "/manifests/" + openManifest: 200, "/blobs/" + blob: 200, "/tags/list": 200, "/referrers/" + openManifest: 200,
			"/manifests/v2": 404, "/blobs/" + secret: 404,
		} {
			nobody.want(status, "GET", "/v2/"+open+path, nil, header...)
		}
		nobody.want(200, "HEAD", "/v2/"+open+"/manifests/v1", nil, header...)
		for _, c := range []struct{ method, path string }{
			{"GET", "/v2/" + name + "/tags/list"}, {"GET", "/v2/db/s/none/img/tags/list"}, {"HEAD", "/v2/" + name + "/blobs/" + blob},
			{"POST", "/v2/" + open + "/blobs/uploads/"}, {"POST", "/v2/" + open + "/blobs/uploads/?mount=" + secret}, {"GET", "/v2/" + open + "/blobs/uploads/x"},
			{"PATCH", "/v2/" + open + "/blobs/uploads/x"}, {"PUT", "/v2/" + open + "/blobs/uploads/x?digest=" + blob},
			{"PUT", "/v2/" + open + "/manifests/v2"}, {"DELETE", "/v2/" + open + "/manifests/v1"}, {"DELETE", "/v2/" + open + "/blobs/" + blob}, {"GET", "/login"},
		} {
			r := nobody.want(401, c.method, c.path, bytes.NewReader(pushed), header...)
			if r.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s without a login gets no challenge", c.method, c.path)
			}
		}
	}

	// A repository that nobody may see answers like one that does not exist.
	unseen := d.as(t, "nobody").do("GET", "/v2/"+name+"/tags/list", nil)
	absent := d.as(t, "nobody").do("GET", "/v2/db/s/none/img/tags/list", nil)
	if got := strings.ReplaceAll(string(unseen.body), "REPO", "NONE"); got != string(absent.body) {
		t.Errorf("a hidden repository answers\n%s, an absent one\n%s", unseen.body, absent.body)
	}

	// A blob of another repository: not by its digest, and by mounting only for one who may pull it there.
	d.as(t, "writer").want(404, "GET", "/v2/"+name+"/blobs/"+secret, nil)
	d.as(t, "writer").want(404, "HEAD", "/v2/"+name+"/blobs/"+secret, nil)
	for _, from := range []string{"&from=" + other, "", "&from=bad"} {
		mount := "/v2/" + name + "/blobs/uploads/?mount=" + secret + from
		d.as(t, "writer").want(202, "POST", mount, nil)
		d.as(t, "writer").want(404, "GET", "/v2/"+name+"/blobs/"+secret, nil)
	}
	d.as(t, "mounter").want(201, "POST", "/v2/"+name+"/blobs/uploads/?mount="+secret+"&from="+other, nil)
	d.as(t, "writer").want(200, "GET", "/v2/"+name+"/blobs/"+secret, nil)
	d.as(t, "mounter").want(201, "POST", "/v2/"+name+"2/blobs/uploads/?mount="+secret, nil)
	d.as(t, "mounter").want(403, "POST", "/v2/"+other+"/blobs/uploads/?mount="+blob+"&from="+name, nil)

	// An upload with content belongs to the user who sent it, and to its image.
	upload := d.as(t, "writer").want(202, "POST", "/v2/"+name+"/blobs/uploads/", nil).Header.Get("Location")
	d.as(t, "writer").want(202, "PATCH", upload, strings.NewReader("content"))
	owner.want(404, "GET", upload, nil)
	d.as(t, "writer").want(204, "GET", upload, nil)
	d.as(t, "writer").want(404, "GET", strings.Replace(upload, "/img/", "/other/", 1), nil)
}
