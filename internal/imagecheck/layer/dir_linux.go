// SPDX-License-Identifier: Apache-2.0

//go:build linux

package layer

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"firn.dev/firn/internal/errs"
)

// ReadDir scans one layer from the directory in which an overlay2 engine keeps it unpacked. There a character device 0:0 is a
// whiteout and the attribute trusted.overlay.opaque marks an opaque directory. The engine vouches for diffID. It needs root.
//
// Errors: Unavailable when the directory cannot be read, Exhausted for a limit.
func ReadDir(ctx context.Context, diffID, dir string, limits Limits) (*Scan, error) {
	if limits.Budget == nil {
		limits.Budget = NewBudget()
	}
	b := newBuilder(diffID, limits.Budget)
	b.scan.UnpackedSize = -1
	inodes := map[inode]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(name, dir), "/")
		return b.addInfo(name, rel, info, inodes)
	})
	if err == nil {
		return b.finish(), nil
	}
	if known, ok := err.(*errs.Error); ok {
		return nil, known
	}
	return nil, errs.Wrap(err, errs.Unavailable, "layer %s in the engine's store", diffID)
}

// inode names a file that several paths may share.
type inode struct{ dev, ino uint64 }

func (b *builder) addInfo(name, rel string, info fs.FileInfo, inodes map[inode]string) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errs.New(errs.Unsupported, "%s has no owner", name)
	}
	e := Entry{Path: rel, Size: info.Size(), Mode: stat.Mode & 0o7777, UID: int(stat.Uid), GID: int(stat.Gid)}
	switch {
	case info.Mode().IsRegular():
		e.Type = File
	case info.IsDir():
		e.Type, e.Size = Dir, 0
		if opaque(name) {
			b.scan.Opaque = append(b.scan.Opaque, rel)
		}
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(name)
		if err != nil {
			return err
		}
		e.Type, e.Link, e.Size = Symlink, target, 0
	case info.Mode()&fs.ModeCharDevice != 0 && stat.Rdev == 0:
		b.scan.Whiteouts = append(b.scan.Whiteouts, rel)
		return b.budget.take(b.scan.DiffID, &e)
	default:
		e.Type = Other
	}
	if e.Type == File && stat.Nlink > 1 {
		key := inode{stat.Dev, stat.Ino}
		if first, seen := inodes[key]; seen {
			e.Type, e.Link = HardLink, first
			return b.add(e)
		}
		inodes[key] = rel
	}
	if err := keepFile(&e, name, b.budget); err != nil {
		return err
	}
	return b.add(e)
}

func keepFile(e *Entry, name string, budget *Budget) error {
	if keepOf(e) == keepNothing {
		return nil
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return keepBody(e, f, budget)
}

func opaque(name string) bool {
	value := make([]byte, 1)
	n, err := syscall.Getxattr(name, "trusted.overlay.opaque", value)
	return err == nil && n == 1 && value[0] == 'y'
}
