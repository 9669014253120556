// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/imagecheck/source"
	"firn.dev/firn/internal/version"
	"github.com/spf13/cobra"
)

// validateFlags are the flags of `firn validate`.
type validateFlags struct {
	policy      string
	format      string
	bases       []string
	baseType    string
	platform    string
	noCache     bool
	maxUnpacked byteSize
}

const validateLong = `Validate says whether a container image is fit to be a custom runtime environment. No program of the image is run.

IMAGE is one of
  docker-daemon:NAME             the local docker daemon
  docker-archive:FILE[:NAME:TAG] output of docker save
  oci-layout:DIR[:TAG]           OCI layout
  oci-archive:FILE[:TAG]         OCI layout in a tar file
  registry:HOST/REPO[:TAG]       a registry, with the credentials of docker login
  NAME                           the daemon first, then the registry

Exit codes: 0 no check failed, 1 a check failed, 2 usage, 3 the image cannot be read, 4 Firn itself failed.`

func newValidateCommand() *cobra.Command {
	f := validateFlags{maxUnpacked: 64 << 30}
	cmd := &cobra.Command{
		Use:           "validate IMAGE",
		Short:         "Say whether an image is fit to be a runtime environment",
		Long:          validateLong,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("validate takes one IMAGE, not %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return validate(cmd.Context(), args[0], f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError("%v", err) })
	cmd.Flags().StringVar(&f.policy, "policy", imagecheck.PolicyDefault, "default or snow-cli")
	cmd.Flags().StringVar(&f.format, "format", "text", "text or json")
	cmd.Flags().StringArrayVar(&f.bases, "base", nil, "image that IMAGE must be built on; may be repeated")
	cmd.Flags().StringVar(&f.baseType, "base-type", "", "wanted type of the base: CPU or GPU")
	cmd.Flags().StringVar(&f.platform, "platform", "", "wanted platform (default linux/amd64)")
	cmd.Flags().BoolVar(&f.noCache, "no-cache", false, "read every layer")
	cmd.Flags().Var(&f.maxUnpacked, "max-unpacked", "largest unpacked layer")
	return cmd
}

// memoryGoal makes the collector work harder above it, bytes: a hostile image must not cost more than 600 MB.
const memoryGoal = 400 << 20

// validate runs the check and writes the report.
func validate(ctx context.Context, image string, f validateFlags, stdout, stderr io.Writer) error {
	if ctx == nil {
		ctx = context.Background()
	}
	policy, err := imagecheck.Builtin(f.policy)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	if !slices.Contains([]string{"text", "json"}, f.format) {
		return usageError("format %q does not exist: there are text and json", f.format)
	}
	if f.platform == "" {
		f.platform = policy.Platform
	}
	if strings.Count(f.platform, "/") < 1 {
		return usageError("platform %q is not of the form os/architecture", f.platform)
	}
	if f.baseType = strings.ToUpper(f.baseType); !slices.Contains([]string{"", "CPU", "GPU"}, f.baseType) {
		return usageError("base type %q does not exist: there are CPU and GPU", f.baseType)
	}
	opts := imagecheck.Options{
		Policy: policy, Platform: f.platform, BaseType: f.baseType, MaxUnpacked: int64(f.maxUnpacked),
		Ref: image, Version: version.Version, Now: time.Now,
	}
	if !f.noCache {
		if opts.Cache, err = imagecheck.OpenCache(cacheDir(), time.Now); err != nil {
			fmt.Fprintf(stderr, "firn: going on without a cache: %v\n", err)
		}
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryGoal))
	report, err := check(ctx, image, f, opts)
	if err != nil {
		if _, ok := errors.AsType[*source.Usage](err); ok {
			return &exitError{code: exitUsage, err: err}
		}
		return &exitError{code: exitInternal, err: err}
	}
	write := report.WriteText
	if f.format == "json" {
		write = report.WriteJSON
	}
	if err := write(stdout); err != nil {
		return &exitError{code: exitInternal, err: errs.Wrap(err, errs.Internal, "report")}
	}
	if report.ExitCode != 0 {
		return &exitError{code: report.ExitCode}
	}
	return nil
}

// check opens the image and its bases. One that cannot be opened gives a report as well.
func check(ctx context.Context, image string, f validateFlags, opts imagecheck.Options) (*imagecheck.Report, error) {
	settings := source.Settings{Platform: f.platform}
	target, err := source.Open(ctx, image, settings)
	if err == nil {
		defer target.Close()
		target.Apply(&opts)
		opts.Bases, err = openBases(ctx, f.bases, settings)
	}
	if _, malformed := errors.AsType[*source.Usage](err); malformed {
		return nil, err
	}
	if err != nil {
		return imagecheck.Unreadable(opts, err)
	}
	return imagecheck.Check(ctx, target.Image, opts)
}

// openBases reads which layers the wanted bases have.
func openBases(ctx context.Context, names []string, settings source.Settings) ([]imagecheck.Base, error) {
	var bases []imagecheck.Base
	for _, name := range names {
		target, err := source.Open(ctx, name, settings)
		if err != nil {
			return nil, err
		}
		base, err := imagecheck.BaseOf(name, target.Image)
		_ = target.Close()
		if err != nil {
			return nil, err
		}
		bases = append(bases, base)
	}
	return bases, nil
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
	units := []struct {
		name string
		size int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}}
	number, unit := text, int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = n, u.size
			break
		}
	}
	var n int64
	if err := json.Unmarshal([]byte(strings.TrimSpace(number)), &n); err != nil || n <= 0 || n > (1<<62)/unit {
		return errs.New(errs.Invalid, "%q is no size such as 64GiB", text)
	}
	*b = byteSize(n * unit)
	return nil
}
