// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/imagecheck/source"
	"firn.dev/firn/internal/version"
	"github.com/spf13/cobra"
)

const imageNames = `IMAGE is one of
  docker-daemon:NAME             the local docker daemon
  docker-archive:FILE[:NAME:TAG] output of docker save
  oci-layout:DIR[:TAG]           OCI layout
  oci-archive:FILE[:TAG]         OCI layout in a tar file
  registry:HOST/REPO[:TAG]       a registry, with the credentials of docker login
  NAME                           the daemon first, then the registry`

// newImageCommand groups what can be asked of an image besides its fitness.
func newImageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "image", Short: "Look into images without running them, and carry them in a file",
		RunE: func(*cobra.Command, []string) error {
			return usageError("image needs a command: see firn image --help")
		},
	}
	cmd.AddCommand(newImageDiffCommand(), newImageExplainCommand(), newImageSBOMCommand(), newImageExportCommand(), newImageImportCommand())
	return cmd
}

// readFlags are the flags of every command that reads an image.
type readFlags struct {
	platform    string
	noCache     bool
	maxUnpacked byteSize
}

func (f *readFlags) add(cmd *cobra.Command) {
	f.maxUnpacked = 64 << 30
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError("%v", err) })
	cmd.Flags().StringVar(&f.platform, "platform", "", "wanted platform (default linux/amd64)")
	cmd.Flags().BoolVar(&f.noCache, "no-cache", false, "read every layer")
	cmd.Flags().Var(&f.maxUnpacked, "max-unpacked", "largest unpacked layer")
}

// options gives what an image is read with.
func (f *readFlags) options(policy imagecheck.Policy, stderr io.Writer) (imagecheck.Options, error) {
	if f.platform == "" {
		f.platform = policy.Platform
	}
	if strings.Count(f.platform, "/") < 1 {
		return imagecheck.Options{}, usageError("platform %q is not of the form os/architecture", f.platform)
	}
	opts := imagecheck.Options{
		Policy: policy, Platform: f.platform, MaxUnpacked: int64(f.maxUnpacked), Version: version.Version, Now: time.Now,
	}
	if !f.noCache {
		var err error
		if opts.Cache, err = imagecheck.OpenCache(cacheDir(), time.Now); err != nil {
			fmt.Fprintf(stderr, "firn: going on without a cache: %v\n", err)
		}
	}
	return opts, nil
}

// contents reads what one image has.
func (f *readFlags) contents(ctx context.Context, name string, stderr io.Writer) (*imagecheck.Contents, error) {
	policy, err := imagecheck.Builtin(imagecheck.PolicyDefault)
	if err != nil {
		return nil, err
	}
	opts, err := f.options(policy, stderr)
	if err != nil {
		return nil, err
	}
	target, err := source.Open(ctx, name, source.Settings{Platform: f.platform})
	if err != nil {
		return nil, unreadable(err)
	}
	defer target.Close()
	target.Apply(&opts)
	bar := newBar(stderr, name)
	defer bar.clear()
	opts.Progress = bar.step
	contents, err := imagecheck.ReadContents(ctx, target.Image, opts)
	if err != nil {
		return nil, unreadable(err)
	}
	return contents, nil
}

// unreadable gives the exit code of an image that cannot be opened or read.
func unreadable(err error) error {
	if _, ok := errors.AsType[*source.Usage](err); ok {
		return &exitError{code: exitUsage, err: err}
	}
	if errs.Is(err, errs.Internal) || errs.Is(err, errs.Canceled) {
		return &exitError{code: exitInternal, err: err}
	}
	return &exitError{code: exitUnreadable, err: err}
}

// wantArgs refuses another number of arguments.
func wantArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usageError("%s takes %s, not %d arguments", cmd.Name(), strings.Join(names, " and "), len(args))
		}
		return nil
	}
}

// cacheDir follows $FIRN_CACHE_DIR, $XDG_CACHE_HOME and ~/.cache.
func cacheDir() string {
	if dir := os.Getenv("FIRN_CACHE_DIR"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "firn")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	return filepath.Join(home, ".cache", "firn")
}

// byteSize is a flag such as "64GiB", "500MB" or "1024".
type byteSize int64

// String implements pflag.Value.
func (b *byteSize) String() string { return fmt.Sprintf("%dGiB", int64(*b)>>30) }

// Type implements pflag.Value.
func (b *byteSize) Type() string { return "size" }

// Set implements pflag.Value.
func (b *byteSize) Set(text string) error {
	n, err := imagecheck.ParseSize(text)
	*b = byteSize(n)
	return err
}
