// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
)

// house is an account with a service whose clock the test moves.
type house struct {
	*auth.Service
	t     *testing.T
	store catalog.Store
	now   time.Time
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	store, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	h.store, h.Service = store, auth.New(store, "firn", h.clock, rand.Reader)
	h.update(func(tx catalog.Tx) error {
		return tx.CreateObject(&catalog.Object{ID: catalog.AccountID, Kind: catalog.KindAccount, Name: catalog.Name{Object: "FIRN"}, Spec: &catalog.AccountSpec{}})
	})
	return h
}

func (h *house) clock() time.Time { return h.now }

func (h *house) update(fn func(catalog.Tx) error) {
	h.t.Helper()
	if err := h.store.Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// user adds a user, whose login name is the own one unless set.
func (h *house) user(name string, spec catalog.UserSpec) {
	h.t.Helper()
	if spec.LoginName == "" {
		spec.LoginName = name
	}
	h.update(func(tx catalog.Tx) error {
		return tx.CreateObject(&catalog.Object{Kind: catalog.KindUser, Name: catalog.Name{Object: name}, Spec: &spec})
	})
}

func hash(t *testing.T, password errs.Secret) string {
	t.Helper()
	text, err := auth.HashPassword(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// numberOf gives the Snowflake number of an error.
func numberOf(err error) int {
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e.Number
	}
	return 0
}

func TestPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	right := hash(t, "right")
	h.user("DAN", catalog.UserSpec{PasswordHash: right})
	h.user("GONE", catalog.UserSpec{PasswordHash: right, Disabled: true})
	h.user("KEYS", catalog.UserSpec{}) // has no password
	h.user("PAULA", catalog.UserSpec{PasswordHash: right, LoginName: "PAULA@FIRN.TEST"})
	h.user("mixed", catalog.UserSpec{PasswordHash: right})
	h.user("THIEF", catalog.UserSpec{PasswordHash: hash(t, "stolen"), LoginName: "DAN"})
	tests := []struct {
		name     string
		user     string
		password errs.Secret
		want     string // "" is refused
	}{
		{"right", "DAN", "right", "DAN"},
		{"in any case", "dan", "right", "DAN"},
		{"by login name", "paula@firn.test", "right", "PAULA"},
		{"a name of mixed case by its login name", "MIXED", "right", "mixed"},
		{"wrong", "DAN", "wrong", ""},
		{"empty", "DAN", "", ""},
		{"longer", "DAN", "right ", ""},
		{"case of the password", "DAN", "RIGHT", ""},
		{"the hash itself", "DAN", errs.Secret(right), ""},
		{"unknown", "NOBODY", "right", ""},
		{"nobody", "", "", ""},
		{"disabled", "GONE", "right", ""},
		{"without a password", "KEYS", "", ""},
		{"a name that is not the login name", "PAULA", "right", ""},
		{"a login name that is another user's own", "DAN", "stolen", ""},
		{"by its own name when the login name is another's", "THIEF", "stolen", ""},
		{"injection", "DAN' OR '1'='1", "right", ""},
		{"zero byte", "DAN", "right\x00", ""},
	}
	for _, tt := range tests {
		id, err := h.Password(t.Context(), "", tt.user, tt.password)
		if tt.want != "" {
			if err != nil || id.User != tt.want || id.Role != "" || id.Session != 0 {
				t.Errorf("%s: %+v, %v", tt.name, id, err)
			}
			continue
		}
		if id != (auth.Identity{}) || !errs.Is(err, errs.Unauthenticated) || numberOf(err) != 390100 ||
			err.Error() != "Incorrect username or password was specified." {
			t.Errorf("%s: %+v, %v", tt.name, id, err)
		}
	}
}

func TestPasswordHash(t *testing.T) {
	t.Parallel()
	one, two := hash(t, "same"), hash(t, "same")
	if one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(one, "same") {
		t.Errorf("%s and %s", one, two)
	}
	for _, text := range []string{one, two} {
		if ok, err := auth.VerifyPassword(t.Context(), text, "same"); !ok || err != nil {
			t.Errorf("%s: %v, %v", text, ok, err)
		}
	}
	if ok, err := auth.VerifyPassword(t.Context(), "", ""); ok || err != nil {
		t.Errorf("no password and no hash: %v, %v", ok, err)
	}
	for _, damaged := range []string{
		"plain", "$argon2id$v=19$m=19456,t=2,p=1$AAAA", strings.Replace(one, "argon2id", "argon2i", 1), strings.Replace(one, "t=2", "t=x", 1),
		one + "$", one + "!", strings.Replace(one, "v=19", "v=", 1),
	} {
		if ok, err := auth.VerifyPassword(t.Context(), damaged, "same"); ok || !errs.Is(err, errs.Corrupt) || strings.Contains(err.Error(), damaged) {
			t.Errorf("%s: %v, %v", damaged, ok, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := auth.HashPassword(ended, "x"); err != nil && !errs.Is(err, errs.Canceled) {
		t.Error(err)
	}
}

// keyOf gives what RSA_PUBLIC_KEY holds of a key, and its fingerprint.
func keyOf(t *testing.T, public any) (text, fingerprint string) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(der), "SHA256:" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestKeyPair(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, print1 := keyOf(t, key.Public())
	otherPublic, print2 := keyOf(t, other.Public())
	curvePublic, print3 := keyOf(t, curve.Public())
	h.user("DAN", catalog.UserSpec{PublicKey: public, PublicKey2: curvePublic})
	h.user("EVE", catalog.UserSpec{PublicKey: otherPublic})
	h.user("GONE", catalog.UserSpec{PublicKey: public, Disabled: true})
	h.user("J.DOE", catalog.UserSpec{PublicKey: public})
	h.user("BROKEN", catalog.UserSpec{PublicKey: "not base64", PublicKey2: base64.StdEncoding.EncodeToString([]byte("no key"))})
	claims := func(sub, print string, more ...any) jwt.MapClaims {
		c := jwt.MapClaims{"iss": sub + "." + print, "sub": sub, "iat": h.now.Unix(), "exp": h.now.Add(time.Hour).Unix()}
		for i := 0; i+1 < len(more); i += 2 {
			if c[more[i].(string)] = more[i+1]; more[i+1] == nil {
				delete(c, more[i].(string))
			}
		}
		return c
	}
	tests := []struct {
		name   string
		method jwt.SigningMethod
		key    any
		claims jwt.MapClaims
		want   string // "" is refused
	}{
		{"right", jwt.SigningMethodRS256, key, claims("FIRN.DAN", print1), "DAN"},
		{"second key, elliptic", jwt.SigningMethodES256, curve, claims("FIRN.DAN", print3), "DAN"},
		{"account and name in any case", jwt.SigningMethodRS256, key, claims("firn.dan", print1), "DAN"},
		{"name with a dot", jwt.SigningMethodRS256, key, claims("FIRN.J.DOE", print1), "J.DOE"},
		{"just expired, within the leeway", jwt.SigningMethodRS256, key, claims("FIRN.DAN", print1, "exp", h.now.Add(-30*time.Second).Unix()), "DAN"},
		{"expired", jwt.SigningMethodRS256, key, claims("FIRN.DAN", print1, "exp", h.now.Add(-2*time.Minute).Unix()), ""},
		{"never expires", jwt.SigningMethodRS256, key, claims("FIRN.DAN", print1, "exp", nil), ""},
		{"not yet", jwt.SigningMethodRS256, key, claims("FIRN.DAN", print1, "nbf", h.now.Add(time.Hour).Unix()), ""},
		{"another user's key", jwt.SigningMethodRS256, other, claims("FIRN.DAN", print2), ""},
		{"another key under the right fingerprint", jwt.SigningMethodRS256, other, claims("FIRN.DAN", print1), ""},
		{"another account", jwt.SigningMethodRS256, key, claims("OTHER.DAN", print1), ""},
		{"no account", jwt.SigningMethodRS256, key, claims("DAN", print1), ""},
		{"unknown user", jwt.SigningMethodRS256, key, claims("FIRN.NOBODY", print1), ""},
		{"disabled user", jwt.SigningMethodRS256, key, claims("FIRN.GONE", print1), ""},
		{"user with damaged keys", jwt.SigningMethodRS256, key, claims("FIRN.BROKEN", print1), ""},
		{"issuer of another user", jwt.SigningMethodRS256, key, claims("FIRN.DAN", print1, "iss", "FIRN.EVE."+print1), ""},
		{"no issuer", jwt.SigningMethodRS256, key, claims("FIRN.DAN", print1, "iss", nil), ""},
		{"no subject", jwt.SigningMethodRS256, key, claims("FIRN.DAN", print1, "sub", nil), ""},
		{"subject is a number", jwt.SigningMethodRS256, key, claims("FIRN.DAN", print1, "sub", 7), ""},
		{"signed with the public key as a password", jwt.SigningMethodHS256, []byte(public), claims("FIRN.DAN", print1), ""},
		{"not signed", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims("FIRN.DAN", print1), ""},
		{"other padding", jwt.SigningMethodPS256, key, claims("FIRN.DAN", print1), ""},
		{"method of the other key", jwt.SigningMethodES256, curve, claims("FIRN.DAN", print1), ""},
	}
	for _, tt := range tests {
		text, err := jwt.NewWithClaims(tt.method, tt.claims).SignedString(tt.key)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		id, err := h.KeyPair(t.Context(), errs.Secret(text))
		if tt.want != "" {
			if err != nil || id.User != tt.want || id.Role != "" || id.Session != 0 {
				t.Errorf("%s: %+v, %v", tt.name, id, err)
			}
			continue
		}
		refusedJWT(t, tt.name, id, err, text)
	}
	good, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims("FIRN.DAN", print1)).SignedString(crypto.PrivateKey(key))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"FIRN.DAN.` + print1 + `","sub":"FIRN.DAN","exp":99999999999}`))
	for name, text := range map[string]string{
		"other claims": parts[0] + "." + forged + "." + parts[2], "no signature": parts[0] + "." + parts[1] + ".", "two parts": parts[0] + "." + parts[1],
		"empty": "", "nonsense": "a.b.c",
	} {
		id, err := h.KeyPair(t.Context(), errs.Secret(text))
		refusedJWT(t, name, id, err, text)
	}
}

// refusedJWT makes sure that every refusal looks alike but for its number of the incident.
func refusedJWT(t *testing.T, name string, id auth.Identity, err error, text string) {
	t.Helper()
	message := errs.MessageOf(err)
	if id != (auth.Identity{}) || !errs.Is(err, errs.Unauthenticated) || numberOf(err) != 390144 || !strings.HasPrefix(message, "JWT token is invalid. [") ||
		len(message) != len("JWT token is invalid. []")+36 || text != "" && strings.Contains(message, text) {
		t.Errorf("%s: %+v, %q, %v", name, id, message, err)
	}
}

// A catalog that does not answer is no wrong password.
func TestCatalogFailureIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"iss": "FIRN.DAN.x", "sub": "FIRN.DAN", "exp": h.now.Add(time.Hour).Unix()}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func() error{
		"password":  func() error { _, err := h.Password(t.Context(), "", "DAN", "x"); return err },
		"key pair":  func() error { _, err := h.KeyPair(t.Context(), errs.Secret(text)); return err },
		"token":     func() error { _, err := h.Token(t.Context(), "s.x"); return err },
		"job":       func() error { _, err := h.Job(t.Context(), "j.x"); return err },
		"signature": func() error { _, err := h.Verify(t.Context(), "a.b"); return err },
	} {
		if err := ask(); !errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
