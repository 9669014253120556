// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// rescue removes what is left of jobs that have ended or that no row knows: containers, directories, tokens. Jobs that have
// not ended are not its business: tick takes those over.
func (s *Scheduler) rescue(ctx context.Context) error {
	found := map[catalog.ID]bool{}
	for status, err := range s.o.Backend.List(ctx) {
		if err != nil {
			return err
		}
		id := catalog.ID(status.Labels[labelJob])
		job, over, err := s.over(ctx, id)
		if err != nil {
			return err
		}
		if over && job == nil { // only the container itself tells how it is called
			s.o.Log.Warn("container of no job is removed", "task", status.ID)
			if err := s.o.Backend.Remove(ctx, status.ID); err != nil {
				return err
			}
		}
		found[id] = over
	}
	dirs, err := os.ReadDir(s.o.WorkDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errs.Wrap(err, errs.Unavailable, "directory of jobs %s", s.o.WorkDir)
	}
	for _, d := range dirs {
		found[catalog.ID(d.Name())] = true
	}
	for id := range found {
		job, over, err := s.over(ctx, id)
		if err != nil {
			return err
		}
		if !over || id == "" {
			continue
		}
		if job == nil {
			job = &catalog.Job{ID: id}
		}
		if err := s.cleanUp(ctx, job); err != nil {
			return err
		}
	}
	return nil
}

// over tells whether a job has ended and nobody here is busy with it; it gives the job unless no row knows it.
func (s *Scheduler) over(ctx context.Context, id catalog.ID) (job *catalog.Job, over bool, err error) {
	if s.run(id) != nil {
		return nil, false, nil
	}
	err = s.o.Catalog.View(ctx, func(tx catalog.Tx) error {
		job, err = tx.Job(id)
		return err
	})
	if errs.Is(err, errs.NotFound) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	return job, job.State.Final(), nil
}

// tidy removes the logs of jobs whose service was dropped, and the bytes of deleted stage files.
func (s *Scheduler) tidy(ctx context.Context) error {
	dropped := map[catalog.ID]bool{}
	for b, err := range s.o.Blobs.List(ctx, logPrefix) {
		if err != nil {
			return err
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(b.Key, logPrefix), "/")
		id := catalog.ID(name)
		if _, known := dropped[id]; !known {
			job, over, err := s.over(ctx, id)
			if err != nil {
				return err
			}
			dropped[id] = over && (job == nil || !job.Deleted.IsZero())
		}
		if !dropped[id] {
			continue
		}
		if err := s.o.Blobs.Delete(ctx, b.Key); err != nil {
			return err
		}
	}
	_, err := s.o.Stage.CollectOrphans(ctx, s.o.Now().Add(-time.Hour))
	return err
}
