// SPDX-License-Identifier: Apache-2.0

package baseimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"firn.dev/firn/images/base"
	"firn.dev/firn/internal/errs"
)

// siteAuthorities is where administrators put their own certificate authorities; root.sh copies them into the image.
const siteAuthorities = "/usr/local/share/ca-certificates"

// keyring has the keys that Debian's archive is signed with, also on other distributions.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// root is the image that the Dockerfile starts from.
type root struct {
	reference string
	key       string // part of the recipe's hash: the same key means the same content was asked for
	own       bool   // made here with debootstrap, not somebody's image
}

// chooseRoot takes the given image, pulled when docker does not have it, or names the one that root.sh makes.
func chooseRoot(ctx context.Context, d docker, reference string) (root, error) {
	if reference == "" {
		key, err := ownRootKey(base.FS, os.DirFS(siteAuthorities))
		if err != nil {
			return root{}, err
		}
		return root{reference: "firn/root:" + suite + "-" + key[:12], key: key, own: true}, nil
	}
	found, ok, err := d.inspect(ctx, reference)
	if err == nil && !ok {
		if err = d.pull(ctx, reference); err == nil {
			found, ok, err = d.inspect(ctx, reference)
		}
	}
	if err != nil {
		return root{}, errs.Wrap(err, errs.CodeOf(err), "root image %s cannot be used", reference)
	}
	if !ok {
		return root{}, errs.New(errs.NotFound, "root image %s does not exist", reference)
	}
	return root{reference: reference, key: found.ID}, nil
}

// ownRootKey is the hash of what root.sh does and of the authorities that it copies.
func ownRootKey(recipe, authorities fs.FS) (string, error) {
	script, err := fs.ReadFile(recipe, "root.sh")
	if err != nil {
		return "", errs.Wrap(err, errs.Internal, "the recipe has no root.sh")
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "suite %s\nscript %x\n", suite, sha256.Sum256(script))
	if _, err := fs.Stat(authorities, "."); err == nil {
		err = walk(authorities, func(name string, content []byte) error {
			fmt.Fprintf(sum, "authority %q %x\n", name, sha256.Sum256(content))
			return nil
		})
		if err != nil {
			return "", errs.Wrap(err, errs.Denied, "certificate authorities in %s cannot be read", siteAuthorities)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// ensure makes the root image unless docker has it.
func (r root) ensure(ctx context.Context, d docker, rebuild bool) error {
	if !r.own {
		return nil
	}
	_, ok, err := d.inspect(ctx, r.reference)
	if err != nil || (ok && !rebuild) {
		return err
	}
	if err := canMakeRoot(); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "firn-root-")
	if err != nil {
		return errs.Wrap(err, errs.Unavailable, "root image: no temporary directory")
	}
	defer os.RemoveAll(work)
	if err := writeContext(base.FS, work); err != nil {
		return err
	}
	from, dir := hostMirrors(os.DirFS("/etc/apt")), filepath.Join(work, "tree")
	fmt.Fprintf(d.programs.log, "making Debian %s from %s\n", suite, from.main)
	err = d.programs.run(ctx, nil, nil, "unshare", "--mount", "--pid", "--fork", "--kill-child",
		filepath.Join(work, "root.sh"), suite, dir, from.main, from.security)
	if err != nil {
		return errs.Wrap(err, errs.CodeOf(err), "root image: Debian %s cannot be made from %s", suite, from.main)
	}
	err = d.programs.pipe(ctx,
		[]string{"tar", "--create", "--numeric-owner", "--one-file-system", "--directory", dir, "."},
		[]string{d.client, "import", "--platform", platform, "--change", `CMD ["bash"]`, "-", r.reference})
	if err != nil {
		return errs.Wrap(err, errs.CodeOf(err), "root image: docker does not take the file system")
	}
	return nil
}

// canMakeRoot says what this machine lacks for debootstrap.
func canMakeRoot() error {
	const instead = "or name a Debian " + suite + " image to start from instead"
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return errs.New(errs.Unsupported, "the root image can be made on linux/amd64 only, this is %s/%s; make it there, %s",
			runtime.GOOS, runtime.GOARCH, instead)
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		return errs.Wrap(err, errs.Unavailable, "debootstrap is not installed; run: apt-get install debootstrap, %s", instead)
	}
	if _, err := os.Stat(keyring); err != nil {
		return errs.Wrap(err, errs.Unavailable, "the keys of Debian's archive are not installed; run: apt-get install debian-archive-keyring, %s", instead)
	}
	if os.Geteuid() != 0 {
		return errs.New(errs.Denied, "the root image can be made by root only (debootstrap changes root); run this as root, %s", instead)
	}
	return nil
}
