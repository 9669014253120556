// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"iter"
	"sync/atomic"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// runner is where the statements of a transaction go.
type runner interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	dialect() *dialect
	// fold turns an error of the database into one of ours that names the database.
	fold(err error) error
}

// tx is one transaction. Its methods for each noun are in the file of that noun; all of them reach the database through
// exec, one and list only.
//
// An error of the database (not an outcome such as NotFound) dooms the transaction: every later call repeats it, and
// Update fails even when fn swallows it. PostgreSQL works that way, so both do.
type tx struct {
	runner      runner
	ctx         context.Context
	now         time.Time
	random      *source
	made        uint16     // ids made so far
	leased      string     // the digest of the blob that PutBlob has put last, or ""
	repository  catalog.ID // of an image repository that is there, "" before one was looked for
	readOnly    bool
	ended       atomic.Bool // read by whoever kept the transaction too long
	failed      error
	takesAccess *bool   // nil in a view
	open        drainer // the listing whose rows still come from the database
}

// Now implements catalog.Tx.
func (t *tx) Now() time.Time { return t.now }

// newID makes an id that sorts behind all ids this transaction made before.
func (t *tx) newID() catalog.ID {
	t.made++
	return t.random.id(t.now, t.made)
}

// end makes the transaction refuse every later call.
func (t *tx) end() {
	if t.open != nil {
		t.open.close()
	}
	t.ended.Store(true)
}

// ready tells whether a statement may run now, and makes the connection free for it.
func (t *tx) ready(writes bool) error {
	if t.ended.Load() {
		return errs.New(errs.Internal, "the catalog's transaction has ended; it must not be used outside its function")
	}
	if t.failed != nil {
		return t.failed
	}
	if err := t.ctx.Err(); err != nil {
		return t.fail(err)
	}
	if writes && t.readOnly {
		return errs.New(errs.Internal, "a view of the catalog cannot write; use an update")
	}
	if t.open != nil {
		t.open.drain()
		t.open = nil
	}
	return t.failed
}

// fail dooms the transaction with an error of the database.
func (t *tx) fail(err error) error {
	if t.failed == nil {
		t.failed = t.runner.fold(err)
	}
	return t.failed
}

// exec runs a statement that writes and tells how many rows it changed.
func (t *tx) exec(text string, args ...any) (int64, error) {
	if err := t.ready(true); err != nil {
		return 0, err
	}
	if takesAccess(text) {
		*t.takesAccess = true
	}
	r, err := t.runner.ExecContext(t.ctx, text, args...)
	if err != nil {
		return 0, t.fail(err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		return 0, t.fail(err)
	}
	return n, nil
}

// scan reads the values of one row, in the order of its columns.
type scan func(dest ...any) error

// one runs a query for at most one row. Without a row found is false. Whoever writes with RETURNING asks t.writable first.
func one[T any](t *tx, read func(scan) (T, error), text string, args ...any) (v T, found bool, err error) {
	for v, err := range list(t, read, text, args...) {
		return v, err == nil, err
	}
	return v, false, nil
}

// writable is the error of writing in a view, for statements that write and return rows.
func (t *tx) writable() error { return t.ready(true) }

// list runs a query each time the listing is walked. Rows come from the database while they are asked for; when the
// transaction is used for something else in between, the rest is read into memory first, so that walks may be nested
// and may write.
func list[T any](t *tx, read func(scan) (T, error), text string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if err := t.ready(false); err != nil {
			yield(none, err)
			return
		}
		rows, err := t.runner.QueryContext(t.ctx, text, args...)
		if err != nil {
			yield(none, t.fail(err))
			return
		}
		s := &stream[T]{tx: t, rows: rows, read: read}
		t.open = s
		defer s.close()
		for {
			v, ok, err := s.next()
			if err != nil {
				yield(none, err)
				return
			}
			if !ok || !yield(v, nil) {
				return
			}
		}
	}
}

// drainer is a stream of any type.
type drainer interface {
	drain()
	close()
}

// stream is a listing that is being walked.
type stream[T any] struct {
	tx   *tx
	rows *sql.Rows // nil when all are read
	read func(scan) (T, error)
	rest []T
}

// next gives the next value; ok is false behind the last one.
func (s *stream[T]) next() (v T, ok bool, err error) {
	if len(s.rest) > 0 {
		v, s.rest = s.rest[0], s.rest[1:]
		return v, true, nil
	}
	if s.rows == nil {
		return v, false, s.tx.failed
	}
	if err := s.tx.ctx.Err(); err != nil {
		return v, false, s.tx.fail(err)
	}
	if !s.rows.Next() {
		err := s.rows.Err()
		s.close()
		if err != nil {
			return v, false, s.tx.fail(err)
		}
		return v, false, nil
	}
	if v, err = s.read(s.rows.Scan); err != nil {
		if s.tx.ctx.Err() == nil {
			err = errs.Wrap(err, errs.Corrupt, "a row of the catalog cannot be read")
		}
		return v, false, s.tx.fail(err)
	}
	return v, true, nil
}

// drain reads what is left into memory; an error dooms the transaction.
func (s *stream[T]) drain() {
	var all []T
	for s.rows != nil {
		v, ok, err := s.next()
		if err != nil {
			s.close()
			return
		}
		if ok {
			all = append(all, v)
		}
	}
	s.rest = all
}

func (s *stream[T]) close() {
	if s.rows == nil {
		return
	}
	// PostgreSQL may find out about a conflict behind the row that was read last.
	if err := s.rows.Close(); err != nil {
		_ = s.tx.fail(err) // later calls repeat it
	}
	s.rows = nil
	if s.tx.open == drainer(s) {
		s.tx.open = nil
	}
}
