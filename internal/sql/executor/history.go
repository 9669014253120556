// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"slices"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
)

// notThere is what is said of a query id that does not exist, or belongs to another user.
func notThere(id string) error {
	return errs.New(errs.NotFound, "Statement %s not found", id).Numbered(709, "02000")
}

// owns tells whether a statement of a user in a session is the asking session's: its own, or its user's. The session of a job's
// container has only its own: it acts for a role, not for the user who submitted the job.
func owns(s *catalog.Session, user string, session int64) bool {
	return session == s.ID || s.JobID == "" && user == s.User && user != ""
}

// mayRead tells whether the session may see a statement: its own, or with MONITOR on the account any.
func mayRead(tx catalog.Tx, s *catalog.Session, st *catalog.Statement) (bool, error) {
	if owns(s, st.User, st.Session) {
		return true, nil
	}
	g := rbac.New(tx, rbac.OfSession(s))
	return g.OnAccount(catalog.Monitor), g.Err()
}

// Statement gives a statement that the session may see, without its result: running in this process, or in the catalog.
//
// Errors: NotFound (709).
func (e *Executor) Statement(ctx context.Context, s *catalog.Session, id string) (*catalog.Statement, error) {
	for _, r := range e.runs.find(func(r *Run) bool { return r.ID == id && owns(s, r.user, r.session) }) {
		return e.running(r), nil
	}
	var st *catalog.Statement
	err := e.options.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
		st, err = e.find(tx, s, id)
		return err
	})
	return st, err
}

func (e *Executor) find(tx catalog.Tx, s *catalog.Session, id string) (*catalog.Statement, error) {
	st, err := tx.Statement(id)
	if errs.Is(err, errs.NotFound) {
		return nil, notThere(id)
	}
	if err != nil {
		return nil, err
	}
	may, err := mayRead(tx, s, st)
	if err == nil && !may {
		err = notThere(id)
	}
	return st, err
}

// running is the row of a statement that runs in this process and may not be in the catalog yet.
func (e *Executor) running(r *Run) *catalog.Statement {
	return &catalog.Statement{
		ID: r.ID, RequestID: r.request, Session: r.session, User: r.user, Role: r.role, Text: safeRunning(r.text), Async: r.async,
		Node: e.options.Node, Status: catalog.StatementRunning, Started: r.started,
	}
}

// ResultOf gives the result of a statement by its query id, or the Run when it still runs.
//
// Errors: NotFound (709); those of the statement when it failed.
func (e *Executor) ResultOf(ctx context.Context, s *catalog.Session, id string) (*Result, *Run, error) {
	for _, r := range e.runs.find(func(r *Run) bool { return r.ID == id && owns(s, r.user, r.session) }) {
		return nil, r, nil
	}
	var st *catalog.Statement
	err := e.options.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
		st, err = e.find(tx, s, id)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if st.Status != catalog.StatementRunning {
		result, err := e.outcome(s, st)
		return result, nil, err
	}
	return nil, e.follow(ctx, s, st), nil
}

// Kept gives the stored result of a statement to a door that has given it to its client before.
//
// Errors: as ResultOf.
func (e *Executor) Kept(ctx context.Context, id string) (*Result, error) {
	var st *catalog.Statement
	err := e.options.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
		st, err = tx.Statement(id)
		return err
	})
	if errs.Is(err, errs.NotFound) {
		err = notThere(id)
	}
	if err != nil {
		return nil, err
	}
	return e.outcome(nil, st)
}

// follow gives a Run for a statement that another process runs.
func (e *Executor) follow(ctx context.Context, s *catalog.Session, st *catalog.Statement) *Run {
	apart, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	r := &Run{
		ID: st.ID, session: st.Session, user: st.User, role: st.Role, request: st.RequestID, text: st.Text, async: st.Async, started: st.Started,
		cancel: cancel, done: make(chan struct{}),
	}
	// Nobody may be waiting any more when the other process is done; an hour is longer than clients ask.
	apart, stop := context.WithTimeout(apart, time.Hour)
	go func() {
		defer stop()
		defer cancel(nil)
		defer close(r.done)
		r.result, r.err = e.await(apart, s, st)
	}()
	return r
}

// await gives the result of a statement, once it has one.
func (e *Executor) await(ctx context.Context, s *catalog.Session, st *catalog.Statement) (*Result, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for st.Status == catalog.StatementRunning {
		if runs := e.runs.find(func(r *Run) bool { return r.ID == st.ID }); len(runs) == 1 {
			return runs[0].Wait(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errs.Wrap(ctx.Err(), errs.Canceled, "SQL execution canceled").Numbered(604, "57014")
		}
		err := e.options.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
			st, err = tx.Statement(st.ID)
			return err
		})
		if err != nil {
			return nil, numbered(err)
		}
	}
	return e.outcome(s, st)
}

// outcome gives what a statement that has ended gave: its result, or its error again.
func (e *Executor) outcome(s *catalog.Session, st *catalog.Statement) (*Result, error) {
	if st.Status != catalog.StatementSuccess {
		code := errs.Invalid
		for c, n := range numbers() {
			if n.number == st.ErrorCode {
				code = c
			}
		}
		return nil, errs.New(code, "%s", st.Message).Numbered(st.ErrorCode, st.SQLState)
	}
	if st.Result == nil {
		return nil, errs.New(errs.NotFound, "the result of statement %s is not kept any more", st.ID).Numbered(709, "02000")
	}
	result, err := e.codec.decode(st.Result)
	if err != nil {
		return nil, numbered(err)
	}
	result.QueryID, result.Session = st.ID, s
	return result, nil
}

// stored gives the result of a statement for RESULT_SCAN, waiting for one that still runs.
func (w *work) stored(ctx context.Context, s *catalog.Session, id string) (*Result, error) {
	if id == w.id {
		return nil, notThere(id)
	}
	result, run, err := w.ResultOf(ctx, s, id)
	if run != nil {
		return run.Wait(ctx)
	}
	return result, err
}

// History lists statements that the session may see, newest first, those that run in this process among them. Without MONITOR on
// the account they are those of the session's own user.
func (e *Executor) History(ctx context.Context, s *catalog.Session, f catalog.StatementFilter) ([]*catalog.Statement, error) {
	var all []*catalog.Statement
	if f.Limit == 0 {
		f.Limit = 100
	}
	err := e.options.Catalog.View(ctx, func(tx catalog.Tx) error {
		g := rbac.New(tx, rbac.OfSession(s))
		if !g.OnAccount(catalog.Monitor) {
			if f.User != "" && f.User != s.User {
				return g.Err()
			}
			if f.User = s.User; s.JobID != "" {
				f.Session = s.ID
			}
		}
		var err error
		all, err = collect(tx.History(f))
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, r := range e.runs.find(func(*Run) bool { return true }) {
		st := e.running(r)
		known := slices.ContainsFunc(all, func(have *catalog.Statement) bool { return have.ID == st.ID })
		if !known && fits(f, st) {
			all = append(all, st)
		}
	}
	slices.SortStableFunc(all, func(a, b *catalog.Statement) int { return b.Started.Compare(a.Started) })
	return all[:min(len(all), f.Limit)], nil
}

// fits tells whether a statement that is not in the catalog yet is one that the filter selects.
func fits(f catalog.StatementFilter, st *catalog.Statement) bool {
	return (f.Session == 0 || f.Session == st.Session) && (f.User == "" || f.User == st.User) &&
		(len(f.Roles) == 0 || slices.Contains(f.Roles, st.Role)) && (f.Status == "" || f.Status == st.Status) &&
		(f.StartedSince.IsZero() || !st.Started.Before(f.StartedSince)) && (f.StartedUntil.IsZero() || st.Started.Before(f.StartedUntil))
}
