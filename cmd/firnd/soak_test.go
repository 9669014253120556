// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// soakEnv says for how long TestSoak goes on: "10m". Without it, a few seconds.
const soakEnv = "FIRN_TEST_SOAK"

// soak is clients that push, pull, tag and delete images of a real server at random, while it collects garbage all the time.
type soak struct {
	*installation
	layers []v1.Layer // that many images share

	mu    sync.Mutex
	wrong []string
	did   map[string]int
}

func (s *soak) note(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did[what]++
	if err != nil && len(s.wrong) < 20 {
		s.wrong = append(s.wrong, what+": "+err.Error())
	}
}

// TestSoak: after some time of everything at once, with servers that are killed and collections beside them, each tag leads to a
// whole image and `firnd check` finds nothing.
func TestSoak(t *testing.T) {
	t.Parallel()
	length := 8 * time.Second
	if text := os.Getenv(soakEnv); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", soakEnv, err)
		}
	}
	s := &soak{installation: newInstallation(t, "--gc-interval", "200ms", "--gc-grace", "3s"), did: map[string]int{}}
	for i := range 8 {
		layer, err := random.Layer(int64(1000<<(i%4*3)), "application/vnd.oci.image.layer.v1.tar+gzip")
		if err != nil {
			t.Fatal(err)
		}
		s.layers = append(s.layers, layer)
	}
	s.start()
	for _, text := range []string{"CREATE DATABASE ml", "CREATE SCHEMA ml.t", "CREATE IMAGE REPOSITORY ml.t.images"} {
		mustQuery(t.Context(), t, s.connect(), text)
	}
	for end := time.Now().Add(length); ; {
		s.round(t, min(4*time.Second, max(time.Until(end), time.Second)))
		if time.Now().After(end) {
			break
		}
		s.last.kill()
		s.start()
	}
	if _, page := get(t, "http://"+s.host+"/metrics"); !strings.Contains(page, `firn_gc_runs_total{outcome="success"}`) || !strings.Contains(page, `firn_gc_removed_total{what="manifest"}`) {
		t.Errorf("collections are not among the metrics:\n%s", page)
	}
	for stopped, what := range []string{"a running server", "a stopped server"} {
		if stopped == 1 && s.last.stop() != 0 {
			t.Errorf("the server stops badly: %s", s.last.log)
		}
		if code, out := s.run(t, "check"); code != 0 || !strings.Contains(out, "nothing is lost or damaged") {
			t.Errorf("check of %s: exit code %d\n%s", what, code, out)
		}
	}
	t.Logf("%v", s.did)
	for _, line := range s.wrong {
		t.Error(line)
	}
	for _, what := range []string{"push", "pull", "gc command"} {
		if s.did[what] == 0 {
			t.Errorf("nobody came to: %s", what)
		}
	}
}

// run runs a command over the data of the installation.
func (s *soak) run(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	cmd := exec.Command("firnd", append(args, "--data-dir", s.dir)...)
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// round lets all clients work for some time.
func (s *soak) round(t *testing.T, length time.Duration) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	var all sync.WaitGroup
	for id := range 5 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				s.client(ctx, t, id, n)
			}
		})
	}
	all.Go(func() {
		for done := false; ctx.Err() == nil || !done; {
			code, out := s.run(t, "gc", "--gc-grace", "3s")
			var err error
			switch {
			case strings.Contains(out, "is done by"): // the server is at it
				s.note("gc command that had to wait", nil)
				continue
			case code != 0:
				err = errors.New(out)
			}
			s.note("gc command", err)
			done = true
		}
	})
	all.Wait()
}

// client pushes an image under a tag of its own, pulls it whole, and sometimes takes it away. What it began it ends: only the time
// between two clients' turns is cut.
func (s *soak) client(ctx context.Context, t *testing.T, id, n int) {
	t.Helper()
	ctx = context.WithoutCancel(ctx)
	options := []remote.Option{remote.WithAuth(&authn.Basic{Username: adminUser, Password: s.password().Reveal()}), remote.WithContext(ctx)}
	ref, err := name.NewTag(fmt.Sprintf("%s/ml/t/images/i%d:c%d-%d", s.host, rand.IntN(3), id, n%4), name.Insecure)
	if err != nil {
		t.Error(err)
		return
	}
	image, err := random.Image(500, 1)
	if err == nil {
		image, err = mutate.AppendLayers(image, s.layers[rand.IntN(len(s.layers))], s.layers[rand.IntN(len(s.layers))])
	}
	if err != nil {
		t.Error(err)
		return
	}
	began := time.Now()
	err = remote.Write(ref, image, options...)
	if err != nil && time.Since(began) > 2*time.Second {
		s.note("push that took longer than the grace", nil)
		return
	}
	s.note("push", err)
	if err != nil {
		return
	}
	pulled, err := remote.Image(ref, options...)
	if err == nil {
		err = validate.Image(pulled)
	}
	s.note("pull", err)
	switch rand.IntN(5) {
	case 1, 2:
		s.note("untag", remote.Delete(ref, options...))
	case 3:
		digest, err := image.Digest()
		if err == nil {
			err = remote.Delete(ref.Digest(digest.String()), options...)
		}
		s.note("delete", err)
	}
}

// TestDamage damages a layer of a server: check tells and fails, repair moves it aside, and pushing again heals it.
func TestDamage(t *testing.T) {
	t.Parallel()
	s := &soak{installation: newInstallation(t), did: map[string]int{}}
	s.start()
	for _, text := range []string{"CREATE DATABASE ml", "CREATE SCHEMA ml.t", "CREATE IMAGE REPOSITORY ml.t.images"} {
		mustQuery(t.Context(), t, s.connect(), text)
	}
	ref, err := name.NewTag(s.host+"/ml/t/images/app:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(100<<10, 2)
	if err != nil {
		t.Fatal(err)
	}
	options := []remote.Option{remote.WithAuth(&authn.Basic{Username: adminUser, Password: s.password().Reveal()}), remote.WithContext(t.Context())}
	if err := remote.Write(ref, image, options...); err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	k := &torture{installation: s.installation}
	path := ""
	s.last.kill()
	k.eachBlob(t, func(_ *sql.DB, d, key string, _ []byte) {
		if d == digest.String() {
			path = k.file(key)
		}
	})
	s.start()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[1000] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	want := func(code int, parts []string, args ...string) {
		t.Helper()
		got, out := s.run(t, args...)
		for _, part := range parts {
			if got != code || !strings.Contains(out, part) {
				t.Errorf("%v: exit code %d, want %d with %q:\n%s", args, got, code, part, out)
			}
		}
	}
	want(1, []string{"damaged: blob " + digest.String(), "needed by /ml/t/images/app:v1", "firnd check --repair"}, "check")
	want(1, []string{"moved to quarantine/registry/"}, "check", "--repair")
	want(1, []string{"lost: blob " + digest.String(), "1 in quarantine"}, "check")
	if err := remote.Write(ref, image, options...); err != nil {
		t.Fatal(err)
	}
	want(0, []string{"nothing is lost or damaged"}, "check")
	if pulled, err := remote.Image(ref, options...); err != nil || validate.Image(pulled) != nil {
		t.Errorf("the healed image: %v", err)
	}
	want(0, []string{"would remove 0 manifests, 0 layers and configs"}, "gc", "--dry-run")
	want(1, []string{"there is no database"}, "check", "--database", "sqlite:"+path+"/missing")
	want(2, []string{"gc-grace 'soon' is no time"}, "gc", "--gc-grace", "soon")
}

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
