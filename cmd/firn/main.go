// SPDX-License-Identifier: Apache-2.0

// Command firn is Firn's tool for a laptop or a pipeline: it says whether an image is fit to be a custom runtime environment.
//
// Exit codes: 0 ok, 1 what was asked about is not fit, 2 usage, 3 what was named cannot be read or reached, 4 Firn's own needs
// failed.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"firn.dev/firn/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	root := &cobra.Command{
		Use: "firn", Short: "custom runtime environments: is this image fit, and if not, why",
		Version: version.Version, SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{code: 2, err: err} })
	root.AddCommand(newValidateCommand(), newDBCommand(), newImageCommand())
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, "firn: "+err.Error())
	}
	return exitCode(err)
}
