// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"fmt"
	"path"
	"strings"

	"firn.dev/firn/internal/imagecheck/pep440"
	"firn.dev/firn/internal/imagecheck/pep508"
	"firn.dev/firn/internal/imagecheck/python"
)

// primary gives the environment of the first python on PATH, nil when there is none.
func (c *checker) primary() *python.Environment {
	if len(c.envs) > 0 && c.envs[0].Primary {
		return c.envs[0]
	}
	return nil
}

func canonicalNames(list []pep508.Requirement) []string {
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = pep508.Canonical(r.Name)
	}
	return names
}

const noPython = "no python3 or python is on PATH"

func (c *checker) checkEnvironment() CheckResult {
	env := c.primary()
	if env == nil {
		return found(Fail, "FROM a base image with Python, or put its bin directory on PATH with ENV PATH=...", noPython)
	}
	if at := env.Dies(); at != "" {
		r := found(Fail, "RUN rm "+at+", or write it in UTF-8", "%s ends with a UnicodeDecodeError at %s whenever it starts", env.Python, at)
		r.Evidence = []Evidence{{Path: &at, Detail: "not decodable in the locale of the image"}}
		return r
	}
	if pip := c.onPath("pip"); pip != "" {
		if other := c.environmentOfScript(pip); other != nil && other != env {
			return found(Warn, "ENV PATH="+path.Dir(env.Python)+":$PATH",
				"%s installs into %s, but %s runs with %s", pip, other.Prefix, env.Python, env.Prefix)
		}
	}
	return pass("%s is Python %s (%s environment %s, %d packages)", env.Python, env.PythonVersion, env.Kind, env.Prefix, len(env.Packages))
}

// environmentOfScript follows the "#!" line of a script to its environment, nil when that is not known.
func (c *checker) environmentOfScript(p string) *python.Environment {
	_, n, err := c.tree.Resolve(p)
	if err != nil || !strings.HasPrefix(string(n.Body), "#!") {
		return nil
	}
	interpreter, argument := shebang(n.Body)
	if name := envProgram(interpreter, argument); name != "" {
		interpreter = c.onPath(name)
	}
	prefix := path.Dir(path.Dir(interpreter))
	resolved, _, err := c.tree.Resolve(interpreter)
	for _, env := range c.envs {
		if env.Prefix == prefix {
			return env
		}
	}
	for _, env := range c.envs {
		if err == nil && env.Prefix == path.Dir(path.Dir(resolved)) {
			return env
		}
	}
	return nil
}

func (c *checker) checkRequired(r pep508.Requirement) CheckResult {
	env := c.primary()
	if env == nil {
		return found(Fail, "install Python first", "package %s: %s", r, noPython)
	}
	remedy := "RUN " + env.InstallCommand(r.String())
	p, ok := env.Installed(pep508.Canonical(r.Name))
	if !ok {
		return found(Fail, remedy, "package %s is not installed in %s", r.Name, env.Prefix)
	}
	here := Evidence{Path: &p.Path, Detail: p.RawName + " " + p.Version}
	if p.Layer != "" {
		here.Layer = &p.Layer
	}
	if !r.Specifier.Contains(pep440.ParseLegacy(p.Version).Normal(), pep440.RulesParsed) {
		res := found(Fail, remedy, "package %s is %s, want %s", r.Name, p.Version, r.Specifier)
		res.Evidence = []Evidence{here}
		return res
	}
	for _, extra := range r.Extras {
		unmet, known := env.UnmetExtra(p.Name, extra)
		if len(unmet) == 0 && known {
			continue
		}
		reason := "needs " + summary(unmet)
		if !known {
			reason = "is not an extra of this version"
		}
		res := found(Fail, remedy, "package %s %s: extra [%s] %s", r.Name, p.Version, extra, reason)
		res.Evidence = []Evidence{here}
		return res
	}
	return pass("package %s %s is installed", r.Name, p.Version)
}

func (c *checker) checkForbidden(r pep508.Requirement) CheckResult {
	env := c.primary()
	if env == nil {
		return pass("package %s: %s", r.Name, noPython)
	}
	p, ok := env.Installed(pep508.Canonical(r.Name))
	if !ok || !r.Specifier.Contains(pep440.ParseLegacy(p.Version).Normal(), pep440.RulesParsed) {
		return pass("package %s is not installed", r)
	}
	res := found(Fail, "RUN pip uninstall -y "+p.Name, "package %s %s is forbidden by policy %s", r.Name, p.Version, c.opts.Policy.Name)
	res.Evidence = []Evidence{{Path: &p.Path, Detail: p.RawName + " " + p.Version}}
	return res
}

func (c *checker) checkHealth() CheckResult {
	env := c.primary()
	if env == nil {
		return skip(noPython)
	}
	pip := "pip check"
	if env.Pip.Version != nil {
		pip = "pip check of pip " + *env.Pip.Version
	}
	if at := env.PipDies(); at != "" {
		remedy := "RUN rm -r " + at + " and install the package again"
		if at == env.Dies() {
			remedy = "RUN rm " + at + ", or write it in UTF-8"
		}
		r := found(Fail, remedy, "%s ends with a traceback at %s", pip, at)
		r.Evidence = []Evidence{{Path: &at, Detail: "unreadable metadata"}}
		return r
	}
	problems, ignored := c.pipProblems(env)
	if len(problems) == 0 {
		if len(ignored) > 0 {
			return pass("%s: no broken requirements, %d ignored by the policy", pip, len(ignored))
		}
		return pass("%s: no broken requirements in %d packages", pip, len(env.Packages))
	}
	texts := make([]string, len(problems))
	r := CheckResult{Status: Fail, Remedy: c.fixLine(env)}
	for i, p := range problems {
		texts[i] = problemText(p)
		if len(r.Evidence) < evidenceMax {
			r.Evidence = append(r.Evidence, Evidence{Path: &p.Path, Detail: texts[i]})
		}
	}
	r.Message = fmt.Sprintf("%s finds %d broken requirements: %s", pip, len(problems), summary(texts))
	return r
}

// pipProblems gives the findings of the pip column, those that the policy excuses apart.
func (c *checker) pipProblems(env *python.Environment) (broken, ignored []python.Problem) {
	for _, p := range env.Problems {
		switch {
		case !p.InPip():
		case p.IgnoredBy != nil:
			ignored = append(ignored, p)
		default:
			broken = append(broken, p)
		}
	}
	return broken, ignored
}

// fixLine gives the command that cures what can be cured, and names the first dependency that cannot.
func (c *checker) fixLine(env *python.Environment) string {
	var parts []string
	if env.Fix != nil && env.Fix.Command != nil {
		parts = append(parts, "RUN "+*env.Fix.Command)
	}
	if env.Fix != nil && len(env.Fix.Unsatisfiable) > 0 {
		u := env.Fix.Unsatisfiable[0]
		var asks []string
		for _, r := range u.Requirers {
			asks = append(asks, r.Package+" "+r.Version+" wants "+r.Requirement)
		}
		parts = append(parts, "no version of "+u.Dependency+" suits all, so change or remove one of these: "+summary(asks))
	}
	if len(parts) == 0 {
		return "reinstall the packages named here"
	}
	return strings.Join(parts, "; ")
}

func (c *checker) checkStrict() CheckResult {
	env := c.primary()
	if env == nil {
		return skip(noPython)
	}
	var texts []string
	r := CheckResult{Status: Warn, Remedy: c.fixLine(env)}
	for _, p := range env.Problems {
		if p.InPip() || p.IgnoredBy != nil {
			continue
		}
		texts = append(texts, problemText(p))
		if len(r.Evidence) < evidenceMax {
			r.Evidence = append(r.Evidence, Evidence{Path: &p.Path, Detail: texts[len(texts)-1]})
		}
	}
	if len(texts) == 0 {
		return pass("nothing that pip check would miss")
	}
	r.Message = fmt.Sprintf("%d problems that pip check misses: %s", len(texts), summary(texts))
	return r
}

// problemText says one problem in words.
func problemText(p python.Problem) string {
	text := func(s *string) string {
		if s == nil {
			return "?"
		}
		return *s
	}
	who := strings.TrimSpace(p.Package + " " + strings.TrimPrefix(text(p.Version), "?"))
	switch p.Kind {
	case "missing":
		return fmt.Sprintf("%s requires %s, which is not installed", who, text(p.Requirement))
	case "conflict":
		return fmt.Sprintf("%s requires %s, but %s %s is installed", who, text(p.Requirement), text(p.Dependency), text(p.Installed))
	case "extra_missing":
		return fmt.Sprintf("%s requires %s, whose extra needs %s", who, text(p.Requirement), text(p.Dependency))
	case "requires_python":
		return fmt.Sprintf("%s requires Python %s, but this is %s", who, text(p.Requirement), text(p.Installed))
	case "unsupported_tag":
		return who + " was built for another platform or Python"
	case "undecidable":
		return fmt.Sprintf("%s: whether %s applies cannot be told from the image", who, text(p.Requirement))
	case "duplicate":
		return fmt.Sprintf("%s is installed twice in one directory (%s)", who, p.Path)
	case "orphan":
		return fmt.Sprintf("%s is the leftover of an interrupted pip", p.Path)
	case "invalid_requirement":
		return fmt.Sprintf("%s has a requirement that cannot be read: %s", who, text(p.Requirement))
	}
	return fmt.Sprintf("%s has %s (%s)", who, strings.ReplaceAll(p.Kind, "_", " "), p.Path)
}
