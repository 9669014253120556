// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	fx "firn.dev/firn/internal/imagecheck/imagetest"
	"firn.dev/firn/internal/sql/executor"
)

// shelf is Images and JobLogs in memory, with a catalog.
type shelf struct {
	t      *testing.T
	store  catalog.Store
	bases  catalog.ID // the repository
	images map[string]v1.Image
	log    string // of every job
	woken  chan struct{}
	mu     sync.Mutex
}

func newShelf(t *testing.T) (*shelf, *Checker) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s := &shelf{t: t, store: store, images: map[string]v1.Image{}, woken: make(chan struct{}, 1)}
	bases := &catalog.Object{
		Kind: catalog.KindImageRepository, Name: catalog.Name{Database: "SNOWFLAKE", Schema: "IMAGES", Object: "SNOWFLAKE_IMAGES"}, Spec: &catalog.ImageRepositorySpec{},
	}
	s.update(func(tx catalog.Tx) error {
		for _, o := range []*catalog.Object{
			{ID: catalog.AccountID, Kind: catalog.KindAccount, Name: catalog.Name{Object: "FIRN"}, Spec: &catalog.AccountSpec{}},
			{Kind: catalog.KindDatabase, Name: catalog.Name{Object: "SNOWFLAKE"}, Spec: &catalog.DatabaseSpec{}},
			{Kind: catalog.KindSchema, Name: catalog.Name{Database: "SNOWFLAKE", Object: "IMAGES"}, Spec: &catalog.SchemaSpec{}}, bases,
		} {
			if err := tx.CreateObject(o); err != nil {
				return err
			}
		}
		return nil
	})
	s.bases = bases.ID
	cache, err := imagecheck.OpenCache(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s, New(Options{
		Catalog: store, Images: s, Logs: s, Cache: cache, Version: "1.2.3", Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Wake: func() {
			select {
			case s.woken <- struct{}{}:
			default:
			}
		},
	})
}

func (s *shelf) update(fn func(catalog.Tx) error) {
	s.t.Helper()
	if err := s.store.Update(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

// Resolve implements Images.
func (s *shelf) Resolve(_ context.Context, path string) (executor.ImageRef, error) {
	img := s.images[path]
	if img == nil {
		return executor.ImageRef{}, errs.New(errs.NotFound, "image %s does not exist", path)
	}
	digest, err := img.Digest()
	return executor.ImageRef{Repository: &catalog.Object{ID: s.bases}, Image: path, Digest: digest.String(), TagDigest: digest.String(), Path: path}, err
}

// Image implements Images.
func (s *shelf) Image(_ context.Context, _ catalog.ID, path, _ string) (v1.Image, error) {
	if s.images[path] == nil {
		return nil, errs.New(errs.NotFound, "image %s does not exist", path)
	}
	return s.images[path], nil
}

// Logs implements executor.JobLogs.
func (s *shelf) Logs(context.Context, *catalog.Job, int, int, time.Time, bool) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return io.NopCloser(strings.NewReader(s.log)), nil
}

// put makes an image of layers and labels, and puts it on the shelf.
func (s *shelf) put(path string, labels map[string]string, layers ...[]byte) v1.Image {
	s.t.Helper()
	img := v1.Image(empty.Image)
	config, err := img.ConfigFile()
	if err != nil {
		s.t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Architecture, config.OS = "amd64", "linux"
	config.Config = v1.Config{
		Entrypoint: []string{"/usr/local/bin/entrypoint.sh"}, WorkingDir: "/app", Labels: labels,
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "DASHBOARD_PORT=12003"},
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		s.t.Fatal(err)
	}
	for _, layer := range layers {
		if img, err = mutate.AppendLayers(img, static.NewLayer(layer, types.OCIUncompressedLayer)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.images[path] = img
	return img
}

// base puts a base on the shelf under a tag of the catalog.
func (s *shelf) base(image, tag, kind, python string, layers ...[]byte) {
	s.t.Helper()
	s.put(baseRepository+"/"+image+":"+tag, map[string]string{"dev.firn.base.type": kind, "dev.firn.base.python": python}, layers...)
	s.tag(image, tag)
}

func (s *shelf) tag(image, tag string) {
	s.t.Helper()
	s.update(func(tx catalog.Tx) error {
		digest := fx.Digest([]byte(image + tag))
		err := tx.PutManifest(&catalog.Manifest{Repository: s.bases, Image: image, Digest: digest, MediaType: string(types.OCIManifestSchema1), Body: []byte("{}")})
		if err != nil {
			return err
		}
		return tx.PutTag(&catalog.Tag{Repository: s.bases, Image: image, Name: tag, Digest: digest})
	})
}

// run ends the job that the next check submits.
func (s *shelf) run(to catalog.JobState, log, message string, exit int) {
	s.mu.Lock()
	s.log = log
	s.mu.Unlock()
	go func() {
		select {
		case <-s.woken:
		case <-s.t.Context().Done():
			return
		}
		err := s.store.Update(s.t.Context(), func(tx catalog.Tx) error {
			for j, err := range tx.FindJobs(catalog.JobFilter{States: []catalog.JobState{catalog.JobPending}}) {
				if err != nil {
					return err
				}
				return tx.TransitionJob(j.ID, catalog.JobPending, to, func(j *catalog.Job) { j.Message, j.ExitCode = message, exit })
			}
			return fmt.Errorf("no job was submitted")
		})
		if err != nil {
			s.t.Error(err)
		}
	}()
}

const goodLog = "noise\n" + mark + `{"python":"3.11.9","executable":"/usr/bin/python3","machine":"x86_64","imports":{},"kernel":"","ray":""}` + "\n"

func TestNoBaseYet(t *testing.T) {
	t.Parallel()
	s, c := newShelf(t)
	s.put("/db/s/r/i:v1", nil, fx.Tar(fx.Good()...))
	ref, err := c.Resolve(t.Context(), "/db/s/r/i:v1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Check(t.Context(), ref, "CPU")
	if !errs.Is(err, errs.Refused) || !strings.Contains(err.Error(), "no base image is approved yet") || !strings.Contains(err.Error(), "firnd base build") ||
		!strings.Contains(err.Error(), baseRepository) {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	good, more := fx.Tar(fx.Good()...), fx.Tar(fx.File("opt/mine", "x"))
	s, c := newShelf(t)
	s.base("cpu", "1", "CPU", "3.11", good)
	s.base("gpu", "1", "GPU", "3.11", fx.Tar(fx.File("cuda", "y")), good)
	s.tag("gone", "1") // a tag whose image is missing is no base, and no reason to fail
	s.put("fit", nil, good, more)
	s.put("base itself", nil, good)
	s.put("stranger", nil, more, good)
	s.put("sabotaged", nil, good, fx.Tar(fx.Whiteout("usr/local/bin/entrypoint.sh"), fx.Whiteout(fx.Site+"/sqlparse-1.0.dist-info")))
	tests := []struct {
		image, kind string
		log         string
		state       catalog.JobState // "" when the image is not to be run
		message     string
		exit        int
		code        errs.Code // "" when it is fit
		says        []string
	}{
		{"fit", "cpu", goodLog, catalog.JobDone, "", 0, "", nil},
		{"base itself", "CPU", goodLog, catalog.JobDone, "", 0, "", nil},
		{"stranger", "CPU", "", "", "", 0, errs.Refused, []string{"image stranger is not fit", "[FAIL] lineage", "fix:", "firn validate"}},
		{"fit", "GPU", "", "", "", 0, errs.Refused, []string{"[FAIL]", "CPU", "GPU"}},
		{"sabotaged", "CPU", "", "", "", 0, errs.Refused, []string{"[FAIL] entrypoint", "[FAIL] pkg_sqlparse"}},
		{"fit", "CPU", "", catalog.JobDone, "", 0, errs.Refused, []string{"[FAIL] executed_run", "printed no report", "fix: start from the base image's ENTRYPOINT"}},
		{"fit", "CPU", goodLog, catalog.JobFailed, "out of memory: instance 0 used more", 137, errs.Refused, []string{"[FAIL] executed_run", "out of memory"}},
		{"fit", "CPU", goodLog, catalog.JobFailed, "", 9, errs.Refused, []string{"exit code 9"}},
		{"fit", "CPU", mark + `{"python":"3.11.9","imports":{"ray":"import ray: boom"},"kernel":"answered 3","ray":"ray start: no option"}` + "\n", catalog.JobDone, "", 0,
			errs.Refused, []string{"[FAIL] executed_imports: ray: import ray: boom", "[FAIL] executed_kernel: answered 3", "[FAIL] executed_ray: ray start: no option", "ray[default]<="}},
		{"fit", "CPU", "", catalog.JobInternalError, "image x is not in its registry", 0, errs.Unavailable, []string{"the executed check of fit did not run: image x"}},
		{"fit", "CPU", "", catalog.JobCancelled, "", 0, errs.Unavailable, []string{"did not run"}},
	}
	for _, tt := range tests {
		ref, err := c.Resolve(t.Context(), tt.image)
		if err != nil {
			t.Fatal(err)
		}
		if tt.state != "" {
			s.run(tt.state, tt.log, tt.message, tt.exit)
		}
		verdict, err := c.Check(t.Context(), ref, tt.kind)
		if tt.code == "" {
			if err != nil || verdict.BaseType != "CPU" || verdict.Python != "3.11" && verdict.Python != "3.11.9" || !strings.Contains(string(verdict.Report), `"executed_run"`) ||
				verdict.BaseImage != baseRepository+"/cpu:1" {
				t.Errorf("%s: %+v, %v", tt.image, verdict, err)
			}
			continue
		}
		if !errs.Is(err, tt.code) {
			t.Errorf("%s as %s: %v", tt.image, tt.kind, err)
			continue
		}
		for _, say := range tt.says {
			if !strings.Contains(errs.MessageOf(err), say) {
				t.Errorf("%s as %s: no %q in %s", tt.image, tt.kind, say, errs.MessageOf(err))
			}
		}
	}
}

func TestLastLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3<<20)
	tests := []struct{ name, log, want string }{
		{"only line", mark + "a\n", "a"},
		{"last of several", mark + "a\nnoise\n" + mark + "b\nmore noise", "b"},
		{"within a line", "echo " + mark + "a\n", ""},
		{"cut off", mark + "a", ""},
		{"nothing", "", ""},
		{"empty report", mark + "\n", ""},
		{"after a long line", long + "\n" + mark + "a\n", "a"},
		{"after megabytes", strings.Repeat(strings.Repeat("y", 99)+"\n", 200_000) + mark + "a\n", "a"},
		{"before a long line", mark + "a\n" + long, "a"},
		{"in a long line", mark + long + "\n", ""},
		{"long line with a mark at the place where the buffer ends", strings.Repeat("x", longest) + mark + "a\n", ""},
	}
	for _, tt := range tests {
		got, err := lastLine(strings.NewReader(tt.log), mark)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
	if _, err := lastLine(io.MultiReader(strings.NewReader(mark+"a\n"), broken{}), mark); err == nil {
		t.Error("a log that breaks off is taken for whole")
	}
}

// broken is a log that cannot be read on.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// The executed check passes ray start every option of the start script of ML Jobs clients that some version of Ray refuses or
// renamed, and runs nothing.
func TestCheckPassesWhatClientsPass(t *testing.T) {
	t.Parallel()
	for _, option := range []string{
		"--node-ip-address=", "--object-manager-port=", "--node-manager-port=", "--runtime-env-agent-port=", "--dashboard-agent-grpc-port=",
		"--dashboard-agent-listen-port=", "--min-worker-port=", "--max-worker-port=", "--metrics-export-port=", "--temp-dir=",
		"--disable-usage-stats", "--head", "--include-dashboard=", "--port=", "--ray-client-server-port=", "--dashboard-host=",
		"--dashboard-grpc-port=", "--dashboard-port=", "--resources=", "--help",
	} {
		if !strings.Contains(payload, `"`+option) && !strings.Contains(payload, `'`+option) {
			t.Errorf("ray start is not tried with %s", option)
		}
	}
}
