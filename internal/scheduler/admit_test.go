// SPDX-License-Identifier: Apache-2.0

package scheduler_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/scheduler"
)

func TestAdmission(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.engine.Total = compute.Capacity{CPU: 3, Memory: 8 << 30}
	r.pool("SMALL", 1)
	r.create(catalog.KindComputePool, catalog.Name{Object: "ASLEEP"}, &catalog.ComputePoolSpec{MaxNodes: 5, Suspended: true})
	r.run(r.options)
	add := func(pool string, replicas int) catalog.ID {
		t.Helper()
		j := job("hang")
		j.Pool, j.Replicas = pool, replicas
		return r.submit(j)
	}
	says := func(id catalog.ID, hint string) {
		t.Helper()
		r.eventually("hint "+hint, func() bool {
			j := r.row(id)
			return j.State == catalog.JobPending && strings.Contains(j.Message, hint)
		})
	}
	first := add("SMALL", 1)
	r.await(first, catalog.JobRunning)
	says(add("SMALL", 2), "at most 1 nodes, the job needs 2")
	says(add("ASLEEP", 1), "is suspended")
	says(add("POOL", 4), "the job needs 4 CPUs, one for each instance, and this installation has 3")
	second := add("SMALL", 1)
	says(second, "1 of 1 are in use")
	third := add("POOL", 1) // passes those that wait for their pools
	r.await(third, catalog.JobRunning)
	pair := add("POOL", 2)
	says(pair, "waiting for CPUs: 2 of 3 are in use")
	late := add("POOL", 1) // does not pass the pair, though there is room for one
	says(late, "submitted earlier")
	check := job("echo quick")
	check.Kind, check.Plan.Isolated = "CHECK", true
	r.await(r.submit(check), catalog.JobDone)

	r.cancel(third)
	r.await(third, catalog.JobCancelled)
	r.await(pair, catalog.JobRunning)
	r.cancel(first)
	r.await(first, catalog.JobCancelled)
	r.await(second, catalog.JobRunning) // older than late, and its pool has a node again
	r.cancel(pair)
	r.await(late, catalog.JobRunning)
}

func TestWaitingForEngineAndDoor(t *testing.T) {
	t.Parallel()
	r := setup(t)
	var open atomic.Bool
	r.options.Door = func(context.Context) (scheduler.ContainerDoor, error) {
		if !open.Load() {
			return scheduler.ContainerDoor{}, errs.New(errs.Unavailable, "the door is shut")
		}
		return scheduler.ContainerDoor{Host: "10.9.8.1", Port: 8086}, nil
	}
	r.engine.Total = compute.Capacity{CPU: 3, Memory: 8 << 30}
	r.engine.Down(true)
	r.run(r.options)
	if cpu, memory, gpus, err := r.current.Clamp(t.Context(), 6, 28<<30, 1); err != nil || cpu != 6 || memory != 28<<30 || gpus != 1 {
		t.Errorf("of an engine never seen: %v, %v, %v, %v", cpu, memory, gpus, err)
	}
	id := r.submit(job("echo hello"))
	says := func(hint string) {
		t.Helper()
		r.eventually("hint "+hint, func() bool {
			j := r.row(id)
			return j.State == catalog.JobPending && strings.Contains(j.Message, hint)
		})
	}
	says("engine is down")
	r.engine.Down(false)
	says("the door is shut")
	r.engine.Down(true)
	if cpu, memory, _, err := r.current.Clamp(t.Context(), 6, 28<<30, 1); err != nil || cpu != 3 || memory != 7<<30 {
		t.Errorf("of an engine seen before: %v, %v, %v", cpu, memory, err)
	}
	open.Store(true)
	r.engine.Down(false)
	if done := r.await(id, catalog.JobDone); done.Message != "" {
		t.Errorf("message %q stays", done.Message)
	}
}

func TestClamp(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.engine.Total = compute.Capacity{CPU: 4, Memory: 16 << 30}
	r.run(r.options)
	for _, tt := range []struct{ cpu, wantCPU, memory, wantMemory float64 }{
		{1, 1, 6, 6}, {6, 4, 28, 14}, {4, 4, 14, 14},
	} {
		cpu, memory, gpus, err := r.current.Clamp(t.Context(), tt.cpu, int64(tt.memory)<<30, 1)
		if err != nil || cpu != tt.wantCPU || memory != int64(tt.wantMemory)<<30 || gpus != 0 {
			t.Errorf("%+v: %v, %v, %v, %v", tt, cpu, memory, gpus, err)
		}
	}
}
