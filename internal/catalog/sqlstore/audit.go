// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const eventColumns columns = "id, at, user_name, role, action, kind, object, digest, statement, allowed, detail"

func readEvent(row scan) (e catalog.Event, err error) {
	return e, row(&e.ID, stamp{&e.Time}, &e.User, &e.Role, &e.Action, &e.Kind, &e.Object, &e.Digest, &e.Statement, boolColumn{&e.Allowed}, &e.Detail)
}

// AddEvent implements catalog.Audit.
func (t *tx) AddEvent(e catalog.Event) error {
	if e.ID == "" {
		e.ID = t.newID()
	}
	if e.Time.IsZero() {
		e.Time = t.now
	}
	n, err := t.exec("INSERT INTO event ("+string(eventColumns)+") VALUES ("+eventColumns.places()+") ON CONFLICT DO NOTHING",
		string(e.ID), micros(e.Time), e.User, e.Role, e.Action, string(e.Kind), e.Object, e.Digest, e.Statement, number(e.Allowed), e.Detail)
	if err == nil && n == 0 {
		return errs.New(errs.Exists, "event %s already exists", e.ID)
	}
	return err
}

// Events implements catalog.Audit.
func (t *tx) Events(since time.Time, limit int) iter.Seq2[catalog.Event, error] {
	return list(t, readEvent, "SELECT "+string(eventColumns)+" FROM event WHERE at >= $1 ORDER BY at DESC, id DESC LIMIT $2",
		micros(since), max(limit, 0))
}
