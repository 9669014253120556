// SPDX-License-Identifier: Apache-2.0

package scheduler_test

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/blob/blobtest"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/compute/computetest"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/scheduler"
	"firn.dev/firn/internal/stage"
)

// tokens is a TokenIssuer that remembers.
type tokens struct {
	mu    sync.Mutex
	valid map[catalog.ID]int
	all   int
}

func (k *tokens) JobToken(_ context.Context, j *catalog.Job) (errs.Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.valid[j.ID]++
	k.all++
	return errs.Secret("token of " + string(j.ID)), nil
}

func (k *tokens) RevokeJob(_ context.Context, id catalog.ID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.valid, id)
	return nil
}

func (k *tokens) count() (valid, all int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.valid), k.all
}

// room is an installation whose schedulers come and go.
type room struct {
	t       *testing.T
	catalog catalog.Store
	blobs   blob.Store
	stage   *stage.Stage
	engine  *computetest.Engine
	backend compute.Backend
	tokens  *tokens
	options scheduler.Options
	files   catalog.ID // a stage
	current *scheduler.Scheduler
}

// patience bounds every wait of these tests.
const patience = 2 * time.Minute

func setup(t *testing.T) *room {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	r := &room{t: t, catalog: store, blobs: blobtest.NewMemory(), engine: &computetest.Engine{}, tokens: &tokens{valid: map[catalog.ID]int{}}}
	r.stage = stage.New(store, r.blobs)
	r.backend = r.engine.Open("test")
	r.options = r.standard()
	r.create(catalog.KindDatabase, catalog.Name{Object: "DB"}, &catalog.DatabaseSpec{})
	r.create(catalog.KindSchema, catalog.Name{Database: "DB", Object: "S"}, &catalog.SchemaSpec{})
	r.files = r.create(catalog.KindStage, catalog.Name{Database: "DB", Schema: "S", Object: "FILES"}, &catalog.StageSpec{})
	r.pool("POOL", 10)
	return r
}

// standard are the options of a scheduler of the room.
func (r *room) standard() scheduler.Options {
	log := slog.DiscardHandler
	if testing.Verbose() {
		log = slog.NewTextHandler(os.Stderr, nil)
	}
	return scheduler.Options{
		Catalog: r.catalog, Blobs: r.blobs, Stage: r.stage, Backend: r.backend, Tokens: r.tokens,
		Pull: scheduler.PullInfo{Registry: func() string { return "registry.test:5000" }},
		Door: func(context.Context) (scheduler.ContainerDoor, error) {
			return scheduler.ContainerDoor{Host: "10.9.8.1", Port: 8086}, nil
		},
		Account: "FIRN",
		Worker:  "w1", WorkDir: filepath.Join(r.t.TempDir(), "jobs"),
		Now: time.Now, Log: slog.New(log), Poll: 10 * time.Millisecond, Grace: 100 * time.Millisecond,
	}
}

func (r *room) update(fn func(catalog.Tx) error) {
	r.t.Helper()
	if err := r.catalog.Update(r.t.Context(), fn); err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) create(kind catalog.Kind, name catalog.Name, spec catalog.Spec) catalog.ID {
	r.t.Helper()
	o := &catalog.Object{Kind: kind, Name: name, Spec: spec}
	r.update(func(tx catalog.Tx) error { return tx.CreateObject(o) })
	return o.ID
}

func (r *room) pool(name string, nodes int) {
	r.t.Helper()
	r.create(catalog.KindComputePool, catalog.Name{Object: name}, &catalog.ComputePoolSpec{MaxNodes: nodes, AutoResume: true})
}

// run runs a scheduler and gives what ends it, as a kill would: it writes nothing more.
func (r *room) run(o scheduler.Options) (kill func()) {
	ctx, stop := context.WithCancel(r.t.Context())
	s := scheduler.New(o)
	r.current = s
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	var once sync.Once
	kill = func() { once.Do(func() { stop(); <-done }) }
	r.t.Cleanup(kill)
	return kill
}

// job makes a job of a program.
func job(steps ...string) *catalog.Job {
	return &catalog.Job{
		Kind: "ML JOB", Database: "DB", Schema: "S", Name: "TRAIN", Owner: "R", User: "U", Pool: "POOL", Replicas: 1,
		Image: "/db/s/repo/image:v1", Digest: "sha256:" + strings.Repeat("a", 64),
		Plan: catalog.Plan{
			Args: []string{"run"}, Env: map[string]string{computetest.EnvRun: strings.Join(steps, "\n")}, CPU: 1, Memory: 1 << 30,
		},
	}
}

func (r *room) submit(j *catalog.Job) catalog.ID {
	r.t.Helper()
	r.update(func(tx catalog.Tx) error {
		j.ID = ""
		return tx.SubmitJob(j)
	})
	r.current.Wake()
	return j.ID
}

func (r *room) row(id catalog.ID) (j *catalog.Job) {
	r.t.Helper()
	err := r.catalog.View(r.t.Context(), func(tx catalog.Tx) (err error) {
		j, err = tx.Job(id)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return j
}

func (r *room) eventually(what string, holds func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("never: %s", what)
		}
	}
}

// await waits for a state and gives the row.
func (r *room) await(id catalog.ID, state catalog.JobState) *catalog.Job {
	r.t.Helper()
	var last *catalog.Job
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		if last = r.row(id); last.State == state {
			return last
		}
		if last.State.Final() || time.Now().After(end) {
			r.t.Fatalf("job is %s, %q, instances %+v; want %s", last.State, last.Message, last.Instances, state)
		}
	}
}

// cancel does what the executor does.
func (r *room) cancel(id catalog.ID) {
	r.t.Helper()
	r.update(func(tx catalog.Tx) error {
		err := tx.TransitionJob(id, catalog.JobPending, catalog.JobCancelled, nil)
		if errs.Is(err, errs.Conflict) {
			err = tx.TransitionJob(id, catalog.JobRunning, catalog.JobCancelling, nil)
		}
		return err
	})
	r.current.Wake()
}

// clean waits until nothing of ended jobs is left.
func (r *room) clean() {
	r.t.Helper()
	r.eventually("no container, directory or token is left", func() bool {
		for range r.backend.List(r.t.Context()) {
			return false
		}
		dirs, _ := os.ReadDir(r.options.WorkDir)
		valid, _ := r.tokens.count()
		return len(dirs) == 0 && valid == 0
	})
}

// log reads a job's log.
func (r *room) log(id catalog.ID, instance, tail int, since time.Time, stamps bool) string {
	r.t.Helper()
	rc, err := r.current.Logs(r.t.Context(), r.row(id), instance, tail, since, stamps)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rc.Close()
	text, err := io.ReadAll(rc)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

func (r *room) put(path, content string) {
	r.t.Helper()
	if _, err := r.stage.Put(r.t.Context(), r.files, path, strings.NewReader(content), nil); err != nil {
		r.t.Fatal(err)
	}
}

// content gives the stage's files.
func (r *room) content() map[string]string {
	r.t.Helper()
	got := map[string]string{}
	for f, err := range r.stage.List(r.t.Context(), r.files, "") {
		if err != nil {
			r.t.Fatal(err)
		}
		rc, _, err := r.stage.Open(r.t.Context(), r.files, f.Path)
		if err != nil {
			r.t.Fatal(err)
		}
		data, _ := io.ReadAll(rc)
		rc.Close()
		got[f.Path] = string(data)
	}
	return got
}

func phases(j *catalog.Job) []string {
	var names []string
	for _, m := range j.Timeline {
		names = append(names, m.Phase)
	}
	return names
}

func TestJobRuns(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.put("def/app/in.txt", "input\n")
	r.put("elsewhere", "x")
	r.run(r.options)
	j := job("echo hello", "cat /mnt/job_stage/app/in.txt", "cat /snowflake/session/token", "env SNOWFLAKE_SERVICE_NAME",
		"write /mnt/job_result/deep/out.txt result", "write /mnt/job_stage/app/in.txt changed", "sleep 50ms")
	j.Plan.Mounts = []catalog.Mount{
		{Stage: r.files, Path: "def", Target: "/mnt/job_stage"}, {Stage: r.files, Path: "def/TRAIN", Target: "/mnt/job_result"},
	}
	id := r.submit(j)
	got := r.await(id, catalog.JobDone)
	want := map[string]string{"def/app/in.txt": "changed\n", "def/TRAIN/deep/out.txt": "result\n", "elsewhere": "x"}
	if content := r.content(); !maps.Equal(content, want) {
		t.Errorf("at the moment of DONE the stage has %q, want %q", content, want)
	}
	if want := "hello\ninput\ntoken of " + string(id) + "\nTRAIN\n"; r.log(id, 0, 0, time.Time{}, false) != want {
		t.Errorf("log %q, want %q", r.log(id, 0, 0, time.Time{}, false), want)
	}
	i := got.Instances
	if len(i) != 1 || i[0].Status != "SUCCEEDED" || i[0].IP == "" || i[0].Started.IsZero() || i[0].Ended.IsZero() {
		t.Errorf("instances %+v", i)
	}
	if got.Message != "" || got.ExitCode != 0 || got.Worker != "" || got.Started.IsZero() || got.Completed.IsZero() {
		t.Errorf("row %+v", got)
	}
	// Who reads the log may be slower than the job.
	wantPhases, p := []string{"claimed", "staged", "pulled", "created", "started", "exited", "saved"}, phases(got)
	logged := slices.Index(p, "first-log")
	if logged < slices.Index(p, "started") || !slices.Equal(slices.Delete(slices.Clone(p), max(logged, 0), logged+1), wantPhases) {
		t.Errorf("timeline %q, want %q with first-log after started", p, wantPhases)
	}
	r.clean()
}

func TestHowJobsEnd(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(r.options)
	tests := []struct {
		name    string
		edit    func(*catalog.Job)
		steps   []string
		state   catalog.JobState
		code    int
		message string
	}{
		{"code", nil, []string{"echo x", "exit 3"}, catalog.JobFailed, 3, "instance 0 exited with code 3"},
		{"memory", nil, []string{"eat"}, catalog.JobFailed, 137, "out of memory: instance 0 used more than its limit of 1 GiB; choose a larger instance family"},
		{"timeout", func(j *catalog.Job) { j.Plan.Timeout = 50 * time.Millisecond }, []string{"hang"}, catalog.JobFailed, 143, "timeout: instance 0 ran longer than its limit of 50ms"},
		{"image", func(j *catalog.Job) { j.Image = "/db/s/repo/missing:v1" }, nil, catalog.JobInternalError, 0,
			"image registry.test:5000/db/s/repo/missing@sha256:" + strings.Repeat("a", 64) + " is not in its registry"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := *r
			r.t = t
			j := job(tt.steps...)
			if tt.edit != nil {
				tt.edit(j)
			}
			got := r.await(r.submit(j), tt.state)
			if got.ExitCode != tt.code || got.Message != tt.message {
				t.Errorf("code %d, message %q, want %d, %q", got.ExitCode, got.Message, tt.code, tt.message)
			}
		})
	}
}

func TestCheckIsIsolated(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(r.options)
	j := job("echo fit")
	j.Kind, j.Pool, j.Database, j.Schema, j.Plan.Isolated = "CHECK", "", "", "", true
	got := r.await(r.submit(j), catalog.JobDone)
	if _, all := r.tokens.count(); all != 0 {
		t.Errorf("a check got a token")
	}
	if got.Instances[0].IP != "" {
		t.Errorf("a check has a network: %+v", got.Instances)
	}
	if log := r.log(got.ID, 0, 0, time.Time{}, false); log != "fit\n" {
		t.Errorf("log %q", log)
	}
	r.clean()
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(r.options)
	j := job("env SNOWFLAKE_JOB_INDEX", "write /mnt/r/done x", "hang")
	j.Replicas = 3
	j.Plan.Mounts = []catalog.Mount{{Stage: r.files, Path: "out", Target: "/mnt/r"}}
	id := r.submit(j)
	r.await(id, catalog.JobRunning)
	r.eventually("three instances are ready", func() bool {
		ips := map[string]bool{}
		for _, i := range r.row(id).Instances {
			if i.Status == "READY" && i.IP != "" {
				ips[i.IP] = true
			}
		}
		return len(ips) == 3
	})
	for i := range 3 {
		r.eventually("instance prints its number", func() bool {
			return r.log(id, i, 0, time.Time{}, false) == string(rune('0'+i))+"\n"
		})
	}
	// The end of another instance is noted and changes nothing; the end of instance 0 is the job's.
	if err := r.backend.Stop(t.Context(), compute.TaskID(string(id)+"-2"), 0); err != nil {
		t.Fatal(err)
	}
	r.eventually("instance 2 has failed", func() bool { return r.row(id).Instances[2].Status == "FAILED" })
	if s := r.row(id).State; s != catalog.JobRunning {
		t.Errorf("job is %s after a worker ended", s)
	}
	if err := r.backend.Stop(t.Context(), compute.TaskID(string(id)+"-0"), 0); err != nil {
		t.Fatal(err)
	}
	got := r.await(id, catalog.JobFailed)
	if got.ExitCode != 143 || got.Instances[1].Status != "FAILED" || got.Instances[0].Status != "FAILED" {
		t.Errorf("code %d, instances %+v", got.ExitCode, got.Instances)
	}
	if log := r.log(id, 1, 0, time.Time{}, false); log != "1\n" {
		t.Errorf("archived log of instance 1 %q", log)
	}
	r.clean()
}
