// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Lifetimes of what Firn hands out.
const (
	SessionTTL  = time.Hour     // validityInSeconds of a session token
	MasterTTL   = 4 * time.Hour // masterValidityInSeconds: clients derive their heartbeat from 14400
	TransferTTL = time.Hour
	jobTTL      = 30 * 24 * time.Hour // a job's token is revoked when the job ends; this is the outermost bound
)

// NewToken makes a token text, 256 random bits, and the row that keeps its hash; the caller stores the row.
func (s *Service) NewToken(t catalog.Token, ttl time.Duration) (errs.Secret, catalog.Token, error) {
	text, err := Mint(&t, s.rand)
	t.Created = s.now()
	t.Expires = t.Created.Add(ttl)
	return text, t, err
}

// Mint makes a token text for a use and sets Hash, the form in which it is kept.
//
// Errors: Internal without randomness.
func Mint(t *catalog.Token, random io.Reader) (errs.Secret, error) {
	raw := make([]byte, 32)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", errs.Wrap(err, errs.Internal, "no randomness")
	}
	text := string(t.Use[:1]) + "." + base64.RawURLEncoding.EncodeToString(raw)
	t.Hash = hashOf(text)
	return errs.Secret(text), nil
}

// hashOf gives the form in which a token is kept. The text has 256 random bits, so a plain hash cannot be reversed by guessing.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Lookup finds a live token of one of the uses inside a transaction.
//
// Errors: Unauthenticated when the token is unknown, expired or for another use.
func (s *Service) Lookup(tx catalog.Tx, text errs.Secret, uses ...catalog.TokenUse) (catalog.Token, error) {
	unknown := errs.New(errs.Unauthenticated, "the token is not valid: log in again")
	t, err := tx.Token(hashOf(strings.TrimSpace(text.Reveal())))
	if errs.Is(err, errs.NotFound) {
		return t, unknown
	}
	if err != nil {
		return t, err
	}
	if err := s.live(t); err != nil {
		return t, err
	}
	for _, use := range uses {
		if t.Use == use {
			return t, nil
		}
	}
	return t, unknown
}

// issue stores a new token.
func (s *Service) issue(ctx context.Context, t catalog.Token, ttl time.Duration) (errs.Secret, catalog.Token, error) {
	text, t, err := s.NewToken(t, ttl)
	if err != nil {
		return "", t, err
	}
	return text, t, s.catalog.Update(ctx, func(tx catalog.Tx) error { return tx.PutToken(t) })
}

// Token verifies a token that stands for a person or a job at the registry: a session token (as `snow` sends it), a job's token, a
// registry token, or a programmatic access token.
//
// Errors: Unauthenticated.
func (s *Service) Token(ctx context.Context, text errs.Secret) (Identity, error) {
	var id Identity
	err := s.catalog.View(ctx, func(tx catalog.Tx) error {
		t, err := s.Lookup(tx, text, catalog.TokenSession, catalog.TokenRegistry, catalog.TokenJob, catalog.TokenProgram)
		if err != nil {
			return err
		}
		id = Identity{User: t.User, Role: t.Role, Session: t.Session, JobID: t.JobID}
		switch {
		case t.JobID != "" || t.User == "":
		case t.Use == catalog.TokenProgram:
			id.Proof = byToken + t.Hash
		default:
			id.Proof = t.Name
		}
		if t.JobID == "" {
			if err := s.stands(tx, t); err != nil {
				return err
			}
		}
		if t.Use != catalog.TokenSession && t.Use != catalog.TokenRegistry || t.Session == 0 {
			return nil
		}
		// A session's token is as good as the session is now: its present role counts, and closing it ends the token.
		session, err := tx.Session(t.Session)
		if err != nil || !session.Closed.IsZero() {
			return errs.New(errs.Unauthenticated, "the session of the token has ended: log in again")
		}
		id.User, id.Role = session.User, session.Role
		return nil
	})
	if err != nil {
		return Identity{}, err
	}
	return id, nil
}

// IssueRegistryToken hands out a token that opens the registry for the time, and tells when it ends.
func (s *Service) IssueRegistryToken(ctx context.Context, id Identity, ttl time.Duration) (errs.Secret, time.Time, error) {
	text, t, err := s.issue(ctx, catalog.Token{
		Use: catalog.TokenRegistry, User: id.User, Role: id.Role, Session: id.Session, JobID: id.JobID, Name: id.Proof,
	}, ttl)
	return text, t.Expires, err
}

// JobToken hands out the token that a job's container logs in with: it acts as the role that owns the job, until RevokeJob.
func (s *Service) JobToken(ctx context.Context, job *catalog.Job) (errs.Secret, error) {
	text, _, err := s.issue(ctx, catalog.Token{Use: catalog.TokenJob, User: job.User, Role: job.Owner, JobID: job.ID}, jobTTL)
	return text, err
}

// RevokeJob ends every token of a job, those of the sessions that its container opened included.
func (s *Service) RevokeJob(ctx context.Context, id catalog.ID) error {
	return s.catalog.Update(ctx, func(tx catalog.Tx) error {
		_, err := tx.DeleteTokens(0, id, "")
		return err
	})
}

// Job verifies the token of a job's container, sent as an OAuth token.
//
// Errors: Unauthenticated with number 390303.
func (s *Service) Job(ctx context.Context, text errs.Secret) (Identity, error) {
	var id Identity
	err := s.catalog.View(ctx, func(tx catalog.Tx) error {
		t, err := s.Lookup(tx, text, catalog.TokenJob)
		id = Identity{User: t.User, Role: t.Role, JobID: t.JobID}
		return err
	})
	if errs.Is(err, errs.Unauthenticated) {
		return Identity{}, errs.New(errs.Unauthenticated, "Invalid OAuth access token.").Numbered(390303, "28000")
	}
	return id, err
}
