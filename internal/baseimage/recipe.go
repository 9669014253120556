// SPDX-License-Identifier: Apache-2.0

package baseimage

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"firn.dev/firn/internal/errs"
)

// hashRecipe names what an image is made of: every file of the recipe, its version and the key of its root image.
// 64 hex digits. Where packages come from does not count, only what is asked for.
func hashRecipe(files fs.FS, version, rootKey string) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "version %s\nroot %s\n", version, rootKey)
	err := walk(files, func(name string, content []byte) error {
		fmt.Fprintf(sum, "file %q %x\n", name, sha256.Sum256(content))
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// writeContext writes the recipe into an empty directory. What begins with "#!" is executable: embedded files have
// lost their mode bits.
func writeContext(files fs.FS, dir string) error {
	err := walk(files, func(name string, content []byte) error {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if bytes.HasPrefix(content, []byte("#!")) {
			mode = 0o755
		}
		if err := os.WriteFile(path, content, mode); err != nil {
			return err
		}
		// The umask of the caller must not decide what users of the image may read.
		return os.Chmod(path, mode)
	})
	if err != nil {
		return errs.Wrap(err, errs.Unavailable, "build context of the base image cannot be written to %s", dir)
	}
	return nil
}

// walk calls visit for every file in lexical order, with its slash-separated name and its content.
func walk(files fs.FS, visit func(name string, content []byte) error) error {
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return visit(name, content)
	})
}
