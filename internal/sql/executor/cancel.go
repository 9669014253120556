// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"fmt"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/query"
)

// Cancel stops a statement of the session's user, given by its query id or by a request id of the session. It returns before the
// statement has ended.
//
// Errors: NotFound (605) when no such statement runs; Denied for one of another user without OWNERSHIP of that user.
func (e *Executor) Cancel(ctx context.Context, s *catalog.Session, id string) error {
	here := e.runs.find(func(r *Run) bool { return r.ID == id || r.request == id && r.session == s.ID && id != "" })
	if len(here) > 0 {
		r := here[0]
		if err := e.mayCancel(ctx, s, r.user, r.session); err != nil {
			return err
		}
		r.cancel(errCanceled)
		return nil
	}
	var st *catalog.Statement
	err := e.options.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
		st, err = tx.Statement(id)
		if errs.Is(err, errs.NotFound) {
			st, err = tx.StatementByRequest(s.ID, id)
		}
		return err
	})
	if errs.Is(err, errs.NotFound) || err == nil && st.Status != catalog.StatementRunning {
		return notExecuting()
	}
	if err == nil {
		err = e.mayCancel(ctx, s, st.User, st.Session)
	}
	if err != nil {
		return err
	}
	if st.Parent != "" && st.Node == e.options.Node {
		return e.Cancel(ctx, s, st.Parent)
	}
	return e.cancelElsewhere(ctx, st)
}

// cancelElsewhere ends the row of a statement that another process runs; that process sees it and stops.
func (e *Executor) cancelElsewhere(ctx context.Context, st *catalog.Statement) error {
	st.Status, st.ErrorCode, st.SQLState, st.Message = catalog.StatementAborted, 604, "57014", "SQL execution canceled"
	st.Ended = e.options.Now().UTC()
	err := e.options.Catalog.Update(ctx, func(tx catalog.Tx) error { return tx.EndStatement(st) })
	if errs.Is(err, errs.Conflict) || errs.Is(err, errs.NotFound) {
		return notExecuting()
	}
	return err
}

func notExecuting() error {
	return errs.New(errs.NotFound, "Identified SQL statement is not currently executing.").Numbered(605, "02000")
}

// mayCancel tells whether the session may stop a statement of a user.
func (e *Executor) mayCancel(ctx context.Context, s *catalog.Session, user string, session int64) error {
	if owns(s, user, session) {
		return nil
	}
	return e.options.Catalog.View(ctx, func(tx catalog.Tx) error {
		g := rbac.New(tx, rbac.OfSession(s))
		err := g.Check([]catalog.Requirement{{Any: []catalog.Privilege{catalog.Ownership}, Kind: catalog.KindUser, Name: catalog.Name{Object: user}}})
		if errs.Is(err, errs.NotFound) {
			return notExecuting()
		}
		return err
	})
}

// cancelQuery is SYSTEM$CANCEL_QUERY(id).
func cancelQuery(ctx context.Context, w *work, args []query.Value) (query.Value, error) {
	id, err := textArg(args, 0)
	if err != nil {
		return query.Value{}, err
	}
	err = w.Cancel(ctx, w.session, id)
	if errs.Is(err, errs.NotFound) {
		return query.TextValue(errs.MessageOf(err)), nil
	}
	return query.TextValue("query [" + id + "] terminated."), err
}

// cancelAllQueries is SYSTEM$CANCEL_ALL_QUERIES(session): everything that runs on the session but the statement itself.
func cancelAllQueries(ctx context.Context, w *work, args []query.Value) (query.Value, error) {
	session, ok := args[0].Int()
	if !ok {
		return query.Value{}, errs.New(errs.Invalid, "SQL compilation error:\nSYSTEM$CANCEL_ALL_QUERIES takes the number of a session").Numbered(1015, "22023")
	}
	running, err := w.History(ctx, w.session, catalog.StatementFilter{Session: session, Status: catalog.StatementRunning, Limit: mostRows})
	if err != nil {
		return query.Value{}, err
	}
	n := 0
	for _, st := range running {
		if st.ID == w.id || st.ID == w.parent || st.Parent != "" {
			continue
		}
		err := w.Cancel(ctx, w.session, st.ID)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return query.Value{}, err
		}
		if err == nil {
			n++
		}
	}
	return query.TextValue(fmt.Sprintf("%d statements cancelled.", n)), nil
}

// Serve stops statements that were cancelled through another process, until ctx ends. firnd runs it beside the doors.
func (e *Executor) Serve(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		young := e.options.Now().Add(-showAfter)
		old := e.runs.find(func(r *Run) bool { return r.started.Before(young) })
		if len(old) == 0 {
			continue
		}
		err := e.options.Catalog.View(ctx, func(tx catalog.Tx) error {
			for _, r := range old {
				st, err := tx.Statement(r.ID)
				if err == nil && st.Status == catalog.StatementAborted {
					r.cancel(errCanceled)
				}
				if err != nil && !errs.Is(err, errs.NotFound) {
					return err
				}
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			e.options.Log.Warn("running statements not compared with the catalog", "error", err)
		}
	}
}
