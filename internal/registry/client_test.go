// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// client sends requests as one user; "" is nobody.
type client struct {
	t    *testing.T
	url  string
	user string
}

func (d *door) as(t *testing.T, user string) client { return client{t, d.url, user} }

// reply is an answer whose body was read.
type reply struct {
	*http.Response
	body []byte
}

// code is the first OCI error code of the answer.
func (r reply) code() string {
	var document struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(r.body, &document) != nil || len(document.Errors) == 0 {
		return ""
	}
	return document.Errors[0].Code
}

// do sends a request to a path or URL; header holds names and values in turn.
func (c client) do(method, path string, body io.Reader, header ...string) reply {
	c.t.Helper()
	if path[0] == '/' {
		path = c.url + path
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.user != "" {
		r.SetBasicAuth(c.user, "secret:"+c.user)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return reply{resp, content}
}

// want sends a request and checks the status.
func (c client) want(status int, method, path string, body io.Reader, header ...string) reply {
	c.t.Helper()
	r := c.do(method, path, body, header...)
	if r.StatusCode != status {
		c.t.Fatalf("%s %s as %q: status %d, want %d\n%s", method, path, c.user, r.StatusCode, status, r.body)
	}
	return r
}

// random gives n bytes that nothing compresses, the same for the same seed.
func randomBytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

func sha256Of(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func sha512Of(b []byte) string {
	sum := sha512.Sum512(b)
	return "sha512:" + hex.EncodeToString(sum[:])
}

// pushBlob pushes a blob in one request and gives its digest.
func (c client) pushBlob(name string, content []byte) string {
	c.t.Helper()
	d := sha256Of(content)
	c.want(http.StatusCreated, "POST", "/v2/"+name+"/blobs/uploads/?digest="+d, bytes.NewReader(content))
	return d
}

// pushImage pushes an image of one layer under a reference, or by digest when it is "", and gives manifest and digest.
func (c client) pushImage(name, reference string, layer []byte, change func(*v1.Manifest)) ([]byte, string) {
	c.t.Helper()
	m := c.imageOf(name, layer, change)
	return c.pushManifest(name, reference, m.MediaType, m)
}

// imageOf pushes config and layer of an image, and gives its manifest.
func (c client) imageOf(name string, layer []byte, change func(*v1.Manifest)) v1.Manifest {
	c.t.Helper()
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["` + sha256Of(layer) + `"]}}`)
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest}
	m.SchemaVersion = 2
	m.Config = v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.Digest(c.pushBlob(name, config)), Size: int64(len(config))}
	m.Layers = []v1.Descriptor{{MediaType: v1.MediaTypeImageLayer, Digest: digest.Digest(c.pushBlob(name, layer)), Size: int64(len(layer))}}
	if change != nil {
		change(&m)
	}
	return m
}

// pushManifest pushes a manifest or index under a reference, or by digest when it is "".
func (c client) pushManifest(name, reference, mediaType string, document any) ([]byte, string) {
	c.t.Helper()
	body, err := json.Marshal(document)
	if err != nil {
		c.t.Fatal(err)
	}
	d := sha256Of(body)
	if reference == "" {
		reference = d
	}
	c.want(http.StatusCreated, "PUT", "/v2/"+name+"/manifests/"+reference, bytes.NewReader(body), "Content-Type", mediaType)
	return body, d
}
