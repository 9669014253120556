// SPDX-License-Identifier: Apache-2.0

// Package source opens the image that a command line names: in the local daemon, in a registry, or in a file. What it gives goes
// into imagecheck.Check.
//
// It judges nothing. The server does not use it: it opens images inside its own registry. cmd/firn calls Open.
package source

import (
	"context"
	"io"
	"os"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"github.com/google/go-containerregistry/pkg/authn"
)

// Target is an opened image together with what the report says of it. Close it after the check.
type Target struct {
	Image        imagecheck.Image
	Ref          string // as written by the user
	Source       string // docker-daemon, docker-archive, oci-layout, oci-archive, registry
	Digest       string // of the manifest, "" when there is none
	IndexDigest  string // of the index it was chosen from, "" when there is none
	NoManifest   bool
	ConfigDigest *string
	Layers       imagecheck.LayerSource // nil: through Image
	closer       io.Closer
}

// Settings are the surroundings of Open.
type Settings struct {
	Platform string // wanted of an index: "linux/amd64"
	Keychain authn.Keychain
	TempDir  string // for unpacking compressed archives; "" is the system's
	// DaemonHost is the address of the docker daemon, "" for the one the environment names.
	DaemonHost string
}

// Apply fills the options of a check with what is known of the image.
func (t *Target) Apply(o *imagecheck.Options) {
	o.Ref, o.Source, o.Digest, o.IndexDigest = t.Ref, t.Source, t.Digest, t.IndexDigest
	o.NoDigest, o.ConfigDigest, o.Layers = t.NoManifest, t.ConfigDigest, t.Layers
}

// Close releases files and connections.
func (t *Target) Close() error {
	if t.closer == nil {
		return nil
	}
	return t.closer.Close()
}

// Usage is an IMAGE argument that names no image at all. Nothing was read.
type Usage struct{ Err error }

// Error gives the message.
func (u *Usage) Error() string { return u.Err.Error() }

// Unwrap gives the cause.
func (u *Usage) Unwrap() error { return u.Err }

func usage(format string, args ...any) error {
	return &Usage{Err: errs.New(errs.Invalid, format, args...)}
}

// Open opens the image that name means:
//
//	docker-daemon:NAME  docker-archive:FILE[:NAME:TAG]  oci-layout:DIR[:TAG]  oci-archive:FILE[:TAG]  registry:HOST/REPO[:TAG][@DIGEST]
//	NAME                the local daemon first, then the registry
//
// Errors: *Usage for a malformed name; NotFound, Unauthenticated, Unavailable, Conflict when several images fit, Corrupt,
// Exhausted, Unsupported.
func Open(ctx context.Context, name string, s Settings) (*Target, error) {
	kind, rest, ok := strings.Cut(name, ":")
	open := map[string]func(context.Context, string, Settings) (*Target, error){
		"docker-daemon": openDaemon, "docker-archive": openDockerArchive, "oci-layout": openLayoutDir, "oci-archive": openLayoutArchive,
		"registry": openRegistry,
	}[kind]
	switch {
	case name == "" || ok && open != nil && rest == "":
		return nil, usage("image name %q is empty", name)
	case ok && open != nil:
		return labelled(open(ctx, rest, s))(name, kind)
	}
	if info, err := os.Stat(name); err == nil {
		prefix := "docker-archive:%s or oci-archive:%s"
		if info.IsDir() {
			prefix = "oci-layout:%s"
		}
		return nil, usage("%s is a file, not an image name: write %s", name, strings.ReplaceAll(prefix, "%s", name))
	}
	t, err := openDaemon(ctx, name, s)
	if err == nil {
		return labelled(t, nil)(name, "docker-daemon")
	}
	if !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Unavailable) {
		return nil, err
	}
	remote, remoteErr := openRegistry(ctx, name, s)
	if remoteErr != nil {
		if _, malformed := remoteErr.(*Usage); malformed {
			return nil, remoteErr
		}
		return nil, errs.New(errs.CodeOf(remoteErr), "%s; %s", errs.MessageOf(err), errs.MessageOf(remoteErr))
	}
	return labelled(remote, nil)(name, "registry")
}

// labelled names the source of what was opened.
func labelled(t *Target, err error) func(ref, source string) (*Target, error) {
	return func(ref, source string) (*Target, error) {
		if err != nil {
			return nil, err
		}
		t.Ref, t.Source = ref, source
		return t, nil
	}
}
