// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"slices"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const (
	sessionColumns columns = "id, user_name, role, secondary_roles, database_name, schema_name, warehouse, parameters, variables, client, " +
		"last_statement, job, created, last_used, expires, closed, bound"
	tokenColumns columns = "hash, use, user_name, role, session, job, name, created, expires, comment, created_by, disabled, rotated_to"
)

func readSession(row scan) (*catalog.Session, error) {
	s := &catalog.Session{}
	return s, row(&s.ID, &s.User, &s.Role, &s.SecondaryRoles, &s.Database, &s.Schema, &s.Warehouse, documentColumn{&s.Parameters},
		documentColumn{&s.Variables}, &s.Client, &s.LastStatement, &s.JobID, stamp{&s.Created}, stamp{&s.LastUsed}, stamp{&s.Expires},
		stamp{&s.Closed}, &s.Bound)
}

func readToken(row scan) (k catalog.Token, err error) {
	return k, row(&k.Hash, &k.Use, &k.User, &k.Role, &k.Session, &k.JobID, &k.Name, stamp{&k.Created}, stamp{&k.Expires},
		&k.Comment, &k.CreatedBy, boolColumn{&k.Disabled}, &k.RotatedTo)
}

func readNumber(row scan) (n int64, err error) { return n, row(&n) }

// PutSession implements catalog.Sessions.
func (t *tx) PutSession(s *catalog.Session) error {
	parameters, err := document(s.Parameters)
	if err != nil {
		return err
	}
	variables, err := document(s.Variables)
	if err != nil {
		return err
	}
	created := s.Created
	if created.IsZero() {
		created = t.now
	}
	values := []any{s.ID, s.User, s.Role, s.SecondaryRoles, s.Database, s.Schema, s.Warehouse, parameters, variables, s.Client,
		s.LastStatement, string(s.JobID), micros(created), micros(s.LastUsed), micros(s.Expires), micros(s.Closed), s.Bound}
	insert := "INSERT INTO session (" + string(sessionColumns) + ") VALUES (" + sessionColumns.places() + ") ON CONFLICT "
	if s.ID != 0 {
		if _, err := t.exec(insert+"(id) DO UPDATE SET "+sessionColumns.updates(1), values...); err != nil {
			return err
		}
		s.Created = created
		return nil
	}
	// Clients keep ids in a double; ids are drawn until one is free.
	for {
		id := 1 + t.random.below(1<<53-1)
		values[0] = id
		n, err := t.exec(insert+"DO NOTHING", values...)
		if err != nil {
			return err
		}
		if n == 1 {
			s.ID, s.Created = id, created
			return nil
		}
	}
}

// Session implements catalog.Sessions.
func (t *tx) Session(id int64) (*catalog.Session, error) {
	s, found, err := one(t, readSession, "SELECT "+string(sessionColumns)+" FROM session WHERE id = $1", id)
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "session %d does not exist", id)
	}
	return s, err
}

// PutToken implements catalog.Sessions.
func (t *tx) PutToken(k catalog.Token) error {
	if k.Created.IsZero() {
		k.Created = t.now
	}
	n, err := t.exec("INSERT INTO token ("+string(tokenColumns)+") VALUES ("+tokenColumns.places()+") ON CONFLICT DO NOTHING",
		k.Hash, string(k.Use), k.User, k.Role, k.Session, string(k.JobID), k.Name, micros(k.Created), micros(k.Expires),
		k.Comment, k.CreatedBy, number(k.Disabled), k.RotatedTo)
	if err == nil && n == 0 {
		return errs.New(errs.Exists, "a token with this hash already exists")
	}
	return err
}

// Token implements catalog.Sessions.
func (t *tx) Token(hash string) (catalog.Token, error) {
	k, found, err := one(t, readToken, "SELECT "+string(tokenColumns)+" FROM token WHERE hash = $1", hash)
	if err == nil && !found {
		return catalog.Token{}, errs.New(errs.NotFound, "the token does not exist")
	}
	return k, err
}

// DeleteTokens implements catalog.Sessions.
func (t *tx) DeleteTokens(session int64, job catalog.ID, user string) (int, error) {
	var f filter // with the conditions of the indexes
	if session != 0 {
		f.add("session <> 0 AND session = ?", session)
	}
	if job != "" {
		f.add("job <> '' AND job = ?", string(job))
	}
	if user != "" {
		f.add("user_name <> '' AND user_name = ?", user)
	}
	if len(f.conditions) == 0 {
		return 0, errs.New(errs.Invalid, "tokens are deleted by session, job or user")
	}
	n, err := t.exec("DELETE FROM token"+f.where(), f.args...)
	return int(n), err
}

// ExpireSessions implements catalog.Sessions.
func (t *tx) ExpireSessions(before time.Time) ([]int64, error) {
	if _, err := t.exec("DELETE FROM token WHERE expires <> 0 AND expires < $1 AND use <> 'program'", micros(before)); err != nil {
		return nil, err
	}
	const over = " WHERE closed = 0 AND expires <> 0 AND expires < "
	var closed []int64
	for id, err := range list(t, readNumber, "SELECT id FROM session"+over+"$1", micros(before)) {
		if err != nil {
			return nil, err
		}
		closed = append(closed, id)
	}
	slices.Sort(closed)
	if len(closed) > 0 {
		if _, err := t.exec("UPDATE session SET closed = $1"+over+"$2", micros(t.now), micros(before)); err != nil {
			return nil, err
		}
	}
	// Also of the sessions that somebody else closed since the last time.
	var f filter
	f.add("object.session <> 0 AND EXISTS (SELECT 1 FROM session AS owner WHERE owner.id = object.session AND owner.closed <> 0)")
	return closed, t.dropObjects(f)
}
