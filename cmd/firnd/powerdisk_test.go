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
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// disk is an ext4 file system of its own whose power can be cut: what was not flushed to it is lost then.
type disk struct {
	t     testing.TB
	image string
	at    string // where it is mounted
}

// newDisk makes a disk and mounts it.
func newDisk(t testing.TB) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("cutting the power of a disk needs root, to mount it: run this test as root")
	}
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "disk"), at: filepath.Join(t.TempDir(), "mnt")}
	f, err := os.Create(d.image)
	if err == nil {
		// PostgreSQL runs as another user, who must come through.
		err = errors.Join(f.Truncate(16<<30), f.Close(), os.Mkdir(d.at, 0o755), os.Chmod(filepath.Dir(filepath.Dir(d.at)), 0o755)) //nolint:gosec // see above
	}
	if err != nil {
		t.Fatal(err)
	}
	succeed(t, exec.CommandContext(t.Context(), "mkfs.ext4", "-q", "-F", d.image))
	d.mount()
	t.Cleanup(func() { _ = syscall.Unmount(d.at, syscall.MNT_DETACH) }) // the loop device goes with the mount
	return d
}

// mount lets nothing reach the disk by the mere passing of time, as far as ext4 can be told.
func (d *disk) mount() {
	d.t.Helper()
	succeed(d.t, exec.CommandContext(d.t.Context(), "mount", "-o", "loop,commit=300", d.image, d.at))
}

// unmount waits until no process has anything open, and until the kernel has let go of the file system: a container that is being
// started holds a copy of every mount for a moment, and the next mount would find the file system as it was, dead.
func (d *disk) unmount() {
	d.t.Helper()
	end := time.Now().Add(patience)
	err := syscall.Unmount(d.at, 0)
	for ; errors.Is(err, syscall.EBUSY) && time.Now().Before(end); err = syscall.Unmount(d.at, 0) {
		time.Sleep(time.Millisecond)
	}
	for ; err == nil && d.attached(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			err = errors.New("it is unmounted and still in use")
		}
	}
	if err != nil {
		d.t.Fatalf("unmounting %s: %v", d.at, err)
	}
}

// attached tells whether a loop device has the image.
func (d *disk) attached() bool {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		d.t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, _ := os.ReadFile(file) // it goes with the loop device
		return strings.TrimSpace(string(text)) == d.image
	})
}

// cut stops the file system at once: neither written data nor its journal reach the disk any more. Every access fails from then on.
func (d *disk) cut() {
	d.t.Helper()
	const shutdown, noLogFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	f, err := os.Open(d.at)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	flags := uint32(noLogFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		d.t.Fatalf("shutting the file system down: %v", errno)
	}
}

// unsynced runs the program of its arguments with every call that puts something on disk doing nothing and succeeding.
func unsynced() {
	const load, jump, give = syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, syscall.BPF_RET | syscall.BPF_K
	const allow, succeed = 0x7fff0000, 0x00050000 // SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with the error 0
	calls := []uint32{syscall.SYS_FSYNC, syscall.SYS_FDATASYNC, syscall.SYS_SYNC_FILE_RANGE, syscall.SYS_MSYNC, syscall.SYS_SYNC}
	filter := []syscall.SockFilter{{Code: load}} // the number of the call is at offset 0
	for i, call := range calls {
		filter = append(filter, syscall.SockFilter{Code: jump, K: call, Jt: uint8(len(calls) - i)}) //nolint:gosec // a handful
	}
	filter = append(filter, syscall.SockFilter{Code: give, K: allow}, syscall.SockFilter{Code: give, K: succeed})
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]} //nolint:gosec // a handful
	const noNewPrivileges, setFilter, modeFilter = 38, 22, 2                   // PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER
	runtime.LockOSThread()                                                     // a filter is one thread's, until exec makes it the process's
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, noNewPrivileges, 1, 0, 0, 0, 0)
	if errno == 0 {
		_, _, errno = syscall.RawSyscall6(syscall.SYS_PRCTL, setFilter, modeFilter, uintptr(unsafe.Pointer(&program)), 0, 0, 0)
	}
	var err error
	if errno != 0 {
		err = errno
	} else if path, lookErr := exec.LookPath(os.Args[1]); lookErr != nil {
		err = lookErr
	} else {
		err = syscall.Exec(path, os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "unsynced:", err)
	os.Exit(1)
}

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
	c.server = c.command("postgres", "-D", c.data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
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

// kill ends PostgreSQL and its children as a power switch would: by themselves, some would wait for others forever.
func (c *cluster) kill() {
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
	_ = c.server.Wait() // it was killed
	c.server = nil
}

// succeed runs a program that must succeed.
func succeed(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}
