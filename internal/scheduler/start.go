// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/stage"
)

// openMirrors makes the mirrors of all mounts. Every instance has its own copies, since a shared one would have two writers.
func (r *run) openMirrors(j *catalog.Job) {
	r.mirrors = make([][]*stage.Mirror, max(j.Replicas, 1))
	for i := range r.mirrors {
		for n, m := range j.Plan.Mounts {
			base := filepath.Join(r.s.dir(r.id), strconv.Itoa(i))
			r.mirrors[i] = append(r.mirrors[i], stage.NewMirror(r.s.o.Stage, stage.MirrorOptions{
				Stage: m.Stage, Path: m.Path, Dir: filepath.Join(base, strconv.Itoa(n)),
				State: filepath.Join(base, strconv.Itoa(n)+".json"), Log: r.s.o.Log.With("job", r.id, "instance", i),
			}))
		}
	}
}

// startAll starts what has not been started, instance 0 first, and calls begun for each instance whose container is there.
// It ends early when the job is cancelled.
//
// Errors: why the job cannot run; nil after a cancel.
func (r *run) startAll(ctx context.Context, begun func(instance int)) error {
	ctx, stop := until(ctx, r.cancelled)
	defer stop()
	err := r.prepare(ctx)
	at := site{}
	if err == nil {
		err = r.retry(ctx, func(ctx context.Context) (err error) {
			at, err = r.site(ctx)
			return err
		})
	}
	for i := range r.mirrors {
		if err == nil {
			err = r.launch(ctx, i, at, begun)
		}
	}
	if closed(r.cancelled) {
		return nil
	}
	return err
}

// prepare makes the job's directories and fills them from the stages.
func (r *run) prepare(ctx context.Context) error {
	if err := os.MkdirAll(r.s.dir(r.id), 0o700); err != nil {
		return errs.Wrap(err, errs.Unavailable, "directory of job %s", r.id)
	}
	for _, mirrors := range r.mirrors {
		for _, m := range mirrors {
			if err := r.retry(ctx, m.Fill); err != nil {
				return err
			}
		}
	}
	r.mark("staged")
	return nil
}

// site gathers what tasks take from the installation. Only jobs with containers to start need door and token.
func (r *run) site(ctx context.Context) (at site, err error) {
	j := r.row()
	at = site{registry: r.s.o.Pull.Registry(), account: r.s.o.Account, capacity: r.s.capacity.Load()}
	if r.s.o.Pull.Login != nil {
		if at.login, err = r.s.o.Pull.Login(ctx); err != nil {
			return at, err
		}
	}
	if j.Plan.Isolated || !slices.ContainsFunc(instances(j), func(i catalog.Instance) bool { return i.Status == instancePending }) {
		return at, nil
	}
	if at.door, err = r.s.o.Door(ctx); err == nil {
		at.token, err = r.s.o.Tokens.JobToken(ctx, j)
	}
	return at, err
}

// launch starts the container of an instance unless the row says that it was started, and tells the row.
func (r *run) launch(ctx context.Context, instance int, at site, begun func(int)) error {
	j := r.row()
	if instances(j)[instance].Status != instancePending {
		begun(instance)
		return nil
	}
	base := filepath.Join(r.s.dir(r.id), strconv.Itoa(instance))
	for n := range j.Plan.Mounts {
		at.dirs = append(at.dirs, filepath.Join(base, strconv.Itoa(n)))
	}
	progress := func(e compute.Event) {
		if instance == 0 && e.Phase != "pulling" {
			r.mark(e.Phase)
		}
	}
	err := r.retry(ctx, func(ctx context.Context) error {
		return r.s.o.Backend.Start(ctx, task(j, instance, at), progress)
	})
	if err != nil {
		return err
	}
	begun(instance)
	status, err := r.s.status(ctx, taskID(r.id, instance))
	if err != nil {
		return err
	}
	return r.store(ctx, func(j *catalog.Job) catalog.JobState {
		j.Instances = instances(j)
		j.Instances[instance] = catalog.Instance{Index: instance, Status: instanceReady, IP: status.IP, Started: status.Started}
		if j.State == catalog.JobPending {
			j.Message = ""
			return catalog.JobRunning
		}
		return j.State
	})
}

// retry does a step of the start until it succeeds or fails for good, and tells the row what it waits for.
func (r *run) retry(ctx context.Context, do func(context.Context) error) error {
	return r.s.retry(ctx, "start of job "+string(r.id), func(ctx context.Context) error {
		err := do(ctx)
		if temporary(err) {
			r.s.hint(ctx, []*run{r}, errs.MessageOf(err))
		}
		return err
	})
}

// instances gives one entry for each target instance of a job, as a copy.
func instances(j *catalog.Job) []catalog.Instance {
	all := slices.Clone(j.Instances)
	for i := len(all); i < max(j.Replicas, 1); i++ {
		all = append(all, catalog.Instance{Index: i, Status: instancePending})
	}
	return all
}

// status asks the backend about one task.
func (s *Scheduler) status(ctx context.Context, id compute.TaskID) (status compute.Status, err error) {
	err = s.retry(ctx, "list of containers", func(ctx context.Context) error {
		for found, err := range s.o.Backend.List(ctx) {
			if err != nil {
				return err
			}
			if found.ID == id {
				status = found
			}
		}
		return nil
	})
	return status, err
}
