// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/stage"
)

// The statuses of instances, in the words of SHOW SERVICE INSTANCES.
const (
	instancePending   = "PENDING"
	instanceReady     = "READY"
	instanceSucceeded = "SUCCEEDED"
	instanceFailed    = "FAILED"
)

// run is one job that this scheduler holds: waiting to be admitted, or alive in a goroutine of its own.
type run struct {
	s         *Scheduler
	id        catalog.ID
	submitted time.Time
	hinted    string // what the row says about waiting; of the loop's goroutine

	cancelled chan struct{} // closed when the job is to end
	left      chan struct{} // closed when somebody else has the job now

	storing sync.Mutex // one change of the row at a time

	mu    sync.Mutex
	job   *catalog.Job   // the row as last seen; replaced, never changed
	alive bool           // has its goroutine
	marks []catalog.Mark // not yet in the row

	mirrors [][]*stage.Mirror // by instance and mount; of the run's goroutine
	first   sync.WaitGroup    // waits for the first line
}

func newRun(s *Scheduler, j *catalog.Job) *run {
	return &run{
		s: s, id: j.ID, submitted: j.Created, hinted: j.Message, job: j,
		cancelled: make(chan struct{}), left: make(chan struct{}),
	}
}

func (r *run) row() *catalog.Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.job
}

func (r *run) started() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.alive
}

// cancel ends the job.
func (r *run) cancel() { r.once(r.cancelled) }

// leave gives the job to whoever has it now; its containers are not touched.
func (r *run) leave() {
	r.once(r.left)
	if !r.started() {
		r.s.release(r.id)
	}
}

func (r *run) once(c chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !closed(c) {
		close(c)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// begun tells whether the job needs no room any more: it has it already, or it only needs to be cleaned up.
func (r *run) begun() bool { return r.row().State != catalog.JobPending || closed(r.cancelled) }

// start lets the job live.
func (r *run) start(ctx context.Context) {
	r.mu.Lock()
	r.alive = true
	r.mu.Unlock()
	r.s.running.Go(func() {
		defer r.s.release(r.id)
		ctx, stop := until(ctx, r.left)
		defer stop()
		r.mark("claimed")
		end := r.live(ctx)
		if ctx.Err() == nil {
			r.finish(ctx, end)
		}
	})
}

// until gives a context that also ends when c is closed.
func until(ctx context.Context, c <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		select {
		case <-c:
			stop()
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}

// dir is where the job's directories are. It is there as long as anything is left to clean up.
func (s *Scheduler) dir(id catalog.ID) string { return filepath.Join(s.o.WorkDir, string(id)) }

// live brings the job from where it stands to the end of its containers.
func (r *run) live(ctx context.Context) ending {
	j := r.row()
	r.openMirrors(j)
	exits := make([]chan compute.Exit, max(j.Replicas, 1))
	watching, stopWatching := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	defer r.first.Wait()
	defer watchers.Wait()
	defer stopWatching()

	err := r.startAll(ctx, func(instance int) {
		exits[instance] = r.follow(watching, &watchers, instance)
	})
	if ctx.Err() != nil {
		return ending{} // containers go on without us
	}
	if err != nil {
		r.stopAll(ctx, 0)
		return ending{err: err, exit: r.await(ctx, exits...)}
	}
	select {
	case <-ctx.Done():
		return ending{}
	case <-r.cancelled:
		r.stopAll(ctx, 0)
	case exit := <-exits[0]:
		r.mark("exited")
		r.first.Wait() // its log ends with it
		r.stopAll(ctx, 1)
		r.await(ctx, exits[1:]...)
		return ending{exit: exit}
	}
	exit := r.await(ctx, exits...)
	r.mark("exited")
	return ending{exit: exit}
}

// await gives the first exit, when all instances that were started have ended.
func (r *run) await(ctx context.Context, exits ...chan compute.Exit) compute.Exit {
	var first compute.Exit
	for i, c := range exits {
		if c == nil {
			continue
		}
		select {
		case exit := <-c:
			if i == 0 {
				first = exit
			}
		case <-ctx.Done():
		}
	}
	return first
}

// follow watches the container of an instance: its files, its first line, its end.
func (r *run) follow(ctx context.Context, watchers *sync.WaitGroup, instance int) chan compute.Exit {
	id := taskID(r.id, instance)
	for _, m := range r.mirrors[instance] {
		watchers.Go(func() { m.Watch(ctx, r.s.o.Poll) })
	}
	if instance == 0 && !hasMark(r.row(), "first-log") {
		r.first.Go(func() { r.firstLog(ctx, id) })
	}
	ended := make(chan compute.Exit, 1)
	watchers.Go(func() {
		exit, err := r.s.o.Backend.Wait(ctx, id)
		if errs.Is(err, errs.NotFound) {
			exit = compute.Exit{Code: -1, Reason: compute.ReasonGone, Detail: "its container vanished", At: r.s.o.Now()}
		} else if err != nil {
			return // ctx has ended
		}
		if instance > 0 {
			r.ended(ctx, instance, exit)
		}
		ended <- exit
	})
	return ended
}

// ended tells the row that an instance other than 0 has ended; the end of instance 0 is told with the job's.
func (r *run) ended(ctx context.Context, instance int, exit compute.Exit) {
	err := r.s.retry(ctx, "status of job "+string(r.id), func(ctx context.Context) error {
		return r.store(ctx, func(j *catalog.Job) catalog.JobState {
			j.Instances = instances(j)
			settle(&j.Instances[instance], exit)
			return j.State
		})
	})
	if err != nil && ctx.Err() == nil {
		r.s.o.Log.Warn("status of an instance is not in its row", "job", r.id, "instance", instance, "error", err)
	}
}

// firstLog marks the time of the first line.
func (r *run) firstLog(ctx context.Context, id compute.TaskID) {
	log, err := r.s.o.Backend.Logs(ctx, id, compute.LogOptions{Follow: true})
	if err != nil {
		return // the timeline has no such mark then
	}
	defer log.Close()
	if _, err := io.ReadFull(log, make([]byte, 1)); err == nil {
		r.mark("first-log")
		_ = r.store(ctx, func(j *catalog.Job) catalog.JobState { return j.State }) // or with the next change
	}
}

// stopAll asks the containers from an instance on to end.
func (r *run) stopAll(ctx context.Context, from int) {
	var stopping sync.WaitGroup
	for i := from; i < len(r.mirrors); i++ {
		stopping.Go(func() {
			err := r.s.retry(ctx, "stop of job "+string(r.id), func(ctx context.Context) error {
				return r.s.o.Backend.Stop(ctx, taskID(r.id, i), r.s.o.Grace)
			})
			if err != nil && !errs.Is(err, errs.NotFound) && ctx.Err() == nil {
				r.s.o.Log.Warn("container is not stopped", "job", r.id, "instance", i, "error", err)
			}
		})
	}
	stopping.Wait()
}

// mark notes that a phase was reached; the next store writes it.
func (r *run) mark(phase string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks = append(r.marks, catalog.Mark{Phase: phase, At: r.s.o.Now().UTC()})
}

func hasMark(j *catalog.Job, phase string) bool {
	return slices.ContainsFunc(j.Timeline, func(m catalog.Mark) bool { return m.Phase == phase })
}

// store changes the row, with the marks that are due. change gives the state that the job moves to.
//
// Errors: Refused when the job is final already; Unavailable; Conflict.
func (r *run) store(ctx context.Context, change func(*catalog.Job) catalog.JobState) error {
	r.storing.Lock()
	defer r.storing.Unlock()
	r.mu.Lock()
	marks := slices.Clone(r.marks)
	r.mu.Unlock()
	var stored *catalog.Job
	err := r.s.o.Catalog.Update(ctx, func(tx catalog.Tx) error {
		j, err := tx.Job(r.id)
		if err != nil {
			return err
		}
		if j.State.Final() {
			return errs.New(errs.Refused, "job %s has ended: it is %s", r.id, j.State)
		}
		from := j.State
		next := *j
		to := change(&next)
		next.Timeline = slices.Clone(j.Timeline)
		for _, m := range marks {
			if !hasMark(&next, m.Phase) {
				next.Timeline = append(next.Timeline, m)
			}
		}
		slices.SortStableFunc(next.Timeline, func(a, b catalog.Mark) int { return a.At.Compare(b.At) })
		if err := tx.TransitionJob(r.id, from, to, func(j *catalog.Job) { *j = next }); err != nil {
			return err
		}
		stored, err = tx.Job(r.id)
		return err
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.job, r.marks = stored, r.marks[len(marks):]
	return nil
}
