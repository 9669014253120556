// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"strings"
	"sync"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// The actions of audit events.
const (
	actionPush   = "push"
	actionPull   = "pull"
	actionDelete = "delete"
)

// event is the audit event of a request.
func (r *request) event(action, digest string) catalog.Event {
	path := "/" + r.name
	if r.reference != "" && !isDigest(r.reference) && r.endpoint == endpointManifest {
		path += ":" + r.reference
	}
	e := catalog.Event{
		User: r.id.User, Role: r.id.Role, Action: action, Kind: catalog.KindImageRepository, Object: path, Digest: digest, Allowed: true,
	}
	if r.id.JobID != "" {
		e.Detail = "job " + string(r.id.JobID)
	}
	return e
}

// auditDenied records a request that lacked a privilege.
func (g *Registry) auditDenied(r *request, cause error) {
	action := actionPush
	switch r.Method {
	case "GET", "HEAD":
		action = actionPull
	case "DELETE":
		action = actionDelete
	}
	e := r.event(action, "")
	if isDigest(r.reference) {
		e.Digest = r.reference
	}
	e.Allowed, e.Detail = false, strings.TrimSpace(e.Detail+" "+errs.MessageOf(cause))
	g.audit(r.Context(), entry{e, nil})
}

// entry is what the trail takes: an event, and the pull that it is about.
type entry struct {
	catalog.Event
	pull *catalog.ImagePull // nil: none
}

// audit records an event that has no transaction of its own. An audit trail that cannot be written does not stop pulls.
func (g *Registry) audit(ctx context.Context, e entry) {
	if err := g.trail.add(ctx, e); err != nil {
		g.Log.Error("audit event is lost", "action", e.Action, "user", e.User, "object", e.Object, "error", err)
	}
}

// trail writes audit events of many requests in one transaction: events that come while one is being written share the next.
type trail struct {
	catalog catalog.Store
	mu      sync.Mutex
	next    *batch // gathers entries; nil when nobody waits
	writing bool
}

// batch is what one transaction writes.
type batch struct {
	entries []entry
	done    chan struct{} // closed when err is set
	err     error
}

// add records an event and returns when it is durable.
func (t *trail) add(ctx context.Context, e entry) error {
	t.mu.Lock()
	if t.next == nil {
		t.next = &batch{done: make(chan struct{})}
	}
	b := t.next
	b.entries = append(b.entries, e)
	if !t.writing {
		t.writing = true
		go t.write(context.WithoutCancel(ctx))
	}
	t.mu.Unlock()
	<-b.done
	return b.err
}

// write writes batches until there is none.
func (t *trail) write(ctx context.Context) {
	for {
		t.mu.Lock()
		b := t.next
		t.next = nil
		t.writing = b != nil
		t.mu.Unlock()
		if b == nil {
			return
		}
		b.err = t.catalog.Update(ctx, func(tx catalog.Tx) error {
			for _, e := range b.entries {
				if err := tx.AddEvent(e.Event); err != nil {
					return err
				}
				if e.pull == nil {
					continue
				}
				if err := notePull(tx, *e.pull); err != nil {
					return err
				}
			}
			return nil
		})
		close(b.done)
	}
}
