// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Sign gives a text that proves a claim until it expires, without a row of its own: an HMAC with the account's key, which all
// replicas share. It cannot be revoked, so claims are narrow: one method on one path of a stage.
func (s *Service) Sign(ctx context.Context, claim string, ttl time.Duration) (errs.Secret, error) {
	key, err := s.signingKey(ctx)
	if err != nil {
		return "", err
	}
	payload := fmt.Sprintf("%d %s", s.now().Add(ttl).Unix(), claim)
	b := base64.RawURLEncoding
	return errs.Secret(b.EncodeToString([]byte(payload)) + "." + b.EncodeToString(macOf(key, payload))), nil
}

// Verify gives the claim that Sign was asked to prove.
//
// Errors: Unauthenticated when the text is not one of Sign's, or has expired.
func (s *Service) Verify(ctx context.Context, text errs.Secret) (string, error) {
	invalid := errs.New(errs.Unauthenticated, "the signature is not valid")
	key, err := s.signingKey(ctx)
	if err != nil {
		return "", err
	}
	encoded, signature, ok := strings.Cut(text.Reveal(), ".")
	payload, err1 := base64.RawURLEncoding.DecodeString(encoded)
	mac, err2 := base64.RawURLEncoding.DecodeString(signature)
	if !ok || err1 != nil || err2 != nil || !hmac.Equal(mac, macOf(key, string(payload))) {
		return "", invalid
	}
	until, claim, _ := strings.Cut(string(payload), " ")
	seconds, err := strconv.ParseInt(until, 10, 64)
	if err != nil {
		return "", invalid
	}
	if s.now().Unix() >= seconds {
		return "", errs.New(errs.Unauthenticated, "the link expired at %s", time.Unix(seconds, 0).UTC().Format(time.RFC3339))
	}
	return claim, nil
}

func macOf(key []byte, payload string) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(payload)) // a hash never fails
	return mac.Sum(nil)
}

// signingKey gives the account's key, made when it is first needed. It never changes, so it is kept once read.
func (s *Service) signingKey(ctx context.Context) ([]byte, error) {
	s.keyLock.Lock()
	defer s.keyLock.Unlock()
	if s.key != nil {
		return s.key, nil
	}
	var key []byte
	err := s.catalog.Update(ctx, func(tx catalog.Tx) error {
		account, err := tx.ObjectByID(catalog.AccountID)
		if err != nil {
			return err
		}
		spec := account.Spec.(*catalog.AccountSpec)
		if key = spec.SigningKey; len(key) > 0 {
			return nil
		}
		key = make([]byte, 32)
		if _, err := io.ReadFull(s.rand, key); err != nil {
			return errs.Wrap(err, errs.Internal, "no randomness")
		}
		spec.SigningKey = key
		return tx.AlterObject(account)
	})
	if err == nil {
		s.key = key
	}
	return key, err
}
