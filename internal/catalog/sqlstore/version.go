// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
)

// Version gives a number that stays the same only while nothing is committed to the catalog, by this process or another; ok is false
// on PostgreSQL, which has no such number that is cheaper than what it would spare. A number means nothing to another process, and
// nothing after Close.
//
// Errors: Unavailable.
func (s *Store) Version(ctx context.Context) (version int64, ok bool, err error) {
	if err := s.gate.enter(); err != nil {
		return 0, false, err
	}
	defer s.gate.leave()
	e, ok := s.engine.(*sqliteEngine)
	if !ok {
		return 0, false, nil
	}
	version, err = e.watcher.version(e.read, e.file)
	return version, err == nil, err
}

// AccessVersion gives a number that is another one after each Update of this process that may have taken access from somebody has
// returned: that changed or removed objects (users and roles are objects), privileges, grants of roles, or tokens.
func (s *Store) AccessVersion() int64 { return s.access.Load() }

// takesAccess tells whether a statement may take access from somebody. What adds rows gives it.
func takesAccess(text string) bool {
	rest, ok := strings.CutPrefix(text, "UPDATE ")
	if !ok {
		rest, ok = strings.CutPrefix(text, "DELETE FROM ")
	}
	table, _, _ := strings.Cut(rest, " ")
	return ok && (table == "object" || table == "privilege" || table == "role_grant" || table == "token")
}

// watcher is the one connection whose data_version is read: each connection counts for itself. After the connection broke a new one
// begins at the numbers behind the old.
type watcher struct {
	mu   sync.Mutex
	link *link // nil where none was needed yet
	base int64
	last int64
}

// version reads https://www.sqlite.org/pragma.html#pragma_data_version: it changes when another connection commits, and this one never does.
func (w *watcher) version(db *sql.DB, file string) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.link == nil {
		l, err := newLink(db, file)
		if err != nil {
			return 0, err
		}
		w.link, w.base = l, w.last+1
	}
	n, err := w.read()
	if err != nil {
		err = w.link.fold(err)
		w.link = w.link.drop()
		return 0, err
	}
	w.last = w.base + n
	return w.last, nil
}

func (w *watcher) read() (n int64, err error) {
	rows, err := w.link.QueryContext(context.Background(), "PRAGMA data_version")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		return 0, errors.Join(sql.ErrNoRows, rows.Err())
	}
	return n, rows.Scan(&n)
}

// close gives the connection back.
func (w *watcher) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.link.close()
}
