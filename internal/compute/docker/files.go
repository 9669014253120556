// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/moby/moby/client"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// putFiles writes the task's files into its created container, for the eyes of its user only.
func (b *Backend) putFiles(ctx context.Context, t compute.Task, user string) error {
	if len(t.Files) == 0 {
		return nil
	}
	uid, err := b.uid(ctx, t.ID, user)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range t.Files {
		content := f.Content.Reveal()
		h := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: 0o400, Size: int64(len(content)), Uid: uid}
		if err := w.WriteHeader(h); err != nil {
			return errs.Wrap(err, errs.Invalid, "task %s: file %s", t.ID, f.Path)
		}
		if _, err := io.WriteString(w, content); err != nil {
			return errs.Wrap(err, errs.Internal, "task %s: file %s", t.ID, f.Path)
		}
	}
	if err := w.Close(); err != nil {
		return errs.Wrap(err, errs.Internal, "task %s: files", t.ID)
	}
	o := client.CopyToContainerOptions{DestinationPath: "/", Content: &buf}
	if _, err := b.engine.CopyToContainer(ctx, b.name(t.ID), o); err != nil {
		return b.fail(ctx, err, errs.Invalid, "task %s: files", t.ID)
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
