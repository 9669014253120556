// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// Start implements compute.Backend.
func (b *Backend) Start(ctx context.Context, t compute.Task, progress func(compute.Event)) error {
	if err := check(t); err != nil {
		return err
	}
	if progress == nil {
		progress = func(compute.Event) {}
	}
	c, err := b.inspect(ctx, t.ID)
	if errs.Is(err, errs.NotFound) || err == nil && c.State.Status == container.StateCreated {
		if err := b.putFiles(t); err != nil {
			return err
		}
	}
	if errs.Is(err, errs.NotFound) {
		if err = b.create(ctx, t, progress); err != nil {
			return err
		}
		c, err = b.inspect(ctx, t.ID)
	}
	if err != nil {
		return err
	}
	if c.State.Status == container.StateCreated {
		if err := b.launch(ctx, t, c.Config.User, progress); err != nil {
			return err
		}
	}
	return b.settle(ctx, t.ID)
}

// check refuses tasks that the engine would misunderstand.
func check(t compute.Task) error {
	switch {
	case t.ID == "" || len(t.ID) > 60 || strings.Trim(string(t.ID), idRunes) != "":
		return errs.New(errs.Invalid, "task id %q: use 1 to 60 letters, digits and dashes", t.ID)
	case t.Network != "job" && t.Network != "none":
		return errs.New(errs.Invalid, "task %s: network %q is neither job nor none", t.ID, t.Network)
	case t.ReadOnly && len(t.Files) > 0:
		return errs.New(errs.Invalid, "task %s: files cannot be put on a read-only root", t.ID)
	}
	return nil
}

const idRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

// create makes the container, with what it needs: image and networks. Somebody else may have made it in the meantime.
func (b *Backend) create(ctx context.Context, t compute.Task, progress func(compute.Event)) error {
	o := b.createOptions(t)
	for retries := 1; ; {
		if err := b.ensureImage(ctx, t, progress); err != nil {
			return err
		}
		if err := b.ensureNetworks(ctx, t); err != nil {
			return err
		}
		_, err := b.engine.ContainerCreate(ctx, o)
		switch {
		case err == nil:
			progress(compute.Event{Phase: "created", At: time.Now().UTC()})
			return nil
		case errdefs.IsConflict(err): // the name is taken some time before the container can be seen, or is being removed
			if _, err := b.inspect(ctx, t.ID); !errs.Is(err, errs.NotFound) {
				return err
			}
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return err
			}
			continue
		case errdefs.IsNotFound(err) && retries > 0: // image or network went away between the two steps
			retries--
			continue
		}
		return b.fail(ctx, err, errs.Invalid, "task %s", t.ID)
	}
}

// launch starts a created container. A network that went away since it was made is made again.
func (b *Backend) launch(ctx context.Context, t compute.Task, user string, progress func(compute.Event)) error {
	if err := b.giveFiles(ctx, t, user); err != nil {
		return err
	}
	_, err := b.engine.ContainerStart(ctx, b.name(t.ID), client.ContainerStartOptions{})
	if errdefs.IsNotFound(err) {
		if err := b.ensureNetworks(ctx, t); err != nil {
			return err
		}
		_, err = b.engine.ContainerStart(ctx, b.name(t.ID), client.ContainerStartOptions{})
	}
	if err != nil {
		return b.fail(ctx, err, errs.Invalid, "task %s", t.ID)
	}
	progress(compute.Event{Phase: "started", At: time.Now().UTC()})
	return nil
}

// settle does what follows the start of a container, whoever started it.
func (b *Backend) settle(ctx context.Context, id compute.TaskID) error {
	c, err := b.inspect(ctx, id)
	if err != nil {
		return err
	}
	if !c.State.Running {
		return nil
	}
	if err := b.joinDoor(ctx, id, c.Config.Labels, c.NetworkSettings.Networks); err != nil {
		return err
	}
	b.watch(id, c)
	return nil
}

// Stop implements compute.Backend.
func (b *Backend) Stop(ctx context.Context, id compute.TaskID, grace time.Duration) error {
	c, err := b.inspect(ctx, id)
	if err != nil || !c.State.Running {
		return err
	}
	b.mu.Lock()
	b.stopped[id] = true
	b.mu.Unlock()
	return b.end(ctx, id, grace)
}

// end asks a container to end and kills it after the grace.
func (b *Backend) end(ctx context.Context, id compute.TaskID, grace time.Duration) error {
	seconds := int((grace + time.Second - 1) / time.Second) // the engine counts whole seconds
	_, err := b.engine.ContainerStop(ctx, b.name(id), client.ContainerStopOptions{Timeout: &seconds})
	if err != nil {
		return b.fail(ctx, err, errs.Unavailable, "task %s", id)
	}
	return nil
}

// Remove implements compute.Backend.
func (b *Backend) Remove(ctx context.Context, id compute.TaskID) error {
	c, err := b.inspect(ctx, id)
	if errs.Is(err, errs.NotFound) {
		b.forget(id)
		return b.dropFiles(id)
	}
	if err != nil {
		return err
	}
	for {
		_, err := b.engine.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if err == nil || errdefs.IsNotFound(err) {
			break
		}
		if !errdefs.IsConflict(err) {
			return b.fail(ctx, err, errs.Unavailable, "task %s", id)
		}
		// Somebody else is removing it; it is gone when they are done.
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	b.forget(id)
	b.dropGroup(ctx, c.Config.Labels[labelGroup])
	return b.dropFiles(id)
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.Canceled, "given up waiting for the docker engine")
	case <-time.After(d):
		return nil
	}
}
