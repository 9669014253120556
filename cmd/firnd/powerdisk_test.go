// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
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

// medium is what a disk of a test is like.
type medium struct {
	filesystem string // ext4 or xfs
	keep       int    // how many of a hundred writes that are in the disk's cache survive when its power is cut
	whole      int    // bytes that the disk writes as a whole or not at all. xfs itself needs that of each of its blocks
}

// disk is a file system of its own on a disk whose power can be cut: what was not flushed to it is lost then, all of it or any part of
// it. The disk is the program cachedisk; after a cut it is another one on the same image.
type disk struct {
	t     testing.TB
	image string
	file  string // over which cachedisk is mounted
	at    string // where the file system is mounted
	medium

	cache  *exec.Cmd // the running cachedisk
	orders io.Writer
	says   *bufio.Reader
	seed   uint64

	cached, kept int // sectors that were in the cache when it was cut off, and those of them that survived
}

// newDisk makes a disk and mounts it.
func newDisk(t testing.TB, m medium) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("cutting the power of a disk needs root, to mount it: run this test as root")
	}
	dir := t.TempDir()
	d := &disk{t: t, image: filepath.Join(dir, "image"), file: filepath.Join(dir, "disk"), at: filepath.Join(dir, "mnt"), medium: m, seed: rand.Uint64()}
	for _, path := range []string{d.image, d.file} {
		f, err := os.Create(path)
		if err == nil {
			err = errors.Join(f.Truncate(16<<30), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// PostgreSQL runs as another user, who must come through.
	if err := errors.Join(os.Mkdir(d.at, 0o755), os.Chmod(filepath.Dir(dir), 0o755)); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	arguments := map[string][]string{"ext4": {"-q", "-F", "-E", "nodiscard"}, "xfs": {"-q", "-K", "-s", "size=4096"}}[m.filesystem]
	succeed(t, exec.CommandContext(t.Context(), "mkfs."+m.filesystem, append(arguments, d.image)...))
	t.Logf("the first seed is %d", d.seed)
	d.mount()
	t.Cleanup(func() {
		_ = syscall.Unmount(d.at, syscall.MNT_DETACH) // the loop device goes with the mount
		_ = d.cache.Process.Kill()
		_ = d.cache.Wait() // it was killed
		_ = syscall.Unmount(d.file, syscall.MNT_DETACH)
	})
	return d
}

// mount lets nothing reach the disk by the mere passing of time, as far as ext4 can be told.
func (d *disk) mount() {
	d.t.Helper()
	d.seed++
	d.cache = exec.Command("cachedisk", d.image, d.file, strconv.FormatUint(d.seed, 10), strconv.Itoa(d.keep), strconv.Itoa(d.whole))
	d.cache.Stderr = os.Stderr
	in, err := d.cache.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	out, err := d.cache.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.cache.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.orders, d.says = in, bufio.NewReader(out)
	if line := d.hear(); line != "ready" {
		d.t.Fatalf("the disk says %q: it needs /dev/fuse", line)
	}
	options := map[string]string{"ext4": "loop,commit=300,noinit_itable", "xfs": "loop"}[d.filesystem]
	succeed(d.t, exec.CommandContext(d.t.Context(), "mount", "-t", d.filesystem, "-o", options, d.file, d.at))
}

func (d *disk) hear() string {
	line, _ := d.says.ReadString('\n') // the disk may have ended
	return strings.TrimSpace(line)
}

// order tells the disk something and gives its answer.
func (d *disk) order(text string) string {
	d.t.Helper()
	if _, err := fmt.Fprintln(d.orders, text); err != nil {
		d.t.Fatal(err)
	}
	return d.hear()
}

// cut ends the power of the disk and of those who use it. From one moment on the disk answers nothing, so that nobody can take for
// flushed what is not, nor see a failure that a cut would not have shown them; what they still answer counts. Then kill sends them the
// signals after which they run no more, and only then do their requests fail, so that they can end.
func (d *disk) cut(kill func()) {
	d.t.Helper()
	d.order("freeze")
	time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	kill()
	d.order("fail")
}

// unmount waits until no process has anything open, and until the kernel has let go of the file system: a container that is being
// started holds a copy of every mount for a moment, and the next mount would find the file system as it was, dead. Then the disk loses
// what it has in its cache.
func (d *disk) unmount() {
	d.t.Helper()
	end := time.Now().Add(patience)
	free := func(at string) {
		d.t.Helper()
		err := syscall.Unmount(at, 0)
		for ; errors.Is(err, syscall.EBUSY) && time.Now().Before(end); err = syscall.Unmount(at, 0) {
			time.Sleep(time.Millisecond)
		}
		if err != nil {
			d.t.Fatalf("unmounting %s: %v", at, err)
		}
	}
	free(d.at)
	for ; d.attached(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatalf("%s is unmounted and still in use", d.at)
		}
	}
	free(d.file)
	var cached, kept int
	if line := d.order("end"); d.cache.Wait() != nil {
		d.t.Fatalf("the disk with seed %d ends badly: %q", d.seed, line)
	} else if _, err := fmt.Sscan(line, &cached, &kept); err != nil {
		d.t.Fatalf("the disk with seed %d says %q: %v", d.seed, line, err)
	}
	d.cached, d.kept = d.cached+cached, d.kept+kept
}

// attached tells whether a loop device has the disk.
func (d *disk) attached() bool {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		d.t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, _ := os.ReadFile(file) // it goes with the loop device
		return strings.TrimSpace(string(text)) == d.file
	})
}

// stir has the kernel begin to write what files have, as it may at any time and in any order, without a flush.
func (d *disk) stir() {
	_ = filepath.WalkDir(d.at, func(path string, entry fs.DirEntry, err error) error { // files come and go
		if err != nil || !entry.Type().IsRegular() || rand.IntN(2) == 0 {
			return nil
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil
		}
		const begin = 2 // SYNC_FILE_RANGE_WRITE
		_ = syscall.SyncFileRange(int(f.Fd()), 0, 0, begin)
		return f.Close()
	})
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

// succeed runs a program that must succeed.
func succeed(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}
