// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// put hands out a token as the rooms that call NewToken do.
func (h *house) put(token catalog.Token, ttl time.Duration) errs.Secret {
	h.t.Helper()
	text, token, err := h.NewToken(token, ttl)
	if err != nil {
		h.t.Fatal(err)
	}
	h.update(func(tx catalog.Tx) error { return tx.PutToken(token) })
	return text
}

func TestNewToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	seen := map[string]bool{}
	for range 100 {
		text, row, err := h.NewToken(catalog.Token{Use: catalog.TokenSession, User: "DAN", Session: 7}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if len(text.Reveal()) != 2+43 || seen[text.Reveal()] || strings.Contains(row.Hash, text.Reveal()) || len(row.Hash) != 64 {
			t.Fatalf("token of %d characters, hash %s", len(text.Reveal()), row.Hash)
		}
		if row.Created != h.now || row.Expires != h.now.Add(time.Hour) || row.User != "DAN" || row.Session != 7 {
			t.Fatalf("%+v", row)
		}
		seen[text.Reveal()] = true
	}
	if _, _, err := auth.New(h.store, "FIRN", h.clock, strings.NewReader("short")).NewToken(catalog.Token{Use: catalog.TokenJob}, 1); !errs.Is(err, errs.Internal) {
		t.Errorf("without randomness: %v", err)
	}
}

// Each token opens what it is for, and nothing else.
func TestUses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.user("DAN", catalog.UserSpec{})
	doors := map[string]func(errs.Secret) error{
		"registry": func(s errs.Secret) error { _, err := h.Token(t.Context(), s); return err },
		"job":      func(s errs.Secret) error { _, err := h.Job(t.Context(), s); return err },
		"renewal": func(s errs.Secret) error {
			return h.store.View(t.Context(), func(tx catalog.Tx) error { _, err := h.Lookup(tx, s, catalog.TokenMaster); return err })
		},
	}
	session := &catalog.Session{User: "DAN", Role: "R"}
	h.update(func(tx catalog.Tx) error { return tx.PutSession(session) })
	opens := map[catalog.TokenUse][]string{
		catalog.TokenSession: {"registry"}, catalog.TokenMaster: {"renewal"}, catalog.TokenJob: {"registry", "job"}, catalog.TokenRegistry: {"registry"},
		catalog.TokenProgram: {"registry"}, catalog.TokenTransfer: nil,
	}
	for use, want := range opens {
		token := catalog.Token{Use: use, User: "DAN"}
		if use == catalog.TokenSession || use == catalog.TokenMaster {
			token.Session = session.ID
		}
		text := h.put(token, time.Hour)
		for door, open := range doors {
			may := strings.Contains(strings.Join(want, " "), door)
			if err := open(text); (err == nil) != may || err != nil && !errs.Is(err, errs.Unauthenticated) {
				t.Errorf("%s at the door %s: %v", use, door, err)
			}
			if err := open(" " + text + "\n"); (err == nil) != may {
				t.Errorf("%s at the door %s with blanks around: %v", use, door, err)
			}
			for _, wrong := range []errs.Secret{text[:len(text)-1], text + "A", "", "s.", text[2:], errs.Secret(strings.ToUpper(text.Reveal()))} {
				if err := open(wrong); !errs.Is(err, errs.Unauthenticated) {
					t.Errorf("%s, damaged, at the door %s: %v", use, door, err)
				}
			}
		}
	}
	// The stored hash opens nothing: who reads the database cannot log in.
	_, row, err := h.NewToken(catalog.Token{Use: catalog.TokenRegistry, User: "DAN"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	h.update(func(tx catalog.Tx) error { return tx.PutToken(row) })
	for door, open := range doors {
		if err := open(errs.Secret(row.Hash)); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("a hash at the door %s: %v", door, err)
		}
	}
}

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.user("DAN", catalog.UserSpec{})
	text, until, err := h.IssueRegistryToken(t.Context(), auth.Identity{User: "DAN", Role: "R"}, time.Hour)
	if err != nil || until != h.now.Add(time.Hour) {
		t.Fatal(until, err)
	}
	for _, tt := range []struct {
		after time.Duration
		open  bool
	}{{0, true}, {time.Hour - time.Microsecond, true}, {time.Microsecond, false}, {24 * time.Hour, false}} {
		h.now = h.now.Add(tt.after)
		id, err := h.Token(t.Context(), text)
		if tt.open && (err != nil || id != (auth.Identity{User: "DAN", Role: "R"})) || !tt.open && !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("at %s: %+v, %v", h.now, id, err)
		}
		if !tt.open && !strings.Contains(err.Error(), "the token expired at 2026-03-01T13:00:00Z: log in again") {
			t.Error(err)
		}
	}
}

// A session's token is as good as the session is now.
func TestSessionTokenFollowsItsSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.user("DAN", catalog.UserSpec{})
	session := &catalog.Session{User: "DAN", Role: "FIRST"}
	h.update(func(tx catalog.Tx) error { return tx.PutSession(session) })
	own := h.put(catalog.Token{Use: catalog.TokenSession, User: "DAN", Session: session.ID}, time.Hour)
	id, err := h.Token(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	issued, _, err := h.IssueRegistryToken(t.Context(), id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	roles := func(want string) {
		t.Helper()
		for name, text := range map[string]errs.Secret{"session": own, "registry": issued} {
			if id, err := h.Token(t.Context(), text); err != nil || id.User != "DAN" || id.Role != want || id.Session != session.ID {
				t.Errorf("%s token: %+v, %v", name, id, err)
			}
		}
	}
	roles("FIRST")
	session.Role = "SECOND"
	h.update(func(tx catalog.Tx) error { return tx.PutSession(session) })
	roles("SECOND")
	session.Closed = h.now
	h.update(func(tx catalog.Tx) error { return tx.PutSession(session) })
	for name, text := range map[string]errs.Secret{"session": own, "registry": issued} {
		if id, err := h.Token(t.Context(), text); !errs.Is(err, errs.Unauthenticated) || id.Role != "" {
			t.Errorf("%s token of a closed session: %+v, %v", name, id, err)
		}
	}
}

func TestJobToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	job := &catalog.Job{ID: "j1", User: "DAN", Owner: "R"}
	first, err := h.JobToken(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.JobToken(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	other, err := h.JobToken(t.Context(), &catalog.Job{ID: "j2", User: "DAN", Owner: "R"})
	if err != nil {
		t.Fatal(err)
	}
	opened := h.put(catalog.Token{Use: catalog.TokenSession, User: "DAN", Session: 9, JobID: "j1"}, time.Hour)
	for _, text := range []errs.Secret{first, second} {
		if id, err := h.Job(t.Context(), text); err != nil || id != (auth.Identity{User: "DAN", Role: "R", JobID: "j1"}) {
			t.Errorf("%+v, %v", id, err)
		}
	}
	for range 2 {
		if err := h.RevokeJob(t.Context(), "j1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []errs.Secret{first, second, opened} {
		if id, err := h.Job(t.Context(), text); !errs.Is(err, errs.Unauthenticated) || numberOf(err) != 390303 || id != (auth.Identity{}) {
			t.Errorf("after the end: %+v, %v", id, err)
		}
		if _, err := h.Token(t.Context(), text); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("after the end at the registry: %v", err)
		}
	}
	if _, err := h.Job(t.Context(), other); err != nil {
		t.Errorf("of another job: %v", err)
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const claim = "PUT stage-1 dir/a file with blanks.csv"
	text, err := h.Sign(t.Context(), claim, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	again := auth.New(h.store, "FIRN", h.clock, rand.Reader) // after a restart, or on another replica
	for _, s := range []*auth.Service{h.Service, again} {
		if got, err := s.Verify(t.Context(), text); got != claim || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	other, err := h.Sign(t.Context(), "PUT stage-2 x", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	payload, signature, _ := strings.Cut(text.Reveal(), ".")
	otherPayload, otherSignature, _ := strings.Cut(other.Reveal(), ".")
	forge := func(payload string) string { return base64.RawURLEncoding.EncodeToString([]byte(payload)) }
	for name, wrong := range map[string]string{
		"empty": "", "no signature": payload, "empty signature": payload + ".", "signature of another claim": payload + "." + otherSignature,
		"claim of another signature": otherPayload + "." + signature, "a later end": forge("99999999999 "+claim) + "." + signature,
		"three parts": text.Reveal() + ".x", "no base64": "!." + signature, "short signature": payload + "." + signature[:10],
	} {
		if got, err := h.Verify(t.Context(), errs.Secret(wrong)); got != "" || !errs.Is(err, errs.Unauthenticated) || errs.MessageOf(err) != "the signature is not valid" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	stranger := newHouse(t)
	if got, err := stranger.Verify(t.Context(), text); got != "" || !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("in another account: %q, %v", got, err)
	}
	h.now = h.now.Add(time.Minute)
	if got, err := h.Verify(t.Context(), text); got != "" || !errs.Is(err, errs.Unauthenticated) || !strings.Contains(err.Error(), "the link expired at 2026-03-01T12:01:00Z") {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

// Replicas that need the first key at the same moment agree on one.
func TestSignOnReplicas(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	texts := make([]errs.Secret, 8)
	var all sync.WaitGroup
	for i := range texts {
		all.Go(func() {
			var err error
			if texts[i], err = auth.New(h.store, "FIRN", h.clock, rand.Reader).Sign(t.Context(), "GET x", time.Hour); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, text := range texts {
		if claim, err := h.Verify(t.Context(), text); claim != "GET x" || err != nil {
			t.Errorf("%q, %v", claim, err)
		}
	}
}
