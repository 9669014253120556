// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"github.com/spf13/cobra"
)

func newImageDiffCommand() *cobra.Command {
	var f readFlags
	format, exitOne := imagecheck.FormatText, false
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Say how image B differs from image A: packages, configuration, CUDA, layers and sizes",
		Long:  "Diff says how image B differs from image A. No program of the images is run; values of credentials are not shown.\n\n" + imageNames,
		Args:  wantArgs("image A", "image B"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := textOrJSON(format); err != nil {
				return err
			}
			ctx := orBackground(cmd.Context())
			a, err := f.contents(ctx, args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			b, err := f.contents(ctx, args[1], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			diff := imagecheck.Diff(a, b)
			if err := diff.Write(cmd.OutOrStdout(), format); err != nil {
				return &exitError{code: exitInternal, err: errs.Wrap(err, errs.Internal, "comparison")}
			}
			if exitOne && diff.Different {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&format, "format", format, "text or json")
	cmd.Flags().BoolVar(&exitOne, "exit-code", false, "exit with 1 when the images differ")
	return cmd
}

func textOrJSON(format string) error {
	if format != imagecheck.FormatText && format != imagecheck.FormatJSON {
		return usageError("format %q does not exist: there are text and json", format)
	}
	return nil
}

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}
