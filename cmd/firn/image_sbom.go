// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"firn.dev/firn/internal/imagecheck/sbom"
	"firn.dev/firn/internal/version"
	"github.com/spf13/cobra"
)

func newImageSBOMCommand() *cobra.Command {
	var f readFlags
	format := sbom.CycloneDX
	cmd := &cobra.Command{
		Use:   "sbom IMAGE",
		Short: "Write a bill of materials: every Python and Debian package, its layer, dependencies and licence",
		Long: "Sbom writes what is installed in an image as CycloneDX 1.6 or SPDX 2.3, both as JSON. Licences are those\n" +
			"that Python packages name. No program of the image is run, and the same image gives the same bytes.\n\n" + imageNames,
		Args: wantArgs("one IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(sbom.Formats(), format) {
				return usageError("format %q does not exist: there are %s", format, strings.Join(sbom.Formats(), " and "))
			}
			contents, err := f.contents(orBackground(cmd.Context()), args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := sbom.Write(cmd.OutOrStdout(), format, contents.Inventory(), version.Version); err != nil {
				return &exitError{code: exitInternal, err: err}
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&format, "format", format, strings.Join(sbom.Formats(), " or "))
	return cmd
}
