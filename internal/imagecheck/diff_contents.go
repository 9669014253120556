// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"context"
	"fmt"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/dpkg"
)

// Contents is what one image has, for questions other than whether it is fit. It is immutable.
type Contents struct {
	c    *checker
	debs []dpkg.Package
}

// ReadContents reads an image and judges nothing. Of opts it uses what is about reading.
//
// Errors: those of the image and its layers; Unsupported for an image of another platform than wanted; Canceled.
func ReadContents(ctx context.Context, img Image, opts Options) (*Contents, error) {
	c, err := newChecker(opts)
	if err != nil {
		return nil, err
	}
	if err := c.read(ctx, img); err != nil {
		if ctx.Err() != nil {
			return nil, errs.Wrap(ctx.Err(), errs.Canceled, "reading image %s", opts.Ref)
		}
		return nil, err
	}
	if c.tree == nil {
		return nil, errs.New(errs.Unsupported, "image %s is for %s, want %s", opts.Ref, c.config.platform(), opts.Platform)
	}
	return &Contents{c: c, debs: dpkg.Installed(c.tree)}, nil
}

// pythonPackages gives name to version in the primary environment.
func (c *Contents) pythonPackages() map[string]string {
	versions := map[string]string{}
	if env := c.c.primary(); env != nil {
		for _, p := range env.Packages {
			versions[p.Name] = p.Version
		}
	}
	return versions
}

// debianPackages gives name to version; the architecture is named where a package is there for several.
func (c *Contents) debianPackages() map[string]string {
	versions := map[string]string{}
	for _, p := range c.debs {
		name := p.Name
		if _, twice := versions[name]; twice {
			name += ":" + p.Arch
		}
		versions[name] = p.Version
	}
	return versions
}

// environment gives the variables; values of credentials are hidden.
func (c *Contents) environment() map[string]string {
	env := c.c.config.env()
	for name, value := range env {
		if value != "" && isCredentialName(name) {
			env[name] = errs.Secret(value).String()
		}
	}
	return env
}

// settings gives the rest of the configuration, as text.
func (c *Contents) settings() map[string]string {
	conf := c.c.config.Config
	m := map[string]string{"platform": c.c.config.platform(), "workdir": c.c.config.workDir(), "user": c.c.userName()}
	if len(conf.Entrypoint) > 0 {
		m["entrypoint"] = fmt.Sprintf("%q", []string(conf.Entrypoint))
	}
	if len(conf.Cmd) > 0 {
		m["cmd"] = fmt.Sprintf("%q", []string(conf.Cmd))
	}
	if env := c.c.primary(); env != nil {
		m["python"] = env.PythonVersion + " in " + env.Prefix
	}
	return m
}

// cuda gives what the image says of CUDA; empty when it has none.
func (c *Contents) cuda() map[string]string {
	gpu := &c.c.gpu
	m := map[string]string{}
	if gpu.libraries > 0 {
		m["libraries"] = fmt.Sprintf("%d (%s)", gpu.libraries, sizeText(gpu.bytes))
	}
	if needed, ok := gpu.needed(); ok {
		m["version"] = needed.cuda.String()
		if floor, ok := driverFloors[needed.cuda.major]; ok && gpu.libraries > 0 {
			m["driver"] = ">= " + floor
		}
	}
	return m
}
