// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/session"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/parser"
	"firn.dev/firn/internal/sql/rowset"
)

// request runs the text of one request: one statement, or several when the client said so.
func (e *Executor) request(ctx context.Context, s *catalog.Session, req Request) (*Result, error) {
	if old, err := e.replay(ctx, s, req); old != nil || err != nil {
		return old, err
	}
	parsed, err := parser.Parse(req.Text)
	if err == nil {
		err = statementCount(s, req, len(parsed))
	}
	if err != nil {
		return nil, e.refuse(ctx, s, req, err)
	}
	if len(parsed) > 1 {
		return e.several(ctx, s, req, parsed)
	}
	return e.single(ctx, s, req, parsed[0], req.Binds, "")
}

// statementCount compares the statements of a text with what the client expects.
//
// Errors: Invalid (8).
func statementCount(s *catalog.Session, req Request, have int) error {
	text, ok := req.Parameters["MULTI_STATEMENT_COUNT"]
	if !ok {
		text = session.Value(s, "MULTI_STATEMENT_COUNT")
	}
	want, err := strconv.Atoi(text)
	if err != nil || want < 0 {
		return badValue("MULTI_STATEMENT_COUNT", text, "a whole number")
	}
	if want != 0 && want != have {
		return errs.New(errs.Invalid, "Actual statement count %d did not match the desired statement count %d.", have, want).Numbered(8, "0A000")
	}
	return nil
}

// several runs the statements of one request in order. Each is a statement of its own in history; the first failure fails all.
func (e *Executor) several(ctx context.Context, s *catalog.Session, req Request, parsed []parser.Parsed) (*Result, error) {
	if req.DescribeOnly {
		return e.single(ctx, s, req, parsed[0], dealBinds(req.Binds, parsed, 0), "")
	}
	rec := e.newRecord(s, req, req.QueryID, req.Text)
	rec.TypeID = typeMultiStatement
	if old, err := e.begin(ctx, s, rec); old != nil || err != nil {
		return old, err
	}
	out := &Result{QueryID: req.QueryID, TypeID: typeMultiStatement, Session: s}
	out.Rowset = message("multiple statement execution", "Multiple statements executed successfully.")
	var failure error
	for i, p := range parsed {
		child := req
		child.QueryID, child.RequestID, child.Async = uuid.NewString(), "", false
		done, err := e.single(ctx, out.Session, child, p, dealBinds(req.Binds, parsed, i), req.QueryID)
		if err != nil {
			failure = err
			break
		}
		out.Session, out.Binds = done.Session, out.Binds+done.Binds
		out.Children = append(out.Children, Child{QueryID: done.QueryID, TypeID: done.TypeID})
	}
	return e.finish(ctx, rec, out, failure)
}

// single runs one statement of a request: begin, run, end.
func (e *Executor) single(ctx context.Context, s *catalog.Session, req Request, p parser.Parsed, binds map[string]rowset.Bind, parent string) (*Result, error) {
	w := e.newWork(s, req, req.QueryID, p, binds)
	w.parent = parent
	if req.DescribeOnly {
		columns, err := w.columns(ctx)
		if err != nil {
			return nil, numbered(err)
		}
		v := e.verbs[reflect.TypeOf(p.Statement)]
		return &Result{QueryID: w.id, Rowset: &rowset.Rowset{Columns: columns, Rows: [][]*string{}}, TypeID: v.typeID, Binds: p.Binds, Session: s}, nil
	}
	rec := e.newRecord(w.session, req, req.QueryID, safeText(p))
	rec.Parent = parent
	v, ok := e.verbs[reflect.TypeOf(p.Statement)]
	if !ok {
		return e.finish(ctx, rec, nil, errs.New(errs.Unsupported, "SQL compilation error:\nUnsupported feature '%s'.", verbOf(p.Statement)).Numbered(2, "0A000"))
	}
	rec.TypeID = v.typeID
	if v.effects(w, p.Statement) || req.Async {
		if old, err := e.begin(ctx, s, rec); old != nil || err != nil {
			return old, err
		}
	} else {
		defer e.showLater(ctx, s, rec)()
	}
	limited, stop := w.limit(ctx)
	defer stop()
	result, err := w.run(limited)
	if err != nil {
		return e.finish(ctx, rec, nil, w.explain(limited, err))
	}
	result.QueryID, result.Binds, result.Session = w.id, p.Binds, w.after
	if most, _ := strconv.Atoi(session.Value(w.session, "ROWS_PER_RESULTSET")); most > 0 && len(result.Rowset.Rows) > most {
		result.Rowset.Rows = result.Rowset.Rows[:most]
	}
	if w.wakes {
		e.options.Wake()
	}
	if result.Transfer != nil {
		rec.RequestID = "" // the plan of a transfer is not kept: asked again, it is made again
	}
	return e.finish(ctx, rec, result, nil)
}

const timeoutParameter = "STATEMENT_TIMEOUT_IN_SECONDS"

// errTimeout is the cause of a statement that took longer than its session allows.
var errTimeout = errors.New("statement timeout")

// limit ends the statement after the session's time; 0 is no limit.
func (w *work) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	seconds, err := strconv.Atoi(session.Value(w.session, timeoutParameter))
	if err != nil || seconds <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, time.Duration(seconds)*time.Second, errTimeout)
}

// run takes a statement through the pipeline: bind names, authorize, run.
func (w *work) run(ctx context.Context) (result *Result, err error) {
	defer w.contain(&err)
	v, ok := w.verbs[reflect.TypeOf(w.statement)]
	if !ok {
		return nil, errs.New(errs.Unsupported, "SQL compilation error:\nUnsupported feature '%s'.", verbOf(w.statement)).Numbered(2, "0A000")
	}
	if err := w.bind(); err != nil {
		return nil, err
	}
	w.ownAffairs()
	if err := w.authorize(ctx); err != nil {
		if done, ok := absent(w.statement, err); ok {
			if w.probes(ctx, err) {
				w.denied(ctx, err)
			}
			return done, nil
		}
		return nil, err
	}
	result, err = v.run(ctx, w, w.statement)
	if err != nil {
		return nil, err
	}
	if result.TypeID == 0 {
		result.TypeID = v.typeID
	}
	return result, nil
}

// columns gives the columns of a statement and runs nothing.
func (w *work) columns(ctx context.Context) (columns []rowset.Column, err error) {
	defer w.contain(&err)
	v, ok := w.verbs[reflect.TypeOf(w.statement)]
	if !ok {
		return nil, errs.New(errs.Unsupported, "SQL compilation error:\nUnsupported feature '%s'.", verbOf(w.statement)).Numbered(2, "0A000")
	}
	if _, ok := w.statement.(*ast.Query); ok {
		if err := w.bind(); err != nil {
			return nil, err
		}
		if err := w.authorize(ctx); err != nil {
			return nil, err
		}
	}
	return v.columns(ctx, w, w.statement)
}

// contain turns a panic, a fault of Firn, into an error of the one statement that met it.
func (w *work) contain(err *error) {
	if p := recover(); p != nil {
		w.options.Log.Error("statement panicked", "query", w.id, "panic", p, "stack", string(debug.Stack()))
		*err = errs.New(errs.Internal, "statement panicked: %v", p)
	}
}

// authorize checks what the statement requires, and notes a refusal in the audit trail.
func (w *work) authorize(ctx context.Context) error {
	if len(w.requires) == 0 {
		return nil
	}
	return w.view(ctx, func(_ catalog.Tx, g *rbac.Guard) error { return g.Check(w.requires) })
}

// explain turns an error into what the user reads: a stopped statement says so, CREATE of a name that the role may not know of
// says that it is taken. Refusals go to the audit trail.
func (w *work) explain(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if cause != nil && (errors.Is(err, cause) || errors.Is(err, ctx.Err()) || errs.Is(err, errs.Canceled) || errs.Is(err, errs.Timeout)) {
		if errors.Is(cause, errTimeout) {
			return errs.New(errs.Timeout, "Statement reached its statement or warehouse timeout of %s second(s) and was canceled.",
				session.Value(w.session, timeoutParameter)).Numbered(630, "57014")
		}
		return errs.New(errs.Canceled, "SQL execution canceled").Numbered(604, "57014")
	}
	if s, ok := w.statement.(*ast.Create); ok && s.OrReplace && errs.Is(err, errs.NotFound) {
		taken := w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
			if g.Check([]catalog.Requirement{s.Requires()[0]}) != nil {
				return nil // the place itself is not the role's
			}
			k, err := w.kindOf(s.Kind)
			if err != nil {
				return err
			}
			return w.place(tx, g, s, k, true)
		})
		if errs.Is(taken, errs.Exists) {
			err = taken
		}
	}
	if errs.Is(err, errs.Denied) || w.probes(ctx, err) {
		w.denied(ctx, err)
	}
	return err
}

// probes tells whether a statement named something that is there and that the role may not know of: for the user it is missing,
// for the audit trail it is a refusal.
func (w *work) probes(ctx context.Context, err error) bool {
	if !errs.Is(err, errs.NotFound) {
		return false
	}
	found := false
	failed := w.options.Catalog.View(context.WithoutCancel(ctx), func(tx catalog.Tx) error {
		for _, n := range w.statement.Names() {
			if n.Resolved == (catalog.Name{}) {
				continue
			}
			_, err := tx.Object(n.Kind, n.Resolved)
			if err != nil && !errs.Is(err, errs.NotFound) {
				return err
			}
			found = found || err == nil && !w.mayKnow(tx, n)
		}
		return nil
	})
	return failed == nil && found
}

func (w *work) mayKnow(tx catalog.Tx, n *ast.Name) bool {
	_, err := rbac.New(tx, w.who).Find(n.Kind, n.Resolved)
	return err == nil
}

// denied adds a refusal to the audit trail. That it cannot be written is no reason to answer anything else.
func (w *work) denied(ctx context.Context, cause error) {
	event := catalog.Event{
		User: w.session.User, Role: w.session.Role, Action: "refuse", Statement: w.id,
		Detail: fmt.Sprintf("%s: %s", verbOf(w.statement), errs.MessageOf(cause)),
	}
	if names := w.statement.Names(); len(names) > 0 {
		event.Kind, event.Object = names[0].Kind, names[0].Resolved.String()
	}
	err := w.options.Catalog.Update(context.WithoutCancel(ctx), func(tx catalog.Tx) error { return tx.AddEvent(event) })
	if err != nil {
		w.options.Log.Error("refusal not written to the audit trail", "query", w.id, "error", err)
	}
}

// ownAffairs takes away what a statement requires when users look at themselves, or change what they may change about themselves.
func (w *work) ownAffairs() {
	if d, ok := w.statement.(*ast.Describe); ok && d.Kind == catalog.KindUser && d.Name.Resolved.Object == w.who.User {
		w.requires = nil
	}
	s, ok := w.statement.(*ast.Alter)
	if !ok || s.Kind != catalog.KindUser || w.who.User == "" {
		return
	}
	if s.Name == nil {
		s.Name = &ast.Name{Kind: catalog.KindUser, Parts: []ast.Ident{{Text: w.who.User, Quoted: true}}, Resolved: catalog.Name{Object: w.who.User}}
		w.requires = s.Requires()
	}
	if s.Name.Resolved.Object != w.who.User || s.RenameTo != nil {
		return
	}
	if s.Token.Text != "" {
		w.requires = nil
		return
	}
	for _, p := range s.Set {
		switch p.Name {
		case "PASSWORD", "DEFAULT_ROLE", "DEFAULT_WAREHOUSE", "DEFAULT_NAMESPACE", "DEFAULT_SECONDARY_ROLES":
		default:
			return
		}
	}
	if len(s.Unset) == 0 && len(s.Set) > 0 {
		w.requires = nil
	}
}

// numbered gives an error the number and state that clients know for its code, when its maker did not choose more exact ones.
func numbered(err error) error {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		e = errs.Wrap(err, errs.Internal, "internal error")
	}
	if e.Number == 0 {
		known := *e // the maker's error stays as it is
		n := numbers()[e.Code]
		e = known.Numbered(n.number, n.state)
	}
	return e
}

type errorNumber struct {
	number int
	state  string
}

// numbers gives the number of each code, as the SQL door has them too: what is recorded repeats exactly.
func numbers() map[errs.Code]errorNumber {
	return map[errs.Code]errorNumber{
		errs.Internal: {603, "XX000"}, errs.Invalid: {1008, "22023"}, errs.Syntax: {1003, "42000"}, errs.NotFound: {2003, "02000"},
		errs.Exists: {2002, "42710"}, errs.Denied: {3001, "42501"}, errs.Unauthenticated: {390104, "08001"}, errs.Conflict: {625, "40001"},
		errs.Refused: {395001, "55000"}, errs.Canceled: {604, "57014"}, errs.Timeout: {630, "57014"}, errs.Unavailable: {395002, "58000"},
		errs.Exhausted: {395003, "53000"}, errs.Unsupported: {2, "0A000"}, errs.Corrupt: {395004, "58030"},
	}
}
