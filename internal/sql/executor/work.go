// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"iter"
	"maps"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/parser"
	"firn.dev/firn/internal/sql/rowset"
)

// work is one statement on its way through the pipeline. It belongs to one goroutine.
type work struct {
	*Executor
	session *catalog.Session // as the statement sees it, its own parameters included; a copy
	after   *catalog.Session // as the catalog has it once the statement is done
	changed *catalog.Session // as the transaction that runs has it, nil when it did not change it
	who     rbac.Who

	id         string // query id
	parent     string // query id of the request with several statements that it is part of, else ""
	text       string
	statement  ast.Statement
	binds      map[string]rowset.Bind
	parameters map[string]string // of this statement only
	started    time.Time
	requires   []catalog.Requirement
	piped      []*rowset.Rowset // results of the steps of the pipe before this one
	depth      int              // of EXECUTE IMMEDIATE inside each other
	describes  bool             // nothing is run, only columns are wanted
	wakes      bool             // the scheduler has something to do
	report     []byte           // of the image that CREATE CUSTOM RUNTIME ENVIRONMENT has judged, JSON
	policy     string           // of the account by which that was, its text
}

// newWork starts the work on one statement of a request.
func (e *Executor) newWork(s *catalog.Session, req Request, id string, p parser.Parsed, binds map[string]rowset.Bind) *work {
	own := cloneSession(s)
	maps.Copy(own.Parameters, req.Parameters)
	return &work{
		Executor: e, session: own, after: s, parameters: req.Parameters, who: rbac.OfSession(s), id: id, text: p.Text, statement: p.Statement, binds: binds,
		started: e.options.Now(), describes: req.DescribeOnly,
	}
}

// inner is the work on a statement that runs as a part of this one: a step of a pipe, or of EXECUTE IMMEDIATE.
func (w *work) inner(p parser.Parsed, binds map[string]rowset.Bind) *work {
	in := *w
	in.text, in.statement, in.binds, in.requires, in.session = p.Text, p.Statement, binds, nil, cloneSession(w.session)
	return &in
}

// adopt takes over what an inner statement did to the session.
func (w *work) adopt(in *work) {
	w.session, w.after, w.who, w.wakes = in.session, in.after, in.who, w.wakes || in.wakes
}

func cloneSession(s *catalog.Session) *catalog.Session {
	c := *s
	c.Parameters, c.Variables = maps.Clone(s.Parameters), maps.Clone(s.Variables)
	if c.Parameters == nil {
		c.Parameters = map[string]string{}
	}
	if c.Variables == nil {
		c.Variables = map[string]string{}
	}
	return &c
}

// view reads in one snapshot, with the guard of who runs the statement.
func (w *work) view(ctx context.Context, fn func(catalog.Tx, *rbac.Guard) error) error {
	return w.options.Catalog.View(ctx, func(tx catalog.Tx) error { return fn(tx, rbac.New(tx, w.who)) })
}

// update writes in one transaction. What the statement requires is checked again in it, so that a revoke that came first wins.
// Changes of the session that fn makes with change are seen by the statement once all is durable.
func (w *work) update(ctx context.Context, fn func(catalog.Tx, *rbac.Guard) error) error {
	err := w.options.Catalog.Update(ctx, func(tx catalog.Tx) error {
		w.changed = nil
		g := rbac.New(tx, w.who)
		if err := g.Check(w.requires); err != nil {
			return err
		}
		if err := fn(tx, g); err != nil {
			return err
		}
		return g.Err()
	})
	if err != nil || w.changed == nil {
		w.changed = nil
		return err
	}
	w.after, w.session, w.who = w.changed, cloneSession(w.changed), rbac.OfSession(w.changed)
	maps.Copy(w.session.Parameters, w.parameters)
	w.changed = nil
	return nil
}

// change changes the session inside a transaction. Statements that run at the same time on one session change its newest state,
// never a copy that one of them began with.
func (w *work) change(tx catalog.Tx, fn func(*catalog.Session)) error {
	if w.changed == nil {
		s, err := tx.Session(w.session.ID)
		if err != nil {
			return err
		}
		w.changed = cloneSession(s)
	}
	fn(w.changed)
	return tx.PutSession(w.changed)
}

// owner gives the role that owns what the statement creates: the primary role, PUBLIC when it is not granted any more.
func (w *work) owner(tx catalog.Tx) string { return rbac.New(tx, w.who).Primary() }

// audit adds a line to the audit trail.
func (w *work) audit(tx catalog.Tx, action string, o *catalog.Object, detail string) error {
	e := catalog.Event{User: w.session.User, Role: w.session.Role, Action: action, Statement: w.id, Allowed: true, Detail: detail}
	if o != nil {
		e.Kind, e.Object = o.Kind, o.Name.String()
		if env, ok := o.Spec.(*catalog.RuntimeEnvironmentSpec); ok {
			e.Digest = env.Digest
		}
	}
	return tx.AddEvent(e)
}

// collect gives all of a listing of the catalog.
func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for v, err := range seq {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
