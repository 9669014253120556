// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/client"
)

func TestServe(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	p := i.start()
	if want := "ready listen=" + i.host + " url=http://" + i.host + "\n"; p.ready != want {
		t.Errorf("%q, want %q", p.ready, want)
	}
	base := "http://" + i.host
	for _, tt := range []struct {
		path   string
		status int
		says   []string
	}{
		{"/healthz", 200, []string{"ok"}},
		{"/readyz", 200, []string{"database: ok", "blobs: ok", "compute: ok"}},
		{"/", 200, []string{"docker login " + i.host}},
		{"/nowhere", 404, nil},
		{"/metrics", 200, []string{
			`firn_build_info{goversion="go1.`, `firn_jobs{state="PENDING"} 0`, `firn_jobs{state="RUNNING"} 0`, "go_goroutines ", "process_resident_memory_bytes ",
			`firn_http_request_duration_seconds_count{door="other",method="GET",status="2xx"}`,
			`firn_http_request_duration_seconds_count{door="other",method="GET",status="4xx"} 1`,
		}},
	} {
		status, text := get(t, base+tt.path)
		if status != tt.status {
			t.Errorf("%s: %d", tt.path, status)
		}
		for _, say := range tt.says {
			if !strings.Contains(text, say) {
				t.Errorf("%s does not say %q: %s", tt.path, say, text)
			}
		}
	}
	info, err := os.Stat(filepath.Join(i.dir, passwordFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("password file: %v, %v", info, err)
	}
	for _, hidden := range []string{i.password().Reveal(), "panic", "ERROR"} {
		if strings.Contains(p.log.String(), hidden) {
			t.Errorf("the log has %q: %s", hidden, p.log)
		}
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.log)
	}
}

// A stop waits for what runs, answers it, takes nothing more, and the next start goes on with everything.
func TestStopFinishesStatements(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	p := i.start()
	c := i.connect()
	mustQuery(t.Context(), t, c, "CREATE DATABASE kept")
	type answer struct {
		result *client.Result
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		r, err := c.Query(t.Context(), "SELECT SYSTEM$WAIT(3, 'SECONDS')")
		answered <- answer{r, err}
	}()
	other := i.connect()
	for deadline := time.Now().Add(patience); ; {
		rows := mustQuery(t.Context(), t, other, "SELECT COUNT(*) FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY()) WHERE QUERY_TEXT LIKE 'SELECT SYSTEM$WAIT%' AND EXECUTION_STATUS = 'RUNNING'")
		if *rows[0][0] == "1" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the statement does not run")
		}
	}
	begun := time.Now()
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.log)
	}
	if took := time.Since(begun); took > drain {
		t.Errorf("the stop took %s", took)
	}
	a := <-answered
	if a.err != nil || !strings.Contains(*a.result.Rows[0][0], "waited 3 seconds") {
		t.Errorf("the statement in flight: %v, %v", a.result, a.err)
	}
	if _, err := c.Query(t.Context(), "SELECT 1"); err == nil {
		t.Error("a stopped server answers")
	}
	i.start()
	if rows := mustQuery(t.Context(), t, c, "SHOW DATABASES LIKE 'kept'"); len(rows) != 1 {
		t.Errorf("databases after the stop: %d; the session is the one from before", len(rows))
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	i := newInstallation(t, "--tls-cert", cert, "--tls-key", key)
	p := i.start()
	if !strings.Contains(p.ready, "url=https://"+i.host) {
		t.Errorf("%q", p.ready)
	}
	if status, text := get(t, "https://"+i.host+"/readyz"); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := get(t, "http://"+i.host+"/healthz"); status != 400 {
		t.Errorf("plain HTTP on the port of TLS: %d", status)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.log)
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := exec.CommandContext(t.Context(), "firnd", "serve", "--compute", "none", "--data-dir", t.TempDir(), "--listen", l.Addr().String()).CombinedOutput()
	want := "firnd: cannot listen on " + l.Addr().String() + ": choose another --listen, or stop what uses it: "
	if err == nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), "address already in use") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestDataDirectoryOfAnother(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	p := i.start()
	out, err := exec.CommandContext(t.Context(), "firnd", "serve", "--compute", "none", "--data-dir", i.dir, "--listen", "127.0.0.1:0").CombinedOutput()
	want := "firnd: another firnd uses the data directory " + i.dir + ": stop it, or choose another --data-dir\n"
	if err == nil || string(out) != want {
		t.Errorf("%v: %s", err, out)
	}
	if status, _ := get(t, "http://"+i.host+"/readyz"); status != 200 {
		t.Errorf("the first server: %d", status)
	}
	p.kill()
	i.start() // a kill leaves no lock behind
}

func TestNewerDatabase(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.start().stop()
	file := filepath.Join(i.dir, "firn.db")
	if out, err := exec.CommandContext(t.Context(), "sqlite3", file, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, verb := range []string{"serve", "migrate"} {
		out, err := exec.CommandContext(t.Context(), "firnd", verb, "--compute", "none", "--data-dir", i.dir, "--listen", "127.0.0.1:0").CombinedOutput()
		want := "firnd: catalog file " + file + " has schema version 9999 and this program knows versions up to "
		if err == nil || !strings.HasPrefix(string(out), want) || !strings.Contains(string(out), "start the firnd that wrote it, or a newer one") {
			t.Errorf("%s: %v: %s", verb, err, out)
		}
	}
}

// A blob directory that went away while the server ran is told by /readyz.
func TestReadyNamesWhatFails(t *testing.T) {
	t.Parallel()
	blobs := filepath.Join(t.TempDir(), "blobs")
	i := newInstallation(t, "--blobs", "dir:"+blobs)
	i.start()
	if err := os.Rename(blobs, blobs+".away"); err != nil {
		t.Fatal(err)
	}
	status, text := get(t, "http://"+i.host+"/readyz")
	if status != 503 || !strings.Contains(text, "database: ok") || strings.Contains(text, "blobs: ok") || !strings.Contains(text, blobs) {
		t.Errorf("%d %s", status, text)
	}
}

// The first password of ADMIN may come from the environment; then no file has it.
func TestPasswordFromEnvironment(t *testing.T) {
	i := newInstallation(t)
	secret := rand.Text()
	t.Setenv(passwordEnv, secret)
	p := i.start()
	if _, err := os.Stat(filepath.Join(i.dir, passwordFile)); !os.IsNotExist(err) {
		t.Errorf("password file: %v", err)
	}
	c, err := client.Connect(t.Context(), client.Config{URL: "http://" + i.host, Account: "FIRN", User: adminUser, Password: "wrong"})
	if err == nil {
		t.Error("a wrong password is accepted", c)
	}
	if err := os.WriteFile(filepath.Join(i.dir, passwordFile), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	i.connect()
	if strings.Contains(p.log.String(), secret) {
		t.Error("the log has the password")
	}
}
