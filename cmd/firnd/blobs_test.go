// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"firn.dev/firn/internal/blob/s3test"
)

// forwarder is a way to the S3 server that can be closed.
type forwarder struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func newForwarder(t *testing.T, target string) *forwarder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{Listener: l}
	t.Cleanup(f.stop)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				in.Close()
				continue
			}
			f.mu.Lock()
			f.conns = append(f.conns, in, out)
			f.mu.Unlock()
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				go func() {
					_, _ = io.Copy(pair[0], pair[1])
					pair[0].Close()
				}()
			}
		}
	}()
	return f
}

// stop cuts every connection and takes no new one.
func (f *forwarder) stop() {
	f.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.Close()
	}
}

// credentials sets what is for tests as the server finds it in production.
func credentials(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, s3test.Getenv(name))
	}
}

// send makes a request of the registry as ADMIN.
func (i *installation) send(method, path string, body []byte) (int, []byte) {
	i.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+i.host+path, bytes.NewReader(body))
	if err != nil {
		i.t.Fatal(err)
	}
	r.SetBasicAuth(adminUser, i.password().Reveal())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		i.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		i.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// TestBlobsInBucket keeps an image layer in a bucket over a kill, and tells when the bucket is away.
func TestBlobsInBucket(t *testing.T) {
	credentials(t)
	place, err := url.Parse(s3test.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	query := place.Query()
	way := newForwarder(t, strings.TrimPrefix(query.Get("endpoint"), "http://"))
	query.Set("endpoint", "http://"+way.Addr().String())
	place.RawQuery = query.Encode()

	i := newInstallation(t, "--blobs", place.String())
	p := i.start()
	if status, text := get(t, "http://"+i.host+"/readyz"); status != 200 || !strings.Contains(text, "blobs: ok") {
		t.Errorf("%d %s", status, text)
	}
	c := i.connect()
	for _, statement := range []string{"CREATE DATABASE d", "CREATE IMAGE REPOSITORY d.public.r"} {
		mustQuery(t.Context(), t, c, statement)
	}
	layer := make([]byte, 9<<20)
	_, _ = rand.Read(layer)
	sum := sha256.Sum256(layer)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if status, answer := i.send("POST", "/v2/d/public/r/img/blobs/uploads/?digest="+digest, layer); status != 201 {
		t.Fatalf("push: %d %s", status, answer)
	}
	p.kill()
	p = i.start()
	if status, got := i.send("GET", "/v2/d/public/r/img/blobs/"+digest, nil); status != 200 || !bytes.Equal(got, layer) {
		t.Errorf("pull after a kill: %d with %d bytes", status, len(got))
	}
	if _, err := os.Stat(i.dir + "/blobs"); !os.IsNotExist(err) {
		t.Errorf("there is a directory of blobs too: %v", err)
	}

	way.stop()
	status, text := get(t, "http://"+i.host+"/readyz")
	want := fmt.Sprintf("blobs: bucket %s at http://%s cannot be reached: ", place.Host, way.Addr())
	if status != 503 || !strings.Contains(text, "database: ok") || !strings.Contains(text, want) {
		t.Errorf("%d %s", status, text)
	}
	if status, answer := i.send("GET", "/v2/d/public/r/img/blobs/"+digest, nil); status != 503 {
		t.Errorf("pull while the bucket is away: %d %.300s", status, answer)
	}
	for _, secret := range []string{s3test.Getenv("AWS_ACCESS_KEY_ID"), s3test.Getenv("AWS_SECRET_ACCESS_KEY")} {
		if strings.Contains(p.log.String()+text, secret) {
			t.Errorf("a credential is shown: %s %s", p.log, text)
		}
	}
}

// TestBlobsThatCannotBeUsed: the server does not start, and says what is wrong with the bucket.
func TestBlobsThatCannotBeUsed(t *testing.T) {
	credentials(t)
	place, err := url.Parse(s3test.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	secret := s3test.Getenv("AWS_SECRET_ACCESS_KEY")
	for _, tt := range []struct {
		name  string
		blobs string
		env   []string
		code  int
		says  string
	}{
		{"no such bucket", "s3://firn-none/x?" + place.RawQuery, nil, 1, "bucket firn-none at " + place.Query().Get("endpoint") + " does not exist: make it"},
		{"wrong secret", place.String(), []string{"AWS_SECRET_ACCESS_KEY=" + secret + "x"}, 1, "refuses the credentials"},
		{"half a pair", place.String(), []string{"AWS_SECRET_ACCESS_KEY="}, 1, "set both or none"},
		{"no credentials", place.String(), []string{"AWS_SECRET_ACCESS_KEY=", "AWS_ACCESS_KEY_ID=", "HOME=" + t.TempDir()}, 1, "there are no credentials for bucket " + place.Host},
		{"nobody there", "s3://firn-test?endpoint=http://127.0.0.1:1", nil, 1, "bucket firn-test at http://127.0.0.1:1 cannot be reached"},
		{"credentials in the URL", "s3://key:" + secret + "@firn-test", nil, 2, "holds no credentials: set AWS_ACCESS_KEY_ID"},
		{"credentials in another URL", "S3:key:" + secret + "@firn-test", nil, 2, "blobs '***@firn-test' is not available"},
		{"unknown parameter", place.String() + "&acl=public", nil, 2, "'acl'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "firnd", "serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--compute", "none", "--blobs", tt.blobs)
			cmd.Env = append(os.Environ(), tt.env...)
			out, err := cmd.CombinedOutput()
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.ExitCode() != tt.code || !strings.Contains(string(out), tt.says) {
				t.Errorf("%v: %s", err, out)
			}
			if strings.Contains(string(out), secret) {
				t.Errorf("the secret is shown: %s", out)
			}
		})
	}
}
