// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"fmt"
	"os"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// saveLimit is how long files and logs of an ended job are tried to be saved before the job is given up.
const saveLimit = 15 * time.Minute

// ending is how the containers of a job ended.
type ending struct {
	exit compute.Exit // of instance 0; the zero Exit when it was never started
	err  error        // why the job could not be run, or be run to its end
}

// verdict turns an ending into the job's state, and the message that says why.
func (e ending) verdict(p catalog.Plan) (catalog.JobState, string) {
	if e.err != nil {
		return catalog.JobInternalError, errs.MessageOf(e.err)
	}
	switch e.exit.Reason {
	case compute.ReasonMemory:
		return catalog.JobFailed, fmt.Sprintf("out of memory: instance 0 used more than its limit of %s; choose a larger instance family", size(p.Memory))
	case compute.ReasonTimeout:
		return catalog.JobFailed, fmt.Sprintf("timeout: instance 0 ran longer than its limit of %s", p.Timeout)
	case compute.ReasonGone:
		return catalog.JobInternalError, "gone: the container of instance 0 vanished without telling how it ended"
	case compute.ReasonStopped:
		return catalog.JobFailed, fmt.Sprintf("instance 0 was stopped and exited with code %d", e.exit.Code)
	}
	if e.exit.Code != 0 {
		return catalog.JobFailed, fmt.Sprintf("instance 0 exited with code %d", e.exit.Code)
	}
	return catalog.JobDone, ""
}

// size writes bytes for people.
func size(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.3g GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.3g MiB", float64(n)/(1<<20))
}

// settle writes into an instance how its container ended.
func settle(i *catalog.Instance, exit compute.Exit) {
	if exit.Reason == "" || i.Status == instanceSucceeded || i.Status == instanceFailed {
		return
	}
	i.Status, i.ExitCode, i.Ended, i.Message = instanceSucceeded, exit.Code, exit.At, exit.Detail
	if exit.Code != 0 || exit.Reason != compute.ReasonExit {
		i.Status = instanceFailed
		i.Message = or(exit.Detail, string(exit.Reason))
	}
}

// finish saves what the containers left, writes the job's end and removes everything. The order is what makes a kill at
// any moment harmless: nothing is removed before the row is final, and a row is final only when everything is saved.
func (r *run) finish(ctx context.Context, end ending) {
	saving, stop := context.WithTimeout(ctx, saveLimit)
	unsaved := r.save(saving)
	stop()
	if ctx.Err() != nil {
		return
	}
	state, message := end.verdict(r.row().Plan)
	switch {
	case errs.Is(unsaved, errs.NotFound):
		message = or(message, "the stage of a mounted directory was dropped: files of the job are not on it")
	case unsaved != nil:
		state, message = catalog.JobInternalError, "files or logs of the job could not be saved: "+errs.MessageOf(unsaved)
	}
	r.mark("saved")
	err := r.s.retry(ctx, "end of job "+string(r.id), func(ctx context.Context) error {
		return r.store(ctx, func(j *catalog.Job) catalog.JobState {
			j.Instances = instances(j)
			settle(&j.Instances[0], end.exit)
			for i := range j.Instances {
				if j.Instances[i].Status == instanceReady {
					j.Instances[i].Status, j.Instances[i].Ended = instanceFailed, r.s.o.Now().UTC()
				}
			}
			j.ExitCode = end.exit.Code
			if j.State == catalog.JobCancelling || closed(r.cancelled) {
				j.Message = ""
				return catalog.JobCancelled
			}
			j.Message = message
			return state
		})
	})
	if err != nil && !errs.Is(err, errs.Refused) && !errs.Is(err, errs.NotFound) {
		if ctx.Err() == nil {
			r.s.o.Log.Error("end of a job is not in its row", "job", r.id, "error", err)
		}
		return
	}
	if err := r.s.cleanUp(ctx, r.row()); err != nil && ctx.Err() == nil {
		r.s.o.Log.Warn("leftovers of a job stay for now", "job", r.id, "error", err)
	}
}

// save uploads what containers changed in their stage directories, and archives their logs.
//
// Errors: NotFound when a stage is gone, after everything else was saved; others when something could not be saved.
func (r *run) save(ctx context.Context) error {
	var gone error
	for _, mirrors := range r.mirrors {
		for _, m := range mirrors {
			err := r.s.retry(ctx, "files of job "+string(r.id), m.Finish)
			switch {
			case errs.Is(err, errs.NotFound):
				gone = err
			case err != nil:
				return err
			}
		}
	}
	for i := range r.mirrors {
		if err := r.s.retry(ctx, "log of job "+string(r.id), func(ctx context.Context) error { return r.s.archive(ctx, r.id, i) }); err != nil {
			return err
		}
	}
	return gone
}

// cleanUp removes everything of a job that is final, its directory last: as long as that is there, rescue tries again.
func (s *Scheduler) cleanUp(ctx context.Context, j *catalog.Job) error {
	for i := range max(j.Replicas, 1) {
		if err := s.o.Backend.Remove(ctx, taskID(j.ID, i)); err != nil {
			return err
		}
	}
	if err := s.o.Tokens.RevokeJob(ctx, j.ID); err != nil {
		return err
	}
	if err := os.RemoveAll(s.dir(j.ID)); err != nil {
		return errs.Wrap(err, errs.Unavailable, "directory of job %s", j.ID)
	}
	return nil
}
