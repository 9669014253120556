// SPDX-License-Identifier: Apache-2.0

package stage_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/stage"
)

// mirror mirrors directory job of stage A, in a directory of the test.
type mirror struct {
	*stage.Mirror
	r   *room
	o   stage.MirrorOptions
	dir string
}

func (r *room) mirror(path string) *mirror {
	base := r.t.TempDir()
	o := stage.MirrorOptions{Stage: r.a, Path: path, Dir: filepath.Join(base, "private", "files"), State: filepath.Join(base, "state")}
	return &mirror{Mirror: stage.NewMirror(r.Stage, o), r: r, o: o, dir: o.Dir}
}

func (m *mirror) must(err error) {
	m.r.t.Helper()
	if err != nil {
		m.r.t.Fatal(err)
	}
}

func (m *mirror) fill()   { m.r.t.Helper(); m.must(m.Fill(m.r.t.Context())) }
func (m *mirror) sync()   { m.r.t.Helper(); m.must(m.Sync(m.r.t.Context())) }
func (m *mirror) finish() { m.r.t.Helper(); m.must(m.Finish(m.r.t.Context())) }

// restart is what a new process does.
func (m *mirror) restart() { m.Mirror = stage.NewMirror(m.r.Stage, m.o) }

func (m *mirror) write(name, content string) {
	m.r.t.Helper()
	path := filepath.Join(m.dir, filepath.FromSlash(name))
	m.must(os.MkdirAll(filepath.Dir(path), 0o755))
	m.must(os.WriteFile(path, []byte(content), 0o644))
}

func (m *mirror) files() map[string]string {
	m.r.t.Helper()
	got := map[string]string{}
	m.must(filepath.WalkDir(m.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(m.dir, path)
		got[filepath.ToSlash(name)] = string(data)
		return err
	}))
	return got
}

func (m *mirror) stageIs(want map[string]string) {
	m.r.t.Helper()
	if diff := cmp.Diff(want, m.r.tree(m.r.a, "")); diff != "" {
		m.r.t.Errorf("stage: %s", diff)
	}
}

func TestMirrorFills(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.put("job/app/x.py", "print(1)")
	r.put("job/system/startup.sh", "true")
	r.put("jobs/other", "not ours")
	r.put("job", "a file of that name")
	m := r.mirror("job")
	m.fill()
	want := map[string]string{"app/x.py": "print(1)", "system/startup.sh": "true"}
	if diff := cmp.Diff(want, m.files()); diff != "" {
		t.Errorf("filled: %s", diff)
	}
	if info, _ := os.Stat(filepath.Dir(m.dir)); info.Mode().Perm() != 0o700 {
		t.Errorf("the directory above is open to others: %v", info.Mode())
	}
	for name, mode := range map[string]fs.FileMode{".": 0o777, "app": 0o777, "app/x.py": 0o666} {
		if info, err := os.Stat(filepath.Join(m.dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}

	m.write("app/x.py", "changed by the container")
	r.put("job/late", "x")
	m.restart()
	m.fill()
	want = map[string]string{"app/x.py": "changed by the container", "system/startup.sh": "true"}
	if diff := cmp.Diff(want, m.files()); diff != "" {
		t.Errorf("filled again: %s", diff)
	}

	whole := r.mirror("")
	r.put("job/app/x.py/below-a-file", "x")
	whole.fill()
	if got := whole.files(); got["jobs/other"] != "not ours" || got["job"] != "a file of that name" {
		t.Errorf("whole stage: %v", got)
	}
}

func TestMirrorUploadsWhatIsQuiet(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.put("job/in", "in")
	m := r.mirror("job")
	m.fill()
	m.sync()
	m.write("out/result", "first")
	m.sync()
	m.stageIs(map[string]string{"job/in": "in"}) // it has just changed
	m.sync()
	m.stageIs(map[string]string{"job/in": "in", "job/out/result": "first"})
	keys := len(r.keys())
	m.sync()
	if n := len(r.keys()); n != keys {
		t.Errorf("a file that did not change was uploaded again: %d blobs, then %d", keys, n)
	}
	m.write("out/result", "second")
	m.write("in", "IN")
	m.finish()
	m.stageIs(map[string]string{"job/in": "IN", "job/out/result": "second"})
}

func TestMirrorBeforeFill(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.put("job/in", "in")
	m := r.mirror("job")
	m.sync()
	m.finish()
	m.write("in", "half of a Fill")
	m.finish()
	m.stageIs(map[string]string{"job/in": "in"})
}

func TestMirrorDeletes(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.put("job/gone", "x")
	r.put("job/touched", "x")
	r.put("job/kept", "x")
	m := r.mirror("job")
	m.fill()
	r.put("job/touched", "by somebody else")
	m.must(os.Remove(filepath.Join(m.dir, "gone")))
	m.must(os.Remove(filepath.Join(m.dir, "touched")))
	m.write("temporary", "x")
	m.sync()
	m.sync()
	m.must(os.Remove(filepath.Join(m.dir, "temporary")))
	m.finish()
	m.stageIs(map[string]string{"job/kept": "x", "job/touched": "by somebody else"})

	m.must(os.RemoveAll(m.dir))
	if err := m.Finish(t.Context()); err == nil {
		t.Errorf("a vanished directory is taken for deletions")
	}
	m.stageIs(map[string]string{"job/kept": "x", "job/touched": "by somebody else"})
}

func TestMirrorLeavesOthersChanges(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.put("job/mine", "old")
	r.put("job/theirs", "old")
	r.put("job/removed", "old")
	m := r.mirror("job")
	m.fill()
	r.put("job/mine", "by somebody else")
	r.put("job/theirs", "by somebody else")
	r.put("job/new", "by somebody else")
	if err := r.Delete(t.Context(), r.a, "job/removed"); err != nil {
		t.Fatal(err)
	}
	m.write("mine", "by the container")
	m.finish()
	m.stageIs(map[string]string{"job/mine": "by the container", "job/theirs": "by somebody else", "job/new": "by somebody else"})
}

func TestMirrorGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.put("job/in", "in")
	r.put("job/deleted", "x")
	m := r.mirror("job")
	m.fill()
	m.write("a", "1")
	m.sync()
	m.sync()
	m.write("a", "2")
	m.write("b", "1")
	m.must(os.Remove(filepath.Join(m.dir, "deleted")))
	m.restart()
	r.put("job/in", "by somebody else")
	m.finish()
	m.stageIs(map[string]string{"job/in": "by somebody else", "job/a": "2", "job/b": "1"})
}

// TestMirrorTrustsNobody runs what a hostile container can put into its directory.
func TestMirrorTrustsNobody(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.put("job/dir/x", "x")
	m := r.mirror("job")
	m.fill()
	secret := filepath.Join(t.TempDir(), "secret")
	m.must(os.WriteFile(secret, []byte("of the host"), 0o600))
	m.must(os.Symlink(secret, filepath.Join(m.dir, "absolute")))
	up := strings.Repeat("../", 30)
	m.must(os.Symlink(up+strings.TrimPrefix(secret, "/"), filepath.Join(m.dir, "relative")))
	m.must(os.Symlink(filepath.Dir(secret), filepath.Join(m.dir, "folder")))
	m.must(os.Symlink("loop", filepath.Join(m.dir, "loop")))
	m.must(os.Symlink(".", filepath.Join(m.dir, "self")))
	m.must(os.Symlink("dir/x", filepath.Join(m.dir, "inside")))
	m.must(syscall.Mkfifo(filepath.Join(m.dir, "pipe"), 0o600))
	m.must(os.WriteFile(filepath.Join(m.dir, "bad\xffname"), []byte("x"), 0o600))
	m.must(os.RemoveAll(filepath.Join(m.dir, "dir")))
	m.must(os.Symlink(filepath.Dir(secret), filepath.Join(m.dir, "dir")))
	m.must(os.WriteFile(filepath.Join(filepath.Dir(secret), "x"), []byte("of the host, too"), 0o600))
	done := make(chan error, 1)
	go func() { done <- m.Finish(t.Context()) }()
	select {
	case err := <-done:
		m.must(err)
	case <-time.After(20 * time.Second):
		t.Fatal("finish hangs")
	}
	m.stageIs(map[string]string{}) // "inside" and dir/x are gone: what they named leads out now
	if data, _ := os.ReadFile(secret); string(data) != "of the host" {
		t.Errorf("the host's file is %q", data)
	}
}

func TestMirrorFollowsLinksInside(t *testing.T) {
	t.Parallel()
	r := setup(t)
	m := r.mirror("job")
	m.fill()
	m.write("dir/real", "content")
	m.must(os.Symlink("dir/real", filepath.Join(m.dir, "link")))
	m.finish()
	m.stageIs(map[string]string{"job/dir/real": "content", "job/link": "content"})
}

func TestMirrorOfAStageThatIsDropped(t *testing.T) {
	t.Parallel()
	r := setup(t)
	m := r.mirror("job")
	m.fill()
	m.write("x", "x")
	r.drop(r.a)
	if err := m.Finish(t.Context()); !errs.Is(err, errs.NotFound) {
		t.Errorf("finish without the stage: %v, want code %s", err, errs.NotFound)
	}
}
