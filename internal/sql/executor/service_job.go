// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
)

// maxSpec is the longest service specification, in bytes.
const maxSpec = 1 << 20

// executeJobService runs EXECUTE JOB SERVICE. Unless ASYNC is set it waits for the end of the job, and fails when the job does.
// https://docs.snowflake.com/en/sql-reference/sql/execute-job-service
func (w *work) executeJobService(ctx context.Context, s *ast.ExecuteJobService) (*Result, error) {
	sub, err := w.serviceSubmission(ctx, s)
	if err != nil {
		return nil, err
	}
	job, err := w.submit(ctx, sub)
	if err != nil {
		return nil, err
	}
	if sub.async {
		return &Result{Rowset: status(fmt.Sprintf("Job %s successfully submitted.", job.Name))}, nil
	}
	if err := w.awaitEnd(ctx, job); err != nil {
		return nil, err
	}
	return &Result{Rowset: status(fmt.Sprintf("Job %s completed successfully with status: DONE.", job.Name))}, nil
}

// serviceSubmission turns the statement into a submission.
func (w *work) serviceSubmission(ctx context.Context, s *ast.ExecuteJobService) (submission, error) {
	sub, err := w.jobProperties(s.Properties)
	if err != nil {
		return sub, err
	}
	if s.Job == nil {
		s.Job = &ast.Name{Kind: catalog.KindService, Parts: []ast.Ident{{Text: "JOB_" + strings.ToUpper(strings.ReplaceAll(w.id, "-", "_"))}}}
		if err := w.resolve(s.Job); err != nil {
			return sub, err
		}
	}
	sub.name, sub.pool = s.Job.Resolved, s.Pool.Resolved
	text, err := w.specText(ctx, s)
	if err != nil {
		return sub, err
	}
	if sub.doc, err = parseServiceDoc(text); err != nil {
		return sub, err
	}
	c, err := sub.doc.container()
	if err != nil {
		return sub, err
	}
	family, size, note, err := w.poolSize(ctx, sub.pool)
	if err != nil {
		return sub, err
	}
	sub.note = note
	if sub.image, err = w.findImage(ctx, string(c.Image), sub.pool, family); err != nil {
		return sub, err
	}
	c.Image = scalar(sub.image.shown)
	sub.size, err = c.wanted(size)
	return sub, err
}

// jobProperties reads the clauses of EXECUTE JOB SERVICE.
func (w *work) jobProperties(given []ast.Property) (submission, error) {
	sub := submission{kind: kindJobService, replicas: 1, parameters: map[string]any{}}
	known := []string{"ASYNC", "REPLICAS", "QUERY_WAREHOUSE", "EXTERNAL_ACCESS_INTEGRATIONS", "COMMENT"}
	seen := map[string]bool{}
	for _, p := range given {
		if seen[p.Name] {
			return sub, errs.New(errs.Invalid, "SQL compilation error:\nduplicate property '%s'", p.Name).Numbered(1003, "42000")
		}
		seen[p.Name] = true
		if !slices.Contains(known, p.Name) {
			return sub, unknown("property", p.Name, known)
		}
		if err := w.jobProperty(&sub, p); err != nil {
			return sub, err
		}
	}
	sub.min = sub.replicas
	sub.parameters["ASYNC"] = sub.async
	return sub, nil
}

func (w *work) jobProperty(sub *submission, p ast.Property) error {
	switch p.Name {
	case "ASYNC":
		word, err := w.wordValue(p.Name, p.Value, []string{"TRUE", "FALSE"})
		sub.async = word == "TRUE"
		return err
	case "REPLICAS":
		n, err := w.numberValue(p.Name, p.Value, 1, maxInstances)
		sub.replicas, sub.parameters["REPLICAS"] = n, n
		return err
	case "QUERY_WAREHOUSE":
		text, err := w.textValue(p.Name, p.Value)
		if err == nil {
			sub.warehouse, err = canonicalName(text)
		}
		return err
	case "EXTERNAL_ACCESS_INTEGRATIONS":
		texts, err := w.listValue(p.Name, p.Value)
		if err == nil {
			sub.integrations, err = w.integrationNames(texts)
		}
		return err
	}
	text, err := w.textValue(p.Name, p.Value)
	sub.comment = text
	return err
}

// specText gives the specification: the text in the statement, or that of a file on a stage.
func (w *work) specText(ctx context.Context, s *ast.ExecuteJobService) (string, error) {
	if s.Stage == nil {
		return s.Spec, nil
	}
	ref, err := w.givenStage(ctx, s.Stage)
	if err != nil {
		return "", err
	}
	var place stagePlace
	err = w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) (err error) {
		if err := g.Check(stageNeeds(ref, toLook())); err != nil {
			return err
		}
		if place, err = w.placeOf(tx, g, ref); err != nil {
			return err
		}
		place.path, err = place.targetPath(s.File)
		return err
	})
	if err != nil {
		return "", err
	}
	r, f, err := w.options.Stages.Open(ctx, place.stage.ID, place.path)
	if errs.Is(err, errs.NotFound) {
		return "", errs.New(errs.NotFound, "specification file '%s' does not exist", place.reference())
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	if f.Size > maxSpec {
		return "", errs.New(errs.Exhausted, "specification file '%s' has %d bytes; at most %d are read", place.reference(), f.Size, maxSpec)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxSpec))
	if err != nil {
		return "", errs.Wrap(err, errs.Unavailable, "specification file '%s' cannot be read", place.reference())
	}
	return string(text), nil
}
