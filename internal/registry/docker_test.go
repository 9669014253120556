// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// docker is a docker client with a configuration of its own.
type docker struct {
	t      *testing.T
	config string
}

// run runs a docker command and gives its output.
func (d docker) run(stdin []byte, args ...string) (string, error) {
	cmd := exec.Command("docker", append([]string{"--config", d.config}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must runs a docker command that succeeds.
func (d docker) must(stdin []byte, args ...string) string {
	d.t.Helper()
	out, err := d.run(stdin, args...)
	if err != nil {
		d.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// archive gives a tar of one file that is too large for a row.
func archive(t *testing.T) []byte {
	t.Helper()
	content := make([]byte, 3<<20)
	rand.Read(content)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "file", Size: int64(len(content)), Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestDocker: login, push, pull and refusals of the real engine.
func TestDocker(t *testing.T) {
	t.Parallel()
	d := serve(t)
	c := docker{t, filepath.Join(t.TempDir(), "docker")}
	image := d.host + "/db/s/repo/team/img:v1"
	id := strings.TrimSpace(c.must(archive(t), "import", "-c", `ENTRYPOINT ["/file"]`, "-", image))
	t.Cleanup(func() {
		out, _ := c.run(nil, "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference="+d.host+"/*/*/*/*/*")
		for name := range strings.FieldsSeq(out) {
			c.must(nil, "rmi", name)
		}
	})

	if out, err := c.run(nil, "push", image); err == nil || strings.Contains(out, "Retrying") {
		t.Errorf("a push without login gave %v:\n%s", err, out)
	}
	if out, err := c.run([]byte("wrong"), "login", "-u", "writer", "--password-stdin", d.host); err == nil || !strings.Contains(out, "unauthorized") {
		t.Errorf("a login with a wrong password gave %v:\n%s", err, out)
	}
	c.must([]byte("secret:reader"), "login", "-u", "reader", "--password-stdin", d.host)
	if out, err := c.run(nil, "push", image); err == nil || !strings.Contains(out, "user reader lacks WRITE on image repository DB.S.REPO") {
		t.Errorf("a push without WRITE gave %v:\n%s", err, out)
	}
	c.must([]byte("secret:writer"), "login", "-u", "writer", "--password-stdin", d.host)
	if out := c.must(nil, "push", image); !strings.Contains(out, "v1: digest: sha256:") {
		t.Errorf("push says:\n%s", out)
	}
	// A second tag and image: layers are there already or are mounted.
	c.must(nil, "tag", image, d.host+"/db/s/repo/team/copy:v1")
	if out := c.must(nil, "push", d.host+"/db/s/repo/team/copy:v1"); !strings.Contains(out, "Mounted from") {
		t.Errorf("the layer was sent again:\n%s", out)
	}

	// The session token of `snow spcs image-registry login` pulls what was pushed.
	session, _, err := d.people.IssueRegistryToken(t.Context(), identity("reader"), 0)
	if err != nil {
		t.Fatal(err)
	}
	c.must(nil, "logout", d.host)
	c.must(fmt.Appendf(nil, `{"token": %q, "expires_in": 3599}`, session.Reveal()), "login", "-u", "0sessiontoken", "--password-stdin", d.host)
	c.must(nil, "rmi", image, d.host+"/db/s/repo/team/copy:v1")
	c.must(nil, "pull", image)
	if got := strings.TrimSpace(c.must(nil, "inspect", "--format", "{{.Id}}", image)); got != id {
		t.Errorf("pulled image %s, pushed %s", got, id)
	}
	if out, err := c.run(nil, "pull", d.host+"/db/s/repo/team/img:v2"); err == nil || !strings.Contains(out, "not found") {
		t.Errorf("a pull of a missing tag gave %v:\n%s", err, out)
	}
}
