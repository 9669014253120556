// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

// How often a statement that waits looks at the job: soon at first, as short jobs end soon.
const (
	firstLook   = 20 * time.Millisecond
	slowestLook = 500 * time.Millisecond
)

// jobName is the name of the service object of a job.
func jobName(j *catalog.Job) catalog.Name {
	return catalog.Name{Database: j.Database, Schema: j.Schema, Object: j.Name}
}

// awaitJob waits until the job has a state that is wanted, or a final one.
//
// Errors: NotFound; the cause of the end of ctx, and then the job as it was seen last.
func (w *work) awaitJob(ctx context.Context, id catalog.ID, wanted func(catalog.JobState) bool) (*catalog.Job, error) {
	var job *catalog.Job
	look := func(ctx context.Context) error {
		return w.options.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
			job, err = tx.Job(id)
			return err
		})
	}
	for pause := firstLook; ; pause = min(pause*3/2, slowestLook) {
		if err := look(context.WithoutCancel(ctx)); err != nil {
			return nil, err
		}
		if wanted(job.State) || job.State.Final() {
			return job, nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return job, context.Cause(ctx)
		}
	}
}

// serviceMethods are the methods of services that give a text, by CALL and in SELECT.
func serviceMethods() map[string]function {
	method := func(arguments int, run func(context.Context, *work, catalog.Name, []query.Value) (string, error)) function {
		return function{
			least: arguments, most: arguments, result: rowset.TextColumn(""),
			method: func(ctx context.Context, w *work, object catalog.Name, args []query.Value) (query.Value, error) {
				text, err := run(ctx, w, object, args)
				return query.TextValue(text), err
			},
		}
	}
	return map[string]function{
		"SPCS_WAIT_FOR":   method(2, spcsWaitFor),
		"SPCS_CANCEL_JOB": changing(method(0, spcsCancelJob)),
	}
}

// findService finds a service on which the role holds one of the privileges; without any given, any will do.
//
// Errors: NotFound (2003); Denied.
func findService(g *rbac.Guard, name catalog.Name, any ...catalog.Privilege) (*catalog.Object, error) {
	if err := g.Check([]catalog.Requirement{{Any: any, Kind: catalog.KindService, Name: name}}); err != nil {
		return nil, err
	}
	return g.Find(catalog.KindService, name)
}

// serviceFor is findService in a snapshot of its own.
func (w *work) serviceFor(ctx context.Context, name catalog.Name, any ...catalog.Privilege) (*catalog.Object, error) {
	var o *catalog.Object
	err := w.view(ctx, func(_ catalog.Tx, g *rbac.Guard) (err error) {
		o, err = findService(g, name, any...)
		return err
	})
	return o, err
}

// spcsWaitFor is SPCS_WAIT_FOR('STATUS', seconds): it fails as soon as the job cannot reach the status any more.
func spcsWaitFor(ctx context.Context, w *work, name catalog.Name, args []query.Value) (string, error) {
	o, err := w.serviceFor(ctx, name)
	if err != nil {
		return "", err
	}
	want := catalog.JobState(strings.ToUpper(args[0].Text()))
	seconds, ok := args[1].Int()
	if !ok || seconds < 0 || seconds > 7*24*3600 {
		return "", errs.New(errs.Invalid, "invalid number of seconds '%s' for SPCS_WAIT_FOR; expected 0 to 604800", args[1].Text()).Numbered(1008, "22023")
	}
	switch want {
	case catalog.JobPending, catalog.JobRunning, catalog.JobDone, catalog.JobFailed, catalog.JobCancelled:
	default:
		return "", errs.New(errs.Invalid, "invalid status '%s' for SPCS_WAIT_FOR; expected DONE, RUNNING, FAILED, CANCELLED or PENDING", want).Numbered(1008, "22023")
	}
	limited, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
	defer cancel()
	w.options.Wake()
	job, err := w.awaitJob(limited, o.Spec.(*catalog.ServiceSpec).JobID, func(s catalog.JobState) bool { return s == want })
	switch {
	case ctx.Err() != nil || job == nil:
		return "", err
	case job.State == want:
		return fmt.Sprintf("Service %s reached status %s.", o.Name, want), nil
	case err == nil:
		return "", errs.New(errs.Refused, "Service %s has the final status %s and cannot reach %s.", o.Name, job.State, want).Numbered(395071, "22023")
	}
	return "", errs.New(errs.Timeout, "Service %s did not reach status %s within %d seconds. Current status: %s.", o.Name, want, seconds, job.State).
		Numbered(395072, "22023")
}

// spcsCancelJob is SPCS_CANCEL_JOB().
func spcsCancelJob(ctx context.Context, w *work, name catalog.Name, _ []query.Value) (string, error) {
	var state catalog.JobState
	err := w.update(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		o, err := findService(g, name, catalog.Operate)
		if err != nil {
			return err
		}
		job, err := tx.Job(o.Spec.(*catalog.ServiceSpec).JobID)
		if err != nil {
			return err
		}
		state = job.State
		if state.Final() {
			return nil
		}
		if err := cancelJob(tx, job, "cancelled by "+w.session.User); err != nil {
			return err
		}
		return w.audit(tx, "cancel", o, "")
	})
	if err != nil {
		return "", err
	}
	if state.Final() {
		return fmt.Sprintf("Job %s has ended already with status: %s.", name, state), nil
	}
	w.wakes = true
	return fmt.Sprintf("Job %s is being cancelled.", name), nil
}
