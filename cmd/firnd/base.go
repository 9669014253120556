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

	"github.com/moby/moby/api/pkg/authconfig"
	registrytypes "github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"firn.dev/firn/internal/baseimage"
	"firn.dev/firn/internal/errs"
)

// basePath is where base images are published; every image below its repository is an approved base.
const basePath = "/snowflake/images/snowflake_images/container_runtime/"

func newBaseCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "base", Short: "Firn's own base images", Args: usageArgs(cobra.NoArgs), RunE: showHelp}
	var o baseimage.Options
	var local bool
	build := &cobra.Command{
		Use: "build [cpu|gpu]", Short: "build a base image with docker and publish it on the server at --listen",
		Args: usageArgs(cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs)), ValidArgs: []string{"cpu", "gpu"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Type = args[0]
			}
			c, err := loadConfig(cmd.Flags(), os.Environ)
			if err != nil {
				return err
			}
			o.Log = cmd.ErrOrStderr()
			built, err := baseimage.Build(cmd.Context(), o)
			if err != nil {
				return err
			}
			if local {
				fmt.Fprintf(cmd.OutOrStdout(), "base image %s (%d MB)\n", built.Reference, built.Size/1e6)
				return nil
			}
			return publish(cmd.Context(), c, built, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addFlags(build.Flags())
	build.Flags().StringVar(&o.Python, "python", "", "Python version of the image, X.Y")
	build.Flags().StringVar(&o.Tag, "tag", "", "local name of the image; default firn/base-<type>:<version>")
	build.Flags().StringVar(&o.RootImage, "root-image", "", "build on this image instead of making a root file system with debootstrap")
	build.Flags().BoolVar(&o.Rebuild, "rebuild", false, "build even when an image of the same recipe exists, to take in updates")
	build.Flags().BoolVar(&local, "local", false, "leave the image in the engine and publish nothing")
	cmd.AddCommand(build)
	return cmd
}

// publish pushes a built image to the server as ADMIN.
func publish(ctx context.Context, c config, built baseimage.Result, out, progress io.Writer) error {
	password, err := adminPassword(c)
	if err != nil {
		return err
	}
	engine, err := client.New(client.FromEnv)
	if err != nil {
		return errs.Wrap(err, errs.Invalid, "docker host")
	}
	defer engine.Close()
	target := c.Listen + basePath + strings.ToLower(built.Type) + "_x86_64:" + built.Version
	if _, err := engine.ImageTag(ctx, client.ImageTagOptions{Source: built.Reference, Target: target}); err != nil {
		return errs.Wrap(err, errs.Unavailable, "tag %s as %s", built.Reference, target)
	}
	login, err := authconfig.Encode(registrytypes.AuthConfig{Username: adminUser, Password: password.Reveal(), ServerAddress: c.Listen})
	if err != nil {
		return err
	}
	push, err := engine.ImagePush(ctx, target, client.ImagePushOptions{RegistryAuth: login})
	if err != nil {
		return errs.Wrap(err, errs.Unavailable, "push %s", target)
	}
	defer push.Close()
	fmt.Fprintf(progress, "pushing %s\n", target)
	if err := push.Wait(ctx); err != nil {
		return errs.Wrap(err, errs.Unavailable, "push %s: is firnd serving at %s, and is the password of %s right?", target, c.Listen, adminUser)
	}
	_, err = fmt.Fprintf(out, "published %s\n", target)
	return err
}

// adminPassword is ADMIN's password: from the environment, or the one that the first start wrote.
func adminPassword(c config) (errs.Secret, error) {
	if c.AdminPassword != "" {
		return c.AdminPassword, nil
	}
	path := filepath.Join(c.DataDir, passwordFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", &usageError{fmt.Errorf("no password of %s: set %s, or --data-dir to the directory of a server that was started once (no %s)", adminUser, passwordEnv, path)}
	}
	return errs.Secret(strings.TrimSpace(string(text))), err
}

// usageArgs makes a wrong number of arguments a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err}
		}
		return nil
	}
}
