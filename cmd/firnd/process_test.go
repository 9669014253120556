// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"firn.dev/firn/internal/client"
	"firn.dev/firn/internal/errs"
)

// patience bounds every wait for a process.
const patience = 60 * time.Second

// installation is a data directory with an address on which its server runs, and runs again.
type installation struct {
	t    testing.TB
	dir  string
	host string   // 127.0.0.1:port
	args []string // of the server alone
	last *process

	place place // where it keeps things, when not in dir

	launcher []string // the program that runs firnd, which it is given as arguments
}

func newInstallation(t testing.TB, args ...string) *installation {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &installation{t: t, dir: filepath.Join(t.TempDir(), "data"), host: l.Addr().String(), args: args}
}

// process is one run of firnd.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	ready string // the line that it printed
	log   *buffer
	ended chan struct{}
	err   error // once ended
}

// buffer is what a process wrote so far.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// command gives the server, not started.
func (i *installation) command() *exec.Cmd {
	args := slices.Concat(i.launcher, []string{"firnd", "serve", "--data-dir", i.dir, "--listen", i.host, "--compute", "none"}, i.place.args, i.args)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), i.place.env...)
	return cmd
}

// run runs another command of firnd over what the server has.
func (i *installation) run(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	cmd := exec.Command("firnd", slices.Concat(args, []string{"--data-dir", i.dir}, i.place.args)...)
	cmd.Env = append(os.Environ(), i.place.env...)
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// start runs the server and waits until it serves. It is killed when the test ends.
func (i *installation) start() *process {
	i.t.Helper()
	p := &process{t: i.t, cmd: i.command(), log: &buffer{}, ended: make(chan struct{})}
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		i.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(out).ReadString('\n')
		line <- text
		_, _ = io.Copy(io.Discard, out)
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	i.t.Cleanup(p.kill)
	i.last = p
	select {
	case p.ready = <-line:
	case <-time.After(patience):
	}
	if p.ready == "" {
		p.kill()
		i.t.Fatalf("firnd does not serve: %s", p.log)
	}
	return p
}

// kill ends the process as a power switch would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// stop asks the process to end and gives its exit code.
func (p *process) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("firnd does not stop: %s", p.log)
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok {
		return exit.ExitCode()
	}
	return 0
}

func (i *installation) password() errs.Secret {
	i.t.Helper()
	text, err := os.ReadFile(filepath.Join(i.dir, passwordFile))
	if err != nil {
		i.t.Fatal(err)
	}
	return errs.Secret(strings.TrimSpace(string(text)))
}

// connect logs ADMIN in.
func (i *installation) connect() *client.Client {
	i.t.Helper()
	c, err := client.Connect(i.t.Context(), client.Config{URL: "http://" + i.host, Account: "FIRN", User: adminUser, Password: i.password()})
	if err != nil {
		i.t.Fatal(err)
	}
	return c
}

// get reads a page of a server, whatever its certificate.
func get(t testing.TB, url string) (int, string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // a certificate of the test
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// mustQuery runs a statement that has to succeed.
func mustQuery(ctx context.Context, t testing.TB, c *client.Client, text string) [][]*string {
	t.Helper()
	r, err := c.Query(ctx, text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r.Rows
}

// certificate writes a certificate of 127.0.0.1 that nobody signed, and its key.
func certificate(t testing.TB) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	out, err := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
		"-days", "2", "-subj", "/CN=firn", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert).CombinedOutput()
	if err != nil {
		t.Fatal(fmt.Errorf("%w: %s", err, out))
	}
	return cert, key
}
