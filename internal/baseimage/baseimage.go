// SPDX-License-Identifier: Apache-2.0

// Package baseimage builds Firn's own base image with docker, from Debian's archive and a Python package index only.
//
// The recipe is data in images/base; this package makes the root image (debootstrap, docker import), hands the rest to
// docker build and finds what it built before by the hash of the recipe. It runs the programs docker, debootstrap,
// unshare and tar. It publishes nothing: `firnd base build` calls Build and pushes the image itself.
package baseimage

import (
	"context"
	"fmt"
	"io"
	"os"

	"firn.dev/firn/images/base"
	"firn.dev/firn/internal/errs"
)

const (
	typeCPU = "cpu"
	typeGPU = "gpu"
	// pythonVersion is the one that Debian's suite below brings.
	pythonVersion = "3.11"
	suite         = "bookworm"

	repository  = "firn/base-cpu"
	labelRecipe = "dev.firn.base.recipe"
)

// Options say what to build. The zero value builds the CPU image with the defaults.
type Options struct {
	Type      string    // "cpu"; "" is "cpu"
	Python    string    // "3.11"; "" is "3.11"
	Tag       string    // reference of the result in docker's own store; "" is "firn/base-cpu:<version of the recipe>"
	RootImage string    // Debian bookworm image to start from, pulled when absent; "" makes one with debootstrap, as root
	IndexURL  string    // Python package index, without credentials (they would stay in the image's history); "" is PyPI
	Docker    string    // path of the docker client; "" looks on PATH
	Rebuild   bool      // build although an image of this recipe exists, to take in Debian's security updates
	Log       io.Writer // output of the programs, line by line; nil drops it
}

// Result is the image in docker's own store.
type Result struct {
	Reference string // what Options.Tag asked for, e.g. "firn/base-cpu:1.0.0"
	ID        string // image id, "sha256:..."
	Type      string // "cpu"
	Python    string // "3.11"
	Version   string // version of the recipe, e.g. "1.0.0"
	Recipe    string // hash of the recipe, 64 hex digits; also the image's label dev.firn.base.recipe
	Size      int64  // bytes as docker counts them
	Cached    bool   // an image of the same recipe was there, nothing was built
}

// Build makes the image, or finds the one that was built from the same recipe before, and tags it. Without a cache it
// takes about a minute and 6 GB of disk. Two calls at the same time do the work twice and end with the same tags.
//
// Errors: Invalid (unknown type), Unsupported (a type or Python version without a recipe; a machine that cannot make
// the root image), Denied (not root), Unavailable (docker or debootstrap absent, docker not running, mirror or index
// not reachable, a step failed), Exhausted (disk full), Canceled (ctx ended).
func Build(ctx context.Context, o Options) (Result, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Result{}, err
	}
	docker, err := findDocker(ctx, o.Docker, programs{log: o.Log})
	if err != nil {
		return Result{}, err
	}
	root, err := chooseRoot(ctx, docker, o.RootImage)
	if err != nil {
		return Result{}, err
	}
	recipe, err := hashRecipe(base.FS, base.Version, root.key)
	if err != nil {
		return Result{}, err
	}

	kept := repository + ":recipe-" + recipe[:12]
	found, cached, err := docker.inspect(ctx, kept)
	if err != nil {
		return Result{}, err
	}
	cached = cached && !o.Rebuild && found.Config.Labels[labelRecipe] == recipe
	if cached {
		fmt.Fprintf(o.Log, "the image of this recipe exists: %s\n", kept)
		err = docker.tag(ctx, kept, o.Tag)
	} else {
		err = build(ctx, docker, root, o, recipe, kept)
	}
	if err != nil {
		return Result{}, err
	}
	image, ok, err := docker.inspect(ctx, o.Tag)
	if err == nil && !ok {
		err = errs.New(errs.Unavailable, "image %s was removed while it was built; build it again", o.Tag)
	}
	if err != nil {
		return Result{}, err
	}
	return Result{
		Reference: o.Tag, ID: image.ID, Type: o.Type, Python: o.Python, Version: base.Version,
		Recipe: recipe, Size: image.Size, Cached: cached,
	}, nil
}

// withDefaults fills what is left open and refuses what no recipe exists for.
func (o Options) withDefaults() (Options, error) {
	switch o.Type {
	case "", typeCPU:
		o.Type = typeCPU
	case typeGPU:
		return o, errs.New(errs.Unsupported, "no recipe for a GPU base image ships yet; available: cpu")
	default:
		return o, errs.New(errs.Invalid, "unknown base image type %q; available: cpu", o.Type)
	}
	if o.Python == "" {
		o.Python = pythonVersion
	}
	if o.Python != pythonVersion {
		return o, errs.New(errs.Unsupported, "no recipe for Python %s ships; available: %s", o.Python, pythonVersion)
	}
	if o.Tag == "" {
		o.Tag = repository + ":" + base.Version
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o, nil
}

// build writes the build context, makes sure of the root image and runs docker build.
func build(ctx context.Context, docker docker, root root, o Options, recipe, kept string) error {
	if err := root.ensure(ctx, docker, o.Rebuild); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "firn-base-")
	if err != nil {
		return errs.Wrap(err, errs.Unavailable, "build context of the base image: no temporary directory")
	}
	defer os.RemoveAll(dir)
	if err := writeContext(base.FS, dir); err != nil {
		return err
	}
	args := []string{
		"--build-arg", "ROOT_IMAGE=" + root.reference, "--build-arg", "VERSION=" + base.Version,
		"--label", labelRecipe + "=" + recipe, "--tag", kept, "--tag", o.Tag,
	}
	if o.IndexURL != "" {
		args = append(args, "--build-arg", "INDEX_URL="+o.IndexURL)
	}
	if o.Rebuild {
		args = append(args, "--no-cache")
	}
	return docker.build(ctx, dir, args...)
}
