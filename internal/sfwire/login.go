// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"strings"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/session"
)

// loginRequest is the body of a login. Fields that Firn has no use for are left out.
// snowflake-connector-python auth/_auth.py; gosnowflake auth.go.
type loginRequest struct {
	Data struct {
		ClientAppID       string         `json:"CLIENT_APP_ID"`
		ClientAppVersion  string         `json:"CLIENT_APP_VERSION"`
		LoginName         string         `json:"LOGIN_NAME"`
		Authenticator     string         `json:"AUTHENTICATOR"`
		Password          errs.Secret    `json:"PASSWORD"`
		Token             errs.Secret    `json:"TOKEN"`
		SessionParameters map[string]any `json:"SESSION_PARAMETERS"`
	} `json:"data"`
}

func (d *Door) login(r *http.Request) (answer, error) {
	var req loginRequest
	if err := read(r, maxLogin, &req); err != nil {
		return answer{}, err
	}
	id, err := d.identify(r, req)
	if err != nil {
		return answer{}, err
	}
	parameters := textParameters(req.Data.SessionParameters)
	q := r.URL.Query()
	s, tokens, err := d.Sessions.Open(r.Context(), session.Login{
		Identity: id, Role: q.Get("roleName"), Database: q.Get("databaseName"), Schema: q.Get("schemaName"),
		Warehouse: q.Get("warehouse"), Validate: strings.EqualFold(parameters["CLIENT_VALIDATE_DEFAULT_PARAMETERS"], "true"),
		Parameters: parameters, Client: req.Data.ClientAppID + " " + req.Data.ClientAppVersion,
	})
	if err != nil {
		return answer{}, err
	}
	return answer{data: map[string]any{
		"token": tokens.Session.Reveal(), "masterToken": tokens.Master.Reveal(),
		"validityInSeconds":       int(auth.SessionTTL.Seconds()),
		"masterValidityInSeconds": int(auth.MasterTTL.Seconds()),
		"sessionId":               s.ID, "displayUserName": s.User, "serverVersion": d.Version, "firstLogin": false,
		"healthCheckInterval": 45, "idToken": nil, "mfaToken": nil, "remMeToken": nil,
		"parameters": parameterList(s),
		"sessionInfo": map[string]any{
			"databaseName": nullable(s.Database), "schemaName": nullable(s.Schema), "warehouseName": nullable(s.Warehouse),
			"roleName": s.Role,
		},
	}}, nil
}

// identify verifies the proof that the login brings.
func (d *Door) identify(r *http.Request, req loginRequest) (auth.Identity, error) {
	data := req.Data
	kind := strings.ToUpper(data.Authenticator)
	if d.JobsOnly && kind != "OAUTH" {
		return auth.Identity{}, errs.New(errs.Unauthenticated,
			"From inside a container log in with authenticator 'oauth' and the token in /snowflake/session/token.").Numbered(390100, "28000")
	}
	switch kind {
	case "", "SNOWFLAKE":
		return d.Auth.Password(r.Context(), addressOf(r), data.LoginName, data.Password)
	case "PROGRAMMATIC_ACCESS_TOKEN":
		return d.Auth.Program(r.Context(), data.LoginName, cmp.Or(data.Token, data.Password))
	case "SNOWFLAKE_JWT":
		return d.Auth.KeyPair(r.Context(), data.Token)
	case "OAUTH":
		return d.Auth.Job(r.Context(), data.Token)
	}
	return auth.Identity{}, errs.New(errs.Unauthenticated,
		"Authenticator '%s' is not available here: use a password, or SNOWFLAKE_JWT with a key pair.", data.Authenticator).Numbered(390100, "28000")
}

// addressOf gives where a request comes from, without the port.
func addressOf(r *http.Request) string {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return address
}

// textParameters gives the session parameters of a login as text, names in upper case.
func textParameters(in map[string]any) map[string]string {
	out := make(map[string]string, len(in))
	for name, value := range in {
		if value != nil {
			out[strings.ToUpper(name)] = fmt.Sprint(value)
		}
	}
	return out
}

// parameter is one entry of "parameters".
type parameter struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

func parameterList(s *catalog.Session) []parameter {
	out := []parameter{}
	for name, value := range session.ClientParameters(s) {
		out = append(out, parameter{name, value})
	}
	return out
}

// nullable gives nil for "", as clients tell an unset name by null.
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// token renews the session token, or hands out one more (`snow spcs image-registry token`). Authorization is the master token.
// snowflake-connector-python network.py _token_request.
func (d *Door) token(r *http.Request) (answer, error) {
	var req struct {
		RequestType string `json:"requestType"`
	}
	if err := read(r, maxLogin, &req); err != nil {
		return answer{}, err
	}
	hand := d.Sessions.Renew
	if req.RequestType == "ISSUE" {
		hand = d.Sessions.Issue
	}
	s, tokens, err := hand(r.Context(), sessionToken(r))
	if err != nil {
		return answer{}, err
	}
	return answer{data: map[string]any{
		"sessionToken": tokens.Session.Reveal(), "masterToken": tokens.Master.Reveal(), "sessionId": s.ID,
		"validityInSecondsST":     int(auth.SessionTTL.Seconds()),
		"validityInSecondsMT":     int(auth.MasterTTL.Seconds()),
		"masterValidityInSeconds": int(auth.MasterTTL.Seconds()),
	}}, nil
}

func (d *Door) heartbeat(r *http.Request) (answer, error) {
	return answer{}, d.Sessions.Heartbeat(r.Context(), sessionToken(r))
}

// endSession is POST /session?delete=true. Statements that run go on.
func (d *Door) endSession(r *http.Request) (answer, error) {
	if r.URL.Query().Get("delete") != "true" {
		return answer{}, errs.New(errs.Invalid, "POST /session needs ?delete=true")
	}
	return answer{}, d.Sessions.Close(r.Context(), sessionToken(r))
}
