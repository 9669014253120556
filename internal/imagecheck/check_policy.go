// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"firn.dev/firn/internal/imagecheck/layer"
	"firn.dev/firn/internal/imagecheck/licence"
	"firn.dev/firn/internal/imagecheck/pep508"
)

// policySteps are the checks that only policy files ask for.
func (c *checker) policySteps() []step {
	var list []step
	for _, rule := range c.opts.Policy.Labels {
		list = append(list, step{"label_" + rule.Name, func() CheckResult { return c.checkLabel(rule) }})
	}
	if c.opts.Policy.MaxSize > 0 {
		list = append(list, step{idSize, c.checkSize})
	}
	if len(c.opts.Policy.ForbiddenFiles) > 0 {
		list = append(list, step{idFiles, c.checkForbiddenFiles})
	}
	if c.opts.Policy.Licences.asked() {
		list = append(list, step{idLicences, c.checkLicences})
	}
	return list
}

func (c *checker) checkLabel(rule EnvRule) CheckResult {
	have, ok := c.config.Config.Labels[rule.Name]
	switch {
	case !ok && rule.Value == nil:
		return found(Fail, fmt.Sprintf("LABEL %s=VALUE", rule.Name), "label %s is not set", rule.Name)
	case !ok:
		return found(Fail, fmt.Sprintf("LABEL %s=%q", rule.Name, *rule.Value), "label %s is not set", rule.Name)
	case rule.Value != nil && have != *rule.Value:
		return found(Fail, fmt.Sprintf("LABEL %s=%q", rule.Name, *rule.Value), "label %s is %q, want %q", rule.Name, have, *rule.Value)
	}
	return pass("label %s is %q", rule.Name, have)
}

// checkRoot judges the user that the container runs as.
func (c *checker) checkRoot() (CheckResult, bool) {
	root := c.account.uid == 0
	switch {
	case c.opts.Policy.Root == RootForbidden && root:
		return found(Fail, "RUN useradd --create-home app, then USER app", "the container runs as root, which policy %s forbids", c.opts.Policy.Name), true
	case c.opts.Policy.Root == RootRequired && !root:
		return found(Fail, "USER root", "the container runs as %s, but policy %s wants root", c.userName(), c.opts.Policy.Name), true
	}
	return CheckResult{}, false
}

func (c *checker) checkSize() CheckResult {
	limit, total := c.opts.Policy.MaxSize, c.unpackedSize()
	if total <= limit {
		return pass("image unpacks to %s, at most %s are allowed", sizeText(total), sizeText(limit))
	}
	r := found(Fail, "remove what the largest layers add: firn image diff BASE IMAGE lists it",
		"image unpacks to %s, at most %s are allowed", sizeText(total), sizeText(limit))
	order := make([]int, len(c.tree.Scans))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(layerSize(c.tree.Scans[b]), layerSize(c.tree.Scans[a])) })
	for _, i := range order[:min(len(order), listed)] {
		detail := sizeText(layerSize(c.tree.Scans[i]))
		if by := c.report.Image.Layers[i].CreatedBy; by != nil {
			detail += ": " + *by
		}
		r.Evidence = append(r.Evidence, c.evidence(i, "", detail))
	}
	return r
}

// unpackedSize sums the layers, of those that were never seen as a tar the files in them.
func (c *checker) unpackedSize() int64 {
	total := int64(0)
	for _, s := range c.tree.Scans {
		total += layerSize(s)
	}
	return total
}

func layerSize(s *layer.Scan) int64 {
	if s.UnpackedSize >= 0 {
		return s.UnpackedSize
	}
	total := int64(0)
	for i := range s.Entries {
		total += s.Entries[i].Size
	}
	return total
}

// checkForbiddenFiles looks into every layer, because a file that a later layer deletes is still shipped.
func (c *checker) checkForbiddenFiles() CheckResult {
	var places []string
	var evidence []Evidence
	for i, s := range c.tree.Scans {
		for j := range s.Entries {
			p := "/" + s.Entries[j].Path
			for k, re := range c.forbiddenFiles {
				if re.MatchString(p) {
					places = append(places, p)
					evidence = append(evidence, c.evidence(i, p, "fits "+c.opts.Policy.ForbiddenFiles[k]))
					break
				}
			}
		}
	}
	if len(places) == 0 {
		return pass("no layer has a file that policy %s forbids", c.opts.Policy.Name)
	}
	r := found(Fail, "remove them from the step that adds them; deleting them in a later step still ships them",
		"%d files that policy %s forbids: %s", len(places), c.opts.Policy.Name, summary(places))
	r.Evidence = evidence[:min(len(evidence), evidenceMax)]
	return r
}

// checkLicences judges the licence that each package of the primary environment claims.
func (c *checker) checkLicences() CheckResult {
	env := c.primary()
	if env == nil {
		return skip(noPython)
	}
	rules := c.opts.Policy.Licences
	var refused, unknown []string
	var evidence []Evidence
	for _, p := range env.Packages {
		if slices.Contains(rules.Ignore, p.Name) {
			continue
		}
		name, at := p.Name+" "+p.Version, p.Path
		expression := env.Licence(p.Name)
		allowed, err := licence.Allowed(expression, rules.allowed)
		switch {
		case err != nil:
			unknown = append(unknown, name)
			if rules.Unknown != Pass {
				evidence = append(evidence, Evidence{Path: &at, Detail: name + " names no licence that is known"})
			}
		case !allowed:
			refused = append(refused, name+" ("+expression+")")
			evidence = append(evidence, Evidence{Path: &at, Detail: name + " is licensed under " + expression})
		}
	}
	remedy := "remove the packages, or add them to licences.ignore of policy " + c.opts.Policy.Name + " with whoever owns it"
	r := pass("the licences of %d packages are allowed", len(env.Packages)-len(unknown))
	switch {
	case len(refused) > 0:
		r = found(Fail, remedy, "%d packages with a licence that policy %s does not allow: %s", len(refused), c.opts.Policy.Name, summary(refused))
	case len(unknown) > 0 && rules.Unknown != Pass:
		r = found(rules.Unknown, remedy, "%d packages without a licence that is known: %s", len(unknown), summary(unknown))
	}
	r.Evidence = evidence[:min(len(evidence), evidenceMax)]
	return r
}

// allowed judges one SPDX id.
func (l LicenceRules) allowed(id string) bool {
	fits := func(pattern string) bool { ok, err := path.Match(pattern, id); return err == nil && ok }
	return !slices.ContainsFunc(l.Deny, fits) && (len(l.Allow) == 0 || slices.ContainsFunc(l.Allow, fits))
}

// joinRequirements makes one requirement of several of the same package: one check per id.
func joinRequirements(list []pep508.Requirement) []pep508.Requirement {
	var joined []pep508.Requirement
	for _, r := range list {
		i := slices.IndexFunc(joined, func(o pep508.Requirement) bool { return pep508.Canonical(o.Name) == pep508.Canonical(r.Name) })
		if i < 0 {
			joined = append(joined, r)
			continue
		}
		joined[i].Extras = slices.Compact(slices.Sorted(slices.Values(slices.Concat(joined[i].Extras, r.Extras))))
		joined[i].Specifier = slices.Concat(joined[i].Specifier, r.Specifier)
	}
	return joined
}
