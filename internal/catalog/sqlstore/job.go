// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"fmt"
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const (
	jobColumns columns = "id, kind, database_name, schema_name, name, owner, user_name, pool, query, comment, environment, image, digest, plan, " +
		"replicas, min_instances, parameters, state, message, exit_code, instances, timeline, worker, lease_until, created, started, completed, deleted"
	// unfinished is the condition of a job that somebody still moves on.
	unfinished = "state NOT IN ('DONE', 'FAILED', 'CANCELLED', 'INTERNAL_ERROR')"
)

func readJob(row scan) (*catalog.Job, error) {
	j := &catalog.Job{}
	return j, row(&j.ID, &j.Kind, &j.Database, &j.Schema, &j.Name, &j.Owner, &j.User, &j.Pool, &j.Query, &j.Comment, &j.Environment,
		&j.Image, &j.Digest, documentColumn{&j.Plan}, &j.Replicas, &j.MinInstances, documentColumn{&j.Parameters}, &j.State, &j.Message,
		&j.ExitCode, documentColumn{&j.Instances}, documentColumn{&j.Timeline}, &j.Worker, stamp{&j.LeaseUntil}, stamp{&j.Created},
		stamp{&j.Started}, stamp{&j.Completed}, stamp{&j.Deleted})
}

// jobValues gives the jobColumns of a job.
func jobValues(j *catalog.Job) ([]any, error) {
	var documents [4]string
	for i, v := range []any{j.Plan, j.Parameters, j.Instances, j.Timeline} {
		var err error
		if documents[i], err = document(v); err != nil {
			return nil, err
		}
	}
	return []any{string(j.ID), j.Kind, j.Database, j.Schema, j.Name, j.Owner, j.User, j.Pool, j.Query, j.Comment, j.Environment,
		j.Image, j.Digest, documents[0], j.Replicas, j.MinInstances, documents[1], string(j.State), j.Message, j.ExitCode, documents[2],
		documents[3], j.Worker, micros(j.LeaseUntil), micros(j.Created), micros(j.Started), micros(j.Completed), micros(j.Deleted)}, nil
}

// SubmitJob implements catalog.Jobs.
func (t *tx) SubmitJob(j *catalog.Job) error {
	submitted := *j
	submitted.State, submitted.Worker, submitted.LeaseUntil = catalog.JobPending, "", time.Time{}
	if submitted.ID == "" {
		submitted.ID = t.newID()
	}
	if submitted.Created.IsZero() {
		submitted.Created = t.now
	}
	values, err := jobValues(&submitted)
	if err != nil {
		return err
	}
	n, err := t.exec("INSERT INTO job ("+string(jobColumns)+") VALUES ("+jobColumns.places()+") ON CONFLICT DO NOTHING", values...)
	if err != nil {
		return err
	}
	if n == 0 {
		return errs.New(errs.Exists, "job %s already exists", submitted.ID)
	}
	*j = submitted
	return nil
}

// Job implements catalog.Jobs.
func (t *tx) Job(id catalog.ID) (*catalog.Job, error) {
	j, found, err := one(t, readJob, "SELECT "+string(jobColumns)+" FROM job WHERE id = $1", string(id))
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "job %s does not exist", id)
	}
	return j, err
}

// ClaimJob implements catalog.Jobs.
func (t *tx) ClaimJob(worker string, until time.Time) (*catalog.Job, error) {
	if err := t.writable(); err != nil {
		return nil, err
	}
	j, found, err := one(t, readJob, `UPDATE job SET worker = $1, lease_until = $2 WHERE id = (
			SELECT id FROM job WHERE state = 'PENDING' AND lease_until <= $3 ORDER BY created, id LIMIT 1`+t.runner.dialect().skipLocked+`)
		RETURNING `+string(jobColumns), worker, micros(until), micros(t.now))
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "no job is pending")
	}
	return j, err
}

// RenewJob implements catalog.Jobs.
func (t *tx) RenewJob(id catalog.ID, worker string, until time.Time) error {
	n, err := t.exec("UPDATE job SET lease_until = $3 WHERE id = $1 AND worker = $2 AND worker <> ''", string(id), worker, micros(until))
	if err == nil && n == 0 {
		return errs.New(errs.Conflict, "worker %s does not hold job %s any more", worker, id)
	}
	return err
}

// TransitionJob implements catalog.Jobs.
func (t *tx) TransitionJob(id catalog.ID, from, to catalog.JobState, change func(*catalog.Job)) error {
	old, err := t.Job(id)
	if err != nil {
		return err
	}
	if old.State != from {
		return errs.New(errs.Conflict, "job %s is %s and not %s any more", id, old.State, from)
	}
	j := *old
	if change != nil {
		change(&j)
	}
	j.ID, j.State, j.Created, j.Worker, j.LeaseUntil = old.ID, to, old.Created, old.Worker, old.LeaseUntil
	if to == catalog.JobRunning && j.Started.IsZero() {
		j.Started = t.now
	}
	if to.Final() {
		j.Worker, j.LeaseUntil = "", time.Time{}
		if j.Completed.IsZero() {
			j.Completed = t.now
		}
	}
	values, err := jobValues(&j)
	if err != nil {
		return err
	}
	_, err = t.exec("UPDATE job SET ("+string(jobColumns)+") = ("+jobColumns.places()+") WHERE id = $1", values...)
	return err
}

// TakeJob implements catalog.Jobs.
func (t *tx) TakeJob(id catalog.ID, worker string, until time.Time) (*catalog.Job, error) {
	j, err := t.Job(id)
	if err != nil {
		return nil, err
	}
	if j.State.Final() {
		return nil, errs.New(errs.Conflict, "job %s has ended: it is %s", id, j.State)
	}
	if j.LeaseUntil.After(t.now) {
		return nil, errs.New(errs.Conflict, "job %s is held by worker %s", id, j.Worker)
	}
	j.Worker, j.LeaseUntil = worker, until.UTC().Truncate(time.Microsecond)
	_, err = t.exec("UPDATE job SET worker = $2, lease_until = $3 WHERE id = $1", string(id), worker, micros(until))
	return j, err
}

// ExpiredJobs implements catalog.Jobs.
func (t *tx) ExpiredJobs(now time.Time) iter.Seq2[*catalog.Job, error] {
	return list(t, readJob, "SELECT "+string(jobColumns)+" FROM job WHERE worker <> '' AND lease_until < $1 AND "+unfinished+
		" ORDER BY lease_until, id", micros(now))
}

// FindJobs implements catalog.Jobs.
func (t *tx) FindJobs(q catalog.JobFilter) iter.Seq2[*catalog.Job, error] {
	var f filter
	oneOf(&f, "owner", q.Owners)
	if q.Pool != "" {
		f.add("pool = ?", q.Pool)
	}
	oneOf(&f, "state", q.States)
	since(&f, "created", q.CreatedSince, q.CreatedUntil)
	if q.Worker != "" {
		f.add("worker = ?", q.Worker)
	}
	if q.Digest != "" {
		f.add("digest = ?", q.Digest)
	}
	limit := ""
	if q.Limit > 0 {
		limit = fmt.Sprintf(" LIMIT %d", q.Limit)
	}
	return list(t, readJob, "SELECT "+string(jobColumns)+" FROM job"+f.where()+" ORDER BY created DESC, id DESC"+limit, f.args...)
}
