// SPDX-License-Identifier: Apache-2.0

// Command firnd is Firn's server: SQL door, image registry and scheduler in one process. It reads the configuration, wires the
// rooms together and knows every implementation; nothing else does.
//
//	firnd serve          run the server
//	firnd migrate        bring the database to this version's schema
//	firnd gc             remove what no image needs any more
//	firnd check          compare every stored byte with the database
//	firnd base build     build Firn's own base image and publish it
//
// Exit codes: 0 ok, 1 it failed, 2 usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit(os.DirFS("/")))
	}
	root := &cobra.Command{
		Use: "firnd", Short: "Firn's server: custom runtime environments for ML jobs and notebooks",
		Args: usageArgs(cobra.NoArgs), RunE: showHelp, Version: version.Version, SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(newServeCommand(), newMigrateCommand(), newGCCommand(), newCheckCommand(), newBaseCommand())
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "firnd: "+explain(err))
	if _, ok := errors.AsType[*usageError](err); ok {
		return 2
	}
	return 1
}

// showHelp is what a command does that only holds others.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// usageError is a command line or configuration that cannot mean anything.
type usageError struct{ err error }

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }

// explain gives what the operator reads: on the server's own terminal the causes help, so they are told.
func explain(err error) string {
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e.Error()
	}
	return err.Error()
}
