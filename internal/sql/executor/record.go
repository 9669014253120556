// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/session"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/parser"
	"firn.dev/firn/internal/sql/rowset"
)

const (
	// mostResult is the most that a result may take in the catalog, compressed.
	mostResult = 32 << 20
	// showAfter is how long a statement that only reads runs before other processes can see it.
	showAfter = 2 * time.Second
	// pollEvery is how often a wait for a statement of another process looks.
	pollEvery = 250 * time.Millisecond
)

// record is the row of a statement, and whether it is in the catalog yet.
type record struct {
	catalog.Statement
	mu    sync.Mutex
	begun bool
	ended bool
}

// newRecord fills the row of a statement.
func (e *Executor) newRecord(s *catalog.Session, req Request, id, text string) *record {
	tag, ok := req.Parameters["QUERY_TAG"]
	if !ok {
		tag = session.Value(s, "QUERY_TAG")
	}
	return &record{Statement: catalog.Statement{
		ID: id, RequestID: req.RequestID, Session: s.ID, User: s.User, Role: s.Role, Database: s.Database, Schema: s.Schema,
		Warehouse: s.Warehouse, Tag: tag, Text: text, Async: req.Async, Node: e.options.Node, Status: catalog.StatementRunning,
		Started: e.options.Now().UTC(),
	}}
}

// safeText is the text of a statement as history shows it: as written unless it holds a secret, and without any text where users
// and secrets are made, as a misspelt PASSWORD holds one too.
func safeText(p parser.Parsed) string {
	var kind catalog.Kind
	switch s := p.Statement.(type) {
	case *ast.Create:
		kind = s.Kind
	case *ast.Alter:
		kind = s.Kind
	}
	if kind == catalog.KindUser || kind == catalog.KindSecret {
		return safeUnparsed(p.Text)
	}
	if printed := p.Statement.String(); strings.Contains(printed, "'***'") {
		return printed
	}
	return p.Text
}

// literals matches quoted texts, in a text that does not parse and so may hold a secret anywhere.
var literals = regexp.MustCompile(`(?s)'(?:[^'\\]|\\.|'')*'?|\$\$.*?(?:\$\$|$)`)

// safeRunning is the text of a request that runs, before anybody knows what is in it.
func safeRunning(text string) string {
	upper := strings.ToUpper(text)
	for _, word := range []string{"PASSWORD", "SECRET", "KEY", "TOKEN"} {
		if strings.Contains(upper, word) {
			return safeUnparsed(text)
		}
	}
	return text
}

// safeUnparsed is a text that does not parse, as history shows it.
func safeUnparsed(text string) string { return literals.ReplaceAllString(text, "'***'") }

// replay gives the result of a request id that the session has used before: what is stored, or what another process is about to
// store. It gives nothing for a new one.
func (e *Executor) replay(ctx context.Context, s *catalog.Session, req Request) (*Result, error) {
	if req.RequestID == "" || req.DescribeOnly {
		return nil, nil
	}
	var old *catalog.Statement
	// A cancel that comes this early is noticed where the statement is recorded as cancelled.
	err := e.options.Catalog.View(context.WithoutCancel(ctx), func(tx catalog.Tx) (err error) {
		old, err = tx.StatementByRequest(s.ID, req.RequestID)
		return err
	})
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, numbered(err)
	}
	return e.await(ctx, s, old)
}

// begin makes a statement durable before it runs. When the request id has been used meanwhile it gives that statement's result.
func (e *Executor) begin(ctx context.Context, s *catalog.Session, rec *record) (*Result, error) {
	err := rec.store(ctx, e.options.Catalog, nil)
	if !errs.Is(err, errs.Exists) {
		if err != nil {
			err = numbered(err)
		}
		return nil, err
	}
	old, again := e.replay(ctx, s, Request{RequestID: rec.RequestID})
	if old == nil && again == nil {
		again = numbered(err)
	}
	return old, again
}

// store writes the row: that the statement runs, or with end how it ended.
func (r *record) store(ctx context.Context, store catalog.Store, end *catalog.Statement) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if end == nil && (r.begun || r.ended) {
		return nil
	}
	err := store.Update(context.WithoutCancel(ctx), func(tx catalog.Tx) error {
		if !r.begun {
			row := r.Statement
			if err := tx.BeginStatement(&row); err != nil {
				return err
			}
		}
		if end == nil {
			return nil
		}
		row := *end
		return tx.EndStatement(&row)
	})
	if err == nil {
		r.begun, r.ended = true, end != nil
	}
	return err
}

// showLater makes the row of a statement that only reads appear once it has run for a while, so that it can be seen and
// cancelled from elsewhere. The function it gives stops that.
func (e *Executor) showLater(ctx context.Context, _ *catalog.Session, rec *record) func() bool {
	timer := time.AfterFunc(showAfter, func() {
		if err := rec.store(ctx, e.options.Catalog, nil); err != nil && !errs.Is(err, errs.Exists) {
			e.options.Log.Warn("running statement not recorded", "query", rec.ID, "error", err)
		}
	})
	return timer.Stop
}

// finish stores how a statement ended and gives what the client gets.
func (e *Executor) finish(ctx context.Context, rec *record, result *Result, failure error) (*Result, error) {
	end := rec.Statement
	end.Ended = e.options.Now().UTC()
	if failure == nil {
		end.Status, end.TypeID, end.Rows = catalog.StatementSuccess, result.TypeID, int64(len(result.Rowset.Rows))
		end.Result, failure = e.codec.encode(result.kept())
	}
	if failure != nil {
		failure = e.failed(&end, failure)
	}
	err := rec.store(ctx, e.options.Catalog, &end)
	switch {
	case errs.Is(err, errs.Conflict):
		// Somebody ended the row first: a cancel through another process. What was done stays done.
		if failure == nil {
			return result, nil
		}
	case errs.Is(err, errs.Exists):
		// Another process answered the same request id meanwhile, and the statement only reads: both results are right.
	case err != nil && failure == nil:
		e.options.Log.Error("end of statement not recorded", "query", rec.ID, "error", err)
		if rec.begun {
			return result, nil
		}
		return nil, numbered(err)
	}
	if failure != nil {
		return nil, failure
	}
	return result, nil
}

// kept is the result as it is stored: without what is shown once.
func (r *Result) kept() *Result {
	if r.secret == "" {
		return r
	}
	stored, rows := *r, *r.Rowset
	rows.Rows = nil
	for _, row := range r.Rowset.Rows {
		row = slices.Clone(row)
		for i, cell := range row {
			if cell != nil && *cell == r.secret.Reveal() {
				row[i] = textCell(r.secret.String())
			}
		}
		rows.Rows = append(rows.Rows, row)
	}
	stored.Rowset = &rows
	return &stored
}

// failed fills the row of a statement that failed, and gives the error with the number that clients know.
func (e *Executor) failed(end *catalog.Statement, failure error) error {
	failure = numbered(failure)
	known, _ := errors.AsType[*errs.Error](failure)
	end.Status, end.ErrorCode, end.SQLState, end.Message = catalog.StatementFailed, known.Number, known.State, errs.MessageOf(failure)
	if known.Code == errs.Canceled {
		end.Status = catalog.StatementAborted
	}
	if known.Code == errs.Internal {
		e.options.Log.Error("statement failed", "query", end.ID, "error", failure)
		end.Message = "SQL execution internal error:\nProcessing aborted; the server's log has the reason under query id " + end.ID + "."
		return errs.Wrap(failure, errs.Internal, "%s", end.Message).Numbered(known.Number, known.State)
	}
	return failure
}

// refuse records a request whose text could not be read, and gives the error.
func (e *Executor) refuse(ctx context.Context, s *catalog.Session, req Request, failure error) error {
	if req.DescribeOnly {
		return numbered(failure)
	}
	_, err := e.finish(ctx, e.newRecord(s, req, req.QueryID, safeUnparsed(req.Text)), nil, failure)
	return err
}

// storedResult is a result as the catalog keeps it.
type storedResult struct {
	rowset.Rowset
	TypeID   int     `json:"typeId"`
	Binds    int     `json:"binds,omitempty"`
	Children []Child `json:"children,omitempty"`
}

// smallResult is the size up to which a result is kept as it is.
const smallResult = 4 << 10

// resultCodec is the form in which results are kept: JSON, compressed when it is large. It is safe for concurrent use.
type resultCodec struct {
	pack   *zstd.Encoder
	unpack *zstd.Decoder
}

func newResultCodec() resultCodec {
	// The options are constants, so neither can fail.
	pack, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	unpack, _ := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(4<<30))
	return resultCodec{pack, unpack}
}

func (c resultCodec) close() {
	c.unpack.Close()
	_ = c.pack.Close() // it writes nowhere
}

// encode gives the bytes of a result. A transfer is left out: its plan is made anew each time.
//
// Errors: Exhausted.
func (c resultCodec) encode(r *Result) ([]byte, error) {
	text, err := json.Marshal(storedResult{*r.Rowset, r.TypeID, r.Binds, r.Children})
	if err != nil || len(text) <= smallResult {
		return text, err
	}
	packed := c.pack.EncodeAll(text, nil)
	if len(packed) > mostResult {
		return nil, errs.New(errs.Exhausted, "the result has %d rows and %d bytes, compressed %d; at most %d can be kept: select fewer rows or columns",
			len(r.Rowset.Rows), len(text), len(packed), mostResult)
	}
	return packed, nil
}

// decode is the reverse of encode.
//
// Errors: Corrupt.
func (c resultCodec) decode(text []byte) (*Result, error) {
	var err error
	if len(text) > 0 && text[0] != '{' {
		text, err = c.unpack.DecodeAll(text, nil)
	}
	var stored storedResult
	if err == nil {
		err = json.Unmarshal(text, &stored)
	}
	if err != nil {
		return nil, errs.Wrap(err, errs.Corrupt, "stored result cannot be read")
	}
	return &Result{Rowset: &stored.Rowset, TypeID: stored.TypeID, Binds: stored.Binds, Children: stored.Children}, nil
}
