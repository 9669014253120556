// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestRegistryLogins: what a login is good for ends within a request of logout, revoke, a changed password, a removed token and a
// disabled user.
func TestRegistryLogins(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.start()
	admin := i.connect()
	for _, text := range []string{
		"CREATE DATABASE ml", "CREATE SCHEMA ml.t", "CREATE IMAGE REPOSITORY ml.t.images", "CREATE ROLE dev", "GRANT USAGE ON DATABASE ml TO ROLE dev",
		"GRANT USAGE ON SCHEMA ml.t TO ROLE dev", "GRANT READ, WRITE ON IMAGE REPOSITORY ml.t.images TO ROLE dev", "CREATE USER ann PASSWORD = 'first' DEFAULT_ROLE = dev",
		"GRANT ROLE dev TO USER ann",
	} {
		mustQuery(t.Context(), t, admin, text)
	}
	base := "http://" + i.host
	send := func(method, path, user, secret string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			r.SetBasicAuth(user, secret)
		} else {
			r.Header.Set("Authorization", "Bearer "+secret)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b.String()
	}
	token := func(user, secret string) string {
		t.Helper()
		status, text := send("GET", "/token?service=firn", user, secret)
		_, rest, _ := strings.Cut(text, `"token":"`)
		got, _, _ := strings.Cut(rest, `"`)
		if status != 200 || got == "" {
			t.Fatalf("token of %s: %d %s", user, status, text)
		}
		return got
	}
	const list, upload = "/v2/ml/t/images/app/tags/list", "/v2/ml/t/images/app/blobs/uploads/"
	pushes := func(what, bearer string, want int) {
		t.Helper()
		if status, text := send("POST", upload, "", bearer); status != want {
			t.Errorf("%s: %d, want %d: %s", what, status, want, text)
		}
	}
	session := func(password string) *wire {
		t.Helper()
		w, err := login(t.Context(), base, "ann", password)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	snow := session("first")
	bySession := token("0sessiontoken", fmt.Sprintf(`{"token": %q, "expires_in": 3600}`, snow.token))
	byPassword := token("ann", "first")
	pat := *mustQuery(t.Context(), t, admin, "ALTER USER ann ADD PROGRAMMATIC ACCESS TOKEN ci ROLE_RESTRICTION = 'DEV'")[0][1]
	byToken := token("ann", pat)
	all := map[string]string{"by a session": bySession, "by a password": byPassword, "by a programmatic token": byToken, "the programmatic token itself": pat, "the session token itself": snow.token}
	each := func(what string, want int) {
		t.Helper()
		for name, bearer := range all {
			pushes(what+", "+name, bearer, want)
		}
	}
	each("logged in", 202)
	for _, step := range []struct {
		text, undo string
		want       int
	}{
		{"REVOKE WRITE ON IMAGE REPOSITORY ml.t.images FROM ROLE dev", "GRANT WRITE ON IMAGE REPOSITORY ml.t.images TO ROLE dev", 403},
		{"REVOKE ROLE dev FROM USER ann", "GRANT ROLE dev TO USER ann", 404},
	} {
		mustQuery(t.Context(), t, admin, step.text)
		each(step.text, step.want)
		mustQuery(t.Context(), t, admin, step.undo)
		each(step.undo, 202)
	}
	if _, err := snow.call(t.Context(), http.MethodPost, "/session?delete=true", nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"by a session", "the session token itself"} {
		pushes("logged out, "+name, all[name], 401)
		delete(all, name)
	}
	mustQuery(t.Context(), t, admin, "ALTER USER ann SET PASSWORD = 'second'")
	pushes("another password", all["by a password"], 401)
	all["by a password"] = token("ann", "second")
	each("the new password", 202)
	mustQuery(t.Context(), t, admin, "ALTER USER ann REMOVE PROGRAMMATIC ACCESS TOKEN ci")
	for _, name := range []string{"by a programmatic token", "the programmatic token itself"} {
		pushes("removed, "+name, all[name], 401)
		delete(all, name)
	}
	mustQuery(t.Context(), t, admin, "ALTER USER ann SET DISABLED = TRUE")
	each("disabled", 401)
	if status, _ := send("GET", list, "ann", "second"); status != 401 {
		t.Errorf("a disabled user with the password: %d", status)
	}
}
