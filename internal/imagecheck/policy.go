// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/vulndb"
)

// Policy is what an image must have. It is data: see Builtin for the two that ship.
type Policy struct {
	Name       string            `json:"name"`
	Source     string            `json:"-"` // "builtin", "file" or "account"
	Platform   string            `json:"platform"`
	Entrypoint string            `json:"entrypoint"`
	Env        []EnvRule         `json:"env"`
	Required   []string          `json:"required"`  // PEP 508
	Forbidden  []string          `json:"forbidden"` // PEP 508
	Scripts    []ScriptRule      `json:"scripts"`
	Ignore     []IgnoreRule      `json:"ignore"`
	Levels     map[string]Status `json:"levels,omitempty"` // check id or glob of ids -> the status that a fail or warn of it becomes; Skip: it is not run

	// What only policy files ask for; the zero values ask for nothing.
	Labels         []EnvRule    `json:"labels,omitempty"`
	Root           RootRule     `json:"root,omitempty"`
	MaxSize        int64        `json:"max_size,omitempty"`        // unpacked bytes of all layers; 0: any
	ForbiddenFiles []string     `json:"forbidden_files,omitempty"` // globs, see glob
	SetuidAllowed  []string     `json:"setuid_allowed,omitempty"`  // globs
	Licences       LicenceRules `json:"licences,omitzero"`
	Bases          []Base       `json:"bases,omitempty"` // approved bases, besides those of Options

	Vulnerabilities VulnRules `json:"vulnerabilities,omitzero"`
}

// VulnRules says how a vulnerability scan is judged. With FailOn a scan must be made.
type VulnRules struct {
	FailOn vulndb.Severity `json:"fail_on,omitempty"` // a finding at least as bad fails the check; "" makes every finding a warning
	Ignore []VulnIgnore    `json:"ignore"`
}

// VulnIgnore excuses one vulnerability, by its id or any of its aliases.
type VulnIgnore struct {
	ID      string    `json:"id"`
	Reason  string    `json:"reason"`
	Expires time.Time `json:"expires,omitzero"` // midnight (UTC) at the start of the last day on which it holds; zero: for ever
}

// RootRule says whether the container may, or must, run as root.
type RootRule string

// The rules on root. "" accepts any user.
const (
	RootForbidden RootRule = "forbidden"
	RootRequired  RootRule = "required"
)

// LicenceRules judge what the packages of the primary environment are licensed under, by SPDX ids or globs of them. An empty Allow
// allows all that Deny does not name.
type LicenceRules struct {
	Allow   []string `json:"allow"`
	Deny    []string `json:"deny"`
	Ignore  []string `json:"ignore"`  // packages that are not judged
	Unknown Status   `json:"unknown"` // what a package without a readable licence is: Pass, Warn or Fail
}

// asked tells whether there is anything to judge.
func (l LicenceRules) asked() bool { return len(l.Allow)+len(l.Deny) > 0 || l.Unknown == Fail }

// level gives the status that the policy sets for a check: by its id, else by the longest glob that fits it.
func (p Policy) level(id string) (Status, bool) {
	if level, ok := p.Levels[id]; ok {
		return level, true
	}
	best := ""
	for _, pattern := range slices.Sorted(maps.Keys(p.Levels)) {
		if ok, err := path.Match(pattern, id); err == nil && ok && len(pattern) > len(best) {
			best = pattern
		}
	}
	return p.Levels[best], best != ""
}

// EnvRule is one wanted environment variable, or label. Value nil accepts any.
type EnvRule struct {
	Name  string  `json:"name"`
	Value *string `json:"value"`
}

// ScriptRule is one wanted program, relative to WORKDIR; OnMissing is Fail or Warn.
type ScriptRule struct {
	Name      string `json:"name"`
	OnMissing Status `json:"on_missing"`
}

// IgnoreRule excuses dependency problems of a package: those where the package or the dependency has exactly that name, or, with
// Substring, those whose line of pip check contains the text in any case.
type IgnoreRule struct {
	Package   string `json:"package"`
	Substring bool   `json:"substring"`
	Reason    string `json:"reason"`
}

// The names of the built-in policies.
const (
	PolicyDefault = "default"
	PolicySnowCLI = "snow-cli"
)

// Builtin gives one of the policies that ship: PolicyDefault is what the documentation of custom runtime environments asks for,
// PolicySnowCLI what `snow custom-image validate` asks for.
//
// Errors: NotFound, naming those there are.
func Builtin(name string) (Policy, error) {
	port := "12003"
	p := Policy{
		Name: name, Source: "builtin", Platform: "linux/amd64", Entrypoint: "/usr/local/bin/entrypoint.sh",
		Env:     []EnvRule{{Name: "DASHBOARD_PORT", Value: &port}},
		Scripts: []ScriptRule{{Name: "start_nbctl.sh", OnMissing: Warn}},
		Ignore:  []IgnoreRule{{Package: "jupyter-lsp", Reason: "removed from the official base on purpose"}},
	}
	switch name {
	case PolicyDefault:
		p.Required = strings.Fields("snowflake-ml-python snowflake-snowpark-python[pandas] ray jupyter-server notebook ipykernel ipython sqlparse jinja2 psutil")
	case PolicySnowCLI:
		p.Required = strings.Fields("ipykernel sqlparse jinja2 notebook ipython psutil snowflake-snowpark-python jupyter-server ray " +
			"lightgbm-ray xgboost-ray snowflake snowflake.core snowflake-connector-python snowflake-ml-python")
		p.Scripts[0].OnMissing = Fail
		p.Ignore[0].Substring = true
	default:
		return Policy{}, errs.New(errs.NotFound, "policy %q does not exist: there are %s and %s", name, PolicyDefault, PolicySnowCLI)
	}
	return p, nil
}

// Sum is the fingerprint of the policy's content, hex. Two policies that ask for the same under the same name have the same.
func (p Policy) Sum() string {
	data, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

// ignore gives the rule that excuses a problem, "" for none.
func (p Policy) ignore(pkg, dependency, line string) string {
	for _, rule := range p.Ignore {
		name := rule.Package
		switch {
		case rule.Substring && line != "" && strings.Contains(strings.ToLower(line), strings.ToLower(name)),
			!rule.Substring && (pkg == name || dependency == name),
			rule.Substring && line == "" && (strings.Contains(pkg, name) || strings.Contains(dependency, name)):
			return name
		}
	}
	return ""
}
