// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestBadRequests: what is wrong is told by the codes of the distribution specification.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	content := randomBytes(1, 1000)
	absent := sha256Of([]byte("absent"))
	begun := func() string {
		return c.want(202, "PATCH", c.begin(), bytes.NewReader(content)).Header.Get("Location")
	}
	long := "db/s/repo/" + strings.Repeat("a", 246) // one more than a name may have
	for _, r := range []struct {
		what, method, path string
		body               io.Reader
		header             []string
		status             int
		code               string
	}{
		{"a name that is too long", "GET", "/v2/" + long + "/tags/list", nil, nil, 400, "NAME_INVALID"},
		{"a name that is too long, pushed", "POST", "/v2/" + long + "/blobs/uploads/", nil, nil, 400, "NAME_INVALID"},
		{"a tag that is too long", "PUT", "/v2/" + image + "/manifests/" + strings.Repeat("a", 129), strings.NewReader("{}"), nil, 400, "MANIFEST_INVALID"},
		{"an unknown repository", "GET", "/v2/db/s/none/img/tags/list", nil, nil, 404, "NAME_UNKNOWN"},
		{"an unknown image", "GET", "/v2/" + image + "/tags/list", nil, nil, 404, "NAME_UNKNOWN"},
		{"an unknown manifest", "GET", "/v2/" + image + "/manifests/v1", nil, nil, 404, "MANIFEST_UNKNOWN"},
		{"an unknown manifest, deleted", "DELETE", "/v2/" + image + "/manifests/" + absent, nil, nil, 404, "MANIFEST_UNKNOWN"},
		{"an unknown blob", "GET", "/v2/" + image + "/blobs/" + absent, nil, nil, 404, "BLOB_UNKNOWN"},
		{"an unknown blob, deleted", "DELETE", "/v2/" + image + "/blobs/" + absent, nil, nil, 404, "BLOB_UNKNOWN"},
		{"an unknown upload", "PATCH", "/v2/" + image + "/blobs/uploads/none", bytes.NewReader(content), nil, 404, "BLOB_UPLOAD_UNKNOWN"},
		{"a chunk out of order", "PATCH", begun(), bytes.NewReader(content), []string{"Content-Range", "2000-2999"}, 416, "BLOB_UPLOAD_INVALID"},
		{"a chunk that comes twice", "PATCH", begun(), bytes.NewReader(content), []string{"Content-Range", "0-999"}, 416, "BLOB_UPLOAD_INVALID"},
		{"a range of another length", "PATCH", begun(), bytes.NewReader(content), []string{"Content-Range", "1000-1500"}, 400, "SIZE_INVALID"},
		{"a range that is none", "PATCH", begun(), bytes.NewReader(content), []string{"Content-Range", "bytes"}, 400, "BLOB_UPLOAD_INVALID"},
		{"another digest", "PUT", begun() + "?digest=" + absent, nil, nil, 400, "DIGEST_INVALID"},
		{"another digest, in one request", "POST", "/v2/" + image + "/blobs/uploads/?digest=" + absent, bytes.NewReader(content), nil, 400, "DIGEST_INVALID"},
		{"no digest", "PUT", begun(), nil, nil, 400, "DIGEST_INVALID"},
		{"a digest of an unknown kind", "PUT", begun() + "?digest=md5:" + strings.Repeat("0", 32), nil, nil, 400, "DIGEST_INVALID"},
		{"a mount of no digest", "POST", "/v2/" + image + "/blobs/uploads/?mount=x&from=" + image, nil, nil, 400, "DIGEST_INVALID"},
	} {
		got := c.do(r.method, r.path, r.body, r.header...)
		if got.StatusCode != r.status || got.code() != r.code {
			t.Errorf("%s: %d %s, want %d %s\n%s", r.what, got.StatusCode, got.code(), r.status, r.code, got.body)
		}
	}
}

// TestForeignLayers: layers that live elsewhere need not be here; all others must.
func TestForeignLayers(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	for mediaType, status := range map[string]int{
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": 201, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": 201,
		v1.MediaTypeImageLayerGzip: 400,
	} {
		body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":5,"urls":["https://example.com/"]}]}`,
			v1.MediaTypeImageManifest, v1.MediaTypeImageConfig, c.pushBlob(image, []byte("{}")), mediaType, sha256Of([]byte("elsewhere")))
		r := c.do("PUT", "/v2/"+image+"/manifests/v1", strings.NewReader(body), "Content-Type", v1.MediaTypeImageManifest)
		if r.StatusCode != status || status == 400 && r.code() != "MANIFEST_BLOB_UNKNOWN" {
			t.Errorf("a layer of type %s: %d %s", mediaType, r.StatusCode, r.body)
		}
	}
}

// TestShortBody: a body that ends before its length is no blob, and what came of it counts.
func TestShortBody(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	content := randomBytes(1, 1000)
	location := c.begin()
	connection, err := net.Dial("tcp", d.host)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	request, err := http.NewRequestWithContext(t.Context(), "PUT", d.url+location+"?digest="+sha256Of(content), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("writer", "secret:writer")
	fmt.Fprintf(connection, "PUT %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Length: 1000\r\n\r\n%s",
		request.URL.RequestURI(), d.host, request.Header.Get("Authorization"), content[:600])
	if err := connection.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if r := c.want(204, "GET", location, nil); r.Header.Get("Range") == "0-599" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("what came of a broken body is not kept")
		}
	}
	c.want(404, "GET", "/v2/"+image+"/blobs/"+sha256Of(content), nil)
	c.want(201, "PUT", location+"?digest="+sha256Of(content), bytes.NewReader(content[600:]))
}
