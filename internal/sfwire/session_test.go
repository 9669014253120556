// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
)

func TestLoginAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, text := h.raw("POST", "/session/v1/login-request", []byte(`{"data":{"LOGIN_NAME":"admin","PASSWORD":"`+adminPassword.Reveal()+
		`","SESSION_PARAMETERS":{"QUERY_TAG":"x","CLIENT_PREFETCH_THREADS":2,"UNKNOWN":true,"NOTHING":null}}}`))
	var a struct {
		Data struct {
			Token, MasterToken      string
			ValidityInSeconds       int
			MasterValidityInSeconds int
			SessionID               int64 `json:"sessionId"`
			ServerVersion           string
			DisplayUserName         string
			Parameters              []parameter
			SessionInfo             map[string]any
		}
		Code    any
		Success bool
	}
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	d := a.Data
	if !a.Success || a.Code != nil || d.Token == "" || d.MasterToken == "" || d.ValidityInSeconds != 3600 || d.MasterValidityInSeconds != 14400 ||
		d.SessionID == 0 || d.ServerVersion != "1.2.3" || d.DisplayUserName != "ADMIN" {
		t.Errorf("answer: %s", text)
	}
	parameters := map[string]any{}
	for _, p := range d.Parameters {
		parameters[p.Name] = p.Value
	}
	for name, want := range map[string]any{
		"QUERY_TAG": "x", "CLIENT_PREFETCH_THREADS": 2.0, "UNKNOWN": "true", "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD": 0.0, "AUTOCOMMIT": true,
		"CLIENT_TELEMETRY_ENABLED": false, "PYTHON_SNOWPARK_USE_SCOPED_TEMP_OBJECTS": false, "TIMEZONE": "Etc/UTC",
	} {
		if parameters[name] != want {
			t.Errorf("parameter %s is %v, want %v", name, parameters[name], want)
		}
	}
	for _, name := range []string{"databaseName", "schemaName", "warehouseName", "roleName"} {
		if _, ok := d.SessionInfo[name]; !ok {
			t.Errorf("sessionInfo has no %s", name)
		}
	}
}

func TestRefusedLogins(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, test := range map[string]struct {
		fields object
		code   string
	}{
		"wrong password": {object{"LOGIN_NAME": "ADMIN", "PASSWORD": "wrong"}, "390100"},
		"no password":    {object{"LOGIN_NAME": "ADMIN"}, "390100"},
		"unknown user":   {object{"LOGIN_NAME": "NOBODY", "PASSWORD": "wrong"}, "390100"},
		"bad JWT":        {object{"AUTHENTICATOR": "SNOWFLAKE_JWT", "TOKEN": "a.b.c"}, "390144"},
		"bad OAuth":      {object{"AUTHENTICATOR": "OAUTH", "TOKEN": "x"}, "390303"},
		"other":          {object{"AUTHENTICATOR": "EXTERNALBROWSER", "LOGIN_NAME": "ADMIN"}, "390100"},
	} {
		a := h.tryLogin(test.fields)
		if a.Success || a.code() != test.code || a.Data == nil || a.Message == nil {
			t.Errorf("%s: %v %s %v", name, a.Success, a.code(), a.Data)
		}
	}
	a := h.call("POST", "/session/v1/login-request?roleName=NO_SUCH", "", object{"data": object{"LOGIN_NAME": "ADMIN", "PASSWORD": adminPassword.Reveal()}})
	if a.code() != "390189" {
		t.Errorf("unknown role: %s", a.code())
	}
}

func TestTokensExpire(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, master := h.login()
	h.must(token, "SET a = 42")
	h.pass(auth.SessionTTL + time.Second)
	if a := h.query(token, "SELECT 1"); a.code() != "390112" {
		t.Errorf("expired session token: %s", a.code())
	}
	renewed := h.call("POST", "/session/token-request", master, object{"oldSessionToken": token, "requestType": "RENEW"})
	fresh, _ := renewed.Data["sessionToken"].(string)
	if fresh == "" || fresh == token || renewed.Data["validityInSecondsST"] != 3600.0 || renewed.Data["masterValidityInSeconds"] != 14400.0 {
		t.Fatalf("renewed: %v", renewed)
	}
	if got := cell(h.must(fresh, "SELECT $a")); got != "42" {
		t.Errorf("the renewed session has $a = %v", got)
	}
	newMaster := renewed.Data["masterToken"].(string)
	h.pass(auth.MasterTTL + time.Second)
	if a := h.call("POST", "/session/token-request", newMaster, object{"requestType": "RENEW"}); a.code() != "390114" {
		t.Errorf("expired master token: %s", a.code())
	}
}

func TestUnknownTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, master := h.login()
	for name, a := range map[string]reply{
		"no token":             h.query("", "SELECT 1"),
		"unknown":              h.query("s.unknown", "SELECT 1"),
		"master as session":    h.query(master, "SELECT 1"),
		"session as master":    h.call("POST", "/session/token-request", token, object{"requestType": "RENEW"}),
		"heartbeat":            h.call("POST", "/session/heartbeat", "s.unknown", nil),
		"result":               h.call("GET", "/queries/01b2c3d4-0000-0000-0000-000000000001/result", "s.unknown", nil),
		"monitoring":           h.call("GET", "/monitoring/queries/01b2c3d4-0000-0000-0000-000000000001", "s.unknown", nil),
		"history":              h.call("GET", "/monitoring/queries", "s.unknown", nil),
		"cancel by request id": h.call("POST", "/queries/v1/abort-request", "s.unknown", object{"requestId": "x"}),
		"cancel by query id":   h.call("POST", "/queries/01b2c3d4-0000-0000-0000-000000000001/abort-request", "s.unknown", nil),
	} {
		if a.Success || a.code() != "390104" {
			t.Errorf("%s: %v %s", name, a.Success, a.code())
		}
	}
}

func TestIssueKeepsTheOldToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, master := h.login()
	a := h.call("POST", "/session/token-request", master, object{"oldSessionToken": token, "requestType": "ISSUE"})
	issued, _ := a.Data["sessionToken"].(string)
	if issued == "" || issued == token {
		t.Fatalf("issued: %v", a)
	}
	for _, each := range []string{token, issued} {
		if a := h.call("POST", "/session/heartbeat", each, nil); !a.Success {
			t.Errorf("heartbeat: %s", a.code())
		}
	}
}

func TestAClosedSessionIsGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, master := h.login()
	if a := h.call("POST", "/session", token, object{}); a.Success {
		t.Error("POST /session without delete=true closed the session")
	}
	if a := h.call("POST", "/session?delete=true", token, object{}); !a.Success {
		t.Errorf("close: %s", a.code())
	}
	if a := h.query(token, "SELECT 1"); a.code() != "390104" {
		t.Errorf("session token afterwards: %s", a.code())
	}
	if a := h.call("POST", "/session/token-request", master, object{"requestType": "RENEW"}); a.code() != "390104" {
		t.Errorf("master token afterwards: %s", a.code())
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	bearer := []string{"Authorization", `Snowflake Token="` + token + `"`}
	for name, test := range map[string]struct {
		body     []byte
		encoding string
		code     string
	}{
		"plain":             {[]byte(`{"sqlText":"SELECT 1"}`), "", ""},
		"gzip":              {packed([]byte(`{"sqlText":"SELECT 1"}`)), "gzip", ""},
		"GZIP":              {packed([]byte(`{"sqlText":"SELECT 1"}`)), "GZIP", ""},
		"not gzip":          {[]byte(`{"sqlText":"SELECT 1"}`), "gzip", "001008"},
		"broken gzip":       {packed([]byte(`{"sqlText":"SELECT 1"}`))[:20], "gzip", "001008"},
		"not JSON":          {[]byte(`SELECT 1`), "", "001008"},
		"cut off":           {[]byte(`{"sqlText":"SELECT`), "", "001008"},
		"an array":          {[]byte(`[1]`), "", "001008"},
		"a number for text": {[]byte(`{"sqlText":1}`), "", "001008"},
		"a bound object":    {[]byte(`{"sqlText":"SELECT ?","bindings":{"1":{"type":"TEXT","value":{"a":1}}}}`), "", "001008"},
		"too large":         {packed([]byte(`{"sqlText":"` + strings.Repeat("x", maxBody) + `"}`)), "gzip", "395003"},
		"nothing":           {nil, "", "000900"},
	} {
		resp, text := h.raw("POST", "/queries/v1/query-request?requestId="+url.QueryEscape(name), test.body, append(bearer, "Content-Encoding", test.encoding)...)
		var a reply
		if err := json.Unmarshal(text, &a); err != nil || resp.StatusCode != http.StatusOK || a.code() != test.code || a.Success != (test.code == "") {
			t.Errorf("%s: %s %.200s", name, resp.Status, text)
		}
	}
	big := packed(append(append([]byte(`{"data":{"LOGIN_NAME":"`), bytes.Repeat([]byte("x"), maxLogin)...), `"}}`...))
	if _, text := h.raw("POST", "/session/v1/login-request", big, "Content-Encoding", "gzip"); !bytes.Contains(text, []byte("395003")) {
		t.Errorf("a login too large: %.200s", text)
	}
}

func TestTelemetryIsSwallowed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	resp, text := h.raw("POST", "/telemetry/send", packed([]byte(`{"logs":[]}`)), "Content-Encoding", "gzip")
	if resp.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"success":true`)) {
		t.Errorf("%s %s", resp.Status, text)
	}
}

func TestTheDoorOfJobs(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) { o.JobsOnly = true })
	for name, fields := range map[string]object{
		"password": {"LOGIN_NAME": "ADMIN", "PASSWORD": adminPassword.Reveal()},
		"JWT":      {"AUTHENTICATOR": "SNOWFLAKE_JWT", "TOKEN": "a.b.c"},
	} {
		if a := h.tryLogin(fields); a.code() != "390100" || !strings.Contains(*a.Message, "/snowflake/session/token") {
			t.Errorf("%s: %s %s", name, a.code(), *a.Message)
		}
	}
	job := &catalog.Job{
		ID: "job-1", Kind: "ML JOB", Name: "J", Owner: catalog.RoleSysAdmin, User: "ADMIN", Pool: "SYSTEM_COMPUTE_POOL_CPU", State: catalog.JobRunning,
	}
	if err := h.store.Update(t.Context(), func(tx catalog.Tx) error { return tx.SubmitJob(job) }); err != nil {
		t.Fatal(err)
	}
	text, err := h.door.Auth.JobToken(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	a := h.tryLogin(object{"LOGIN_NAME": "", "AUTHENTICATOR": "OAUTH", "TOKEN": text.Reveal() + "\n"})
	if !a.Success {
		t.Fatalf("job token: %s %s", a.code(), *a.Message)
	}
	if role := cell(h.must(a.Data["token"].(string), "SELECT CURRENT_ROLE()")); role != catalog.RoleSysAdmin {
		t.Errorf("a job acts as %v", role)
	}
	if err := h.door.Auth.RevokeJob(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	if a := h.tryLogin(object{"AUTHENTICATOR": "OAUTH", "TOKEN": text.Reveal()}); a.code() != "390303" {
		t.Errorf("revoked job token: %s", a.code())
	}
}
