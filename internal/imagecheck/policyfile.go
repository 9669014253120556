// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/pep440"
	"firn.dev/firn/internal/imagecheck/pep508"
	"firn.dev/firn/internal/imagecheck/vulndb"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// policyFile is a policy as a team writes it. examples/policy/team.yaml shows every key.
type policyFile struct {
	Version    int                `yaml:"version"`
	Name       string             `yaml:"name"`
	Extends    string             `yaml:"extends"`
	Platform   string             `yaml:"platform"`
	Entrypoint string             `yaml:"entrypoint"`
	Env        map[string]*string `yaml:"env"`
	Labels     map[string]*string `yaml:"labels"`
	MaxSize    string             `yaml:"max_size"`
	User       struct {
		Root string `yaml:"root"`
	} `yaml:"user"`
	Packages struct {
		Required  []string `yaml:"required"`
		Forbidden []string `yaml:"forbidden"`
	} `yaml:"packages"`
	Scripts map[string]string `yaml:"scripts"`
	Files   struct {
		Forbidden []string `yaml:"forbidden"`
		Setuid    []string `yaml:"setuid_allowed"`
	} `yaml:"files"`
	Licences struct {
		Allow   []string `yaml:"allow"`
		Deny    []string `yaml:"deny"`
		Ignore  []string `yaml:"ignore"`
		Unknown string   `yaml:"unknown"`
	} `yaml:"licences"`
	Ignore []struct {
		Package string `yaml:"package"`
		Reason  string `yaml:"reason"`
	} `yaml:"ignore"`
	Vulnerabilities struct {
		FailOn string `yaml:"fail_on"`
		Ignore []struct {
			ID      string `yaml:"id"`
			Reason  string `yaml:"reason"`
			Expires string `yaml:"expires"`
		} `yaml:"ignore"`
	} `yaml:"vulnerabilities"`
	Bases []struct {
		Name   string   `yaml:"name"`
		Layers []string `yaml:"layers"`
	} `yaml:"bases"`
	Checks map[string]string `yaml:"checks"`
}

// ParsePolicy reads a policy file. name is the file's, for messages. What the file leaves out comes from the policy that it
// extends, PolicyDefault unless it says otherwise: lists add, maps merge, scalars replace.
//
// Errors: Invalid, with file, line and key.
func ParsePolicy(name string, data []byte) (Policy, error) {
	y := &policyYAML{file: name}
	var f policyFile
	if err := y.decode(data, &f); err != nil {
		return Policy{}, err
	}
	base, err := y.base(f)
	if err != nil {
		return Policy{}, err
	}
	for _, check := range []func(policyFile) error{y.checkScalars, y.checkPackages, y.checkLists, y.checkBases} {
		if err := check(f); err != nil {
			return Policy{}, err
		}
	}
	p := base.extended(f)
	if p.Name = f.Name; p.Name == "" {
		p.Name = strings.TrimSuffix(path.Base(name), path.Ext(name))
	}
	return p, y.checkLevels(f, p)
}

// base gives the policy that a file builds on.
func (y *policyYAML) base(f policyFile) (Policy, error) {
	if f.Version != 1 {
		return Policy{}, y.errorAt([]any{"version"}, "this Firn reads version 1: write version: 1")
	}
	switch f.Extends {
	case "none":
		return Policy{Platform: "linux/amd64"}, nil
	case "":
		return Builtin(PolicyDefault)
	case PolicyDefault, PolicySnowCLI:
		return Builtin(f.Extends)
	}
	return Policy{}, y.errorAt([]any{"extends"}, "%q cannot be extended: there are default, snow-cli and none", f.Extends)
}

func (y *policyYAML) checkScalars(f policyFile) error {
	switch {
	case f.Platform != "" && strings.Count(f.Platform, "/") == 0:
		return y.errorAt([]any{"platform"}, "%q is not of the form os/architecture", f.Platform)
	case f.Entrypoint != "" && !path.IsAbs(f.Entrypoint):
		return y.errorAt([]any{"entrypoint"}, "%q is no absolute path", f.Entrypoint)
	case !slices.Contains([]string{"", string(RootForbidden), string(RootRequired)}, f.User.Root):
		return y.errorAt([]any{"user", "root"}, "%q is neither forbidden nor required", f.User.Root)
	case !slices.Contains([]string{"", "pass", "warn", "fail"}, f.Licences.Unknown):
		return y.errorAt([]any{"licences", "unknown"}, "%q is none of pass, warn and fail", f.Licences.Unknown)
	}
	if _, known := vulndb.ParseSeverity(f.Vulnerabilities.FailOn); f.Vulnerabilities.FailOn != "" && !known {
		return y.errorAt([]any{"vulnerabilities", "fail_on"}, "%q is none of low, medium, high and critical", f.Vulnerabilities.FailOn)
	}
	if f.MaxSize != "" {
		if _, err := ParseSize(f.MaxSize); err != nil {
			return y.errorAt([]any{"max_size"}, "%s", errs.MessageOf(err))
		}
	}
	return nil
}

func (y *policyYAML) checkPackages(f policyFile) error {
	for key, list := range map[string][]string{"required": f.Packages.Required, "forbidden": f.Packages.Forbidden} {
		for i, text := range list {
			if _, err := pep508.Parse(text, pep440.RulesParsed); err != nil {
				return y.errorAt([]any{"packages", key, i}, "%s", errs.MessageOf(err))
			}
		}
	}
	for i, rule := range f.Ignore {
		if rule.Package == "" || rule.Reason == "" {
			return y.errorAt([]any{"ignore", i}, "an entry needs package and reason")
		}
	}
	for i, rule := range f.Vulnerabilities.Ignore {
		where := []any{"vulnerabilities", "ignore", i}
		if rule.ID == "" || rule.Reason == "" {
			return y.errorAt(where, "an entry needs id and reason")
		}
		if _, err := day(rule.Expires); err != nil {
			return y.errorAt(append(where, "expires"), "%q is no day such as 2027-01-31", rule.Expires)
		}
	}
	return nil
}

func (y *policyYAML) checkLists(f policyFile) error {
	for key, list := range map[string][]string{"forbidden": f.Files.Forbidden, "setuid_allowed": f.Files.Setuid} {
		for i, pattern := range list {
			if _, err := glob(pattern); err != nil {
				return y.errorAt([]any{"files", key, i}, "%s", errs.MessageOf(err))
			}
		}
	}
	for key, list := range map[string][]string{"allow": f.Licences.Allow, "deny": f.Licences.Deny} {
		for i, pattern := range list {
			if _, err := path.Match(pattern, ""); err != nil || strings.TrimSpace(pattern) == "" {
				return y.errorAt([]any{"licences", key, i}, "%q is no SPDX id such as MIT or GPL-*", pattern)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Scripts)) {
		if !slices.Contains([]string{"off", "warn", "fail"}, f.Scripts[name]) {
			return y.errorAt([]any{"scripts", name}, "%q is none of off, warn and fail", f.Scripts[name])
		}
	}
	return nil
}

func (y *policyYAML) checkBases(f policyFile) error {
	for i, b := range f.Bases {
		if b.Name == "" || len(b.Layers) == 0 {
			return y.errorAt([]any{"bases", i}, "a base needs name and layers")
		}
		for j, id := range b.Layers {
			if _, err := v1.NewHash(id); err != nil {
				return y.errorAt([]any{"bases", i, "layers", j}, "%.100q is no diffID such as sha256:...", id)
			}
		}
	}
	return nil
}

// checkLevels wants every key of checks to mean at least one check of the finished policy.
func (y *policyYAML) checkLevels(f policyFile, p Policy) error {
	c, err := newChecker(Options{Policy: p})
	if err != nil {
		return y.errorAt([]any{"packages"}, "%s", errs.MessageOf(err))
	}
	var ids []string
	for _, s := range c.steps() {
		ids = append(ids, s.id)
	}
	for _, pattern := range slices.Sorted(maps.Keys(f.Checks)) {
		where := []any{"checks", pattern}
		fits := func(id string) bool {
			ok, err := path.Match(pattern, id)
			return err == nil && ok || id == pattern
		}
		switch {
		case fits(idExists) || fits(idIntact):
			return y.errorAt(where, "image_exists and image_intact cannot be changed")
		case !slices.ContainsFunc(ids, fits):
			return y.errorAt(where, "no check has that name%s", didYouMean(pattern, ids))
		case !slices.Contains([]string{"off", "warn", "fail"}, f.Checks[pattern]):
			return y.errorAt(where, "%q is none of off, warn and fail", f.Checks[pattern])
		}
	}
	return nil
}

// extended gives p with what a file adds. The file was checked.
func (p Policy) extended(f policyFile) Policy {
	p.Source = "file"
	p.Platform = cmp.Or(f.Platform, p.Platform)
	p.Entrypoint = cmp.Or(f.Entrypoint, p.Entrypoint)
	p.Env, p.Labels = mergeRules(p.Env, f.Env), mergeRules(p.Labels, f.Labels)
	p.Root = RootRule(f.User.Root)
	p.MaxSize, _ = ParseSize(f.MaxSize)
	p.Required = append(slices.Clone(p.Required), f.Packages.Required...)
	p.Forbidden = append(slices.Clone(p.Forbidden), f.Packages.Forbidden...)
	p.ForbiddenFiles, p.SetuidAllowed = f.Files.Forbidden, f.Files.Setuid
	p.Licences = LicenceRules{Allow: f.Licences.Allow, Deny: f.Licences.Deny, Unknown: Status(f.Licences.Unknown)}
	for _, name := range f.Licences.Ignore {
		p.Licences.Ignore = append(p.Licences.Ignore, pep508.Canonical(name))
	}
	if p.Licences.Unknown == "" && p.Licences.asked() {
		p.Licences.Unknown = Warn
	}
	for _, name := range slices.Sorted(maps.Keys(f.Scripts)) {
		p.Scripts = slices.DeleteFunc(slices.Clone(p.Scripts), func(r ScriptRule) bool { return r.Name == name })
		if level := f.Scripts[name]; level != "off" {
			p.Scripts = append(p.Scripts, ScriptRule{Name: name, OnMissing: Status(level)})
		}
	}
	p.Ignore = slices.Clone(p.Ignore)
	for _, rule := range f.Ignore {
		p.Ignore = append(p.Ignore, IgnoreRule{Package: pep508.Canonical(rule.Package), Reason: rule.Reason})
	}
	p.Vulnerabilities.FailOn, _ = vulndb.ParseSeverity(f.Vulnerabilities.FailOn)
	for _, rule := range f.Vulnerabilities.Ignore {
		expires, _ := day(rule.Expires)
		p.Vulnerabilities.Ignore = append(p.Vulnerabilities.Ignore, VulnIgnore{ID: rule.ID, Reason: rule.Reason, Expires: expires})
	}
	for _, b := range f.Bases {
		p.Bases = append(p.Bases, Base{Ref: b.Name, Name: b.Name, Layers: b.Layers})
	}
	for pattern, level := range f.Checks {
		if p.Levels == nil {
			p.Levels = map[string]Status{}
		}
		p.Levels[pattern] = map[string]Status{"off": Skip, "warn": Warn, "fail": Fail}[level]
	}
	return p
}

// mergeRules replaces rules of a name and adds the others by name.
func mergeRules(rules []EnvRule, file map[string]*string) []EnvRule {
	rules = slices.Clone(rules)
	for _, name := range slices.Sorted(maps.Keys(file)) {
		rule := EnvRule{Name: name, Value: file[name]}
		if i := slices.IndexFunc(rules, func(r EnvRule) bool { return r.Name == name }); i >= 0 {
			rules[i] = rule
			continue
		}
		rules = append(rules, rule)
	}
	return rules
}

// day reads a date, "" as the zero time.
func day(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.DateOnly, text)
}
