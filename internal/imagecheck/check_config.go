// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"firn.dev/firn/internal/imagecheck/layer"
)

// wrongPlatform compares os and architecture; a variant counts only when one is asked for.
func (c *checker) wrongPlatform() bool {
	have := c.config.platform()
	return c.opts.Platform != "" && have != c.opts.Platform && !strings.HasPrefix(have, c.opts.Platform+"/")
}

func (c *checker) checkPlatform() CheckResult {
	remedy := "docker build --platform " + c.opts.Platform + " ..."
	if c.wrongPlatform() {
		return found(Fail, remedy, "image is for %s, want %s", c.config.platform(), c.opts.Platform)
	}
	programs := c.interpreters(c.opts.Policy.Entrypoint)
	if env := c.primary(); env != nil {
		programs = append(programs, env.Python)
	}
	for _, p := range programs {
		resolved, n, err := c.tree.Resolve(p)
		if err != nil || !isELF(n.Body) {
			continue
		}
		if machine := elfMachine(n.Body); c.opts.Platform == "linux/amd64" && machine != machineAMD64 {
			r := found(Fail, remedy, "image says %s, but %s is a program for %s", c.config.platform(), resolved, machineName(machine))
			r.Evidence = []Evidence{c.evidence(n.Layer, resolved, machineName(machine))}
			return r
		}
	}
	return pass("image is for %s", c.config.platform())
}

// findBase finds the approved base whose layers lead the image, or the one that shares most of them.
func (c *checker) findBase() {
	best, matched := -1, -1
	for i, b := range c.opts.Bases {
		n := sharedLayers(b.Layers, c.config.RootFS.DiffIDs)
		if best < 0 || c.betterBase(i, n, best, matched) {
			best, matched = i, n
		}
	}
	if best < 0 {
		return
	}
	b := &c.opts.Bases[best]
	c.report.Image.Base = &BaseInfo{Ref: b.Ref, Name: b.Name, Layers: len(b.Layers), Matched: matched}
	if matched < len(b.Layers) || matched == 0 {
		return
	}
	c.base = b
	for i := range c.report.Image.Layers {
		c.report.Image.Layers[i].Owner = "user"
		if i < matched {
			c.report.Image.Layers[i].Owner = "base"
		}
	}
}

// betterBase prefers whole bases, among those the wanted type, then the one with most shared layers.
func (c *checker) betterBase(i, n, best, matched int) bool {
	whole, bestWhole := n == len(c.opts.Bases[i].Layers), matched == len(c.opts.Bases[best].Layers)
	if whole != bestWhole {
		return whole
	}
	if fits, bestFits := c.typeFits(c.opts.Bases[i]), c.typeFits(c.opts.Bases[best]); whole && fits != bestFits {
		return fits
	}
	return n > matched
}

func (c *checker) typeFits(b Base) bool {
	return c.opts.BaseType == "" || strings.EqualFold(c.opts.BaseType, b.Type)
}

func sharedLayers(base, image []string) int {
	n := 0
	for n < len(base) && n < len(image) && base[n] == image[n] {
		n++
	}
	return n
}

func (c *checker) checkLineage() CheckResult {
	info := c.report.Image.Base
	switch {
	case len(c.opts.Bases) == 0 && c.opts.WantBase:
		return found(Fail, "publish a base with `firnd base build`, or push one to "+ApprovedBases, "no base image is approved yet, so no image can derive from one")
	case len(c.opts.Bases) == 0:
		return skip("no base image was given to compare with")
	case c.base != nil && !c.typeFits(*c.base):
		var others []string
		for _, b := range c.opts.Bases {
			if c.typeFits(b) {
				others = append(others, b.Ref)
			}
		}
		return found(Fail, "FROM "+strings.Join(append(others, "a "+c.opts.BaseType+" base")[:1], ""),
			"image is built on %s, a %s base; a %s base is wanted", baseName(*c.base), c.base.Type, c.opts.BaseType)
	case c.base != nil:
		return pass("image is built on %s (%d layers)", baseName(*c.base), len(c.base.Layers))
	case info.Matched > 0:
		return found(Fail, "FROM "+info.Ref+", then build again",
			"image shares %d of %d layers with %s: built on another revision", info.Matched, info.Layers, info.Ref)
	}
	return found(Fail, "FROM "+info.Ref+", and do not squash the layers", "image shares no layer with any approved base: other base, or squashed")
}

func baseName(b Base) string {
	if b.Name != "" {
		return b.Name
	}
	return b.Ref
}

func (c *checker) checkUser() CheckResult {
	if c.account.problem != "" {
		return found(Fail, "USER root, or RUN useradd before the USER line", "%s: the container does not start", c.account.problem)
	}
	if r, broken := c.checkRoot(); broken {
		return r
	}
	if c.config.Config.User == "" {
		return pass("USER is not set: root")
	}
	return pass("USER %s exists", c.config.Config.User)
}

func (c *checker) checkWorkdir() CheckResult {
	dir := c.config.workDir()
	if !strings.HasPrefix(dir, "/") {
		return found(Fail, "WORKDIR /"+path.Clean(dir), "WORKDIR %q is relative: the container does not start", dir)
	}
	if _, n, err := c.tree.Resolve(dir); err == nil && n.Type != layer.Dir {
		return found(Fail, "WORKDIR with a directory", "WORKDIR %s is no directory", dir)
	}
	return pass("WORKDIR is %s", dir)
}

func (c *checker) checkEnv(rule EnvRule) CheckResult {
	have, ok := c.config.env()[rule.Name]
	want := "VALUE"
	if rule.Value != nil {
		want = *rule.Value
	}
	remedy := fmt.Sprintf("ENV %s=%s", rule.Name, want)
	switch {
	case !ok:
		return found(Fail, remedy, "environment variable %s is not set", rule.Name)
	case rule.Value != nil && have != *rule.Value:
		return found(Fail, remedy, "environment variable %s is %q, want %q", rule.Name, have, *rule.Value)
	}
	if rule.Value == nil {
		return pass("environment variable %s is set", rule.Name)
	}
	return pass("environment variable %s is %s", rule.Name, have)
}

// credentialNames end the names of environment variables that hold a secret.
var credentialNames = []string{"TOKEN", "SECRET", "PASSWORD", "API_KEY", "SECRET_ACCESS_KEY"}

func isCredentialName(name string) bool {
	return slices.ContainsFunc(credentialNames, func(end string) bool { return strings.HasSuffix(strings.ToUpper(name), end) })
}
