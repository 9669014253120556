// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Source is what a Mirror copies from and to: a Stage, or something that reaches one over the network.
type Source interface {
	List(ctx context.Context, stage catalog.ID, prefix string) iter.Seq2[*catalog.File, error]
	Stat(ctx context.Context, stage catalog.ID, path string) (*catalog.File, error)
	Open(ctx context.Context, stage catalog.ID, path string) (io.ReadCloser, *catalog.File, error)
	Put(ctx context.Context, stage catalog.ID, path string, r io.Reader, meta map[string]string) (*catalog.File, error)
	Delete(ctx context.Context, stage catalog.ID, path string) error
}

// MirrorOptions says what is mirrored where.
type MirrorOptions struct {
	Stage catalog.ID
	Path  string       // directory below the stage root, no slash at either end; "" is the whole stage
	Dir   string       // directory on this host that the container sees; made by Fill
	State string       // file on this host, out of the container's reach, that remembers what is in step; made by Fill
	Log   *slog.Logger // nil: none
}

// Mirror is a synchronised copy of a stage directory for one container: Fill before it starts, Sync about once a second
// while it runs, Finish when it has ended. What the container changed goes to the stage; what others change on the stage
// in the meantime stays there, unless the container changed the same file. A new process goes on where the old one was.
//
// The container is not trusted: no link or special file in Dir makes a Mirror read or write outside of it.
//
// A Mirror is used by one goroutine at a time.
type Mirror struct {
	source Source
	o      MirrorOptions
	synced map[string]mark // by path below Dir: what is in step with the stage
	seen   map[string]mark // what the last Sync saw and left alone, since it had just changed
	loaded bool
}

// mark identifies a state of a file on the host without reading it, and its content.
type mark struct {
	Size  int64  `json:"size"`
	Time  int64  `json:"time"` // modification, nanoseconds
	Inode uint64 `json:"inode"`
	MD5   string `json:"md5,omitempty"` // of what the stage has; "" in seen
}

// same tells whether a file was not touched between two marks.
func (m mark) same(n mark) bool { return m.Size == n.Size && m.Time == n.Time && m.Inode == n.Inode }

// NewMirror makes a mirror. It touches nothing.
func NewMirror(source Source, o MirrorOptions) *Mirror {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Mirror{source: source, o: o, synced: map[string]mark{}, seen: map[string]mark{}}
}

// remote is the path on the stage of a path below Dir.
func (m *Mirror) remote(local string) string { return path.Join(m.o.Path, local) }

// prefix is what all paths on the stage begin with.
func (m *Mirror) prefix() string {
	if m.o.Path == "" {
		return ""
	}
	return m.o.Path + "/"
}

// Fill copies the stage directory to Dir. It does nothing when it was done before, so that a container which runs is not
// disturbed. A file whose path is a directory of another one is left out, with a warning.
//
// Errors: Exhausted when the disk is full; Unavailable; Corrupt when a file has lost its content.
func (m *Mirror) Fill(ctx context.Context) error {
	if err := m.load(); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// The parent is private to this process. Inside, every user of the image may write.
	if err := os.MkdirAll(filepath.Dir(m.o.Dir), 0o700); err != nil {
		return local(err, m.o.Dir)
	}
	if err := os.Mkdir(m.o.Dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return local(err, m.o.Dir)
	}
	if err := os.Chmod(m.o.Dir, 0o777); err != nil { //nolint:gosec // see above
		return local(err, m.o.Dir)
	}
	root, err := os.OpenRoot(m.o.Dir)
	if err != nil {
		return local(err, m.o.Dir)
	}
	defer root.Close()
	for f, err := range m.source.List(ctx, m.o.Stage, m.prefix()) {
		if err != nil {
			return err
		}
		if err := m.fetch(ctx, root, f); err != nil {
			return err
		}
	}
	return m.save()
}

// fetch copies one file of the stage.
func (m *Mirror) fetch(ctx context.Context, root *os.Root, f *catalog.File) error {
	name := filepath.FromSlash(f.Path[len(m.prefix()):])
	if name == "" || CheckPath(f.Path) != nil {
		m.o.Log.Warn("stage file left out of the mounted directory", "path", f.Path, "reason", "no name of a file")
		return nil
	}
	r, f, err := m.source.Open(ctx, m.o.Stage, f.Path)
	if errs.Is(err, errs.NotFound) {
		return nil // deleted since it was listed
	}
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := create(root, name)
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENAMETOOLONG) || errors.Is(err, fs.ErrExist) {
		m.o.Log.Warn("stage file left out of the mounted directory", "path", f.Path, "reason", err)
		return nil
	}
	if err != nil {
		return local(err, name)
	}
	defer w.Close()
	if _, err := io.Copy(w, r); err != nil {
		return local(err, name)
	}
	if err := w.Close(); err != nil {
		return local(err, name)
	}
	if err := root.Chtimes(name, f.Modified, f.Modified); err != nil {
		return local(err, name)
	}
	info, err := root.Lstat(name)
	if err != nil {
		return local(err, name)
	}
	now := markOf(info)
	now.MD5 = f.MD5
	m.synced[filepath.ToSlash(name)] = now
	return nil
}

// create makes an empty file and the directories above it, writable for every user of the container.
func create(root *os.Root, name string) (*os.File, error) {
	for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
		defer func() { _ = root.Chmod(dir, 0o777) }()
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o666); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// load reads what was in step when the last process saved it; fs.ErrNotExist when Fill has not been done.
func (m *Mirror) load() error {
	if m.loaded {
		return nil
	}
	data, err := os.ReadFile(m.o.State)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		return local(err, m.o.State)
	}
	if err := json.Unmarshal(data, &m.synced); err != nil {
		return errs.Wrap(err, errs.Corrupt, "state of the mounted directory %s", m.o.Path)
	}
	m.loaded = true
	return nil
}

// save writes what is in step, so that it is there whole or as it was before.
func (m *Mirror) save() error {
	data, err := json.Marshal(m.synced)
	if err != nil {
		return errs.Wrap(err, errs.Internal, "state of the mounted directory %s", m.o.Path)
	}
	next := m.o.State + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return local(err, next)
	}
	if err := os.Rename(next, m.o.State); err != nil {
		return local(err, m.o.State)
	}
	m.loaded = true
	return nil
}

// local gives an error of this host's file system a code.
func local(err error, name string) error {
	if errs.CodeOf(err) != errs.Internal { // of the stage, seen while copying
		return err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return errs.Wrap(err, errs.Exhausted, "the disk for mounted stage directories is full")
	}
	return errs.Wrap(err, errs.Unavailable, "mounted stage directory: %s", name)
}

// markOf describes a file's state.
func markOf(info fs.FileInfo) mark {
	m := mark{Size: info.Size(), Time: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		m.Inode = sys.Ino
	}
	return m
}

// Watch calls Sync every interval until ctx ends. Failures are logged and tried again.
func (m *Mirror) Watch(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := m.Sync(ctx); err != nil && ctx.Err() == nil {
			m.o.Log.Warn("mounted stage directory is behind", "path", m.o.Path, "error", err)
		}
	}
}
