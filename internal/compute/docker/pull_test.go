// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/moby/client"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// serveImage pushes the test image to a registry with a password and gives its reference by digest.
func serveImage(t *testing.T, image string) string {
	t.Helper()
	content := registry.New()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if user, password, _ := q.BasicAuth(); user != "firn" || password != "right" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		content.ServeHTTP(w, q)
	}))
	t.Cleanup(s.Close)
	repository := strings.TrimPrefix(s.URL, "http://") + "/db/schema/repo/image"
	ref, err := name.NewTag(repository + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	img := saved(t, image)
	if err := remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: "firn", Password: "right"})); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return repository + "@" + digest.String()
}

// saved takes an image out of the engine.
func saved(t *testing.T, image string) v1.Image {
	t.Helper()
	engine := raw(t)
	path := t.TempDir() + "/image.tar"
	r, err := engine.ImageSave(t.Context(), []string{image})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestPull(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ref := serveImage(t, r.image)
	engine := raw(t)
	drop := func() { _, _ = engine.ImageRemove(context.Background(), ref, client.ImageRemoveOptions{Force: true}) }
	t.Cleanup(drop)
	task := func(id compute.TaskID, password errs.Secret) compute.Task {
		task := r.shell(id, "echo ran")
		task.Image, task.PullLogin = ref, compute.Login{User: "firn", Password: password}
		return task
	}

	if err := r.Start(t.Context(), task("refused", "wrong"), nil); !errs.Is(err, errs.Denied) {
		t.Errorf("wrong password: %v, want code %s", err, errs.Denied)
	} else if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the error tells the password: %v", err)
	}
	absent := task("absent", "right")
	absent.Image = ref[:len(ref)-4] + "0000"
	if err := r.Start(t.Context(), absent, nil); !errs.Is(err, errs.NotFound) {
		t.Errorf("unknown digest: %v, want code %s", err, errs.NotFound)
	}
	away := task("away", "right")
	away.Image = "127.0.0.1:1/x/y" + ref[strings.Index(ref, "@"):]
	if err := r.Start(t.Context(), away, nil); !errs.Is(err, errs.Unavailable) {
		t.Errorf("no registry: %v, want code %s", err, errs.Unavailable)
	}

	var steps []string
	if err := r.Start(t.Context(), task("first", "right"), phases(&steps)); err != nil {
		t.Fatal(err)
	}
	samePhases(t, "first start", steps, pulledAll)
	steps = nil
	if err := r.Start(t.Context(), task("second", "wrong"), phases(&steps)); err != nil {
		t.Fatal(err)
	}
	samePhases(t, "start with the image there", steps, []string{"created", "started"})
	for _, id := range []compute.TaskID{"first", "second"} {
		if _, err := r.Wait(t.Context(), id); err != nil {
			t.Error(err)
		}
		if err := r.Remove(t.Context(), id); err != nil {
			t.Error(err)
		}
	}

	drop()
	steps = nil
	if err := r.Start(t.Context(), task("third", "right"), phases(&steps)); err != nil {
		t.Fatal(err)
	}
	samePhases(t, "start after the engine lost the image", steps, pulledAll)
}
