// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"time"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// The numbers that clients act on: renew with the master token, or log in again.
// https://github.com/snowflakedb/snowflake-connector-python (network.py)
const (
	numberExpired       = 390112
	numberMasterExpired = 390114
	numberGone          = 390104
)

// touchAfter is how old Session.LastUsed may get before a request writes it again.
const touchAfter = 5 * time.Minute

func (m *Manager) issue(tx catalog.Tx, s *catalog.Session, proof string) (Tokens, error) {
	text, err := m.put(tx, s, proof, catalog.TokenSession, auth.SessionTTL)
	if err != nil {
		return Tokens{}, err
	}
	master, err := m.put(tx, s, proof, catalog.TokenMaster, auth.MasterTTL)
	return Tokens{Session: text, Master: master}, err
}

func (m *Manager) put(tx catalog.Tx, s *catalog.Session, proof string, use catalog.TokenUse, ttl time.Duration) (errs.Secret, error) {
	text, t, err := m.auth.NewToken(catalog.Token{Use: use, User: s.User, Session: s.ID, JobID: s.JobID, Name: proof}, ttl)
	if err != nil {
		return "", err
	}
	return text, tx.PutToken(t)
}

// Find gives the open session that a session token belongs to.
//
// Errors: Unauthenticated with number 390112 for an expired token, 390104 for an unknown one or a session that has ended.
func (m *Manager) Find(ctx context.Context, token errs.Secret) (*catalog.Session, error) {
	var s *catalog.Session
	err := m.catalog.View(ctx, func(tx catalog.Tx) (err error) {
		s, _, err = m.find(tx, token, catalog.TokenSession, numberExpired)
		return err
	})
	if err != nil || m.now().Sub(s.LastUsed) < touchAfter {
		return s, err
	}
	return s, m.touch(ctx, s.ID)
}

// find gives a session that is open, and what the login rested on whose token was shown.
func (m *Manager) find(tx catalog.Tx, token errs.Secret, use catalog.TokenUse, expired int) (s *catalog.Session, proof string, err error) {
	t, err := m.auth.Lookup(tx, token, use)
	if errs.Is(err, errs.Unauthenticated) {
		if t.Use == use { // known, so it has expired
			return nil, "", errs.New(errs.Unauthenticated, "Authentication token has expired.  The user must authenticate again.").Numbered(expired, "08001")
		}
		return nil, "", gone()
	}
	if err != nil {
		return nil, "", err
	}
	s, err = tx.Session(t.Session)
	if errs.Is(err, errs.NotFound) || err == nil && !s.Closed.IsZero() {
		return nil, "", gone()
	}
	return s, t.Name, err
}

func gone() error {
	return errs.New(errs.Unauthenticated, "Authentication token is invalid or its session has ended: log in again.").Numbered(numberGone, "08001")
}

// touch notes that a session is in use, which moves its end.
func (m *Manager) touch(ctx context.Context, id int64) error {
	return m.catalog.Update(ctx, func(tx catalog.Tx) error {
		s, err := tx.Session(id)
		if err != nil {
			return err
		}
		s.LastUsed = m.now()
		s.Expires = s.LastUsed.Add(auth.MasterTTL)
		return tx.PutSession(s)
	})
}

// Renew gives new tokens for the session of a master token. Those that they replace live until they expire, as requests of other
// threads may be on their way with them.
//
// Errors: Unauthenticated with number 390114 for an expired master token, 390104 for an unknown one.
func (m *Manager) Renew(ctx context.Context, master errs.Secret) (*catalog.Session, Tokens, error) {
	return m.hand(ctx, master, func(tx catalog.Tx, s *catalog.Session, proof string) (Tokens, error) {
		s.LastUsed = m.now()
		s.Expires = s.LastUsed.Add(auth.MasterTTL)
		if err := tx.PutSession(s); err != nil {
			return Tokens{}, err
		}
		return m.issue(tx, s, proof)
	})
}

// Issue gives one more session token for the session of a master token, beside those that exist: `snow spcs image-registry`
// hands it to docker.
//
// Errors: as Renew.
func (m *Manager) Issue(ctx context.Context, master errs.Secret) (*catalog.Session, Tokens, error) {
	return m.hand(ctx, master, func(tx catalog.Tx, s *catalog.Session, proof string) (Tokens, error) {
		text, err := m.put(tx, s, proof, catalog.TokenSession, auth.SessionTTL)
		return Tokens{Session: text, Master: master}, err
	})
}

func (m *Manager) hand(ctx context.Context, master errs.Secret, fn func(tx catalog.Tx, s *catalog.Session, proof string) (Tokens, error)) (*catalog.Session, Tokens, error) {
	var s *catalog.Session
	var tokens Tokens
	err := m.catalog.Update(ctx, func(tx catalog.Tx) (err error) {
		var proof string
		if s, proof, err = m.find(tx, master, catalog.TokenMaster, numberMasterExpired); err != nil {
			return err
		}
		tokens, err = fn(tx, s, proof)
		return err
	})
	return s, tokens, err
}

// Heartbeat keeps a session alive.
//
// Errors: as Find.
func (m *Manager) Heartbeat(ctx context.Context, token errs.Secret) error {
	s, err := m.Find(ctx, token)
	if err != nil {
		return err
	}
	return m.touch(ctx, s.ID)
}

// Close ends a session, its tokens and its temporary objects. Closing one that has ended is no error.
func (m *Manager) Close(ctx context.Context, token errs.Secret) error {
	return m.catalog.Update(ctx, func(tx catalog.Tx) error {
		s, _, err := m.find(tx, token, catalog.TokenSession, numberExpired)
		if errs.Is(err, errs.Unauthenticated) {
			return nil
		}
		if err != nil {
			return err
		}
		s.Closed = m.now()
		if err := tx.PutSession(s); err != nil {
			return err
		}
		_, err = tx.DeleteTokens(s.ID, "", "")
		return err
	})
}

// Sweep closes sessions that nobody has used for longer than a master token lives, and forgets tokens some time after they
// expired (until then an expired token is told apart from an unknown one).
func (m *Manager) Sweep(ctx context.Context) (closed int, err error) {
	err = m.catalog.Update(ctx, func(tx catalog.Tx) error {
		ids, err := tx.ExpireSessions(m.now().Add(-auth.MasterTTL))
		closed = len(ids)
		return err
	})
	return closed, err
}
