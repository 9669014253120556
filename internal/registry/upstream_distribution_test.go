// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"golang.org/x/crypto/bcrypt"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// TestUpstreamDistribution has the CNCF's registry as upstream, which asks for a password with each request (Basic).
func TestUpstreamDistribution(t *testing.T) {
	t.Parallel()
	host := serveDistribution(t, "reader", "secret:reader")
	d := serve(t)
	d.follow(t, host, "reader")
	d.rule(t, func(s *catalog.ImageRepositorySpec) { s.Upstream = "http://" + host + "/company" })
	there, err := name.NewTag(host+"/company/team/img:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img := randomImage(t, 200<<10, 3)
	asReader := remote.WithAuth(&authn.Basic{Username: "reader", Password: "secret:reader"})
	if err := remote.Write(there, img, asReader, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(d.remoteOf(t, "/db/s/repo/team/img:v1"), asReader, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(pulled); err != nil {
		t.Error(err)
	}
	ref, err := d.Resolve(t.Context(), "/db/s/repo/team/img:v1")
	if err != nil || ref.Digest != digestOf(t, img) {
		t.Errorf("resolved to %+v, %v", ref, err)
	}
	if _, err := d.Resolve(t.Context(), "/db/s/repo/team/img:v2"); !errs.Is(err, errs.NotFound) {
		t.Errorf("a missing tag: %v", err)
	}
	d.rule(t, func(s *catalog.ImageRepositorySpec) { s.UpstreamSecret = catalog.Name{} })
	if _, err := d.Resolve(t.Context(), "/db/s/repo/team/img:v3"); !errs.Is(err, errs.Denied) {
		t.Errorf("without a login: %v", err)
	}
}

// serveDistribution runs the CNCF's registry with one user, and gives its HOST:PORT.
func serveDistribution(t *testing.T, user, password string) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-C", "../../tools/distribution", "-o", dir+"/", "tool")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the registry does not build: %v\n%s", err, out)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := free.Addr().String()
	free.Close()
	files := map[string]string{
		"htpasswd": fmt.Sprintf("%s:%s\n", user, hash),
		"config.yml": fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\n"+
			"http: {addr: %q}\nauth: {htpasswd: {realm: company, path: %s}}\n", filepath.Join(dir, "data"), host, filepath.Join(dir, "htpasswd")),
	}
	for file, content := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	registry := exec.Command(filepath.Join(dir, "registry"), "serve", filepath.Join(dir, "config.yml"))
	registry.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := registry.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = registry.Process.Kill()
		_ = registry.Wait()
	})
	for deadline := time.Now().Add(30 * time.Second); ; {
		resp, err := http.Get("http://" + host + "/v2/")
		if err == nil {
			resp.Body.Close()
			return host
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
