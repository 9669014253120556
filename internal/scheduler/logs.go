// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// logPrefix begins the keys of archived logs. What follows is the job's id and the instance's number.
const logPrefix = "joblogs/"

func logKey(job catalog.ID, instance int) string {
	return fmt.Sprintf("%s%s/%d", logPrefix, job, instance)
}

// archive copies the log of an instance's ended container to the blob store, with times. A container that is gone leaves
// the archive as it is.
func (s *Scheduler) archive(ctx context.Context, job catalog.ID, instance int) error {
	log, err := s.o.Backend.Logs(ctx, taskID(job, instance), compute.LogOptions{Timestamps: true})
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = s.o.Blobs.Put(ctx, logKey(job, instance), log)
	return err
}

// Logs gives the last tail lines (0: all) of what an instance printed at or after since, each beginning with an RFC 3339
// time and a blank when timestamps is set: from the container as long as it is there, from the archive afterwards. It ends
// with what there is now. The caller closes it.
//
// Errors: NotFound when the instance has not started, with "Container Status: PENDING" in the message; NotFound when the
// job has no such instance; Unavailable, also while the job runs on another server, whose engine alone has the log.
func (s *Scheduler) Logs(
	ctx context.Context, job *catalog.Job, instance, tail int, since time.Time, timestamps bool,
) (io.ReadCloser, error) {
	if instance < 0 || instance >= max(job.Replicas, 1) {
		return nil, errs.New(errs.NotFound, "job %s has no instance %d", job.Name, instance)
	}
	o := compute.LogOptions{Tail: tail, Since: since, Timestamps: timestamps}
	// The archive is complete when it is there, and the container goes away only after that: so looking there last again
	// finds what was moved while we looked.
	for range 2 {
		archived, err := s.o.Blobs.Open(ctx, logKey(job.ID, instance), 0, -1)
		if err == nil {
			return choose(archived, o)
		}
		if !errs.Is(err, errs.NotFound) {
			return nil, err
		}
		if job.Worker != "" && job.Worker != s.o.Worker && job.State != catalog.JobPending && !job.State.Final() {
			return nil, s.elsewhere(ctx, job)
		}
		live, err := s.o.Backend.Logs(ctx, taskID(job.ID, instance), o)
		if !errs.Is(err, errs.NotFound) {
			return live, err
		}
	}
	return nil, errs.New(errs.NotFound, "instance %d of job %s has no log. Container Status: PENDING", instance, job.Name)
}

// elsewhere tells which server has the log of a running job.
func (s *Scheduler) elsewhere(ctx context.Context, job *catalog.Job) error {
	where := "another server"
	err := s.o.Catalog.View(ctx, func(tx catalog.Tx) error {
		for n, err := range tx.ListNodes(0) {
			if err != nil {
				return err
			}
			if strings.HasPrefix(n.ID, job.Worker+".") {
				where = n.URL
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errs.New(errs.Unavailable, "job %s runs on %s: ask there for its log, or here when it has ended", job.Name, where)
}

// choose selects lines of an archived log, as a backend does of a live one.
func choose(archived io.ReadCloser, o compute.LogOptions) (io.ReadCloser, error) {
	if o.Tail > 0 {
		defer archived.Close()
		var last [][]byte
		for line, err := range lines(archived, o) {
			if err != nil {
				return nil, err
			}
			if len(last) == o.Tail {
				last = slices.Delete(last, 0, 1)
			}
			last = append(last, line)
		}
		return io.NopCloser(bytes.NewReader(bytes.Join(last, nil))), nil
	}
	r, w := io.Pipe()
	go func() {
		defer archived.Close()
		for line, err := range lines(archived, o) {
			if err == nil {
				_, err = w.Write(line)
			}
			if err != nil {
				w.CloseWithError(err)
				return
			}
		}
		w.Close()
	}()
	return r, nil
}

// lines gives the selected lines, with their newline.
func lines(r io.Reader, o compute.LogOptions) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for br := bufio.NewReaderSize(r, 64<<10); ; {
			line, err := br.ReadBytes('\n')
			if errors.Is(err, io.EOF) && len(line) == 0 {
				return
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(nil, errs.Wrap(err, errs.Unavailable, "archived log"))
				return
			}
			stamp, text, ok := bytes.Cut(line, []byte(" "))
			at, bad := time.Parse(time.RFC3339Nano, string(stamp))
			if !ok || bad != nil {
				yield(nil, errs.New(errs.Corrupt, "archived log has a line without a time"))
				return
			}
			if at.Before(o.Since) {
				continue
			}
			if !o.Timestamps {
				line = text
			}
			if !yield(line, nil) {
				return
			}
		}
	}
}
