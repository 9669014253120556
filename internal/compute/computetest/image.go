// SPDX-License-Identifier: Apache-2.0

package computetest

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// EnvImage names the environment variable that overrides the image of DockerImage.
const EnvImage = "FIRN_TEST_IMAGE"

// imageTag is where DockerImage keeps its image in the engine, for the next test program.
const imageTag = "firn-compute-test:busybox"

// importing keeps the tests of one program from importing twice.
var importing sync.Mutex

// DockerImage gives an image with a shell that the Docker Engine has: the one of FIRN_TEST_IMAGE, else one made of the
// host's static busybox (package busybox-static), so that no registry is needed. Its default user is root; user worker has
// the number 1234.
func DockerImage(t testing.TB) string {
	t.Helper()
	if image := os.Getenv(EnvImage); image != "" {
		return image
	}
	importing.Lock()
	defer importing.Unlock()
	if out, err := exec.CommandContext(t.Context(), "docker", "image", "inspect", "--format", "{{.Id}}", imageTag).Output(); err == nil {
		return strings.TrimSpace(string(out))
	}
	cmd := exec.CommandContext(t.Context(), "docker", "import", "--change", "ENV PATH=/bin", "-", imageTag)
	cmd.Stdin = bytes.NewReader(busybox(t))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("image of busybox: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// busybox makes a root file system of the host's busybox, as a tar.
func busybox(t testing.TB) []byte {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatalf("the test image needs busybox: install the package busybox-static, or set %s", EnvImage)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	list, err := exec.CommandContext(t.Context(), path, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	add := func(h tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)
	add(tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0::/:/bin/sh\nworker:x:1234:1234::/tmp:/bin/sh\n"))
	add(tar.Header{Name: "bin/busybox", Mode: 0o755}, program)
	for name := range strings.FieldsSeq(string(list)) {
		if name != "busybox" {
			add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox", Mode: 0o777}, nil)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// PushDockerImage pushes the image of DockerImage to a registry without login as repository:v1, takes the tag off again, and
// gives the digest, so that a backend has to pull it.
func PushDockerImage(t testing.TB, host, repository string) (digest string) {
	t.Helper()
	ref := host + "/" + repository + ":v1"
	docker := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	docker("tag", DockerImage(t), ref)
	_, rest, found := strings.Cut(docker("push", ref), "digest: ")
	docker("rmi", ref)
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		t.Fatalf("docker push of %s tells no digest", ref)
	}
	return fields[0]
}
