// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// What a login rests on, as Identity.Proof and the tokens of sessions and of the registry have it: a password, by the hash of its
// hash, a programmatic access token, by its hash, or a key pair, by its fingerprint. A changed password, a removed token and an
// unset key end at the registry what was issued on them.
const (
	byPassword = "password:"
	byToken    = "token:"
	byKey      = "key:"
)

func proofOfPassword(hash string) string { return byPassword + hashOf(hash) }

// Program verifies a programmatic access token. With a user name, it must be a token of that user.
//
// Errors: Unauthenticated with number 394400, one text for every reason.
func (s *Service) Program(ctx context.Context, user string, text errs.Secret) (Identity, error) {
	var id Identity
	err := s.catalog.View(ctx, func(tx catalog.Tx) error {
		t, err := s.Lookup(tx, text, catalog.TokenProgram)
		if err != nil {
			return err
		}
		owner, err := s.enabled(tx, t.User)
		if err != nil {
			return err
		}
		if user != "" && !strings.EqualFold(user, owner.Name.Object) && !strings.EqualFold(user, owner.Spec.(*catalog.UserSpec).LoginName) {
			return errs.New(errs.Unauthenticated, "the token is of another user")
		}
		id = Identity{User: t.User, Role: t.Role, Proof: byToken + t.Hash}
		return nil
	})
	if errs.Is(err, errs.Unauthenticated) {
		return Identity{}, errs.New(errs.Unauthenticated, "Programmatic access token is invalid.").Numbered(394400, "28000")
	}
	return id, err
}

// enabled finds a user who may log in.
//
// Errors: Unauthenticated.
func (s *Service) enabled(tx catalog.Tx, user string) (*catalog.Object, error) {
	o, err := tx.Object(catalog.KindUser, catalog.Name{Object: user})
	if errs.Is(err, errs.NotFound) || err == nil && o.Spec.(*catalog.UserSpec).Disabled {
		return nil, errs.New(errs.Unauthenticated, "user %s is disabled or does not exist any more", user)
	}
	return o, err
}

// stands tells whether what a token rests on is still good.
//
// Errors: Unauthenticated.
func (s *Service) stands(tx catalog.Tx, t catalog.Token) error {
	owner, err := s.enabled(tx, t.User)
	if err != nil {
		return err
	}
	ended := errs.New(errs.Unauthenticated, "what the token was issued for has ended: log in again")
	switch {
	case t.Use == catalog.TokenProgram: // its name is the user's choice
		return nil
	case strings.HasPrefix(t.Name, byPassword):
		if t.Name != proofOfPassword(owner.Spec.(*catalog.UserSpec).PasswordHash) {
			return ended
		}
	case strings.HasPrefix(t.Name, byToken):
		by, err := tx.Token(strings.TrimPrefix(t.Name, byToken))
		if errs.Is(err, errs.NotFound) {
			return ended
		} else if err != nil {
			return err
		}
		return s.live(by)
	case strings.HasPrefix(t.Name, byKey):
		if _, err := matchingKey(owner.Spec.(*catalog.UserSpec), strings.TrimPrefix(t.Name, byKey)); err != nil {
			return ended
		}
	}
	return nil
}

// live tells whether a token of the catalog is good at the moment.
//
// Errors: Unauthenticated.
func (s *Service) live(t catalog.Token) error {
	if t.Disabled {
		return errs.New(errs.Unauthenticated, "the token is disabled")
	}
	if !t.Expires.IsZero() && !s.now().Before(t.Expires) {
		return errs.New(errs.Unauthenticated, "the token expired at %s: log in again", t.Expires.Format(time.RFC3339))
	}
	return nil
}
