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
)

// slowDiskCommand is the argument with which this program is a disk.
const slowDiskCommand = "slow-disk"

// slowFlush is how long the slow disk takes for a flush: about what volumes in the network take. (Disks with a buffered cache, as in
// many data centers, take a tenth.)
const slowFlush = "1ms"

// onSlowDisk makes a bench of one whose directories are on a file system of their own, on a disk whose flush takes slowFlush. It
// needs root, to mount it.
func onSlowDisk(run func(context.Context) ([]measurement, error)) func(context.Context) ([]measurement, error) {
	return func(ctx context.Context) ([]measurement, error) {
		at, remove, err := mountSlowDisk(ctx)
		if err != nil {
			return nil, err
		}
		// The servers that are started take it over from here.
		before := os.TempDir()
		all, err := []measurement(nil), os.Setenv("TMPDIR", at)
		if err == nil {
			all, err = run(ctx)
		}
		err = errors.Join(err, os.Setenv("TMPDIR", before))
		return all, errors.Join(err, remove())
	}
}

// mountSlowDisk makes a file system on a slow disk, and a function that takes both away.
func mountSlowDisk(ctx context.Context) (at string, remove func() error, err error) {
	dir, err := os.MkdirTemp("", "firn-bench-disk")
	if err != nil {
		return "", nil, err
	}
	var undo []func() error
	remove = func() error {
		var err error
		for i := len(undo) - 1; i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	image, file, at := filepath.Join(dir, "image"), filepath.Join(dir, "disk"), filepath.Join(dir, "at")
	for _, name := range []string{image, file} {
		f, err := os.Create(name)
		if err == nil {
			err = errors.Join(f.Truncate(8<<30), f.Close())
		}
		if err != nil {
			return "", nil, err
		}
	}
	if err := errors.Join(os.Mkdir(at, 0o700), quiet(ctx, "mkfs.ext4", "-q", "-F", "-E", "nodiscard", image)); err != nil {
		return "", nil, err
	}
	disk, err := startSlowDisk(image, file)
	if err != nil {
		return "", nil, err
	}
	undo = append(undo, func() error {
		err := exec.Command("umount", "-l", file).Run()
		_ = disk.Process.Kill()
		_ = disk.Wait() // it was killed
		return err
	})
	if err := quiet(ctx, "mount", "-o", "loop", file, at); err != nil {
		return "", nil, err
	}
	undo = append(undo, func() error { return exec.Command("umount", at).Run() })
	return at, remove, nil
}

// startSlowDisk starts this program once more as the disk.
func startSlowDisk(image, file string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	disk := exec.Command(self, slowDiskCommand, image, file, "1", "100", "512", slowFlush)
	disk.Stderr = os.Stderr
	if _, err := disk.StdinPipe(); err != nil { // it ends with this program
		return nil, err
	}
	out, err := disk.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := disk.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if strings.TrimSpace(line) != "ready" {
		_ = disk.Process.Kill()
		_ = disk.Wait()
		return nil, errors.Join(fmt.Errorf("the slow disk did not start: it needs root and /dev/fuse"), err)
	}
	return disk, nil
}
