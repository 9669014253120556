// SPDX-License-Identifier: Apache-2.0

// Package compute is the contract between the scheduler and whatever runs containers. It holds nouns and promises only.
//
// compute/docker runs tasks on a Docker Engine, compute/kubernetes on a cluster; compute/computetest is the suite that
// every backend passes, and holds a fake backend that passes it too. The package knows no job, no stage and no registry
// rules: the scheduler turns a job into a Task, which is complete.
package compute

import (
	"context"
	"io"
	"iter"
	"net"
	"time"

	"firn.dev/firn/internal/errs"
)

// TaskID names one container. It is made of letters, digits and dashes, at most 60 of them, and is chosen by the caller, so
// that starting again finds what was started before.
type TaskID string

// Task is everything that a backend needs to run one container.
type Task struct {
	ID     TaskID
	Labels map[string]string // found again in Status

	Image     string // repository/name@sha256:..., as the engine pulls it
	PullLogin Login  // for the registry that holds Image

	Command []string // replaces the image's entrypoint when set
	Args    []string // replaces the image's command
	Env     map[string]string
	Files   []File // small files that appear before the container starts, readable by its user only; not with ReadOnly
	Mounts  []Mount
	Hosts   map[string]string // additional names -> IPv4 addresses

	CPU       float64 // cores; 0: no limit
	Memory    int64   // bytes; 0: no limit
	SharedMem int64   // bytes of /dev/shm; 0: the engine's default
	PIDs      int64   // processes and threads; 0: no limit
	GPUs      int

	Network  string        // "none", or "job": the backend's private network without a way out
	Group    string        // with "job": tasks of one group reach each other on all ports; "": the task reaches no other
	ReadOnly bool          // root file system read-only, with a writable /tmp in memory, and no capabilities
	Timeout  time.Duration // the backend ends the task after it; 0: never
}

// Login is a user and password for a registry.
type Login struct {
	User     string
	Password errs.Secret
}

// File is a small file with its content.
type File struct {
	Path    string // absolute
	Content errs.Secret
}

// Mount makes a directory of the host appear in the container, writable. On backends without shared directories Source is
// what their side container synchronises; its meaning is between the scheduler's stage copy and the backend.
type Mount struct {
	Source string // absolute path on the host
	Target string // absolute path in the container
}

// Phase is where a task stands.
type Phase string

// The phases.
const (
	Created Phase = "created" // made, not started
	Running Phase = "running"
	Exited  Phase = "exited"
)

// Status is what a backend knows of a task.
type Status struct {
	ID      TaskID
	Labels  map[string]string
	Phase   Phase
	IP      string // IPv4 address by which its group reaches it, while running; "" without a network
	Started time.Time
	Exit    Exit // when Exited
}

// Exit is how a task ended.
type Exit struct {
	Code   int
	Reason Reason
	Detail string // of the backend, for people
	At     time.Time
}

// Reason says why a task ended.
type Reason string

// The reasons.
const (
	ReasonExit    Reason = "exit"    // the program ended by itself
	ReasonMemory  Reason = "memory"  // it was killed for using more memory than allowed
	ReasonStopped Reason = "stopped" // Stop ended it; a process that did not call Stop may be told ReasonExit with a signal's code
	ReasonTimeout Reason = "timeout" // it ran longer than Timeout, however it ended then
	ReasonGone    Reason = "gone"    // it vanished without telling how it ended
)

// Event is one step of a task's start.
type Event struct {
	Phase string // pulling, pulled, created, started
	At    time.Time
}

// LogOptions selects log lines.
type LogOptions struct {
	Tail       int       // last n lines; 0: all
	Since      time.Time // lines at or after it; zero: all
	Timestamps bool      // each line begins with an RFC 3339 time with nanoseconds, UTC, and a blank
	Follow     bool      // do not end before the task has
}

// Capacity is what the backend can give to tasks altogether.
type Capacity struct {
	CPU    float64 // cores
	Memory int64   // bytes
	GPUs   int
}

// Backend runs tasks. All methods are safe for concurrent use. A cancelled context ends the call, never the task.
//
// Tasks survive the process that started them: a new process with the same backend finds them by List and may Wait, read
// Logs, Stop and Remove as if it had started them. Timeouts are kept in that process from its first List or Wait on.
type Backend interface {
	// Start makes sure that the image is present (pulling it by digest), creates the container and starts it. It is idempotent
	// per Task.ID: a task that was started is left alone, one that was only created is started. progress (may be nil) is told
	// each step before Start returns.
	//
	// Errors: NotFound when the image does not exist; Denied when the login is refused; Unavailable when the engine or the registry
	// does not answer; Exhausted when its disk is full; Invalid when the engine refuses the task as such; Canceled with ctx.
	Start(ctx context.Context, t Task, progress func(Event)) error
	// Wait blocks until the task has ended, and may be called any number of times, also by another process afterwards. An engine
	// that does not answer is waited for, too.
	//
	// Errors: NotFound when the task is not known.
	Wait(ctx context.Context, id TaskID) (Exit, error)
	// Logs gives stdout and stderr of the task in one order. It ends at EOF when the task has exited (with Follow) or with what
	// there is now (without). It works before, during and after Wait, until Remove.
	//
	// Errors: NotFound when the task is not known.
	Logs(ctx context.Context, id TaskID, o LogOptions) (io.ReadCloser, error)
	// Stop asks the task to end and kills it after the grace. Nothing happens to a task that has ended.
	//
	// Errors: NotFound when the task is not known.
	Stop(ctx context.Context, id TaskID, grace time.Duration) error
	// Remove forgets the task, killing it if it runs. Nothing happens when it is not known.
	Remove(ctx context.Context, id TaskID) error
	// List gives every task that this installation of Firn started and has not removed, running or not.
	List(ctx context.Context) iter.Seq2[Status, error]
	// Capacity tells what there is to give.
	Capacity(ctx context.Context) (Capacity, error)
	// Close frees connections; tasks go on.
	Close() error
}

// Dialer is what a backend also has when it can open connections to ports inside tasks.
type Dialer interface {
	// Dial connects to a TCP port of a running task.
	Dial(ctx context.Context, id TaskID, port int) (net.Conn, error)
}
