// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"iter"
	"maps"
	"path/filepath"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// ours selects the containers of this installation.
func (b *Backend) ours() client.Filters {
	return make(client.Filters).Add("label", labelInstall+"="+b.install)
}

// List implements compute.Backend.
func (b *Backend) List(ctx context.Context) iter.Seq2[compute.Status, error] {
	return func(yield func(compute.Status, error) bool) {
		r, err := b.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: b.ours()})
		if err != nil {
			yield(compute.Status{}, b.fail(ctx, err, errs.Unavailable, "list of tasks"))
			return
		}
		for _, item := range r.Items {
			id := compute.TaskID(item.Labels[labelTask])
			if id == "" {
				continue
			}
			c, err := b.inspect(ctx, id)
			if errs.Is(err, errs.NotFound) {
				continue // removed in the meantime
			}
			if err != nil {
				yield(compute.Status{}, err)
				return
			}
			b.watch(id, c)
			if !yield(b.status(ctx, id, c), nil) {
				return
			}
		}
	}
}

// status is what a container says of its task.
func (b *Backend) status(ctx context.Context, id compute.TaskID, c container.InspectResponse) compute.Status {
	labels := maps.Clone(c.Config.Labels)
	for _, own := range []string{labelInstall, labelTask, labelTimeout, labelGroup, labelNetwork} {
		delete(labels, own)
	}
	s := compute.Status{ID: id, Labels: labels, Phase: compute.Running, Started: moment(c.State.StartedAt)}
	switch {
	case c.State.Status == container.StateCreated:
		s.Phase = compute.Created
	case over(c):
		s.Phase, s.Exit = compute.Exited, b.exit(ctx, id, c)
	default:
		s.IP = b.address(c.Config.Labels, c.NetworkSettings.Networks)
	}
	return s
}

// Capacity implements compute.Backend.
func (b *Backend) Capacity(ctx context.Context) (compute.Capacity, error) {
	r, err := b.engine.Info(ctx, client.InfoOptions{})
	if err != nil {
		return compute.Capacity{}, b.fail(ctx, err, errs.Unavailable, "docker engine at %s", b.socket())
	}
	c := compute.Capacity{CPU: float64(r.Info.NCPU), Memory: r.Info.MemTotal}
	if _, ok := r.Info.Runtimes["nvidia"]; ok { // the engine does not say how many there are
		devices, _ := filepath.Glob("/dev/nvidia[0-9]*")
		c.GPUs = len(devices)
	}
	return c, nil
}
