// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Identity is who asks.
type Identity struct {
	User    string     // "" for a job that acts for a role only, and for a request without a login
	Role    string     // the one role to act as with those granted to it, "" for the user's default role and all roles granted to the user
	Session int64      // whose token was shown: its end ends what is issued for it; else 0
	JobID   catalog.ID // the job that pulls, else ""
	Proof   string     // the Authenticator's own: what tokens that are issued to the identity rest on
}

// String names the identity in messages.
func (id Identity) String() string {
	switch {
	case id.anonymous():
		return "a request without a login"
	case id.JobID != "":
		return "job " + string(id.JobID)
	case id.Role != "":
		return fmt.Sprintf("user %s with role %s", id.User, id.Role)
	default:
		return "user " + id.User
	}
}

// anonymous is who sends a request without a login. Such a request may pull what a grant to PUBLIC lets everybody pull.
func anonymous() Identity { return Identity{Role: catalog.RolePublic} }

// anonymous tells whether the identity is that of requests without a login.
func (id Identity) anonymous() bool { return id.User == "" && id.JobID == "" }

// anonymousToken is what the token endpoint gives to those who do not log in. It proves nothing: it is as good as no token.
const anonymousToken = "anonymous"

// errNoLogin is the cause of failures of requests that need a login and have none.
var errNoLogin = errors.New("no login")

// loginNeeded is the answer to a request without a login that needs one.
//
// The bare words "authentication required" make docker 20.10 try again for 50 seconds: it takes the code with its usual message
// for something else than the code.
func (g *Registry) loginNeeded(r *http.Request) error {
	return errs.Wrap(errNoLogin, errs.Unauthenticated, "authentication required: log in to %s first", g.url(r))
}

// Authenticator tells who somebody is. It is safe for concurrent use.
type Authenticator interface {
	// Password checks a user's name and password, or a programmatic access token in place of the password. The address is where the
	// request comes from, without a port: guessing is slowed down for each.
	//
	// Errors: Unauthenticated; Exhausted after too many wrong passwords.
	Password(ctx context.Context, address, user string, password errs.Secret) (Identity, error)
	// Token checks a token that Firn handed out: of a session, for the registry, of a job, or a programmatic one.
	//
	// Errors: Unauthenticated.
	Token(ctx context.Context, token errs.Secret) (Identity, error)
	// IssueRegistryToken makes a token that opens the registry, and nothing else, as the identity, for the time; it also gives the time of its end.
	IssueRegistryToken(ctx context.Context, id Identity, ttl time.Duration) (errs.Secret, time.Time, error)
}

// Authorizer tells what somebody may do. It is safe for concurrent use.
type Authorizer interface {
	// Allowed tells whether the identity holds the privilege, or OWNERSHIP, on the repository, with USAGE on the schema and database
	// that hold it. The registry asks for READ and WRITE only.
	Allowed(tx catalog.Tx, id Identity, p catalog.Privilege, repository *catalog.Object) (bool, error)
}

// TokenUser is the user name of those who log in with a token for a password: `snow spcs image-registry login`, and the server's own pulls.
const TokenUser = "0sessiontoken"

// service is the name of the registry in challenges. Neither it nor the realm may contain the words "bearer" or "basic": some
// clients look for them anywhere in the header.
const service = "firn"

// challenge is the one value of WWW-Authenticate. Basic is accepted and never offered: docker fails with two offers.
func (g *Registry) challenge(r *http.Request) string {
	return fmt.Sprintf("Bearer realm=%q,service=%q", g.url(r)+"/token", service)
}

// url is where clients reach the registry.
func (g *Registry) url(r *http.Request) string {
	switch {
	case g.URL != "":
		return g.URL
	case r.TLS != nil:
		return "https://" + r.Host
	default:
		return "http://" + r.Host
	}
}

// authenticate tells who sent the request, by the header Authorization.
func (g *Registry) authenticate(r *http.Request) (Identity, error) {
	if user, password, ok := r.BasicAuth(); ok {
		return g.login(r, user, errs.Secret(password))
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Identity{}, g.loginNeeded(r)
	}
	if strings.TrimSpace(token) == anonymousToken {
		return anonymous(), nil
	}
	return g.bearer(r.Context(), strings.TrimSpace(token))
}

// login tells who a user name and password belong to. The password of TokenUser is a session token, bare or as the JSON
// {"token":"...","expires_in":n} that the clients send.
func (g *Registry) login(r *http.Request, user string, password errs.Secret) (Identity, error) {
	if user != TokenUser {
		address, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			address = r.RemoteAddr
		}
		return g.Authenticator.Password(r.Context(), address, user, password)
	}
	var document struct{ Token string }
	if err := json.Unmarshal([]byte(password.Reveal()), &document); err != nil {
		document.Token = password.Reveal()
	}
	return g.Authenticator.Token(r.Context(), errs.Secret(document.Token))
}
