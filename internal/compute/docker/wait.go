// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// timeoutGrace is how long a task that has run out of time may take to end by itself.
const timeoutGrace = 5 * time.Second

// Wait implements compute.Backend.
func (b *Backend) Wait(ctx context.Context, id compute.TaskID) (compute.Exit, error) {
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, 2*time.Second) {
		exit, ended, err := b.waitOnce(ctx, id)
		if ended || ctx.Err() != nil || errs.Is(err, errs.NotFound) {
			return exit, err
		}
		if err := pause(ctx, delay); err != nil {
			return compute.Exit{}, err
		}
	}
}

// waitOnce waits until the task has ended or the engine breaks off.
func (b *Backend) waitOnce(ctx context.Context, id compute.TaskID) (exit compute.Exit, ended bool, err error) {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	// Subscribing before looking leaves no gap in which an exit is missed.
	next := b.engine.ContainerWait(waiting, b.name(id), client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	told := make(chan error, 1) // the client's own channels must be read by somebody
	go func() {
		select {
		case <-next.Result:
			told <- nil
		case err := <-next.Error:
			told <- err
		}
	}()
	c, err := b.inspect(ctx, id)
	if err != nil {
		return compute.Exit{}, false, err
	}
	if !over(c) {
		b.watch(id, c)
		if err := <-told; errdefs.IsNotFound(err) {
			return compute.Exit{}, false, b.fail(ctx, err, errs.NotFound, "task %s", id)
		}
		if c, err = b.inspect(ctx, id); err != nil {
			return compute.Exit{}, false, err
		}
	}
	if !over(c) {
		return compute.Exit{}, false, b.fail(ctx, fmt.Errorf("still %s", c.State.Status), errs.Unavailable, "task %s", id)
	}
	return b.exit(ctx, id, c), true, nil
}

// over tells whether a container has run and ended.
func over(c container.InspectResponse) bool {
	return c.State.Status == container.StateExited || c.State.Status == container.StateDead
}

// exit says how an ended container ended.
func (b *Backend) exit(ctx context.Context, id compute.TaskID, c container.InspectResponse) compute.Exit {
	e := compute.Exit{Code: c.State.ExitCode, Reason: compute.ReasonExit, Detail: c.State.Error, At: moment(c.State.FinishedAt)}
	b.mu.Lock()
	stopped := b.stopped[id]
	b.mu.Unlock()
	deadline, limited := deadlineOf(c)
	late := limited && !e.At.Before(deadline)
	switch {
	case e.Code != 0 && c.State.OOMKilled, e.Code == killed && !late && !stopped && b.starved(ctx, c):
		e.Reason, e.Detail = compute.ReasonMemory, fmt.Sprintf("it used more than %d bytes of memory", c.HostConfig.Memory)
	case late:
		e.Reason, e.Detail = compute.ReasonTimeout, "it ran longer than "+c.Config.Labels[labelTimeout]
	case stopped:
		e.Reason = compute.ReasonStopped
	}
	return e
}

// oomGrace is how long after the end of a container the engine may learn why it was killed.
const oomGrace = time.Second

// killed is the exit code of who was killed: 128 and SIGKILL.
const killed = 137

// starved tells whether a container that was killed had come to the end of its memory although its state does not say so: when the engine
// learns that after it has learned of the end, it has an event only.
func (b *Backend) starved(ctx context.Context, c container.InspectResponse) bool {
	if c.HostConfig.Memory == 0 {
		return false
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	found := b.engine.Events(ctx, client.EventsListOptions{
		Since: c.State.StartedAt, Until: moment(c.State.FinishedAt).Add(oomGrace).Format(time.RFC3339Nano),
		Filters: make(client.Filters).Add("container", c.ID).Add("event", string(events.ActionOOM)),
	})
	select {
	case <-found.Messages:
		return true
	case err := <-found.Err:
		if !errors.Is(err, io.EOF) { // the end of the list
			b.log.Warn("the engine does not say whether a container ran out of memory", "container", c.ID, "error", err)
		}
		return false
	}
}

// deadlineOf gives when a started container must have ended, if ever.
func deadlineOf(c container.InspectResponse) (time.Time, bool) {
	timeout, err := time.ParseDuration(c.Config.Labels[labelTimeout])
	return moment(c.State.StartedAt).Add(timeout), err == nil
}

// moment reads a time of the engine; the zero Time when there is none.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t.UTC()
}

// watch sees to it that a running container with a timeout ends in time, for as long as this process lives.
func (b *Backend) watch(id compute.TaskID, c container.InspectResponse) {
	deadline, limited := deadlineOf(c)
	if !limited || !c.State.Running {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.timers[id] != nil {
		return
	}
	b.timers[id] = time.AfterFunc(time.Until(deadline), func() {
		b.mu.Lock()
		delete(b.timers, id) // the next look at the task tries again when this one does not succeed
		b.mu.Unlock()
		ctx, stop := context.WithTimeout(context.Background(), timeoutGrace+time.Minute)
		defer stop()
		if err := b.end(ctx, id, timeoutGrace); err != nil && !errs.Is(err, errs.NotFound) {
			b.log.Warn("task is out of time and could not be ended", "task", id, "error", err)
		}
	})
}

// forget drops what this process remembers of a task.
func (b *Backend) forget(id compute.TaskID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.timers[id]; t != nil {
		t.Stop()
		delete(b.timers, id)
	}
	delete(b.stopped, id)
}
