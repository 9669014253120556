// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The places of a bench of registries, in the order of places.
const (
	placeLimit = iota
	placeFirnd
	placeDistribution
	placeCount
)

// place is a registry that is measured: a process of its own with an empty directory.
type place struct {
	name     string
	url      string // of the registry, then of the repository that all traffic goes to
	host     string
	token    string // "" where nobody asks
	password string // of ADMIN, "" where nobody asks
	pid      int
	stop     func()
	web      *http.Client
}

// repositoryPath is where all traffic goes. The repository is there when a place is.
const repositoryPath = "/v2/bench/s/images/image"

// startPlaces starts the limit, firnd and distribution.
func startPlaces(ctx context.Context) ([]*place, func(), error) {
	var all []*place
	stop := func() {
		for _, p := range all {
			p.stop()
		}
	}
	for _, start := range [placeCount]func(context.Context) (*place, error){startLimit, startFirnd, startDistribution} {
		p, err := start(ctx)
		if err != nil {
			stop()
			return nil, nil, err
		}
		p.host = strings.TrimPrefix(p.url, "http://")
		p.url += repositoryPath
		p.web = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
		all = append(all, p)
	}
	return all, stop, nil
}

// startFirnd starts bin/firnd with its default catalog, SQLite, and logs in as docker does: a password for a token.
func startFirnd(ctx context.Context) (*place, error) {
	s, err := startServer(ctx, "none")
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*place, error) { s.stop(); return nil, err }
	c, err := s.connect(ctx)
	if err != nil {
		return fail(err)
	}
	if err := script(ctx, c, "CREATE DATABASE bench", "CREATE SCHEMA bench.s", "CREATE IMAGE REPOSITORY bench.s.images"); err != nil {
		return fail(err)
	}
	if err := c.Close(ctx); err != nil {
		return fail(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.host+"/token?service=firn", http.NoBody)
	if err != nil {
		return fail(err)
	}
	r.SetBasicAuth("ADMIN", s.password())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	var login struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&login); err != nil || login.Token == "" {
		return fail(errors.Join(fmt.Errorf("firnd gave no token: %s", resp.Status), err))
	}
	return &place{name: "firnd", url: "http://" + s.host, token: login.Token, password: s.password(), pid: s.cmd.Process.Pid, stop: s.stop}, nil
}

// startLimit starts this program once more as the bare registry.
func startLimit(ctx context.Context) (*place, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "firn-bench-limit")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, bareRegistryCommand, dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := startProcess("limit", dir, cmd)
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the bare registry did not start: %w", err)
	}
	_, rest, _ := strings.Cut(line, "listen=")
	p.url = "http://" + strings.TrimSpace(rest)
	return p, nil
}

// startDistribution starts the CNCF's registry, as its own example configures it: files, and descriptors of blobs in memory. (zot and
// olareg would be peers too; the module proxy has neither.)
func startDistribution(ctx context.Context) (*place, error) {
	dir, err := os.MkdirTemp("", "firn-bench-distribution")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %s}
  cache: {blobdescriptor: inmemory}
http: {addr: %q}
`, filepath.Join(dir, "data"), address)
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv("FIRN_TEST_DISTRIBUTION"), "registry"), "serve", file)
	cmd.Stderr = io.Discard // each 404, which clients ask for, is an error there
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	p, err := startProcess("distribution", dir, cmd)
	if err != nil {
		return nil, err
	}
	p.url = "http://" + address
	for range 100 {
		if resp, err := http.Get(p.url + "/v2/"); err == nil {
			return p, resp.Body.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.stop()
	return nil, errors.New("distribution did not start")
}

// startProcess starts a program that is ended, and its directory removed, by stop.
func startProcess(name, dir string, cmd *exec.Cmd) (*place, error) {
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &place{name: name, pid: cmd.Process.Pid, stop: func() {
		_ = cmd.Process.Kill() // what it measured is known by now
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}}, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// send sends a request to a path below the repository, or to a Location, wants a status, and gives the header of the answer.
func (p *place) send(ctx context.Context, status int, method, path string, body io.Reader, size int64, contentType string) (http.Header, error) {
	if !strings.HasPrefix(path, "http://") {
		path = p.url + path
	}
	r, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	r.ContentLength = size
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	r.Header.Set("Accept", manifestType+", */*")
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := p.web.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != status {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return nil, fmt.Errorf("%s: %s %s: %s: %s", p.name, method, path, resp.Status, text)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || method == http.MethodGet && n != resp.ContentLength {
		return nil, errors.Join(fmt.Errorf("%s: %s %s gave %d bytes", p.name, method, path, n), err)
	}
	return resp.Header, nil
}

// begin begins an upload and gives where it goes on, ready for "digest=".
func (p *place) begin(ctx context.Context) (string, error) {
	h, err := p.send(ctx, http.StatusAccepted, http.MethodPost, "/blobs/uploads/", http.NoBody, 0, "")
	return p.location(h), err
}

// location gives the absolute Location of an answer.
func (p *place) location(h http.Header) string {
	at := h.Get("Location")
	if strings.HasPrefix(at, "/") {
		at = "http://" + p.host + at
	}
	return at
}

// digested adds the digest to where an upload ends.
func digested(at, digest string) string {
	if strings.Contains(at, "?") {
		return at + "&digest=" + digest
	}
	return at + "?digest=" + digest
}

// pushWhole pushes a blob with POST and PUT.
func (p *place) pushWhole(ctx context.Context, content []byte, digest string) error {
	at, err := p.begin(ctx)
	if err != nil {
		return err
	}
	_, err = p.send(ctx, http.StatusCreated, http.MethodPut, digested(at, digest), bytes.NewReader(content), int64(len(content)), "application/octet-stream")
	return err
}

// pushStream pushes a blob as docker does: POST, a PATCH of unknown length, and PUT.
func (p *place) pushStream(ctx context.Context, content []byte, digest string) error {
	at, err := p.begin(ctx)
	if err != nil {
		return err
	}
	h, err := p.send(ctx, http.StatusAccepted, http.MethodPatch, at, bytes.NewReader(content), -1, "application/octet-stream")
	if err != nil {
		return err
	}
	_, err = p.send(ctx, http.StatusCreated, http.MethodPut, digested(p.location(h), digest), http.NoBody, 0, "")
	return err
}

// pull reads a blob and forgets it.
func (p *place) pull(ctx context.Context, digest string) error {
	_, err := p.send(ctx, http.StatusOK, http.MethodGet, "/blobs/"+digest, http.NoBody, 0, "")
	return err
}
