// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"iter"
	"time"
)

// JobState is where a job stands, in the words of DESCRIBE SERVICE.
// https://docs.snowflake.com/en/developer-guide/snowpark-container-services/working-with-services
type JobState string

// The states and who moves a job on.
const (
	JobPending       JobState = "PENDING"        // the scheduler claims it -> RUNNING; a cancel -> CANCELLED
	JobRunning       JobState = "RUNNING"        // the scheduler, when instance 0 has ended -> DONE or FAILED; a cancel -> CANCELLING
	JobCancelling    JobState = "CANCELLING"     // the scheduler, when the containers are gone -> CANCELLED
	JobDone          JobState = "DONE"           // final
	JobFailed        JobState = "FAILED"         // final: the payload ended with another code than 0, or ran out of memory or time
	JobCancelled     JobState = "CANCELLED"      // final
	JobInternalError JobState = "INTERNAL_ERROR" // final: Firn or the engine could not run it; Message says why
)

// Final tells whether nobody moves a job on from the state.
func (s JobState) Final() bool {
	return s == JobDone || s == JobFailed || s == JobCancelled || s == JobInternalError
}

// Job is one run of containers. The row is the message between the executor, which submits it, and the scheduler, which runs it.
type Job struct {
	ID       ID
	Kind     string // "ML JOB", "JOB SERVICE" or "CHECK" (the executed check of an image)
	Database string // of the service object; "" for CHECK
	Schema   string
	Name     string
	Owner    string // role that owns it; its container acts as that role
	User     string // who submitted it
	Pool     string // compute pool
	Query    string // query id of the submission
	Comment  string

	Environment string // name of the custom runtime environment, "" when another runtime was asked for
	Image       string // what runs, as users see it: /db/schema/repo/image:tag
	Digest      string // what runs
	Plan        Plan   // what the containers get

	Replicas     int // target instances
	MinInstances int
	Parameters   map[string]any // of GET_JOB_HISTORY: ASYNC, REPLICAS; JSON values, so numbers come back as float64

	State     JobState
	Message   string // why, for FAILED and INTERNAL_ERROR; a hint for PENDING
	ExitCode  int    // of instance 0, when final
	Instances []Instance
	Timeline  []Mark // when each phase of the start was reached, in order

	Worker     string // id of the scheduler that holds the lease, "" when none
	LeaseUntil time.Time

	Created   time.Time
	Started   time.Time // zero until RUNNING
	Completed time.Time // zero until final
	Deleted   time.Time // zero until the service object was dropped
}

// Plan is what the containers of a job get, complete and resolved: the scheduler adds nothing of meaning.
type Plan struct {
	Command   []string          `json:"command,omitempty"` // replaces the image's entrypoint when set
	Args      []string          `json:"args"`
	Env       map[string]string `json:"env"`
	Mounts    []Mount           `json:"mounts"`
	CPU       float64           `json:"cpu"`       // cores per instance, after clamping to the host
	Memory    int64             `json:"memory"`    // bytes per instance
	SharedMem int64             `json:"sharedMem"` // bytes of /dev/shm
	GPUs      int               `json:"gpus,omitempty"`
	Timeout   time.Duration     `json:"timeout"` // 0: none
	Session   SessionDefaults   `json:"session"`
	Isolated  bool              `json:"isolated,omitempty"` // no network, read-only root: the executed check
}

// SessionDefaults is what a session opened from inside the container starts with.
type SessionDefaults struct {
	Database  string `json:"database"`
	Schema    string `json:"schema"`
	Warehouse string `json:"warehouse,omitempty"`
}

// Mount is a stage directory that a container sees as a directory of its own.
type Mount struct {
	Stage  ID     `json:"stage"`
	Path   string `json:"path"`   // directory below the stage root, no slash at either end; "" is the whole stage
	Target string `json:"target"` // absolute path in the container
}

// Instance is one container of a job.
type Instance struct {
	Index    int       `json:"index"`
	Status   string    `json:"status"` // PENDING, READY, SUCCEEDED, FAILED, TERMINATING
	IP       string    `json:"ip,omitempty"`
	ExitCode int       `json:"exitCode"`
	Message  string    `json:"message,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
}

// Mark is one phase of a job's start, for the timeline.
type Mark struct {
	Phase string    `json:"phase"` // submitted, claimed, staged, pulled, created, started, first-log, exited, saved
	At    time.Time `json:"at"`
}

// JobFilter selects jobs. Zero fields do not filter; a list that is empty but not nil selects nothing.
type JobFilter struct {
	Owners       []string
	Pool         string
	States       []JobState
	CreatedSince time.Time // inclusive
	CreatedUntil time.Time // exclusive
	Worker       string
	Digest       string
	Limit        int // newest first; 0 means no limit
}

// Jobs keeps jobs.
type Jobs interface {
	// SubmitJob adds a job in state PENDING without a lease; ID and Created are filled when empty.
	//
	// Errors: Exists.
	SubmitJob(j *Job) error
	// Job finds a job.
	//
	// Errors: NotFound.
	Job(id ID) (*Job, error)
	// ClaimJob gives the oldest PENDING job without a live lease to the worker until the time, still PENDING. Two workers
	// never get the same job.
	//
	// Errors: NotFound when there is none.
	ClaimJob(worker string, until time.Time) (*Job, error)
	// RenewJob sets the end of the worker's lease on a job. A lease that has passed and that nobody took is still the worker's.
	//
	// Errors: Conflict when the worker does not hold it any more.
	RenewJob(id ID, worker string, until time.Time) error
	// TransitionJob moves a job from one state to another (or stays, from == to) and stores what change does to it, except
	// ID, State, Created, Worker and LeaseUntil. Reaching RUNNING sets Started when zero, a final state sets Completed
	// when zero and ends the lease.
	//
	// Errors: NotFound; Conflict when the job is not in from.
	TransitionJob(id ID, from, to JobState, change func(*Job)) error
	// TakeJob gives a job that is not final and whose lease has passed to the worker until the time.
	//
	// Errors: NotFound; Conflict when the lease is live or the job final.
	TakeJob(id ID, worker string, until time.Time) (*Job, error)
	// ExpiredJobs lists the jobs that are not final, have been claimed, and whose lease ended before the time, longest expired first.
	ExpiredJobs(now time.Time) iter.Seq2[*Job, error]
	// FindJobs lists jobs, newest first.
	FindJobs(f JobFilter) iter.Seq2[*Job, error]
}
