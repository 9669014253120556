// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// verifier compares layers with their diffIDs while what their headers say is already looked at. Hashing the largest layer decides
// how long all takes, so who reads headers has processors of its own.
type verifier struct {
	ctx           context.Context
	cancel        context.CancelFunc
	group         *errgroup.Group
	hashes, skims *semaphore.Weighted
}

// newVerifier makes one that stop must end.
func newVerifier(ctx context.Context) *verifier {
	cpus := int64(runtime.NumCPU())
	skims := max(1, cpus/4)
	v := &verifier{hashes: semaphore.NewWeighted(max(1, cpus-skims)), skims: semaphore.NewWeighted(skims)}
	ctx, v.cancel = context.WithCancel(ctx)
	v.group, v.ctx = errgroup.WithContext(ctx)
	return v
}

// hash does the work in a goroutine of its own, as soon as a processor is free.
func (v *verifier) hash(work func(ctx context.Context) error) {
	v.group.Go(func() error { return inTurn(v.ctx, v.hashes, work) })
}

// skim does the work beside those who hash.
func (v *verifier) skim(work func(ctx context.Context) error) error {
	return inTurn(v.ctx, v.skims, work)
}

func inTurn(ctx context.Context, slots *semaphore.Weighted, work func(ctx context.Context) error) error {
	if err := slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer slots.Release(1)
	return work(ctx)
}

// wait gives what the first work that failed found.
func (v *verifier) wait() error { return v.group.Wait() }

// stop ends what nobody waits for any more.
func (v *verifier) stop() {
	v.cancel()
	_ = v.group.Wait()
}
