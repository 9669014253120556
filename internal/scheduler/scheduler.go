// SPDX-License-Identifier: Apache-2.0

// Package scheduler runs jobs: it takes their rows from the catalog, starts their containers on a compute backend, copies
// their stage directories in and out, keeps their logs, and writes how they ended. The job row is the message: the executor
// writes it, nobody calls the scheduler but to wake it and to read logs.
//
// Everything that it must not forget is in the row or follows from it: containers and directories are named after the job,
// starting is idempotent, and what is left over from a process that was killed is found by comparing rows, containers and
// directories. What it keeps in memory is which jobs it holds a lease on.
//
// Read this file first, then tick.go (which jobs are ours), admit.go (which may start), task.go (what their containers
// get), run.go, start.go and finish.go (the life of one), rescue.go (what others left behind), logs.go.
package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/stage"
)

// TokenIssuer makes the token that a job's container logs in with.
type TokenIssuer interface {
	// JobToken gives a new token that acts for the job's owner role until RevokeJob. It outlives the process.
	JobToken(ctx context.Context, job *catalog.Job) (errs.Secret, error)
	// RevokeJob ends all tokens of a job; nothing happens when there are none.
	RevokeJob(ctx context.Context, job catalog.ID) error
}

// PullInfo says where the engine pulls images from.
type PullInfo struct {
	Registry func() string                                    // host[:port] of Firn's registry, as the engine reaches it
	Login    func(ctx context.Context) (compute.Login, error) // who may pull every image there; nil: nobody needs to be
}

// ContainerDoor is where containers reach the server.
type ContainerDoor struct {
	Host string // address or name
	Port int
}

// Options is what a Scheduler needs.
type Options struct {
	Catalog catalog.Store
	Blobs   blob.Store // for logs
	Stage   *stage.Stage
	Backend compute.Backend
	Tokens  TokenIssuer
	Pull    PullInfo
	// Door gives where containers reach the server; it is asked before each start, as an engine that starts later brings its network.
	// What is Unavailable is asked again.
	Door    func(ctx context.Context) (ContainerDoor, error)
	Account string // SNOWFLAKE_ACCOUNT in containers

	// Worker names this scheduler in leases. It stays the same when the server starts again, so that the next process goes on
	// at once with what the killed one held; no two that live at the same time may share it.
	Worker string
	// WorkDir is a private directory of this host for the stage directories that containers see. It stays the same, too.
	WorkDir string

	Now   func() time.Time
	Log   *slog.Logger
	Lease time.Duration // how long others wait before they take over; 0: 30 s
	Poll  time.Duration // how often rows and mounted directories are looked at; 0: 1 s
	Grace time.Duration // how long a container may take to end when asked; 0: 5 s
}

// Scheduler runs the jobs that it holds. Its methods are safe for concurrent use; Run is called once.
type Scheduler struct {
	o    Options
	wake chan struct{}

	mu   sync.Mutex
	held map[catalog.ID]*run

	capacity atomic.Pointer[compute.Capacity] // as last seen, nil before

	running sync.WaitGroup // goroutines of runs
}

// New makes a scheduler. It does nothing before Run.
func New(o Options) *Scheduler {
	if o.Lease == 0 {
		o.Lease = 30 * time.Second
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.Grace == 0 {
		o.Grace = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Scheduler{o: o, wake: make(chan struct{}, 1), held: map[catalog.ID]*run{}}
}

// Wake is a hint that a job was submitted or cancelled. It never blocks.
func (s *Scheduler) Wake() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// rescueEvery and tidyEvery are how often leftovers are looked for.
const (
	rescueEvery = 10 * time.Second
	tidyEvery   = 10 * time.Minute
)

// Run runs jobs until ctx ends; then it leaves their containers running and comes back when nothing of it runs any more. The
// same or another scheduler goes on with them.
func (s *Scheduler) Run(ctx context.Context) {
	tick := time.NewTicker(s.o.Poll)
	defer tick.Stop()
	var rescued, tidied time.Time
	for ctx.Err() == nil {
		s.attempt(ctx, "jobs are not looked at", s.tick)
		if now := s.o.Now(); now.Sub(rescued) >= rescueEvery {
			rescued = now
			s.attempt(ctx, "leftovers are not removed", s.rescue)
		}
		if now := s.o.Now(); now.Sub(tidied) >= tidyEvery {
			tidied = now
			s.attempt(ctx, "logs of dropped jobs are not removed", s.tidy)
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-tick.C:
		}
	}
	s.running.Wait()
}

// attempt does one thing of the loop. What fails is done again next time.
func (s *Scheduler) attempt(ctx context.Context, what string, do func(context.Context) error) {
	if err := do(ctx); err != nil && ctx.Err() == nil {
		s.o.Log.Warn(what, "error", err)
	}
}

// Clamp gives what an instance that asks for so much gets on this installation: the CPU cores, the memory in bytes, of
// which an eighth stays with the host, and the GPUs. While the engine does not answer, what it had before counts, or what was
// asked for: at the start the job gets no more than there is, whichever host runs it.
//
// Errors: Canceled.
func (s *Scheduler) Clamp(ctx context.Context, cpu float64, memory int64, gpus int) (float64, int64, int, error) {
	c, err := s.o.Backend.Capacity(ctx)
	if err == nil {
		s.capacity.Store(&c)
	} else if !temporary(err) {
		return 0, 0, 0, err
	}
	cpu, memory, gpus = fit(s.capacity.Load(), cpu, memory, gpus)
	return cpu, memory, gpus, nil
}

// fit bounds what an instance gets by what there is; nil is not known.
func fit(c *compute.Capacity, cpu float64, memory int64, gpus int) (float64, int64, int) {
	if c == nil {
		return cpu, memory, gpus
	}
	return min(cpu, c.CPU), min(memory, c.Memory-c.Memory/8), min(gpus, c.GPUs)
}

// temporary tells whether what failed may succeed when it is done again.
func temporary(err error) bool {
	code := errs.CodeOf(err)
	return code == errs.Unavailable || code == errs.Exhausted || code == errs.Conflict
}

// retry does something until it succeeds, fails for good, or ctx ends.
func (s *Scheduler) retry(ctx context.Context, what string, do func(context.Context) error) error {
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		err := do(ctx)
		if !temporary(err) {
			return err
		}
		s.o.Log.Warn(what+": trying again", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(delay):
		}
	}
}
