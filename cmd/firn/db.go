// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/vulndb"
)

func newDBCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "db", Short: "The database of advisories for firn validate --scan-vulnerabilities",
		RunE: func(*cobra.Command, []string) error { return usageError("db needs a command: see firn db --help") },
	}
	cmd.AddCommand(newDBImportCommand())
	return cmd
}

const importLong = `Import makes one file for firn validate --scan-vulnerabilities out of advisories in the OSV format. Nothing is downloaded.

SRC is a zip as osv.dev publishes them for an ecosystem (PyPI/all.zip, Debian/all.zip), a directory with *.json files at any depth,
or one *.json file. Advisories of both ecosystems belong into one file: they tell each other's severity.

Exit codes: 0 done, 2 usage, 3 a source cannot be read, 4 the file cannot be written.`

func newDBImportCommand() *cobra.Command {
	out := ""
	cmd := &cobra.Command{
		Use: "import SRC...", Short: "Make the database of OSV zips and directories", Long: importLong,
		SilenceUsage: true, SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("db import takes at least one SRC: a zip or a directory of OSV records")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			file := out
			if file == "" {
				file = defaultDB()
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					return &exitError{code: exitInternal, err: errs.Wrap(err, errs.Unavailable, "directory of %s cannot be made", file)}
				}
			}
			stats, err := vulndb.Import(cmd.Context(), args, file, time.Now())
			switch errs.CodeOf(err) {
			case "":
			case errs.NotFound, errs.Invalid:
				return &exitError{code: exitUnreadable, err: err}
			default:
				return &exitError{code: exitInternal, err: err}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d records, %d vulnerabilities of %d packages, newest advisory %s, %d bytes\nsha256 %s\n",
				file, stats.Records, stats.Vulnerabilities, stats.Packages, stats.Newest.Format(time.DateOnly), stats.Size, stats.SHA256)
			fmt.Fprintf(cmd.ErrOrStderr(), "firn: left out %d withdrawn records, %d of malicious packages, %d of other ecosystems\n",
				stats.Withdrawn, stats.Malicious, stats.Elsewhere)
			return nil
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError("%v", err) })
	cmd.Flags().StringVar(&out, "out", "", "file to write (default "+defaultDBText+")")
	return cmd
}
