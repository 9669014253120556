// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cluster is a PostgreSQL whose data are on a disk that is cut.
type cluster struct {
	t        testing.TB
	programs string // directory
	data     string
	port     int
	owner    *syscall.Credential
	server   *exec.Cmd // nil when it does not run
}

// newCluster makes the database in a directory of the disk. It does not run yet, and is not flushed.
func newCluster(t testing.TB, d *disk) *cluster {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Fatalf("cutting the power of PostgreSQL needs its programs below /usr/lib/postgresql: %v", err)
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.ParseUint(owner.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, programs: filepath.Dir(slices.Max(found)), data: filepath.Join(d.at, "postgres"),
		port: freePort(t), owner: &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}}
	if err := errors.Join(os.Mkdir(c.data, 0o700), os.Chown(c.data, int(id), int(id))); err != nil {
		t.Fatal(err)
	}
	succeed(t, c.command("initdb", "--no-sync", "-D", c.data, "-A", "trust", "-U", "postgres", "--locale=C.UTF-8", "-E", "UTF8"))
	return c
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// url is what firnd is given.
func (c *cluster) url() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", c.port)
}

// command gives a program of PostgreSQL, not started.
func (c *cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.programs, program), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	cmd.Dir = "/"
	return cmd
}

// start runs PostgreSQL and waits until it has recovered.
func (c *cluster) start() {
	c.t.Helper()
	port, log := strconv.Itoa(c.port), &buffer{}
	c.server = c.command("postgres", "-D", c.data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "recovery_init_sync_method=syncfs", "-c", "unix_socket_directories=")
	c.server.Stderr = log
	c.server.WaitDelay = time.Millisecond // its children may hold its output for a moment
	if err := c.server.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(c.kill)
	for end := time.Now().Add(patience); c.command("pg_isready", "-q", "-h", "127.0.0.1", "-p", port).Run() != nil; {
		if time.Now().After(end) {
			c.t.Fatalf("PostgreSQL does not start: %s", log)
		}
	}
}

// signal ends PostgreSQL and its children as a power switch would: by themselves, some would wait for others forever. It does not wait
// until they are gone.
func (c *cluster) signal() {
	if c.server == nil {
		return
	}
	pid := c.server.Process.Pid
	_ = c.server.Process.Signal(syscall.SIGSTOP)                                   // from now on it has no more children
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)) // it may have ended by itself
	for _, child := range strings.Fields(string(children)) {
		if id, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(id, syscall.SIGKILL)
		}
	}
	_ = c.server.Process.Kill()
}

// kill ends PostgreSQL and waits until it is gone.
func (c *cluster) kill() {
	if c.server != nil {
		c.signal()
		_ = c.server.Wait() // it was killed
		c.server = nil
	}
}
