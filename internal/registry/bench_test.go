// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// bench serves a registry, and gives a function that sends a request and wants a status.
func bench(b *testing.B) func(status int, method, path string, body io.Reader, contentType string) http.Header {
	b.Helper()
	d, closeAll, err := openRegistry(b.TempDir(), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(d)
	b.Cleanup(func() {
		server.Close()
		if err := closeAll(); err != nil {
			b.Error(err)
		}
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	b.Cleanup(transport.CloseIdleConnections)
	web := &http.Client{Transport: transport}
	return func(status int, method, path string, body io.Reader, contentType string) http.Header {
		r, err := http.NewRequestWithContext(b.Context(), method, server.URL+path, body)
		if err != nil {
			b.Fatal(err)
		}
		r.SetBasicAuth("owner", "secret:owner")
		r.Header.Set("Content-Type", contentType)
		resp, err := web.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != status {
			b.Fatalf("%s %s: %s, %v", method, path, resp.Status, err)
		}
		return resp.Header
	}
}

// BenchmarkLargeBlob pushes a blob of 256 MiB as docker does, and pulls it.
func BenchmarkLargeBlob(b *testing.B) {
	content := randomBytes(1, 256<<20)
	b.Run("push", func(b *testing.B) {
		send := bench(b)
		b.SetBytes(int64(len(content)))
		for i := range b.N {
			content[0], content[1] = byte(i), byte(i>>8)
			b.StopTimer()
			digest := sha256Of(content)
			b.StartTimer()
			at := send(202, "POST", "/v2/"+image+"/blobs/uploads/", nil, "").Get("Location")
			at = send(202, "PATCH", at, io.MultiReader(bytes.NewReader(content)), "").Get("Location")
			send(201, "PUT", at+"?digest="+digest, nil, "")
		}
	})
	b.Run("pull", func(b *testing.B) {
		send := bench(b)
		digest := sha256Of(content)
		send(201, "POST", "/v2/"+image+"/blobs/uploads/?digest="+digest, bytes.NewReader(content), "")
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			send(200, "GET", "/v2/"+image+"/blobs/"+digest, nil, "")
		}
	})
}

// BenchmarkSmallImage pushes images of a config and three layers of 20 kB from eight clients.
func BenchmarkSmallImage(b *testing.B) {
	send := bench(b)
	var next atomic.Uint64
	b.SetParallelism(2)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			n := next.Add(1)
			var digests []any
			for part := range 4 {
				content := randomBytes(n, 20_000)
				copy(content, fmt.Sprintf("%d %d ", n, part))
				digest := sha256Of(content)
				at := send(202, "POST", "/v2/"+image+"/blobs/uploads/", nil, "").Get("Location")
				send(201, "PUT", at+"?digest="+digest, bytes.NewReader(content), "")
				digests = append(digests, digest)
			}
			manifest := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":%q},"layers":[{"digest":%q},{"digest":%q},{"digest":%q}]}`, digests...)
			send(201, "PUT", fmt.Sprintf("/v2/%s/manifests/t%d", image, n), bytes.NewReader(manifest), v1.MediaTypeImageManifest)
		}
	})
}

// BenchmarkManifest asks for and pulls a manifest by tag from sixteen clients.
func BenchmarkManifest(b *testing.B) {
	for _, method := range []string{"HEAD", "GET"} {
		b.Run(method, func(b *testing.B) {
			send := bench(b)
			config := []byte("{}")
			send(201, "POST", "/v2/"+image+"/blobs/uploads/?digest="+sha256Of(config), bytes.NewReader(config), "")
			manifest := fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q}}`, sha256Of(config))
			send(201, "PUT", "/v2/"+image+"/manifests/v1", bytes.NewReader([]byte(manifest)), v1.MediaTypeImageManifest)
			b.SetParallelism(4)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					send(200, method, "/v2/"+image+"/manifests/v1", nil, "")
				}
			})
		})
	}
}
