// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"firn.dev/firn/internal/errs"
)

// Sync uploads the files that have changed and were then left alone since the last Sync, and deletes on the stage what the
// container deleted. A file that is being written is left for a later call.
//
// Nothing happens before Fill has succeeded.
//
// Errors: of the stage, joined; everything that failed is tried again by the next call.
func (m *Mirror) Sync(ctx context.Context) error { return m.sync(ctx, false) }

// Finish uploads everything that has changed. The container must have ended, so that nothing is half written.
//
// Errors: NotFound when the stage is gone; others as Sync. After an error it may be called again.
func (m *Mirror) Finish(ctx context.Context) error { return m.sync(ctx, true) }

func (m *Mirror) sync(ctx context.Context, all bool) error {
	err := m.load()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Fill has not been done, so no container has had the directory
	}
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(m.o.Dir)
	if err != nil {
		return local(err, m.o.Dir)
	}
	defer root.Close()
	found, err := m.walk(root)
	if err != nil {
		return err
	}
	var failures []error
	changed := false
	for _, name := range slices.Sorted(maps.Keys(found)) {
		now := found[name]
		if now.same(m.synced[name]) || !all && !now.same(m.seen[name]) {
			continue
		}
		done, err := m.upload(ctx, root, name, now)
		if err != nil {
			failures = append(failures, err)
		}
		changed = changed || done
	}
	for _, name := range slices.Sorted(maps.Keys(m.synced)) {
		if _, there := found[name]; there {
			continue
		}
		if err := m.drop(ctx, name); err != nil {
			failures = append(failures, err)
			continue
		}
		changed = true
	}
	m.seen = found
	if changed {
		failures = append(failures, m.save())
	}
	return errors.Join(failures...)
}

// walk finds the regular files below the directory, and links to such files inside it. Anything else is not the stage's.
func (m *Mirror) walk(root *os.Root) (map[string]mark, error) {
	found := map[string]mark{}
	err := fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if name == "." {
			return err // without it nothing can be said about the files in it
		}
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				return local(err, name)
			}
			return nil // deleted while we walk
		}
		if e.IsDir() || CheckPath(m.remote(name)) != nil {
			return nil
		}
		info, err := root.Stat(filepath.FromSlash(name)) // refuses links that lead out
		if err == nil && info.Mode().IsRegular() {
			found[name] = markOf(info)
		}
		return nil
	})
	return found, err
}

// upload copies one file to the stage and tells whether it did. A file that changes meanwhile is not in step: the next call
// copies it again.
func (m *Mirror) upload(ctx context.Context, root *os.Root, name string, seen mark) (bool, error) {
	// Without waiting, since the container may have put a pipe in the file's place by now.
	f, err := root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, local(err, name)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || !markOf(info).same(seen) {
		return false, nil
	}
	m.warnOfOthers(ctx, name)
	put, err := m.source.Put(ctx, m.o.Stage, m.remote(name), f, nil)
	if err != nil {
		return false, err
	}
	seen.MD5 = put.MD5
	if info, err := f.Stat(); err != nil || !markOf(info).same(seen) {
		seen.Size = -1 // like no file: it changed while it was read
	}
	m.synced[name] = seen
	return true, nil
}

// warnOfOthers logs when somebody else changed a file that the container changed, too. The container's wins.
func (m *Mirror) warnOfOthers(ctx context.Context, name string) {
	before, known := m.synced[name]
	f, err := m.source.Stat(ctx, m.o.Stage, m.remote(name))
	if err == nil && (!known || f.MD5 != before.MD5) {
		m.o.Log.Warn("stage file was changed by a container and by somebody else; the container's content stays", "path", m.remote(name))
	}
}

// drop deletes on the stage what the container deleted, unless somebody has changed it there.
func (m *Mirror) drop(ctx context.Context, name string) error {
	f, err := m.source.Stat(ctx, m.o.Stage, m.remote(name))
	if err == nil && f.MD5 == m.synced[name].MD5 {
		err = m.source.Delete(ctx, m.o.Stage, m.remote(name))
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	delete(m.synced, name)
	return nil
}
