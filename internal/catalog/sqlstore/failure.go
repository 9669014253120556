// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"firn.dev/firn/internal/errs"
)

// foldContext folds the end of a context, and gives nil for everything else.
func foldContext(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return errs.Wrap(err, errs.Canceled, "the catalog was asked to stop")
	case errors.Is(err, context.DeadlineExceeded):
		return errs.Wrap(err, errs.Timeout, "the catalog did not answer in the time that was allowed")
	}
	return nil
}

// foldSQLite folds an error of SQLite. Errors that are folded already stay as they are.
// https://www.sqlite.org/rescode.html
func foldSQLite(err error, file string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*errs.Error](err); ok {
		return err
	}
	if c := foldContext(err); c != nil {
		return c
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return errs.Wrap(err, errs.Internal, "catalog file %s", file)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return errs.Wrap(err, errs.Exhausted, "catalog file %s cannot grow: the disk is full", file)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return errs.Wrap(err, errs.Unavailable, "catalog file %s is locked by another process", file)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return errs.Wrap(err, errs.Unavailable, "catalog file %s cannot be written: check the permissions of the file and of its folder", file)
	case sqlite3.SQLITE_CANTOPEN:
		return errs.Wrap(err, errs.Unavailable, "catalog file %s cannot be opened: check that its folder exists and may be written", file)
	case sqlite3.SQLITE_IOERR:
		return errs.Wrap(err, errs.Unavailable, "catalog file %s cannot be read or written: its disk fails", file)
	case sqlite3.SQLITE_NOTADB:
		return errs.Wrap(err, errs.Corrupt, "%s is not a catalog: it is not a SQLite database", file)
	case sqlite3.SQLITE_CORRUPT:
		return errs.Wrap(err, errs.Corrupt, "catalog file %s is damaged: restore it from a backup", file)
	case sqlite3.SQLITE_TOOBIG:
		return errs.Wrap(err, errs.Exhausted, "a value is too big for catalog file %s", file)
	}
	return errs.Wrap(err, errs.Internal, "catalog file %s", file)
}

// foldPostgres folds an error of PostgreSQL. Errors that are folded already stay as they are.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func foldPostgres(err error, server string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*errs.Error](err); ok {
		return err
	}
	if c := foldContext(err); c != nil {
		return c
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		// What is not an answer of the server is a failure to reach it.
		return errs.Wrap(err, errs.Unavailable, "catalog database %s does not answer", server)
	}
	switch {
	case conflictsPostgres(err):
		return errs.Wrap(err, errs.Conflict, "another writer changed the same things in catalog database %s", server)
	case e.Code == "22021" || e.Code == "22P05":
		return errs.Wrap(err, errs.Invalid, "a text holds a zero byte or is not UTF-8")
	case e.Code == "53100":
		return errs.Wrap(err, errs.Exhausted, "catalog database %s cannot grow: its disk is full", server)
	case e.Code == "54000" || e.Code == "53200":
		return errs.Wrap(err, errs.Exhausted, "catalog database %s reached a limit", server)
	case e.Code[:2] == "XX" && e.Code != "XX000":
		return errs.Wrap(err, errs.Corrupt, "catalog database %s is damaged: restore it from a backup", server)
	case e.Code[:2] == "28" || e.Code == "3D000" || e.Code == "42501":
		return errs.Wrap(err, errs.Unavailable, "catalog database %s refuses: check user, password, database and rights", server)
	case e.Code[:2] == "08" || e.Code[:2] == "57" || e.Code[:2] == "53" || e.Code == "25006":
		return errs.Wrap(err, errs.Unavailable, "catalog database %s is not available now", server)
	}
	return errs.Wrap(err, errs.Internal, "catalog database %s", server)
}

// conflictsPostgres tells whether running the transaction again may work: serialization failure, deadlock, and a name that
// another writer took after we had looked.
func conflictsPostgres(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01" || e.Code == "23505")
}
