// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// KeyPair verifies a key-pair JWT: RS256 or ES*, signed with the private half of a key that the user has set as RSA_PUBLIC_KEY,
// iss = ACCOUNT.USER.SHA256:<fingerprint>, sub = ACCOUNT.USER.
// https://docs.snowflake.com/en/user-guide/key-pair-auth and snowflake-connector-python (auth/keypair.py).
//
// Errors: Unauthenticated with number 390144, one text for every reason; what the catalog returns.
func (s *Service) KeyPair(ctx context.Context, token errs.Secret) (Identity, error) {
	var user *catalog.Object
	var fingerprint string
	var failed error // of the catalog, which says nothing about the token
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256", "ES256", "ES384", "ES512"}), jwt.WithExpirationRequired(),
		jwt.WithLeeway(time.Minute), jwt.WithTimeFunc(s.now))
	_, err := parser.Parse(strings.TrimSpace(token.Reveal()), func(t *jwt.Token) (any, error) {
		subject, err := t.Claims.GetSubject()
		if err != nil {
			return nil, err
		}
		account, name, ok := strings.Cut(subject, ".")
		if !ok || !strings.EqualFold(account, s.account) {
			return nil, errors.New("subject names another account")
		}
		if err := s.catalog.View(ctx, func(tx catalog.Tx) (err error) {
			user, err = findUser(tx, name)
			return err
		}); err != nil {
			if !errs.Is(err, errs.NotFound) {
				failed = err
			}
			return nil, err
		}
		issuer, err := t.Claims.GetIssuer()
		if err != nil {
			return nil, err
		}
		fingerprint = strings.TrimPrefix(issuer, subject+".")
		return matchingKey(user.Spec.(*catalog.UserSpec), fingerprint)
	})
	if failed != nil {
		return Identity{}, failed
	}
	if err != nil || user == nil || user.Spec.(*catalog.UserSpec).Disabled {
		// The cause is for the log only: its message would tell which users exist.
		return Identity{}, errs.Wrap(fmt.Errorf("%v", err), errs.Unauthenticated, "JWT token is invalid. [%s]", uuid.NewString()).Numbered(390144, "28000")
	}
	return Identity{User: user.Name.Object, Proof: byKey + fingerprint}, nil
}

// matchingKey gives the public key of the user whose fingerprint the issuer names.
func matchingKey(spec *catalog.UserSpec, fingerprint string) (any, error) {
	for _, text := range []string{spec.PublicKey, spec.PublicKey2} {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil || text == "" {
			continue
		}
		sum := sha256.Sum256(der)
		if "SHA256:"+base64.StdEncoding.EncodeToString(sum[:]) == fingerprint {
			return x509.ParsePKIXPublicKey(der)
		}
	}
	return nil, errors.New("no key with this fingerprint")
}
