// SPDX-License-Identifier: Apache-2.0

package scheduler_test

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/moby/moby/client"

	"firn.dev/firn/internal/blob/dir"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/compute/computetest"
	"firn.dev/firn/internal/compute/docker"
	"firn.dev/firn/internal/scheduler"
	"firn.dev/firn/internal/stage"
)

// The environment of the test program when it is to be a server: see serve.
const (
	envHome     = "FIRN_SCHEDULER_TEST_HOME"
	envInstall  = "FIRN_SCHEDULER_TEST_INSTALL"
	envRegistry = "FIRN_SCHEDULER_TEST_REGISTRY"
)

func TestMain(m *testing.M) {
	if home := os.Getenv(envHome); home != "" {
		serve(home, os.Getenv(envInstall), os.Getenv(envRegistry))
	}
	os.Exit(m.Run())
}

// serve runs a scheduler with everything real until the process is killed.
func serve(home, install, registry string) {
	w, err := openWorld(context.Background(), home, install)
	if err != nil {
		panic(err)
	}
	gateway, err := w.backend.Gateway(context.Background())
	if err != nil {
		panic(err)
	}
	scheduler.New(scheduler.Options{
		Catalog: w.catalog, Blobs: w.blobs, Stage: w.stage, Backend: w.backend, Tokens: &tokens{valid: map[catalog.ID]int{}},
		Pull: scheduler.PullInfo{Registry: func() string { return registry }},
		Door: func(context.Context) (scheduler.ContainerDoor, error) {
			return scheduler.ContainerDoor{Host: gateway.String(), Port: 8086}, nil
		},
		Account: "FIRN",
		Worker:  "w1", WorkDir: filepath.Join(home, "jobs"), Now: time.Now, Poll: 200 * time.Millisecond,
	}).Run(context.Background())
}

// world is what a server has open.
type world struct {
	catalog *sqlstore.Store
	blobs   *dir.Store
	stage   *stage.Stage
	backend *docker.Backend
}

func openWorld(ctx context.Context, home, install string) (*world, error) {
	c, err := sqlstore.Open(ctx, "sqlite:"+filepath.Join(home, "firn.db"), sqlstore.Options{})
	if err != nil {
		return nil, err
	}
	b, err := dir.Open(filepath.Join(home, "blobs"))
	if err != nil {
		return nil, err
	}
	backend, err := docker.New(docker.Options{Install: install, Files: filepath.Join(home, "files")})
	return &world{catalog: c, blobs: b, stage: stage.New(c, b), backend: backend}, err
}

func (w *world) close() {
	w.catalog.Close()
	w.blobs.Close()
	w.backend.Close()
}

// installation is a server in a process of its own, with its data.
type installation struct {
	t                       *testing.T
	home, install, registry string
	pulled                  string // what the engine has pulled
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug))))
	t.Cleanup(s.Close)
	in := &installation{
		t: t, home: t.TempDir(), install: "s" + strings.ToLower(rand.Text()[:10]), registry: strings.TrimPrefix(s.URL, "http://"),
	}
	t.Cleanup(func() {
		in.with(func(w *world) {
			for s := range w.backend.List(context.Background()) {
				_ = w.backend.Remove(context.Background(), s.ID)
			}
		})
		engine, err := client.New()
		if err != nil {
			t.Error(err)
			return
		}
		defer engine.Close()
		_, _ = engine.ImageRemove(context.Background(), in.pulled, client.ImageRemoveOptions{})
		_, _ = engine.NetworkRemove(context.Background(), "firn-"+in.install, client.NetworkRemoveOptions{})
	})
	return in
}

// with opens the data; no server may run.
func (in *installation) with(do func(*world)) {
	in.t.Helper()
	w, err := openWorld(context.Background(), in.home, in.install)
	if err != nil {
		in.t.Fatal(err)
	}
	defer w.close()
	do(w)
}

// start starts a server and gives what kills it, as kill -9 does.
func (in *installation) start() (kill func()) {
	in.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envHome+"="+in.home, envInstall+"="+in.install, envRegistry+"="+in.registry)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	in.t.Cleanup(kill)
	return kill
}

// submit adds the job with its stage and gives both ids.
func (in *installation) submit(j *catalog.Job, steps ...string) (files, id catalog.ID) {
	in.t.Helper()
	image := computetest.DockerImage(in.t)
	j.Image, j.Digest = "/db/s/repo/image:v1", computetest.PushDockerImage(in.t, in.registry, "db/s/repo/image")
	in.pulled = in.registry + "/db/s/repo/image@" + j.Digest
	j.Plan.Command = computetest.Steps(steps...).Task("x", image).Command
	in.with(func(w *world) {
		err := w.catalog.Update(in.t.Context(), func(tx catalog.Tx) error {
			stage := &catalog.Object{Kind: catalog.KindStage, Name: catalog.Name{Database: "D", Schema: "S", Object: "F"}, Spec: &catalog.StageSpec{}}
			for _, o := range []*catalog.Object{
				{Kind: catalog.KindDatabase, Name: catalog.Name{Object: "D"}, Spec: &catalog.DatabaseSpec{}},
				{Kind: catalog.KindSchema, Name: catalog.Name{Database: "D", Object: "S"}, Spec: &catalog.SchemaSpec{}},
				stage,
			} {
				if err := tx.CreateObject(o); err != nil {
					return err
				}
			}
			files = stage.ID
			j.Plan.Mounts = []catalog.Mount{{Stage: files, Path: "out", Target: "/mnt/r"}}
			j.ID = ""
			return tx.SubmitJob(j)
		})
		if err != nil {
			in.t.Fatal(err)
		}
		if _, err := w.stage.Put(in.t.Context(), files, "out/in", strings.NewReader("input\n"), nil); err != nil {
			in.t.Fatal(err)
		}
	})
	return files, j.ID
}

// watch looks at the engine until a condition holds. It uses no data of the server.
func (in *installation) watch(what string, holds func(b *docker.Backend) bool) {
	in.t.Helper()
	b, err := docker.New(docker.Options{Install: in.install, Files: filepath.Join(in.home, "files")})
	if err != nil {
		in.t.Fatal(err)
	}
	defer b.Close()
	for end := time.Now().Add(patience); !holds(b); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			in.t.Fatalf("never: %s", what)
		}
	}
}

func printed(b *docker.Backend, id compute.TaskID, text string) bool {
	rc, err := b.Logs(context.Background(), id, compute.LogOptions{})
	if err != nil {
		return false
	}
	defer rc.Close()
	log, _ := io.ReadAll(rc)
	return strings.Contains(string(log), text)
}

func empty(b *docker.Backend) bool {
	for range b.List(context.Background()) {
		return false
	}
	return true
}

// TestKilledServer kills the server while a container runs, and again after it has ended; a new one finishes the job.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	files, id := in.submit(job(), "echo begin", "cat /mnt/r/in", "cat /snowflake/session/token", "write /mnt/r/a first", "echo middle",
		"sleep 3s", "write /mnt/r/a second", "write /mnt/r/dir/b third", "echo end", "exit 5")
	container := compute.TaskID(string(id) + "-0")

	kill := in.start()
	in.watch("the container is in the middle", func(b *docker.Backend) bool { return printed(b, container, "middle") })
	kill()
	in.with(func(w *world) {
		if j := jobOf(t, w, id); j.State.Final() {
			t.Errorf("killed in the middle, the job is %s", j.State)
		}
	})
	in.watch("the container ends without a server", func(b *docker.Backend) bool {
		for s := range b.List(context.Background()) {
			return s.Phase == compute.Exited
		}
		return false
	})
	kill = in.start()
	in.watch("nothing is left", empty)
	kill()

	in.with(func(w *world) {
		j := jobOf(t, w, id)
		if j.State != catalog.JobFailed || j.ExitCode != 5 || j.Message != "instance 0 exited with code 5" {
			t.Errorf("job is %s with code %d, %q", j.State, j.ExitCode, j.Message)
		}
		s := scheduler.New(scheduler.Options{Blobs: w.blobs, Backend: w.backend, Now: time.Now})
		rc, err := s.Logs(t.Context(), j, 0, 0, time.Time{}, false)
		if err != nil {
			t.Fatal(err)
		}
		defer rc.Close()
		log, _ := io.ReadAll(rc)
		if want := "begin\ninput\ntoken of " + string(id) + "middle\nend\n"; string(log) != want {
			t.Errorf("log %q, want %q", log, want)
		}
		for path, want := range map[string]string{"out/in": "input\n", "out/a": "second\n", "out/dir/b": "third\n"} {
			rc, _, err := w.stage.Open(t.Context(), files, path)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			got, _ := io.ReadAll(rc)
			rc.Close()
			if string(got) != want {
				t.Errorf("%s is %q, want %q", path, got, want)
			}
		}
	})
}

// TestKilledServerKeepsTimeouts is the same with a server that is back before the container ends, with a
// timeout that only the new one can keep.
func TestKilledServerKeepsTimeouts(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	j := job()
	j.Plan.Timeout = 4 * time.Second
	_, id := in.submit(j, "echo up", "hang")
	kill := in.start()
	in.watch("the container is up", func(b *docker.Backend) bool { return printed(b, compute.TaskID(string(id)+"-0"), "up") })
	kill()
	kill = in.start()
	in.watch("nothing is left", empty)
	kill()
	in.with(func(w *world) {
		if j := jobOf(t, w, id); j.State != catalog.JobFailed || j.Message != "timeout: instance 0 ran longer than its limit of 4s" {
			t.Errorf("job is %s, %q", j.State, j.Message)
		}
	})
}

func jobOf(t *testing.T, w *world, id catalog.ID) (j *catalog.Job) {
	t.Helper()
	err := w.catalog.View(t.Context(), func(tx catalog.Tx) (err error) {
		j, err = tx.Job(id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return j
}
