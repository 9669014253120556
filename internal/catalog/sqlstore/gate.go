// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"sync"

	"firn.dev/firn/internal/errs"
)

// gate lets calls in until it is closed, and closing waits for those inside.
type gate struct {
	mu     sync.Mutex
	empty  sync.Cond
	inside int
	closed bool
}

func (g *gate) init() { g.empty.L = &g.mu }

func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errs.New(errs.Unavailable, "the catalog is closed")
	}
	g.inside++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.inside == 0 {
		g.empty.Broadcast()
	}
}

// close waits until nobody is inside and tells whether this call was the one that closed the gate.
func (g *gate) close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := !g.closed
	g.closed = true
	for g.inside > 0 {
		g.empty.Wait()
	}
	return first
}
