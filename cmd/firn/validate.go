// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/imagecheck/schema"
	"firn.dev/firn/internal/imagecheck/source"
	"github.com/spf13/cobra"
)

// validateFlags are the flags of `firn validate`.
type validateFlags struct {
	readFlags
	policy   string
	format   string
	bases    []string
	baseType string
	trust    bool
	server   serverFlags
	scan     scanFlags
}

const validateLong = `Validate says whether a container image is fit to be a custom runtime environment. No program of the image is run.

` + imageNames + `

A policy is default (what the documentation of custom runtime environments asks for), snow-cli (what snow custom-image validate asks
for) or a file: examples/policy/team.yaml shows every key. With --server, the policy is that of the server's account and the bases are
those that are approved there, so that CREATE CUSTOM RUNTIME ENVIRONMENT finds the same. SNOWFLAKE_USER and SNOWFLAKE_PASSWORD log in.
With --connection, a connection of the snow command says which server it is and how to log in. What the server said is kept for when it
cannot be reached.

Exit codes: 0 no check failed, 1 a check failed, 2 usage, 3 the image cannot be read, 4 Firn itself failed.`

func newValidateCommand() *cobra.Command {
	f := &validateFlags{}
	printSchema := false
	cmd := &cobra.Command{
		Use:   "validate IMAGE",
		Short: "Say whether an image is fit to be a runtime environment",
		Long:  validateLong,
		Args: func(cmd *cobra.Command, args []string) error {
			if printSchema {
				return wantArgs()(cmd, args)
			}
			return wantArgs("one IMAGE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if printSchema {
				_, err := cmd.OutOrStdout().Write(schema.Validate)
				return err
			}
			switch {
			case f.server.url != "" && f.server.connection != "":
				return usageError("--connection names the server: leave out --server")
			case f.server.asked() && cmd.Flags().Changed("policy"):
				return usageError("--server and --connection bring the policy of the account: leave out --policy")
			case !f.server.asked() && f.server.offline:
				return usageError("--offline needs --server or --connection")
			}
			return f.validate(cmd.Context(), args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.policy, "policy", imagecheck.PolicyDefault, "default, snow-cli or a file")
	cmd.Flags().StringVar(&f.format, "format", imagecheck.FormatText, strings.Join(imagecheck.Formats(), ", "))
	cmd.Flags().StringArrayVar(&f.bases, "base", nil, "image that IMAGE must be built on; may be repeated")
	cmd.Flags().StringVar(&f.baseType, "base-type", "", "wanted type of the base: CPU or GPU")
	cmd.Flags().BoolVar(&f.trust, "trust-layers", false, "do not hash uncompressed layers in files, read their headers only")
	f.server.register(cmd.Flags())
	f.scan.register(cmd.Flags())
	cmd.Flags().BoolVar(&printSchema, "schema", false, "print the JSON Schema of --format json and do nothing else")
	return cmd
}

// A check is over before much is worth collecting, so the heap may grow by collectAt percent in between. memoryGoal makes the
// collector work harder above it, bytes: a hostile image must not cost more than 600 MB.
const (
	collectAt  = 200
	memoryGoal = 400 << 20
)

// validate runs the check and writes the report.
func (f *validateFlags) validate(ctx context.Context, image string, stdout, stderr io.Writer) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if !slices.Contains(imagecheck.Formats(), f.format) {
		return usageError("format %q does not exist: there are %s", f.format, strings.Join(imagecheck.Formats(), ", "))
	}
	if f.baseType = strings.ToUpper(f.baseType); !slices.Contains([]string{"", "CPU", "GPU"}, f.baseType) {
		return usageError("base type %q does not exist: there are CPU and GPU", f.baseType)
	}
	by, err := f.judging(ctx, stderr)
	if err != nil {
		return err
	}
	opts, err := f.options(by.policy, stderr)
	if err != nil {
		return err
	}
	opts.Bases, opts.WantBase = by.bases, f.server.asked()
	opts.Ref, opts.BaseType, opts.TrustLayers = image, f.baseType, f.trust
	scan, done, err := f.scan.open(time.Now(), stderr)
	if err != nil {
		return err
	}
	defer done()
	opts.Vulnerabilities = scan
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryGoal))
	defer debug.SetGCPercent(debug.SetGCPercent(collectAt))
	bar := newBar(stderr, image)
	opts.Progress = bar.step
	report, err := f.check(ctx, image, opts)
	bar.clear()
	if err != nil {
		if _, ok := errors.AsType[*source.Usage](err); ok {
			return &exitError{code: exitUsage, err: err}
		}
		return &exitError{code: exitInternal, err: err}
	}
	if err := report.Write(stdout, f.format, wantsColor(stdout)); err != nil {
		return &exitError{code: exitInternal, err: errs.Wrap(err, errs.Internal, "report")}
	}
	if report.ExitCode != 0 {
		return &exitError{code: report.ExitCode}
	}
	return nil
}

// judging gives what the flags say to judge by.
func (f *validateFlags) judging(ctx context.Context, stderr io.Writer) (judging, error) {
	if f.server.asked() {
		return f.server.terms(ctx, time.Now(), stderr)
	}
	policy, err := readPolicy(f.policy)
	return judging{policy: policy}, err
}

// readPolicy gives a built-in policy by its name, or reads a file.
func readPolicy(name string) (imagecheck.Policy, error) {
	policy, err := imagecheck.Builtin(name)
	if err == nil {
		return policy, nil
	}
	data, fileErr := os.ReadFile(name)
	switch {
	case errors.Is(fileErr, os.ErrNotExist):
		return policy, usageError("%s, and no file has that name", errs.MessageOf(err))
	case fileErr != nil:
		return policy, usageError("policy file: %v", fileErr)
	}
	if policy, err = imagecheck.ParsePolicy(name, data); err != nil {
		return policy, &exitError{code: exitUsage, err: err}
	}
	return policy, nil
}

// check opens the image and its bases. One that cannot be opened gives a report as well.
func (f *validateFlags) check(ctx context.Context, image string, opts imagecheck.Options) (*imagecheck.Report, error) {
	settings := source.Settings{Platform: f.platform}
	target, err := source.Open(ctx, image, settings)
	if err == nil {
		defer target.Close()
		target.Apply(&opts)
		var bases []imagecheck.Base
		bases, err = openBases(ctx, f.bases, settings)
		opts.Bases = append(opts.Bases, bases...)
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
