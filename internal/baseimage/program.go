// SPDX-License-Identifier: Apache-2.0

package baseimage

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
)

// programs runs other programs; what they print goes to log.
type programs struct{ log io.Writer }

// run runs a program to its end, with env added to the environment and stdin (nil: nothing) as its input.
//
// Errors: Canceled, Exhausted (disk full), Unavailable with the program's last lines.
func (p programs) run(ctx context.Context, env []string, stdin io.Reader, name string, args ...string) error {
	last := &tail{}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = stdin
	// One writer for both streams: os/exec then writes from one goroutine, so log and tail need no lock.
	cmd.Stdout = io.MultiWriter(p.log, last)
	cmd.Stderr = cmd.Stdout
	// Children of a killed program may hold its pipes open.
	cmd.WaitDelay = 5 * time.Second
	return explain(ctx, cmd, cmd.Run(), last)
}

// output runs a program and gives what it printed, without the space around it. Errors: as run.
func (p programs) output(ctx context.Context, name string, args ...string) (string, error) {
	var out bytes.Buffer
	last := &tail{}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, last
	cmd.WaitDelay = 5 * time.Second
	err := explain(ctx, cmd, cmd.Run(), last)
	return strings.TrimSpace(out.String()), err
}

// pipe runs a program whose output is the input of a second one, to the end of both. Errors: as run.
func (p programs) pipe(ctx context.Context, from, to []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	last := &tail{}
	source := exec.CommandContext(ctx, from[0], from[1:]...)
	source.Stderr = last
	stream, err := source.StdoutPipe()
	if err == nil {
		err = source.Start()
	}
	if err != nil {
		return explain(ctx, source, err, last)
	}
	sinkErr := p.run(ctx, nil, stream, to[0], to[1:]...)
	if sinkErr != nil {
		cancel() // the source would wait for a reader that is gone
		_ = source.Wait()
		return sinkErr
	}
	return explain(ctx, source, source.Wait(), last)
}

// explain turns the end of a program into an error that says which one, why, and its last words.
func explain(ctx context.Context, cmd *exec.Cmd, err error, last *tail) error {
	title := filepath.Base(cmd.Path)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errs.Wrap(ctx.Err(), errs.Canceled, "%s was stopped", title)
	case strings.Contains(strings.ToLower(last.text()), "no space left on device"):
		return errs.Wrap(err, errs.Exhausted, "%s: the disk is full; building the base image needs 6 GB", title)
	default:
		return errs.Wrap(err, errs.Unavailable, "%s failed: %s", title, last.text())
	}
}

// tail keeps the last 2000 bytes that are written to it: enough for an error message.
type tail struct{ kept []byte }

// Write never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	if extra := len(t.kept) - 2000; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(b), nil
}

// text gives the last four lines that are not empty, on one line.
func (t *tail) text() string {
	var lines []string
	for line := range strings.Lines(string(t.kept)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-4):], " | ")
}
