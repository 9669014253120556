// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"firn.dev/firn/internal/client"
	"firn.dev/firn/internal/errs"
)

// server is a firnd of its own.
type server struct {
	dir  string
	host string
	cmd  *exec.Cmd
}

// startServer starts bin/firnd on a free port and an empty directory, and waits until it serves.
func startServer(ctx context.Context, compute string) (*server, error) {
	dir, err := os.MkdirTemp("", "firn-bench")
	if err != nil {
		return nil, err
	}
	return startServerOn(ctx, dir, compute)
}

func startServerOn(ctx context.Context, dir, compute string) (*server, error) {
	s := &server{dir: dir}
	s.cmd = exec.CommandContext(ctx, "bin/firnd", "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--compute", compute, "--log-level", "warn")
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("firnd did not start"), err)
	}
	_, rest, _ := strings.Cut(line, "listen=")
	s.host, _, _ = strings.Cut(rest, " ")
	return s, nil
}

// halt ends the server and keeps its directory.
func (s *server) halt() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// stop ends the server and removes its directory.
func (s *server) stop() {
	_ = s.halt() // what it measured is known by now
	_ = os.RemoveAll(s.dir)
}

func (s *server) password() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "admin-password"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// connect logs ADMIN in.
func (s *server) connect(ctx context.Context) (*client.Client, error) {
	return client.Connect(ctx, client.Config{
		URL: "http://" + s.host, Account: "firn", User: "ADMIN", Password: errs.Secret(s.password()),
	})
}

// script runs statements one after the other.
func script(ctx context.Context, c *client.Client, statements ...string) error {
	for _, text := range statements {
		if _, err := c.Query(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}
