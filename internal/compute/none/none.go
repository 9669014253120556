// SPDX-License-Identifier: Apache-2.0

// Package none is the compute backend of a server that runs no containers: another replica does, or nobody. It knows no task,
// refuses to start one, and says so.
package none

import (
	"context"
	"io"
	"iter"
	"math"
	"time"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// Backend is the backend. Its zero value is ready to use.
type Backend struct{}

var _ compute.Backend = Backend{}

func unknown(id compute.TaskID) error {
	return errs.New(errs.NotFound, "task %s is not known here: this server runs no containers", id)
}

// Start refuses.
func (Backend) Start(context.Context, compute.Task, func(compute.Event)) error {
	return errs.New(errs.Unavailable, "this server runs no containers: start one with --compute docker")
}

// Wait knows no task.
func (Backend) Wait(_ context.Context, id compute.TaskID) (compute.Exit, error) {
	return compute.Exit{}, unknown(id)
}

// Logs knows no task.
func (Backend) Logs(_ context.Context, id compute.TaskID, _ compute.LogOptions) (io.ReadCloser, error) {
	return nil, unknown(id)
}

// Stop knows no task.
func (Backend) Stop(_ context.Context, id compute.TaskID, _ time.Duration) error { return unknown(id) }

// Remove has nothing to do.
func (Backend) Remove(context.Context, compute.TaskID) error { return nil }

// List is empty.
func (Backend) List(context.Context) iter.Seq2[compute.Status, error] {
	return func(func(compute.Status, error) bool) {}
}

// Capacity sets no bound: whoever runs the task has its own.
func (Backend) Capacity(context.Context) (compute.Capacity, error) {
	return compute.Capacity{CPU: math.MaxInt32, Memory: math.MaxInt64, GPUs: math.MaxInt32}, nil
}

// Close has nothing to do.
func (Backend) Close() error { return nil }
