// SPDX-License-Identifier: Apache-2.0

package main

import (
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"github.com/spf13/cobra"
)

func newImageExplainCommand() *cobra.Command {
	var f readFlags
	format := imagecheck.FormatText
	cmd := &cobra.Command{
		Use:   "explain PACKAGE IMAGE",
		Short: "Say who brings a package into an image, in which layer, and who needs it",
		Long: "Explain says where a Python or Debian package of an image comes from: the layer and the step that made it, and the chains of\n" +
			"packages that need it. No program of the image is run. It exits with 1 when the image does not have the package.\n\n" + imageNames,
		Args: wantArgs("a PACKAGE", "an IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := textOrJSON(format); err != nil {
				return err
			}
			contents, err := f.contents(orBackground(cmd.Context()), args[1], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			explanation := imagecheck.Explain(contents, args[0])
			if err := explanation.Write(cmd.OutOrStdout(), format); err != nil {
				return &exitError{code: exitInternal, err: errs.Wrap(err, errs.Internal, "explanation")}
			}
			if !explanation.Found() {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&format, "format", format, "text or json")
	return cmd
}
