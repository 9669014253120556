// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/layer"
	"firn.dev/firn/internal/imagecheck/pep440"
	"firn.dev/firn/internal/imagecheck/pep508"
	"firn.dev/firn/internal/imagecheck/python"
)

// checker is one check on its way: what was read so far, and the report.
type checker struct {
	opts      Options
	required  []pep508.Requirement
	forbidden []pep508.Requirement
	// forbiddenFiles and setuidAllowed are the globs of the policy.
	forbiddenFiles []*regexp.Regexp
	setuidAllowed  []*regexp.Regexp
	config         imageConfig
	base           *Base // set when all its layers lead the image
	trusted        int   // layers of which only the headers were read
	tree           *layer.Tree
	account        account
	gpu            gpuFacts
	envs           []*python.Environment
	found          *vulnerabilities // nil when no scan was asked for
	report         *Report
}

func newChecker(opts Options) (*checker, error) {
	c := &checker{opts: opts, report: &Report{
		Schema: Schema, FirnVersion: opts.Version, ReadyFor: []string{}, Checks: []CheckResult{}, Environments: []*python.Environment{},
		Policy: PolicyInfo{Name: opts.Policy.Name, Source: opts.Policy.Source, SHA256: opts.Policy.Sum()},
		Image: ImageInfo{
			Ref: opts.Ref, Source: opts.Source, WorkDir: "/", Entrypoint: []string{}, Cmd: []string{}, Labels: map[string]string{}, Layers: []LayerInfo{},
		},
	}}
	c.opts.Bases = slices.Concat(opts.Bases, opts.Policy.Bases)
	var err error
	if c.required, err = parseAll(opts.Policy.Required); err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "policy %s: required packages", opts.Policy.Name)
	}
	if c.forbidden, err = parseAll(opts.Policy.Forbidden); err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "policy %s: forbidden packages", opts.Policy.Name)
	}
	if c.forbiddenFiles, err = globs(opts.Policy.ForbiddenFiles); err == nil {
		c.setuidAllowed, err = globs(opts.Policy.SetuidAllowed)
	}
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "policy %s: files", opts.Policy.Name)
	}
	return c, nil
}

func globs(patterns []string) ([]*regexp.Regexp, error) {
	list := make([]*regexp.Regexp, len(patterns))
	for i, pattern := range patterns {
		var err error
		if list[i], err = glob(pattern); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func parseAll(texts []string) ([]pep508.Requirement, error) {
	list := make([]pep508.Requirement, 0, len(texts))
	for _, text := range texts {
		r, err := pep508.Parse(text, pep440.RulesParsed)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return joinRequirements(list), nil
}

// The ids of checks that are not made from a policy's names.
const (
	idExists      = "image_exists"
	idIntact      = "image_intact"
	idPlatform    = "platform"
	idLineage     = "lineage"
	idUser        = "user"
	idWorkdir     = "workdir"
	idEntrypoint  = "entrypoint"
	idEnvironment = "python_environment"
	idHealth      = "dependency_health"
	idStrict      = "dependency_strict"
	idSize        = "size"
	idFiles       = "files"
	idLicences    = "licences"
	idSetuid      = "setuid"
	idSecrets     = "secrets"
	idCVE         = "vulnerability_scan"
)

// step is one check: its id and what answers it.
type step struct {
	id  string
	run func() CheckResult
}

// steps lists every check after image_exists and image_intact, in the order of the report.
func (c *checker) steps() []step {
	list := []step{
		{idPlatform, c.checkPlatform}, {idLineage, c.checkLineage}, {idUser, c.checkUser}, {idWorkdir, c.checkWorkdir},
		{idEntrypoint, c.checkEntrypoint},
	}
	for _, rule := range c.opts.Policy.Env {
		list = append(list, step{"env_" + rule.Name, func() CheckResult { return c.checkEnv(rule) }})
	}
	list = append(list, step{idEnvironment, c.checkEnvironment})
	for _, r := range c.required {
		list = append(list, step{"pkg_" + r.Name, func() CheckResult { return c.checkRequired(r) }})
	}
	for _, r := range c.forbidden {
		list = append(list, step{"forbidden_" + r.Name, func() CheckResult { return c.checkForbidden(r) }})
	}
	list = append(list, step{idHealth, c.checkHealth}, step{idStrict, c.checkStrict})
	for _, rule := range c.opts.Policy.Scripts {
		list = append(list, step{"script_" + rule.Name, func() CheckResult { return c.checkScript(rule) }})
	}
	list = append(list, c.gpuSteps()...)
	list = append(list, c.policySteps()...)
	return append(list, step{idSetuid, c.checkSetuid}, step{idSecrets, c.checkSecrets}, step{idCVE, c.checkVulnerabilities})
}

// judge runs every check, also after one has failed.
func (c *checker) judge() {
	c.add(idExists, pass("image %s was opened", c.opts.Ref))
	c.add(idIntact, c.checkIntact())
	wrong := false
	for _, s := range c.steps() {
		if wrong {
			c.add(s.id, skip("the image is for another platform"))
			continue
		}
		c.add(s.id, c.answer(s))
		wrong = s.id == idPlatform && c.tree == nil
	}
	if c.envs != nil {
		c.report.Environments = c.envs
	}
}

// checkIntact says how much of the layers was verified; what does not decode never gets here.
func (c *checker) checkIntact() CheckResult {
	layers := len(c.config.RootFS.DiffIDs)
	if c.trusted > 0 {
		return found(Warn, "check once without --trust-layers", "%d layers decode; %d of them were taken on trust and not compared with their diffIDs", layers, c.trusted)
	}
	return pass("%d layers decode and have their diffIDs", layers)
}

// answer runs a check, unless the policy switches it off.
func (c *checker) answer(s step) CheckResult {
	if level, ok := c.opts.Policy.level(s.id); ok && level == Skip {
		return skip("policy %s switches this check off", c.opts.Policy.Name)
	}
	return s.run()
}

// add books a result, at the level that the policy gives to the check.
func (c *checker) add(id string, r CheckResult) {
	r.ID = id
	if level, ok := c.opts.Policy.level(id); ok && (r.Status == Fail || r.Status == Warn) {
		r.Status = level
	}
	c.report.Checks = append(c.report.Checks, r)
}

// unreadable fills the report of an image that cannot be judged.
func (c *checker) unreadable(err error) {
	kind, check := errorKind(err)
	message := errs.MessageOf(err)
	c.report.Error = &ErrorInfo{Kind: kind, Message: message}
	if bad, ok := errors.AsType[*layer.Failure](err); ok {
		c.report.Error.Layer = &bad.DiffID
	}
	failed := CheckResult{Status: Fail, Message: message, Remedy: remedyFor(kind)}
	if check == idExists {
		c.add(idExists, failed)
		c.add(idIntact, skip("the image could not be opened"))
	} else {
		c.add(idExists, pass("image %s was opened", c.opts.Ref))
		c.add(idIntact, failed)
	}
	for _, s := range c.steps() {
		c.add(s.id, skip("the image could not be read"))
	}
}

// errorKind translates the code of an error into the report's word for it, and names the check that fails.
func errorKind(err error) (kind, check string) {
	switch errs.CodeOf(err) {
	case errs.NotFound:
		return "not_found", idExists
	case errs.Unauthenticated, errs.Denied:
		return "unauthorized", idExists
	case errs.Conflict:
		return "ambiguous", idExists
	case errs.Unavailable, errs.Timeout:
		return "unreachable", idExists
	case errs.Exhausted:
		return "limit", idIntact
	case errs.Unsupported:
		return "unsupported", idIntact
	}
	return "corrupt", idIntact
}

func remedyFor(kind string) string {
	switch kind {
	case "not_found":
		return "check the name and the tag, or pull the image first"
	case "unauthorized":
		return "log in first: docker login HOST"
	case "unreachable":
		return "check that the registry or the daemon is running and reachable"
	case "ambiguous":
		return "name one of the images"
	case "limit":
		return "make the layer smaller, or raise --max-unpacked"
	case "unsupported":
		return "build and push the image again with all its layers"
	}
	return "build or push the image again; the stored copy is damaged"
}

func pass(format string, args ...any) CheckResult {
	return CheckResult{Status: Pass, Message: fmt.Sprintf(format, args...)}
}

func skip(format string, args ...any) CheckResult {
	return CheckResult{Status: Skip, Message: fmt.Sprintf(format, args...)}
}

// found is a fail or a warn.
func found(s Status, remedy, format string, args ...any) CheckResult {
	return CheckResult{Status: s, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

// evidence points at a place in the image.
func (c *checker) evidence(layerIndex int, path, detail string) Evidence {
	e := Evidence{Detail: detail}
	if path != "" {
		e.Path = &path
	}
	if layerIndex >= 0 && layerIndex < len(c.config.RootFS.DiffIDs) {
		e.Layer = &c.config.RootFS.DiffIDs[layerIndex]
	}
	return e
}
