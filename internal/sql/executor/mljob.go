// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/query"
)

// executeMLJob is SYSTEM$EXECUTE_ML_JOB(name, pool, specification, options), as snowflake.ml.jobs calls it. It gives the id of the
// job: DB.SCHEMA.NAME. With ASYNC false it waits for the end of the job, and fails when the job does.
//
// https://github.com/snowflakedb/snowflake-ml-python (snowflake/ml/jobs/job_definition.py)
func executeMLJob(ctx context.Context, w *work, args []query.Value) (query.Value, error) {
	s, err := w.mlSubmission(ctx, args)
	if err != nil {
		return query.Value{}, err
	}
	job, err := w.submit(ctx, s)
	if err != nil {
		return query.Value{}, err
	}
	if !s.async {
		if err := w.awaitEnd(ctx, job); err != nil {
			return query.Value{}, err
		}
	}
	return query.TextValue(s.name.String()), nil
}

// mlSubmission turns the arguments into a submission.
func (w *work) mlSubmission(ctx context.Context, args []query.Value) (submission, error) {
	spec, err := decodeMLJobSpec(args[2].Text())
	if err != nil {
		return submission{}, err
	}
	options, err := decodeMLJobOptions(args[3].Text())
	if err != nil {
		return submission{}, err
	}
	s := submission{
		kind: kindMLJob, replicas: options.Target, min: options.Min, async: options.Async, comment: options.Comment,
		parameters: map[string]any{"ASYNC": options.Async, "REPLICAS": options.Target},
	}
	if s.name, err = w.parseName(args[0].Text(), catalog.KindService); err != nil {
		return s, err
	}
	if options.Suffix {
		s.name.Object += w.suffix()
	}
	if s.pool, err = w.parseName(args[1].Text(), catalog.KindComputePool); err != nil {
		return s, err
	}
	if s.warehouse, err = canonicalName(options.Warehouse); err != nil {
		return s, err
	}
	if s.integrations, err = w.integrationNames(options.Integrations); err != nil {
		return s, err
	}
	return s, w.mlDocument(ctx, &s, spec, options)
}

// mlDocument finds the runtime and makes the specification.
func (w *work) mlDocument(ctx context.Context, s *submission, spec mlJobSpec, options mlJobOptions) error {
	family, size, note, err := w.poolSize(ctx, s.pool)
	if err != nil {
		return err
	}
	s.size, s.note = size, note
	selector, err := w.runtimePath(ctx, family, spec.Runtime, "")
	if err != nil {
		return err
	}
	if s.image, err = w.findImage(ctx, selector, s.pool, family); err != nil {
		return err
	}
	stage := strings.TrimSuffix(spec.StagePath, "/")
	doc, err := mlJobDoc(spec, options, s.image.shown, stage, s.name.Object, size).merged(spec.Overrides)
	if err != nil {
		return err
	}
	c, err := doc.container()
	if err != nil {
		return err
	}
	if string(c.Image) != s.image.shown {
		if s.image, err = w.findImage(ctx, string(c.Image), s.pool, family); err != nil {
			return err
		}
	}
	s.doc = doc
	s.size, err = c.wanted(size)
	return err
}

// suffix makes the name of a job unique: two jobs never have the same query id.
func (w *work) suffix() string {
	sum := sha256.Sum256([]byte(w.id))
	return strings.ToUpper(hex.EncodeToString(sum[:6]))
}

// integrationNames reads names of external access integrations.
func (w *work) integrationNames(texts []string) ([]catalog.Name, error) {
	var out []catalog.Name
	for _, text := range texts {
		name, err := w.parseName(text, catalog.KindIntegration)
		if err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, nil
}

// awaitEnd waits for the end of a job.
//
// Errors: Refused when it did not end well, with the reason; Canceled with ctx.
func (w *work) awaitEnd(ctx context.Context, job *catalog.Job) error {
	w.options.Wake() // the end of the statement would be too late
	job, err := w.awaitJob(ctx, job.ID, catalog.JobState.Final)
	if err != nil || job.State == catalog.JobDone {
		return err
	}
	reason := job.Message
	if reason == "" {
		reason = "see its logs with SYSTEM$GET_SERVICE_LOGS"
	}
	return errs.New(errs.Refused, "Job %s failed with status: %s. %s", jobName(job), job.State, reason).Numbered(395022, "22023")
}
