// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// ensureImage pulls the task's image unless the engine has it under the same digest.
func (b *Backend) ensureImage(ctx context.Context, t compute.Task, progress func(compute.Event)) error {
	_, err := b.engine.ImageInspect(ctx, t.Image)
	if err == nil {
		return nil
	}
	if !errdefs.IsNotFound(err) {
		return b.fail(ctx, err, errs.Unavailable, "image %s", t.Image)
	}
	// Anything but a repository and a digest would be looked up in a public registry.
	if !strings.Contains(t.Image, "@") {
		return errs.New(errs.NotFound, "image %s is not in the docker engine, and without a digest it is not pulled", t.Image)
	}
	progress(compute.Event{Phase: "pulling", At: time.Now().UTC()})
	if err := b.pull(ctx, t.Image, t.PullLogin); err != nil {
		return err
	}
	progress(compute.Event{Phase: "pulled", At: time.Now().UTC()})
	return nil
}

// pull fetches an image by digest.
func (b *Backend) pull(ctx context.Context, image string, login compute.Login) error {
	var o client.ImagePullOptions
	if login != (compute.Login{}) {
		auth, err := authconfig.Encode(registry.AuthConfig{Username: login.User, Password: login.Password.Reveal()})
		if err != nil {
			return errs.Wrap(err, errs.Internal, "login for image %s", image)
		}
		o.RegistryAuth = auth
	}
	stream, err := b.engine.ImagePull(ctx, image, o)
	if err == nil {
		defer stream.Close()
		err = stream.Wait(ctx)
	}
	if err != nil {
		return b.pullError(ctx, err, image)
	}
	return nil
}

// pullError tells the reasons of a failed pull apart. The engine passes the registry's answer on as text, with any status.
func (b *Backend) pullError(ctx context.Context, err error, image string) error {
	if ctx.Err() != nil || client.IsErrConnectionFailed(err) {
		return b.fail(ctx, err, errs.Unavailable, "image %s", image)
	}
	text := strings.ToLower(err.Error())
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("manifest unknown", "not found", "name unknown"):
		return errs.Wrap(err, errs.NotFound, "image %s is not in its registry", image)
	case has("unauthorized", "denied", "authentication required", "no basic auth", "401"):
		return errs.Wrap(err, errs.Denied, "image %s: the registry refuses the login", image)
	default:
		return b.fail(ctx, err, errs.Unavailable, "pull of image %s", image)
	}
}
