// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"firn.dev/firn/internal/blob/blobtest"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/compute/computetest"
	"firn.dev/firn/internal/compute/docker"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/scheduler"
	"firn.dev/firn/internal/sql/executor"
	"firn.dev/firn/internal/stage"
)

// engineRoom runs executed checks on the real engine.
type engineRoom struct {
	*Checker
	t        *testing.T
	registry string
}

func newEngineRoom(t *testing.T, limit time.Duration) *engineRoom {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug))))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	store, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	install := "e" + strings.ToLower(rand.Text()[:10])
	backend, err := docker.New(docker.Options{Install: install, Files: filepath.Join(t.TempDir(), "files")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for s := range backend.List(context.Background()) {
			_ = backend.Remove(context.Background(), s.ID)
		}
		backend.Close()
		_ = exec.Command("docker", "network", "rm", "firn-"+install).Run() // there is one only if a task had a network
	})
	blobs := blobtest.NewMemory()
	jobs := scheduler.New(scheduler.Options{
		Catalog: store, Blobs: blobs, Stage: stage.New(store, blobs), Backend: backend, Tokens: noTokens{}, Account: "FIRN",
		Pull: scheduler.PullInfo{Registry: func() string { return host }}, Worker: "w", WorkDir: t.TempDir(), Now: time.Now,
		Poll: 50 * time.Millisecond, Grace: 100 * time.Millisecond,
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); jobs.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return &engineRoom{t: t, registry: host, Checker: New(Options{
		Catalog: store, Logs: jobs, Wake: jobs.Wake, Limit: limit, Version: "test", Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})}
}

// noTokens is for jobs without a network, which get none.
type noTokens struct{}

func (noTokens) JobToken(context.Context, *catalog.Job) (errs.Secret, error) {
	return "", errs.New(errs.Internal, "a check wants a token")
}
func (noTokens) RevokeJob(context.Context, catalog.ID) error { return nil }

// push builds an image whose entrypoint and python3 are shell scripts, and pushes it.
func (r *engineRoom) push(name, entrypoint, python string) executor.ImageRef {
	r.t.Helper()
	dir := r.t.TempDir()
	base := r.registry + "/base"
	tag := r.registry + "/db/s/repo/" + name + ":v1"
	for file, text := range map[string]string{
		"entrypoint.sh": "#!/bin/sh\n" + entrypoint + "\n", "python3": "#!/bin/sh\n" + python + "\n",
		"Dockerfile": "FROM " + base + "\nCOPY entrypoint.sh /usr/local/bin/entrypoint.sh\nCOPY python3 /bin/python3\nENTRYPOINT [\"/usr/local/bin/entrypoint.sh\"]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o755); err != nil { //nolint:gosec // programs
			r.t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		out, err := exec.CommandContext(r.t.Context(), "docker", args...).CombinedOutput()
		if err != nil {
			r.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("tag", computetest.DockerImage(r.t), base)
	run("build", "-q", "-t", tag, dir)
	_, rest, _ := strings.Cut(run("push", tag), "digest: ")
	run("rmi", tag, base)
	digest := strings.Fields(rest)[0]
	r.t.Cleanup(func() {
		_ = exec.Command("docker", "rmi", r.registry+"/db/s/repo/"+name+"@"+digest).Run() // it may not have been pulled
	})
	return executor.ImageRef{Image: name, Tag: "v1", Digest: digest, TagDigest: digest, Path: "/db/s/repo/" + name + ":v1"}
}

const fitReport = `echo 'firn-check:{"python":"3.11.9","executable":"/bin/python3","machine":"x86_64","imports":{},"kernel":"","ray":""}'`

// The image runs by digest through its entrypoint, cut off from everything, and what goes wrong is told in words.
func TestExecutedCheck(t *testing.T) {
	t.Parallel()
	r := newEngineRoom(t, 20*time.Second)
	tests := []struct {
		name       string
		entrypoint string
		python     string
		failed     []string // checks
		says       []string
	}{
		{"fit", `exec "$@"`, fitReport, nil, []string{"Python 3.11.9"}},
		{"isolated", `exec "$@"`, `
			[ "$1" = -c ] || exit 3
			touch /tmp/here || exit 4
			touch /bin/there 2>/dev/null && exit 5
			[ "$(ls /sys/class/net)" = lo ] || exit 6
			grep -q 'CapEff:.*0000000000000000' /proc/self/status || exit 7
			grep -q 'NoNewPrivs:.*1' /proc/self/status || exit 8
			[ -e /snowflake ] && exit 9
			env | grep -q SNOWFLAKE_HOST && exit 10
			` + fitReport, nil, nil},
		{"talkative", `i=0; while [ $i -lt 12 ]; do dd if=/dev/zero bs=1024 count=1024 2>/dev/null | tr '\0' x; echo; i=$((i+1)); done
			echo 'firn-check:{"python":"0.0"}'; exec "$@"`, fitReport, nil, []string{"Python 3.11.9"}},
		{"broken", `exec "$@"`, `echo 'firn-check:{"python":"3.11.9","imports":{"notebook":"no module","ray":"import ray: boom"},"kernel":"no answer","ray":"no such option"}'`,
			[]string{"executed_imports", "executed_kernel", "executed_ray"},
			[]string{"notebook: no module; ray: import ray: boom", "notebook ray", "no answer", "no such option", "/opt/firn/bin"}},
		{"silent", `exit 0`, "", []string{"executed_run"}, []string{"printed no report", `exec "$@"`}},
		{"failing", `echo oh no; exit 7`, "", []string{"executed_run"}, []string{"printed no report", "exited with code 7"}},
		{"reporting but failing", `"$@"; exit 1`, fitReport, []string{"executed_run"}, []string{"exited with code 1"}},
		{"lying", `exec "$@"`, "echo 'firn-check:{not json'", []string{"executed_run"}, []string{"report is damaged"}},
		{"greedy", `x=a; while :; do x=$x$x; done`, "", []string{"executed_run"}, []string{"did not run the check to its end"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ref := r.push(strings.ReplaceAll(tt.name, " ", "-"), tt.entrypoint, tt.python)
			report := &imagecheck.Report{}
			if err := r.execute(t.Context(), ref, report); err != nil {
				t.Fatal(err)
			}
			judge(t, report, tt.failed, tt.says)
		})
	}
}

func judge(t *testing.T, report *imagecheck.Report, failed, says []string) {
	t.Helper()
	var got []string
	var text strings.Builder
	for _, c := range report.Checks {
		text.WriteString(c.Message + " " + c.Remedy + "\n")
		if c.Status == imagecheck.Fail {
			got = append(got, c.ID)
		}
	}
	if strings.Join(got, " ") != strings.Join(failed, " ") {
		t.Errorf("failed checks %v, want %v\n%s", got, failed, text.String())
	}
	for _, say := range says {
		if !strings.Contains(text.String(), say) {
			t.Errorf("no %q in\n%s", say, text.String())
		}
	}
}

func TestExecutedCheckOfAnImageThatHangs(t *testing.T) {
	t.Parallel()
	r := newEngineRoom(t, 2*time.Second)
	ref := r.push("hanging", "trap '' TERM; while :; do sleep 1; done", "")
	report := &imagecheck.Report{}
	begun := time.Now()
	if err := r.execute(t.Context(), ref, report); err != nil {
		t.Fatal(err)
	}
	judge(t, report, []string{"executed_run"}, []string{"timeout: instance 0 ran longer than its limit of 2s"})
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

// When nobody waits any more, the container does not go on.
func TestExecutedCheckGivenUp(t *testing.T) {
	t.Parallel()
	r := newEngineRoom(t, time.Hour)
	ref := r.push("forgotten", "while :; do sleep 1; done", "")
	ctx, giveUp := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.execute(ctx, ref, &imagecheck.Report{}) }()
	job := r.wait(catalog.JobRunning)
	giveUp()
	if err := <-ended; !errs.Is(err, errs.Canceled) {
		t.Error(err)
	}
	if again := r.wait(catalog.JobCancelled); again.ID != job.ID {
		t.Errorf("%+v", again)
	}
}

func TestExecutedCheckOfAnImageThatIsGone(t *testing.T) {
	t.Parallel()
	r := newEngineRoom(t, time.Minute)
	ref := r.push("gone", fitReport, "")
	ref.Image, ref.Path = "other", "/db/s/repo/other:v1"
	err := r.execute(t.Context(), ref, &imagecheck.Report{})
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(errs.MessageOf(err), "the executed check of /db/s/repo/other:v1 did not run: image ") ||
		!strings.Contains(errs.MessageOf(err), "is not in its registry") {
		t.Error(err)
	}
}

// wait waits until the only job is in a state.
func (r *engineRoom) wait(state catalog.JobState) (found *catalog.Job) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); found == nil; time.Sleep(10 * time.Millisecond) {
		err := r.Catalog.View(r.t.Context(), func(tx catalog.Tx) error {
			for j, err := range tx.FindJobs(catalog.JobFilter{States: []catalog.JobState{state}}) {
				if err != nil {
					return err
				}
				found = j
			}
			return nil
		})
		if err != nil || time.Now().After(end) {
			r.t.Fatalf("no job is %s, %v", state, err)
		}
	}
	return found
}
