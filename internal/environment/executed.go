// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/sql/executor"
)

// payload is what runs inside the image: the interpreter's version, imports of the required packages, a kernel that answers, and
// `ray start` with the options of released clients. Its last line is an executed report after mark.
//
//go:embed check.py
var payload string

const (
	mark = "firn-check:"
	// patience is how long the check may wait for its turn, on top of its own time.
	patience = 10 * time.Minute
	poll     = 200 * time.Millisecond
)

// executed is what the payload reports. An empty text is a check that passed.
type executed struct {
	Python     string            `json:"python"`
	Executable string            `json:"executable"`
	Machine    string            `json:"machine"`
	Imports    map[string]string `json:"imports"` // package -> what went wrong
	Kernel     string            `json:"kernel"`
	Ray        string            `json:"ray"`
}

// execute runs the image and adds what it found to the report.
//
// Errors: Unavailable when it could not be run; Canceled.
func (c *Checker) execute(ctx context.Context, ref executor.ImageRef, report *imagecheck.Report) error {
	job := c.job(ref)
	if err := c.Catalog.Update(ctx, func(tx catalog.Tx) error { return tx.SubmitJob(job) }); err != nil {
		return err
	}
	c.Wake()
	ended, err := c.await(ctx, job.ID)
	if err != nil {
		return err
	}
	if ended.State == catalog.JobInternalError || ended.State == catalog.JobCancelled {
		return errs.New(errs.Unavailable, "the executed check of %s did not run: %s", ref.Path, ended.Message)
	}
	found, text := c.outcome(ctx, ended)
	report.Extend(checksOf(ended, found, text)...)
	return nil
}

// job is the run of the image, isolated: no network, a read-only root, no capabilities, no session.
func (c *Checker) job(ref executor.ImageRef) *catalog.Job {
	return &catalog.Job{
		ID: catalog.ID(uuid.Must(uuid.NewV7()).String()), Kind: "CHECK",
		Name: "CHECK_" + strings.ToUpper(strings.ReplaceAll(uuid.NewString()[:13], "-", "_")), Database: "SNOWFLAKE", Schema: "IMAGES",
		Owner: catalog.RoleAccountAdmin, Pool: "SYSTEM_COMPUTE_POOL_CPU", Image: ref.Path, Digest: ref.Digest,
		Comment: "executed check of " + ref.Path,
		Plan: catalog.Plan{
			Args: []string{"python3", "-c", payload},
			Env: map[string]string{
				"HOME": "/tmp", "IPYTHONDIR": "/tmp/ipython", "JUPYTER_RUNTIME_DIR": "/tmp/jupyter", "MPLCONFIGDIR": "/tmp",
				"PYTHONDONTWRITEBYTECODE": "1", "RAY_USAGE_STATS_ENABLED": "0",
			},
			CPU: 1, Memory: 4 << 30, Timeout: c.Limit, Isolated: true,
		},
		Replicas: 1, MinInstances: 1, Parameters: map[string]any{"ASYNC": false},
	}
}

// await waits for the job's end. When the caller gives up, the job is cancelled.
func (c *Checker) await(ctx context.Context, id catalog.ID) (*catalog.Job, error) {
	most := c.Limit + patience
	ctx, cancel := context.WithTimeoutCause(ctx, most, errs.New(errs.Unavailable,
		"the executed check did not get its turn within %s: other jobs hold the machine, try again later", most))
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		var job *catalog.Job
		err := c.Catalog.View(ctx, func(tx catalog.Tx) (err error) { job, err = tx.Job(id); return err })
		if err == nil && job.State.Final() {
			return job, nil
		}
		if err != nil && ctx.Err() == nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			c.abandon(context.WithoutCancel(ctx), id)
			if cause := context.Cause(ctx); errs.Is(cause, errs.Unavailable) {
				return nil, cause
			}
			return nil, errs.Wrap(context.Cause(ctx), errs.Canceled, "the executed check was given up")
		case <-tick.C:
		}
	}
}

// abandon cancels a job that nobody waits for any more.
func (c *Checker) abandon(ctx context.Context, id catalog.ID) {
	err := c.Catalog.Update(ctx, func(tx catalog.Tx) error {
		job, err := tx.Job(id)
		if err != nil || job.State.Final() {
			return err
		}
		to := catalog.JobCancelling
		if job.State == catalog.JobPending {
			to = catalog.JobCancelled
		}
		return tx.TransitionJob(id, job.State, to, func(j *catalog.Job) { j.Message = "nobody waits for the check any more" })
	})
	if err != nil {
		c.Log.Error("cancel an executed check", "job", id, "err", err)
	}
	c.Wake()
}

// outcome reads the payload's report out of the job's log. Without one, text says what is known.
func (c *Checker) outcome(ctx context.Context, job *catalog.Job) (*executed, string) {
	log, err := c.Logs.Logs(ctx, job, 0, 0, time.Time{}, false)
	if err != nil {
		return nil, "its log cannot be read: " + errs.MessageOf(err)
	}
	defer log.Close()
	line, err := lastLine(log, mark)
	if err != nil {
		return nil, err.Error()
	}
	var found executed
	if err := json.Unmarshal([]byte(line), &found); err != nil {
		return nil, "the check's report is damaged"
	}
	return &found, ""
}

// checksOf turns what the payload reports into checks of the report.
func checksOf(job *catalog.Job, found *executed, text string) []imagecheck.CheckResult {
	const id = "executed_run"
	if found == nil || job.State != catalog.JobDone {
		why := text
		if job.Message != "" {
			why = strings.TrimPrefix(why+"; "+job.Message, "; ")
		}
		if why == "" {
			why = fmt.Sprintf("exit code %d", job.ExitCode)
		}
		return []imagecheck.CheckResult{result(id, "the image did not run the check to its end: "+why, "",
			"start from the base image's ENTRYPOINT, and let it end in exec \"$@\"")}
	}
	checks := []imagecheck.CheckResult{result(id, "",
		"the image runs by digest through its entrypoint, without network, on a read-only root, Python "+found.Python, "")}
	broken := slices.Sorted(maps.Keys(found.Imports))
	problem := ""
	for _, name := range broken {
		problem += "; " + name + ": " + found.Imports[name]
	}
	return append(checks,
		result("executed_imports", strings.TrimPrefix(problem, "; "), "every required package can be imported",
			"install versions that work together: uv pip install --system --break-system-packages "+strings.Join(broken, " ")),
		result("executed_kernel", found.Kernel, "a Jupyter kernel answers 1+1",
			"uv pip install --system --break-system-packages ipykernel jupyter-client"),
		result("executed_ray", found.Ray, "ray start takes the options that ML Jobs clients pass",
			"keep /opt/firn/bin first on PATH, or install ray[default]<=2.47.1"))
}

// result is a check that passed with the message when problem is "", else one that failed.
func result(id, problem, message, remedy string) imagecheck.CheckResult {
	if problem == "" {
		return imagecheck.CheckResult{ID: id, Status: imagecheck.Pass, Message: message, Evidence: []imagecheck.Evidence{}}
	}
	return imagecheck.CheckResult{ID: id, Status: imagecheck.Fail, Message: problem, Remedy: remedy, Evidence: []imagecheck.Evidence{}}
}
