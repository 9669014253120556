// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/auth"
)

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func stageInfo(plan object) object { return plan["stageInfo"].(object) }

func TestLinks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	h.must(token, "CREATE DATABASE d")
	h.must(token, "CREATE STAGE s")
	put := stageInfo(h.must(token, "PUT 'file:///local dir/a b%é.txt' @s/p/"))["presignedUrl"].(string)
	if !strings.HasPrefix(put, h.url+"/firn-stage/") || !strings.Contains(put, "/p/a%20b%25%C3%A9.txt?") {
		t.Fatalf("link %s", put)
	}
	put2 := stageInfo(h.must(token, "PUT file://other.txt @s/p/"))["presignedUrl"].(string)
	status := func(method, link string, body string, headers ...string) int {
		t.Helper()
		resp, _ := h.raw(method, link, []byte(body), headers...)
		return resp.StatusCode
	}
	other := mustURL(t, put2).Path
	tampered := mustURL(t, put)
	tampered.RawQuery = strings.Replace(tampered.RawQuery, "firn-token=", "firn-token=A", 1)
	swapped := mustURL(t, put)
	swapped.Path, swapped.RawPath = other, ""
	for name, test := range map[string]struct {
		method, link string
		want         int
	}{
		"GET by a link for PUT":  {"GET", put, 400},
		"HEAD by a link for PUT": {"HEAD", put, 400},
		"DELETE":                 {"DELETE", put, 400},
		"another path":           {"PUT", swapped.String(), 400},
		"tampered":               {"PUT", tampered.String(), 400},
		"no token":               {"PUT", h.url + other, 400},
		"no file":                {"PUT", h.url + "/firn-stage/", 400},
	} {
		if got := status(test.method, test.link, "x"); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	if got := status("PUT", put, "0123456789", "X-Goog-Meta-Sfc-Digest", "digest", "Content-Encoding", "zstd"); got != http.StatusOK {
		t.Fatalf("upload: %d", got)
	}
	get := h.must(token, "GET @s/p/ file:///tmp/")["presignedUrls"].([]any)[0].(string)
	resp, body := h.raw("GET", get, nil, "Accept-Encoding", "identity")
	if resp.StatusCode != 200 || string(body) != "0123456789" || resp.Header.Get("X-Goog-Meta-Sfc-Digest") != "digest" || resp.Header.Get("Content-Encoding") != "" {
		t.Errorf("download: %s %q %v", resp.Status, body, resp.Header)
	}
	resp, body = h.raw("GET", get, nil, "Range", "bytes=2-4", "Accept-Encoding", "identity")
	if resp.StatusCode != http.StatusPartialContent || string(body) != "234" || resp.Header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("range: %s %q %v", resp.Status, body, resp.Header)
	}
	resp, body = h.raw("HEAD", get, nil)
	if resp.StatusCode != 200 || resp.ContentLength != 10 || len(body) != 0 {
		t.Errorf("head: %s %d", resp.Status, resp.ContentLength)
	}
	if got := status("PUT", get, "x"); got != 400 {
		t.Errorf("PUT by a link for GET: %d", got)
	}
	h.must(token, "REMOVE @s/p/")
	if got := status("GET", get, ""); got != 404 {
		t.Errorf("a file that is gone: %d", got)
	}
	h.pass(auth.TransferTTL + time.Second)
	if got := status("PUT", put, "x"); got != 400 {
		t.Errorf("expired: %d", got)
	}
}

func TestDirectoryTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	h.must(token, "CREATE DATABASE d")
	h.must(token, "CREATE STAGE s")
	h.must(token, "CREATE STAGE s2")
	agent := []string{"User-Agent", "PythonConnector/5.2.0 (linux)"}
	info := stageInfo(h.must(token, "PUT file:///x/* @s/p", agent...))
	if info["endPoint"] != h.url || info["presignedUrl"] != nil {
		t.Fatalf("%v", info)
	}
	other := stageInfo(h.must(token, "PUT file:///x/* @s2/p", agent...))
	bearer := []string{"Authorization", "Bearer " + info["creds"].(object)["GCS_ACCESS_TOKEN"].(string)}
	at := func(info object, name string) string { return h.url + "/" + info["location"].(string) + name }
	do := func(method, link string, headers ...string) int {
		t.Helper()
		resp, _ := h.raw(method, link, []byte("x"), append(headers, bearer...)...)
		return resp.StatusCode
	}
	root := strings.TrimSuffix(at(info, ""), "p/")
	for _, step := range []struct {
		name, method, link string
		headers            []string
		want               int
	}{
		{"not there yet", "HEAD", at(info, "a"), nil, 404},
		{"upload", "PUT", at(info, "a"), []string{"x-goog-if-generation-match", "0"}, 200},
		{"there now", "HEAD", at(info, "a"), nil, 200},
		{"not over what is there", "PUT", at(info, "a"), []string{"x-goog-if-generation-match", "0"}, 412},
		{"over what is there", "PUT", at(info, "a"), nil, 200},
		{"slashes escaped", "PUT", root + "p%2Fb", nil, 200},
		{"download", "GET", at(info, "a"), nil, 401},
		{"delete", "DELETE", at(info, "a"), nil, 401},
		{"beside the directory", "PUT", root + "q/a", nil, 401},
		{"the start of its name", "PUT", root + "pp/a", nil, 401},
		{"another stage", "PUT", at(other, "a"), nil, 401},
		{"out of the directory", "PUT", root + "p/../q/a", nil, 422},
		{"out of the stage, escaped", "PUT", root + "p%2F..%2F..%2Fx", nil, 422},
	} {
		if got := do(step.method, step.link, step.headers...); got != step.want {
			t.Errorf("%s: %d, want %d", step.name, got, step.want)
		}
	}
	rows := h.must(token, "LIST @s")["rowset"].([]any)
	if len(rows) != 2 {
		t.Errorf("the stage has %v", rows)
	}
	h.pass(auth.TransferTTL + time.Second)
	if got := do("PUT", at(info, "a")); got != 401 {
		t.Errorf("expired: %d", got)
	}
}

func TestPlans(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	plan := h.must(token, "PUT 'file:///x/*.csv' @~/d AUTO_COMPRESS = FALSE PARALLEL = 500 OVERWRITE = TRUE THRESHOLD = 1000 SOURCE_COMPRESSION = 'GZIP'")
	for name, want := range map[string]any{
		"command": "UPLOAD", "autoCompress": false, "overwrite": true, "parallel": 99.0, "threshold": 1000.0, "sourceCompression": "gzip", "encryptionMaterial": nil,
	} {
		if plan[name] != want {
			t.Errorf("%s is %v, want %v", name, plan[name], want)
		}
	}
	if got := plan["src_locations"].([]any)[0]; got != "/x/*.csv" {
		t.Errorf("src_locations %v", got)
	}
	a := h.query(token, "PUT file:///x/a @~", "Accept", "application/snowflake")
	if a.code() != "000218" || a.Data["sqlState"] != "0A000" {
		t.Errorf("a client that did not see the PUT: %+v", a)
	}
	get := h.must(token, "GET @~/none file:///tmp/")
	if files := get["src_locations"].([]any); len(files) != 0 || get["encryptionMaterial"] != nil {
		t.Errorf("nothing to get: %v", get)
	}
}

func TestOriginFollowsTheRequest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	info := stageInfo(h.must(token, "PUT file:///x/a @~", "X-Forwarded-Proto", "https"))
	if host := mustURL(t, h.url).Host; info["endPoint"] != host || info["creds"].(object)["GCS_ACCESS_TOKEN"] == nil {
		t.Errorf("behind a proxy with TLS: %v", info)
	}
}

func TestUploadNames(t *testing.T) {
	t.Parallel()
	for local, want := range map[string]string{
		"/dir/a.txt": "a.txt", "a.txt.gz": "a.txt.gz", "/dir/*a.txt": "a.txt", "/dir/f*f1.csv": "f1.csv", "/dir/f?f1.csv": "f1.csv",
		"/dir/[ab]a.txt": "a.txt", "/dir/*": "*", "a*b.txt": "a*b.txt", "x]y": "x]y", "/dir/*we]ird": "we]ird",
	} {
		if got := uploadName(local); got != want {
			t.Errorf("%s: %s, want %s", local, got, want)
		}
	}
}
