// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"firn.dev/firn/internal/catalog"
)

// crashDirectory names the environment variable that makes the test program a registry, for TestKill.
const crashDirectory = "FIRN_REGISTRY_TEST_DIRECTORY"

func TestMain(m *testing.M) {
	if directory := os.Getenv(crashDirectory); directory != "" {
		fmt.Fprintln(os.Stderr, serveUntilKilled(directory))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serveUntilKilled serves the registry of a directory and prints its URL.
func serveUntilKilled(directory string) error {
	d, _, err := openRegistry(directory, time.Now)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, d)
}

// startServer starts a registry in a process of its own; kill ends it as a crash would.
func startServer(t *testing.T, directory string) (url string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDirectory+"="+directory)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	t.Cleanup(kill)
	url, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server does not start: %v", err)
	}
	return strings.TrimSpace(url), kill
}

// acknowledged is what the server has said it has.
type acknowledged struct {
	mu    sync.Mutex
	blobs map[string][]byte
	tags  map[string]string // tag -> digest
}

// pushUntilDead pushes images of a small and a large layer until the server does not answer, noting what it acknowledged.
func (a *acknowledged) pushUntilDead(t *testing.T, url string, worker, round int) {
	send := func(status int, method, path string, body []byte, contentType string) (location string, ok bool) {
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return "", false
		}
		r.SetBasicAuth("writer", "secret:writer")
		r.Header.Set("Content-Type", contentType)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return "", false // killed
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s %s: %s", method, path, resp.Status)
		}
		return resp.Header.Get("Location"), resp.StatusCode == status
	}
	const uploads = "/v2/" + image + "/blobs/uploads/"
	pushBlob := func(content []byte, inOne bool) bool {
		if inOne {
			_, ok := send(201, "POST", uploads+"?digest="+sha256Of(content), content, "")
			return ok
		}
		at, ok := send(202, "POST", uploads, nil, "")
		if ok {
			at, ok = send(202, "PATCH", at, content[:len(content)/2], "")
		}
		if ok {
			_, ok = send(201, "PUT", at+"?digest="+sha256Of(content), content[len(content)/2:], "")
		}
		return ok
	}
	for i := 0; ; i++ {
		config, layer := randomBytes(uint64(worker*1000+i), 200), randomBytes(uint64(worker*1000+i), 100<<10+round)
		for _, content := range [][]byte{config, layer} {
			if !pushBlob(content, i%2 == 0) {
				return
			}
			a.mu.Lock()
			a.blobs[sha256Of(content)] = content
			a.mu.Unlock()
		}
		manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"digest":%q},"layers":[{"digest":%q}]}`,
			v1.MediaTypeImageManifest, sha256Of(config), sha256Of(layer))
		tag := fmt.Sprintf("t%d-%d", worker, i%5) // tags move
		a.mu.Lock()
		delete(a.tags, tag) // between the push and its answer either digest is right
		a.mu.Unlock()
		if _, ok := send(201, "PUT", "/v2/"+image+"/manifests/"+tag, manifest, v1.MediaTypeImageManifest); !ok {
			return
		}
		a.mu.Lock()
		a.tags[tag] = sha256Of(manifest)
		a.mu.Unlock()
	}
}

// TestKill kills the server in the middle of pushes, several times over the same directory: everything that it had
// acknowledged is there when it is back.
func TestKill(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	have := &acknowledged{blobs: map[string][]byte{}, tags: map[string]string{}}
	for round := range 3 {
		url, kill := startServer(t, directory)
		before := len(have.blobs)
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() { have.pushUntilDead(t, url, worker, round) })
		}
		for deadline := time.Now().Add(30 * time.Second); ; {
			have.mu.Lock()
			enough := len(have.blobs) >= before+60+7*round
			have.mu.Unlock()
			if enough {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("pushes are too slow")
			}
			time.Sleep(time.Millisecond)
		}
		kill()
		wg.Wait()
	}
	url, _ := startServer(t, directory)
	c := client{t, url, "writer"}
	for digest, content := range have.blobs {
		c.wantBlob(digest, content)
	}
	for tag, digest := range have.tags {
		r := c.want(200, "GET", "/v2/"+image+"/manifests/"+tag, nil)
		if got := sha256Of(r.body); got != digest {
			t.Errorf("tag %s names %s, acknowledged was %s", tag, got, digest)
		}
	}
	t.Logf("%d blobs and %d tags survived 3 kills", len(have.blobs), len(have.tags))
}

// TestLostUpload: when the store has lost what an upload had, the client is told so, and begins anew under the same id.
func TestLostUpload(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := d.as(t, "writer")
	at, content := c.begin(), randomBytes(9, 300<<10)
	c.want(202, "PATCH", at, bytes.NewReader(content[:200<<10]))
	err := d.store.View(t.Context(), func(tx catalog.Tx) error {
		u, err := tx.Upload(catalog.ID(at[strings.LastIndex(at, "/")+1:]))
		if err != nil {
			return err
		}
		return d.blobs.Abort(t.Context(), u.Key)
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := c.want(404, "PATCH", at, bytes.NewReader(content[200<<10:])); r.code() != "BLOB_UPLOAD_UNKNOWN" {
		t.Errorf("code %s", r.code())
	}
	if got := c.want(204, "GET", at, nil).Header.Get("Range"); got != "0-0" {
		t.Errorf("the upload goes on with %s", got)
	}
	c.want(202, "PATCH", at, bytes.NewReader(content))
	c.want(201, "PUT", at+"?digest="+sha256Of(content), nil)
	c.wantBlob(sha256Of(content), content)
	d.wantNoGarbage(t)
}
