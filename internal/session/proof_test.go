// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/session"
)

// keyPair makes a key, as RSA_PUBLIC_KEY has it, and logs in with it.
func (h *house) keyPair() (public string, login func() (auth.Identity, error)) {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		h.t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(der), func() (auth.Identity, error) {
		text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": "FIRN.DAN.SHA256:" + base64.StdEncoding.EncodeToString(sum[:]), "sub": "FIRN.DAN", "exp": h.now.Add(time.Hour).Unix(),
		}).SignedString(key)
		if err != nil {
			h.t.Fatal(err)
		}
		return h.auth.KeyPair(h.t.Context(), errs.Secret(text))
	}
}

// alter changes DAN.
func (h *house) alter(change func(*catalog.UserSpec)) {
	h.t.Helper()
	h.update(func(tx catalog.Tx) error {
		o, spec, err := catalog.Get[*catalog.UserSpec](tx, catalog.Name{Object: "DAN"})
		if err != nil {
			return err
		}
		change(spec)
		return tx.AlterObject(o)
	})
}

// What a session hands out opens the registry as long as its login would, and no longer. The session itself goes on.
func TestTheRegistryFollowsWhatTheLoginRestsOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first, byFirst := h.keyPair()
	second, bySecond := h.keyPair()
	word, err := auth.HashPassword(t.Context(), "word")
	if err != nil {
		t.Fatal(err)
	}
	h.alter(func(s *catalog.UserSpec) { s.PublicKey, s.PublicKey2, s.PasswordHash = first, second, word })
	open := map[string]bool{"first": true, "second": true, "password": true}
	tokens := map[string][]errs.Secret{}
	sessions := map[string]errs.Secret{}
	for name, login := range map[string]func() (auth.Identity, error){
		"first": byFirst, "second": bySecond,
		"password": func() (auth.Identity, error) { return h.auth.Password(t.Context(), "", "DAN", "word") },
	} {
		id, err := login()
		if err != nil {
			t.Fatal(name, err)
		}
		_, own := h.open(session.Login{Identity: id})
		_, renewed, err := h.Renew(t.Context(), own.Master)
		if err != nil {
			t.Fatal(name, err)
		}
		_, more, err := h.Issue(t.Context(), renewed.Master)
		if err != nil {
			t.Fatal(name, err)
		}
		tokens[name], sessions[name] = []errs.Secret{own.Session, renewed.Session, more.Session}, own.Session
		for _, text := range tokens[name] {
			id, err := h.auth.Token(t.Context(), text)
			if err != nil {
				t.Fatal(name, err)
			}
			traded, _, err := h.auth.IssueRegistryToken(t.Context(), id, time.Hour)
			if err != nil {
				t.Fatal(name, err)
			}
			tokens[name] = append(tokens[name], traded)
		}
	}
	check := func(when string) {
		t.Helper()
		for name, texts := range tokens {
			for i, text := range texts {
				if _, err := h.auth.Token(t.Context(), text); (err == nil) != open[name] || err != nil && !errs.Is(err, errs.Unauthenticated) {
					t.Errorf("%s: token %d of the session by %s: %v", when, i, name, err)
				}
			}
			if _, err := h.Find(t.Context(), sessions[name]); err != nil {
				t.Errorf("%s: session by %s: %v", when, name, err)
			}
		}
	}
	check("at first")
	h.alter(func(s *catalog.UserSpec) { s.PublicKey, s.PublicKey2 = second, first })
	check("keys have changed places")
	third, byThird := h.keyPair()
	h.alter(func(s *catalog.UserSpec) { s.PublicKey2 = third })
	open["first"] = false
	check("a third key in the place of the first")
	if _, err := byThird(); err != nil {
		t.Error(err)
	}
	h.alter(func(s *catalog.UserSpec) { s.PublicKey, s.PublicKey2 = "", "" })
	open["second"] = false
	check("without keys")
	h.alter(func(s *catalog.UserSpec) { s.PasswordHash = "" })
	open["password"] = false
	check("without a password")
}
