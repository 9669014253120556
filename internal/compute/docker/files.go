// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/moby/client"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// A task's files are files of this host in a directory of its own, each mounted over its path: that takes no time, where copying
// them into a container takes as long as a fifth of its start. They are there before the container is made, and go with it.

// fileDir is where the files of a task are.
func (b *Backend) fileDir(id compute.TaskID) string { return filepath.Join(b.files, string(id)) }

// filePath is where the n-th file of a task is.
func (b *Backend) filePath(id compute.TaskID, n int) string {
	return filepath.Join(b.fileDir(id), strconv.Itoa(n))
}

// putFiles writes the task's files, for the eyes of this user only.
//
// Errors: Exhausted, Unavailable.
func (b *Backend) putFiles(t compute.Task) error {
	if len(t.Files) == 0 {
		return nil
	}
	err := os.MkdirAll(b.fileDir(t.ID), 0o700)
	for n, f := range t.Files {
		if err == nil {
			err = writePrivate(b.filePath(t.ID, n), f.Content.Reveal())
		}
	}
	if errors.Is(err, syscall.ENOSPC) {
		return errs.Wrap(err, errs.Exhausted, "task %s: files: the disk is full", t.ID)
	}
	if err != nil {
		return errs.Wrap(err, errs.Unavailable, "task %s: files cannot be written", t.ID)
	}
	return nil
}

// writePrivate writes a file in place, which a container that has it mounted sees as well.
func writePrivate(path, content string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o400)
	if errors.Is(err, fs.ErrPermission) { // it is there, for reading only, and this process is not root
		if err = os.Remove(path); err == nil {
			f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
		}
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

// giveFiles makes the files of a created container those of the user that it runs as.
//
// Errors: Invalid for a user that the image does not know; Denied when this process may not give files away.
func (b *Backend) giveFiles(ctx context.Context, t compute.Task, user string) error {
	if len(t.Files) == 0 {
		return nil
	}
	uid, err := b.uid(ctx, t.ID, user)
	if err != nil {
		return err
	}
	for n := range t.Files {
		if err := os.Chown(b.filePath(t.ID, n), uid, -1); err != nil && uid != os.Getuid() && uid != 0 {
			return errs.Wrap(err, errs.Denied, "task %s: the image runs as user %d, to whom only root can give files: run the server as root", t.ID, uid)
		}
	}
	return nil
}

// dropFiles removes the files of a task.
func (b *Backend) dropFiles(id compute.TaskID) error {
	if err := os.RemoveAll(b.fileDir(id)); err != nil {
		return errs.Wrap(err, errs.Unavailable, "task %s: files cannot be removed", id)
	}
	return nil
}

// uid finds the number of the user that an image runs as: "", "name", "name:group", "7" or "7:7". Names are those of the
// image's own /etc/passwd.
func (b *Backend) uid(ctx context.Context, id compute.TaskID, user string) (int, error) {
	name, _, _ := strings.Cut(user, ":")
	if name == "" || name == "root" {
		return 0, nil
	}
	if n, err := strconv.Atoi(name); err == nil {
		return n, nil
	}
	r, err := b.engine.CopyFromContainer(ctx, b.name(id), client.CopyFromContainerOptions{SourcePath: "/etc/passwd"})
	if err != nil {
		return 0, b.fail(ctx, err, errs.Invalid, "task %s: user %s of the image", id, name)
	}
	defer r.Content.Close()
	archive := tar.NewReader(r.Content)
	if _, err := archive.Next(); err != nil {
		return 0, b.fail(ctx, err, errs.Invalid, "task %s: /etc/passwd of the image", id)
	}
	for lines := bufio.NewScanner(archive); lines.Scan(); {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) > 2 && fields[0] == name {
			if n, err := strconv.Atoi(fields[2]); err == nil {
				return n, nil
			}
		}
	}
	return 0, errs.New(errs.Invalid, "task %s: the image runs as user %s, whom its /etc/passwd does not know", id, name)
}
