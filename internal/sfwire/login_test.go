// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"strings"
	"testing"
	"time"
)

// cells gives the rows of an answer, NULL as "".
func cells(d object) (rows [][]string) {
	for _, r := range d["rowset"].([]any) {
		var row []string
		for _, c := range r.([]any) {
			text, _ := c.(string)
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return rows
}

// TestProgrammaticTokens: a token is shown once, opens a session with its role and no other, by its own authenticator and in
// place of a password, until it is disabled, rotated, expired or removed.
func TestProgrammaticTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin, _ := h.login()
	for _, text := range []string{
		"CREATE ROLE ci", "CREATE ROLE other", "CREATE USER ann PASSWORD = 'ann''s own'", "CREATE USER bob PASSWORD = 'bob''s own'", "GRANT ROLE ci TO USER ann",
		"GRANT ROLE other TO USER ann", "CREATE USER robot TYPE = SERVICE", "GRANT ROLE ci TO USER robot",
	} {
		h.must(admin, text)
	}
	added := h.must(admin, "ALTER USER ann ADD PROGRAMMATIC ACCESS TOKEN nightly ROLE_RESTRICTION = 'CI' DAYS_TO_EXPIRY = 30 COMMENT = 'for the build'")
	secret := cells(added)[0][1]
	if cells(added)[0][0] != "NIGHTLY" || len(secret) < 40 {
		t.Fatalf("added: %v", cells(added))
	}
	queryID := added["queryId"].(string)
	if _, body := h.raw("GET", "/queries/"+queryID+"/result", nil, "Authorization", `Snowflake Token="`+admin+`"`); strings.Contains(string(body), secret) || !strings.Contains(string(body), "NIGHTLY") {
		t.Errorf("the stored result: %s", body)
	}
	open := func(fields object) (token string, a reply) {
		t.Helper()
		a = h.tryLogin(fields)
		if a.Success {
			token = a.Data["token"].(string)
		}
		return token, a
	}
	byToken := func(user, secret string) object {
		return object{"LOGIN_NAME": user, "AUTHENTICATOR": "PROGRAMMATIC_ACCESS_TOKEN", "TOKEN": secret}
	}
	for name, fields := range map[string]object{
		"by its authenticator": byToken("ann", secret), "without a user": byToken("", secret), "as a password": {"LOGIN_NAME": "ANN", "PASSWORD": secret},
	} {
		session, a := open(fields)
		if session == "" {
			t.Errorf("%s: %v", name, *a.Message)
			continue
		}
		if got := cells(h.must(session, "SELECT CURRENT_USER(), CURRENT_ROLE()"))[0]; got[0] != "ANN" || got[1] != "CI" {
			t.Errorf("%s: %v", name, got)
		}
		for _, text := range []string{
			"USE ROLE other", "USE ROLE public", "USE SECONDARY ROLES ALL", "ALTER USER ADD PROGRAMMATIC ACCESS TOKEN wider",
			"ALTER USER ADD PROGRAMMATIC ACCESS TOKEN wider ROLE_RESTRICTION = 'OTHER'", "ALTER USER ann SET PASSWORD = 'x' DISABLED = TRUE",
		} {
			if a := h.query(session, text); a.Success {
				t.Errorf("%s: %s works", name, text)
			}
		}
	}
	for name, fields := range map[string]object{
		"another user": byToken("bob", secret), "another user's password": {"LOGIN_NAME": "bob", "PASSWORD": secret}, "another role": byToken("ann", secret+"x"),
		"a session token": byToken("ADMIN", admin),
	} {
		if session, a := open(fields); session != "" || a.code() != "394400" && a.code() != "390100" {
			t.Errorf("%s opens a session: %s", name, a.code())
		}
	}
	for text, part := range map[string]string{
		"ALTER USER ann ADD PAT nightly":                             "already exists",
		"ALTER USER ann ADD PAT x ROLE_RESTRICTION = 'ACCOUNTADMIN'": "not granted",
		"ALTER USER robot ADD PAT x":                                 "ROLE_RESTRICTION",
		"ALTER USER ann ADD PAT x DAYS_TO_EXPIRY = 0":                "DAYS_TO_EXPIRY",
		"ALTER USER ann MODIFY PAT nightly SET DAYS_TO_EXPIRY = 3":   "DAYS_TO_EXPIRY",
		"ALTER USER ann REMOVE PAT missing":                          "does not exist",
		"ALTER USER nobody ADD PAT x":                                "does not exist",
		"ALTER USER ann ROTATE PAT nightly SET COMMENT = 'x'":        "COMMENT",
	} {
		if a := h.query(admin, text); a.Success || !strings.Contains(*a.Message, part) {
			t.Errorf("%s: %v", text, a.Message)
		}
	}

	show := func(session string, want ...string) {
		t.Helper()
		var got []string
		for _, r := range cells(h.must(session, "SHOW USER PROGRAMMATIC ACCESS TOKENS FOR USER ann")) {
			got = append(got, strings.Join([]string{r[0][:min(len(r[0]), 16)], r[1], r[2], r[4], r[5], r[7], r[9]}, "|"))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("shown:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	show(admin, "NIGHTLY|ANN|CI|ACTIVE|for the build|ADMIN|")
	own, _ := open(object{"LOGIN_NAME": "ann", "PASSWORD": "ann's own"})
	show(own, "NIGHTLY|ANN|CI|ACTIVE|for the build|ADMIN|")
	stranger, _ := open(object{"LOGIN_NAME": "bob", "PASSWORD": "bob's own"})
	for _, text := range []string{"SHOW USER PATS FOR USER ann", "ALTER USER ann ADD PAT x", "ALTER USER ann REMOVE PAT nightly"} {
		if a := h.query(stranger, text); a.Success {
			t.Errorf("a stranger's %s works", text)
		}
	}
	mine := cells(h.must(own, "ALTER USER ADD PAT mine"))[0][1]

	opens := func(secret string, want bool) {
		t.Helper()
		if session, _ := open(byToken("ann", secret)); (session != "") != want {
			t.Errorf("the token opens a session: %v, want %v", session != "", want)
		}
	}
	opens(mine, true)
	h.must(admin, "ALTER USER ann MODIFY PAT nightly SET DISABLED = TRUE COMMENT = 'off'")
	opens(secret, false)
	show(admin, "MINE|ANN||ACTIVE||ANN|", "NIGHTLY|ANN|CI|DISABLED|off|ADMIN|")
	h.must(admin, "ALTER USER ann MODIFY PAT nightly SET DISABLED = FALSE")
	opens(secret, true)
	rotated := cells(h.must(admin, "ALTER USER ann ROTATE PAT nightly SET EXPIRE_ROTATED_TOKEN_AFTER_HOURS = 2"))[0]
	opens(secret, true)
	opens(rotated[1], true)
	show(admin, "MINE|ANN||ACTIVE||ANN|", "NIGHTLY|ANN|CI|ACTIVE|off|ADMIN|", "NIGHTLY_ROTATED_|ANN|CI|ACTIVE|off|ADMIN|NIGHTLY")
	h.pass(3 * time.Hour)
	admin, _ = h.login()
	opens(secret, false)
	opens(rotated[1], true)
	h.must(admin, "ALTER USER ann SET DISABLED = TRUE")
	opens(mine, false)
	h.must(admin, "ALTER USER ann SET DISABLED = FALSE")
	opens(mine, true)
	h.must(admin, "REVOKE ROLE ci FROM USER ann")
	opens(rotated[1], false)
	h.must(admin, "GRANT ROLE ci TO USER ann")
	h.must(admin, "ALTER USER ann REMOVE PAT nightly")
	opens(rotated[1], false)
	h.pass(20 * 24 * time.Hour)
	opens(mine, false)
}

// TestGuessing: wrong passwords are answered more and more slowly, and right ones at the same address then wait, too.
func TestGuessing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	began := time.Now()
	for range 7 {
		if a := h.tryLogin(object{"LOGIN_NAME": "ADMIN", "PASSWORD": "wrong"}); a.code() != "390100" {
			t.Fatalf("wrong password: %v", *a.Message)
		}
	}
	if took := time.Since(began); took < 700*time.Millisecond {
		t.Errorf("seven guesses took %v", took)
	}
	h.login()
	began = time.Now()
	h.tryLogin(object{"LOGIN_NAME": "ADMIN", "PASSWORD": "wrong"})
	h.login()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("after a right password a login took %v", took)
	}
}
