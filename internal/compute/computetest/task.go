// SPDX-License-Identifier: Apache-2.0

package computetest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// fakeTask is one run of a Program.
type fakeTask struct {
	task    compute.Task
	ip      string
	started time.Time
	ended   chan struct{} // closed to interrupt the program
	done    chan struct{} // closed when exit is set
	removed chan struct{}
	once    sync.Once // for ended

	mu     sync.Mutex
	grown  chan struct{} // closed and replaced with every line
	lines  []fakeLine
	deaf   bool
	reason compute.Reason // why it was interrupted
	exit   *compute.Exit
}

type fakeLine struct {
	at   time.Time
	text string
}

func newFakeTask(t compute.Task) *fakeTask {
	return &fakeTask{
		task: t, started: time.Now().UTC(), ended: make(chan struct{}), done: make(chan struct{}),
		removed: make(chan struct{}), grown: make(chan struct{}),
	}
}

// run is the task's life.
func (t *fakeTask) run() {
	if t.task.Timeout > 0 {
		timer := time.AfterFunc(t.task.Timeout, func() { t.interrupt(compute.ReasonTimeout) })
		defer timer.Stop()
	}
	code, reason := t.steps()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reason != "" {
		reason = t.reason
	}
	t.exit = &compute.Exit{Code: code, Reason: reason, At: time.Now().UTC()}
	close(t.done)
}

// steps runs the program to its end and gives the code, and the reason if nobody interrupted it.
func (t *fakeTask) steps() (int, compute.Reason) {
	for line := range strings.SplitSeq(t.task.Env[EnvRun], "\n") {
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "echo", "err":
			t.print(rest)
		case "lines":
			n, _ := strconv.Atoi(rest)
			for i := range n {
				t.print(fmt.Sprintf("line %d", i+1))
			}
		case "wide":
			n, _ := strconv.Atoi(rest)
			t.print(strings.Repeat("x", n))
		case "env":
			t.print(t.task.Env[rest])
		case "cat":
			if err := t.cat(rest); err != nil {
				t.print(err.Error())
				return 1, compute.ReasonExit
			}
		case "write":
			path, text, _ := strings.Cut(rest, " ")
			if err := t.write(path, text); err != nil {
				t.print(err.Error())
				return 1, compute.ReasonExit
			}
		case "deaf":
			t.mu.Lock()
			t.deaf = true
			t.mu.Unlock()
		case "sleep", "hang":
			d, err := time.ParseDuration(rest)
			if err != nil {
				d = 24 * time.Hour
			}
			select {
			case <-time.After(d):
			case <-t.ended:
				if t.isDeaf() {
					return 137, compute.ReasonExit
				}
				return 143, compute.ReasonExit
			}
		case "eat":
			return 137, compute.ReasonMemory
		case "exit":
			n, _ := strconv.Atoi(rest)
			return n, compute.ReasonExit
		}
	}
	return 0, compute.ReasonExit
}

func (t *fakeTask) isDeaf() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deaf
}

func (t *fakeTask) print(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fakeLine{time.Now().UTC(), text})
	close(t.grown)
	t.grown = make(chan struct{})
}

// cat prints one of the task's files, or a file below one of its mounts.
func (t *fakeTask) cat(path string) error {
	for _, f := range t.task.Files {
		if f.Path == path {
			t.print(strings.TrimSuffix(f.Content.Reveal(), "\n"))
			return nil
		}
	}
	host, err := t.host(path)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(host)
	if err == nil {
		t.print(strings.TrimSuffix(string(content), "\n"))
	}
	return err
}

// write makes a file below one of the mounts.
func (t *fakeTask) write(path, text string) error {
	host, err := t.host(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(host), 0o755); err != nil {
		return err
	}
	return os.WriteFile(host, []byte(text+"\n"), 0o644)
}

// host gives where a path of the container is on the host.
func (t *fakeTask) host(path string) (string, error) {
	for _, m := range t.task.Mounts {
		if rest, ok := strings.CutPrefix(path, m.Target+"/"); ok {
			return filepath.Join(m.Source, filepath.FromSlash(rest)), nil
		}
	}
	return "", fmt.Errorf("%s: no such file", path)
}

// interrupt ends the program, whatever it does.
func (t *fakeTask) interrupt(reason compute.Reason) {
	t.mu.Lock()
	if t.exit == nil && t.reason == "" {
		t.reason = reason
	}
	t.mu.Unlock()
	t.kill()
}

func (t *fakeTask) kill() { t.once.Do(func() { close(t.ended) }) }

// stop asks the program to end and interrupts it after the grace.
func (t *fakeTask) stop(reason compute.Reason, grace time.Duration) {
	if !t.isDeaf() {
		t.interrupt(reason)
		return
	}
	time.AfterFunc(grace, func() { t.interrupt(reason) })
}

// status is what List tells.
func (t *fakeTask) status() compute.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := compute.Status{ID: t.task.ID, Labels: maps.Clone(t.task.Labels), Phase: compute.Running, Started: t.started}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	if t.exit != nil {
		s.Phase, s.Exit = compute.Exited, *t.exit
	} else {
		s.IP = t.ip
	}
	return s
}

// Logs implements compute.Backend.
func (f *Fake) Logs(ctx context.Context, id compute.TaskID, o compute.LogOptions) (io.ReadCloser, error) {
	t, err := f.task(id)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(t.copyLog(ctx, w, o)) }()
	return r, nil
}

// copyLog writes the selected lines.
func (t *fakeTask) copyLog(ctx context.Context, w io.Writer, o compute.LogOptions) error {
	first := true
	for at := 0; ; {
		t.mu.Lock()
		lines, grown, over := t.lines[at:], t.grown, t.exit != nil
		at = len(t.lines)
		t.mu.Unlock()
		if first && o.Tail > 0 && len(lines) > o.Tail {
			lines = lines[len(lines)-o.Tail:]
		}
		first = false
		for _, line := range lines {
			if line.at.Before(o.Since) {
				continue
			}
			text := line.text + "\n"
			if o.Timestamps {
				text = line.at.Format("2006-01-02T15:04:05.000000000Z07:00") + " " + text
			}
			if _, err := io.WriteString(w, text); err != nil {
				return err
			}
		}
		if over || !o.Follow {
			return nil
		}
		select {
		case <-grown:
		case <-t.done:
		case <-ctx.Done():
			return errs.Wrap(ctx.Err(), errs.Canceled, "log of task %s: given up", t.task.ID)
		}
	}
}
