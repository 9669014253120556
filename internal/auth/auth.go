// SPDX-License-Identifier: Apache-2.0

// Package auth turns proofs of identity into identities: passwords, key-pair JWTs, and the tokens that Firn itself hands out to
// sessions, job containers, registry clients and file transfers. It decides who somebody is, never what they may do (rbac).
//
// The SQL door, the registry and the scheduler call it. Everything it must remember is in the catalog, as hashes.
package auth

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Identity is who is asking. A job's container has no user: it acts for the role that owns the job.
type Identity struct {
	User    string     // canonical user name
	Role    string     // the role that a token is bound to; "" when every role of the user may be taken
	Session int64      // of a session token, else 0
	JobID   catalog.ID // of a job token, else ""
	Proof   string     // what the login rests on: tokens that are issued to it open the registry no longer than that stands
}

// Service verifies and issues. It is safe for concurrent use.
type Service struct {
	catalog catalog.Store
	rand    io.Reader
	now     func() time.Time
	account string

	guesses *throttle

	keyLock sync.Mutex
	key     []byte // of Sign, once read
}

// New makes the service for an account. rand is a source of cryptographic randomness.
func New(store catalog.Store, account string, now func() time.Time, rand io.Reader) *Service {
	return &Service{catalog: store, rand: rand, now: now, account: strings.ToUpper(account), guesses: newThrottle(now)}
}

// errWrongPassword is one text for every reason, so that nobody learns which users exist.
// https://github.com/snowflakedb/snowflake-connector-python (auth/_auth.py) tests the number.
func errWrongPassword() error {
	return errs.New(errs.Unauthenticated, "Incorrect username or password was specified.").Numbered(390100, "28000")
}

// Password verifies a user's password, or a programmatic access token of the user in its place. The address is where the client is,
// without a port: wrong passwords slow down the next attempts from there.
//
// Errors: Unauthenticated with number 390100, the same for a wrong password, an unknown and a disabled user; Exhausted with number
// 390102 after too many wrong passwords, whatever this one is.
func (s *Service) Password(ctx context.Context, address, user string, password errs.Secret) (id Identity, err error) {
	if id, err := s.Program(ctx, user, password); err == nil || !errs.Is(err, errs.Unauthenticated) {
		return id, err
	}
	wrong := error(nil)
	err = s.guesses.slowly(ctx, address, strings.ToUpper(user), func() (bool, error) {
		id, wrong = s.password(ctx, user, password)
		if errs.Is(wrong, errs.Unauthenticated) {
			return false, nil
		}
		return wrong == nil, wrong
	})
	if err == nil {
		err = wrong
	}
	return id, err
}

// password verifies a password, however often.
func (s *Service) password(ctx context.Context, user string, password errs.Secret) (Identity, error) {
	var found *catalog.Object
	err := s.catalog.View(ctx, func(tx catalog.Tx) (err error) {
		found, err = findUser(tx, user)
		return err
	})
	if err != nil && !errs.Is(err, errs.NotFound) {
		return Identity{}, err
	}
	hash := unknownUserHash
	if found != nil {
		hash = found.Spec.(*catalog.UserSpec).PasswordHash
	}
	ok, err := VerifyPassword(ctx, hash, password)
	if err != nil {
		return Identity{}, err
	}
	if !ok || found == nil || found.Spec.(*catalog.UserSpec).Disabled {
		return Identity{}, errWrongPassword()
	}
	return Identity{User: found.Name.Object, Proof: proofOfPassword(hash)}, nil
}

// findUser finds a user by login name: the user's own name in most accounts, else the LOGIN_NAME property.
//
// Errors: NotFound.
func findUser(tx catalog.Tx, login string) (*catalog.Object, error) {
	login = strings.ToUpper(login)
	o, err := tx.Object(catalog.KindUser, catalog.Name{Object: login})
	if err == nil && strings.EqualFold(o.Spec.(*catalog.UserSpec).LoginName, login) || err != nil && !errs.Is(err, errs.NotFound) {
		return o, err
	}
	for o, err := range tx.Objects(catalog.KindUser, catalog.Name{}) {
		if err != nil {
			return nil, err
		}
		if strings.EqualFold(o.Spec.(*catalog.UserSpec).LoginName, login) {
			return o, nil
		}
	}
	return nil, errs.New(errs.NotFound, "user '%s' does not exist", login)
}
