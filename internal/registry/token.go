// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"net/http"
	"time"

	"firn.dev/firn/internal/errs"
)

// maxForm bounds the body of a token request.
const maxForm = 64 << 10

// serveToken answers both dialects of the docker token protocol: GET with Basic, and the OAuth2 form POST with
// grant_type=password or refresh_token. Scopes are not read: a token opens what its identity may do at the time of use.
// https://distribution.github.io/distribution/spec/auth/token/ and .../spec/auth/oauth/
func (g *Registry) serveToken(w http.ResponseWriter, r *http.Request) {
	id, err := g.tokenIdentity(w, r)
	if err != nil {
		g.failToken(w, r, err)
		return
	}
	now := g.Now()
	token, expires := errs.Secret(anonymousToken), now.Add(g.TokenTTL)
	if !id.anonymous() {
		if token, expires, err = g.Authenticator.IssueRegistryToken(r.Context(), id, g.TokenTTL); err != nil {
			g.failToken(w, r, err)
			return
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"token":        token.Reveal(),
		"access_token": token.Reveal(),
		"token_type":   "Bearer",
		"expires_in":   int(expires.Sub(now).Seconds()),
		"issued_at":    now.UTC().Format(time.RFC3339),
	})
}

// tokenIdentity tells who asks for a token.
func (g *Registry) tokenIdentity(w http.ResponseWriter, r *http.Request) (Identity, error) {
	switch r.Method {
	case http.MethodGet:
		id, err := g.authenticate(r)
		if errors.Is(err, errNoLogin) {
			return anonymous(), nil
		}
		return id, err
	case http.MethodPost:
	default:
		return Identity{}, errs.New(errs.Unsupported, "method %s is not served at %s", r.Method, r.URL.Path)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return Identity{}, errs.Wrap(err, errs.Invalid, "the token request is no valid form")
	}
	return g.grant(r.Context(), r)
}

// grant tells who an OAuth2 grant stands for.
func (g *Registry) grant(ctx context.Context, r *http.Request) (Identity, error) {
	switch kind := r.PostFormValue("grant_type"); kind {
	case "password":
		if user := r.PostFormValue("username"); user != "" {
			return g.login(r, user, errs.Secret(r.PostFormValue("password")))
		}
		return g.authenticate(r)
	case "refresh_token":
		return g.Authenticator.Token(ctx, errs.Secret(r.PostFormValue("refresh_token")))
	default:
		return Identity{}, errs.New(errs.Invalid, "grant type %q is not served: use password or refresh_token", kind)
	}
}

// serveLogin answers GET /login, where `snow spcs image-repository list-tags` trades its login for a token.
func (g *Registry) serveLogin(w http.ResponseWriter, r *http.Request) {
	id, err := g.authenticate(r)
	if err == nil && id.anonymous() {
		err = g.loginNeeded(r)
	}
	if err != nil {
		g.fail(w, r, err)
		return
	}
	token, _, err := g.Authenticator.IssueRegistryToken(r.Context(), id, g.TokenTTL)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"token": token.Reveal()})
}
