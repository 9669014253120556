// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"sync"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Run is one request that runs in this process, apart from whoever asked for it.
type Run struct {
	ID string // query id

	session int64
	user    string
	role    string
	request string // request id
	text    string
	async   bool
	started time.Time
	cancel  context.CancelCauseFunc
	done    chan struct{}

	// Set before done is closed.
	result *Result
	err    error
}

// errCanceled is the cause of a run that somebody stopped.
var errCanceled = errors.New("canceled")

// Wait gives the result once the request is done. When ctx ends first, the request runs on.
//
// Errors: those of the request; Timeout when ctx ended first.
func (r *Run) Wait(ctx context.Context) (*Result, error) {
	select {
	case <-r.done:
		return r.result, r.err
	default:
	}
	select {
	case <-r.done:
		return r.result, r.err
	case <-ctx.Done():
		return nil, errs.Wrap(ctx.Err(), errs.Timeout, "statement %s is still running", r.ID)
	}
}

// Done is closed when the request is done.
func (r *Run) Done() <-chan struct{} { return r.done }

// Async tells whether the client asked not to wait.
func (r *Run) Async() bool { return r.async }

// runs is the table of what runs in this process.
type runs struct {
	mu     sync.Mutex
	byID   map[string]*Run
	claims map[claim]*Run
	idle   *sync.Cond
	closed bool
}

// claim is a request id within its session.
type claim struct {
	session int64
	request string
}

func newRuns() *runs {
	r := &runs{byID: map[string]*Run{}, claims: map[claim]*Run{}}
	r.idle = sync.NewCond(&r.mu)
	return r
}

// begin adds a run, or gives the one that runs for the same request id of the session already.
//
// Errors: Unavailable when the executor ends.
func (t *runs) begin(r *Run) (*Run, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, false, errs.New(errs.Unavailable, "the server is stopping; try again")
	}
	key := claim{r.session, r.request}
	if have := t.claims[key]; have != nil && r.request != "" {
		return have, false, nil
	}
	if have := t.byID[r.ID]; have != nil {
		return nil, false, errs.New(errs.Conflict, "statement %s runs already", r.ID)
	}
	t.byID[r.ID] = r
	if r.request != "" {
		t.claims[key] = r
	}
	return r, true, nil
}

// end takes a run out and lets those go who wait for it: whoever has its result finds what is written of it, not the run.
func (t *runs) end(r *Run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, r.ID)
	if key := (claim{r.session, r.request}); t.claims[key] == r {
		delete(t.claims, key)
	}
	close(r.done)
	t.idle.Broadcast()
}

// find gives the runs that fit.
func (t *runs) find(fits func(*Run) bool) []*Run {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*Run
	for _, r := range t.byID {
		if fits(r) {
			all = append(all, r)
		}
	}
	return all
}

// drain lets no new run begin and waits for those that run; when ctx ends it cancels them.
func (t *runs) drain(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		for _, r := range t.find(func(*Run) bool { return true }) {
			r.cancel(errCanceled)
		}
	})
	defer stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for len(t.byID) > 0 {
		t.idle.Wait()
	}
}

// Start begins to run a request, apart from ctx, whose values only are kept. A request id that the session has used before
// begins nothing: the Run gives the first one's result. The session is only read, and must not be changed while the request
// runs; nor must results, which several waiters share. It never fails; errors are those of Wait.
func (e *Executor) Start(ctx context.Context, s *catalog.Session, req Request) *Run {
	apart, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	r := &Run{
		ID: req.QueryID, session: s.ID, user: s.User, role: s.Role, text: req.Text, async: req.Async, started: e.options.Now(), cancel: cancel,
		done: make(chan struct{}),
	}
	if !req.DescribeOnly {
		r.request = req.RequestID
	}
	running, fresh, err := e.runs.begin(r)
	if err != nil {
		cancel(nil)
		r.err = err
		close(r.done)
		return r
	}
	if !fresh {
		cancel(nil)
		return running
	}
	go func() {
		defer cancel(nil)
		defer e.runs.end(r)
		r.result, r.err = e.request(apart, s, req)
	}()
	return r
}

// Execute runs a request and gives its result. When ctx ends the request is cancelled.
//
// Errors: every one has the number and state that clients know (errs.Error); Canceled (604) for a statement that was stopped.
func (e *Executor) Execute(ctx context.Context, s *catalog.Session, req Request) (*Result, error) {
	r := e.Start(ctx, s, req)
	stop := context.AfterFunc(ctx, func() { r.cancel(errCanceled) })
	defer stop()
	<-r.done
	return r.result, r.err
}
