// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"firn.dev/firn/internal/imagecheck/layer"
)

func (c *checker) checkEntrypoint() CheckResult {
	want := c.opts.Policy.Entrypoint
	line := fmt.Sprintf("ENTRYPOINT [%q]", want)
	have := []string(c.config.Config.Entrypoint)
	switch {
	case want == "":
		return skip("policy %s names no entrypoint", c.opts.Policy.Name)
	case len(have) == 0:
		return found(Fail, line, "ENTRYPOINT is not set, want %s", want)
	case have[0] != want:
		return found(Fail, line, "ENTRYPOINT is %q, want %q", have, []string{want})
	}
	if f := c.startable(want); f != nil {
		r := found(Fail, f.remedy, "ENTRYPOINT %s: %s", want, f.reason)
		r.Evidence = f.evidence
		return r
	}
	if len(have) > 1 {
		return found(Warn, line, "ENTRYPOINT has %d extra elements: %q", len(have)-1, have[1:])
	}
	return pass("ENTRYPOINT is %s and can be started", want)
}

func (c *checker) checkScript(rule ScriptRule) CheckResult {
	dir := c.config.workDir()
	if !strings.HasPrefix(dir, "/") {
		dir = "/" + dir
	}
	p := path.Join(dir, rule.Name)
	f := c.startable(p)
	if f == nil {
		return pass("%s can be started", p)
	}
	r := found(rule.OnMissing, f.remedy, "%s, needed for notebooks: %s", p, f.reason)
	r.Evidence = f.evidence
	return r
}

// listed is how many findings of a kind a message spells out; the evidence has all, up to evidenceMax.
const (
	listed      = 5
	evidenceMax = 1000
)

func (c *checker) checkSetuid() CheckResult {
	var nodes []layer.Node
	c.tree.Walk(func(n layer.Node) {
		if n.Type != layer.File || n.Mode&(layer.Setuid|layer.Setgid) == 0 {
			return
		}
		if c.base == nil || n.Layer >= len(c.base.Layers) {
			nodes = append(nodes, n)
		}
	})
	if c.base == nil {
		owned := c.ownedByDebian(nodes)
		nodes = slices.DeleteFunc(nodes, func(n layer.Node) bool { return owned["/"+n.Path] })
	}
	nodes = slices.DeleteFunc(nodes, func(n layer.Node) bool {
		return slices.ContainsFunc(c.setuidAllowed, func(re *regexp.Regexp) bool { return re.MatchString("/" + n.Path) })
	})
	if len(nodes) == 0 {
		return pass("no set-uid or set-gid program was added")
	}
	slices.SortFunc(nodes, func(a, b layer.Node) int { return cmp.Compare(a.Path, b.Path) })
	var paths []string
	var evidence []Evidence
	for _, n := range nodes {
		paths = append(paths, "/"+n.Path)
		evidence = append(evidence, c.evidence(n.Layer, "/"+n.Path, fmt.Sprintf("mode %04o, owner %d:%d", n.Mode, n.UID, n.GID)))
	}
	r := found(Warn, "RUN chmod ug-s "+strings.Join(first(paths), " "), "%d set-uid or set-gid programs were added: %s", len(paths), summary(paths))
	r.Evidence = evidence[:min(len(evidence), evidenceMax)]
	return r
}

// ownedByDebian tells which of the nodes are listed by an installed Debian package. The /usr merge makes /bin/su and /usr/bin/su
// one file under two names.
func (c *checker) ownedByDebian(nodes []layer.Node) map[string]bool {
	owned := map[string]bool{}
	for _, name := range c.tree.Children("/var/lib/dpkg/info") {
		if !strings.HasSuffix(name, ".list") {
			continue
		}
		body, _ := c.tree.Body("/var/lib/dpkg/info/" + name)
		body = append([]byte("\n"), body...)
		for _, n := range nodes {
			full := "/" + n.Path
			if bytes.Contains(body, []byte("\n"+full+"\n")) || bytes.Contains(body, []byte("\n"+strings.TrimPrefix(full, "/usr")+"\n")) {
				owned[full] = true
			}
		}
	}
	return owned
}

func first(list []string) []string { return list[:min(len(list), listed)] }

// summary joins the first few of a list and counts the rest.
func summary(list []string) string {
	text := strings.Join(first(list), "; ")
	if more := len(list) - listed; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// checkSecrets looks into every layer, because a file that a later layer deletes is still shipped.
func (c *checker) checkSecrets() CheckResult {
	var places []string
	var evidence []Evidence
	for i, s := range c.tree.Scans {
		for j := range s.Entries {
			if e := &s.Entries[j]; isCredentialFile(e) {
				places = append(places, "/"+e.Path)
				evidence = append(evidence, c.evidence(i, "/"+e.Path, "credential file"))
			}
		}
	}
	env := c.config.env()
	for _, entry := range c.config.Config.Env {
		name, _, _ := strings.Cut(entry, "=")
		if env[name] != "" && isCredentialName(name) {
			places = append(places, "ENV "+name)
			evidence = append(evidence, c.evidence(-1, "", "environment variable "+name))
		}
	}
	if len(places) == 0 {
		return pass("no credentials were found in any layer")
	}
	r := found(Warn, "remove them from the step that adds them and rotate the credentials; use RUN --mount=type=secret",
		"%d possible credentials: %s", len(places), summary(places))
	r.Evidence = evidence[:min(len(evidence), evidenceMax)]
	return r
}

var (
	credentialFiles = []string{".netrc", ".pypirc", ".git-credentials", ".npmrc", "id_rsa", "id_ecdsa", "id_ed25519"}
	credentialPaths = []string{".aws/credentials", ".docker/config.json", ".snowflake/config.toml", ".snowflake/connections.toml"}
)

func isCredentialFile(e *layer.Entry) bool {
	if e.Type != layer.File {
		return false
	}
	if e.Has(layer.PrivateKey) {
		return !strings.Contains("/"+e.Path, "/site-packages/") && !strings.Contains("/"+e.Path, "/dist-packages/")
	}
	dir, base := path.Split(e.Path)
	return e.Size > 0 && (slices.Contains(credentialFiles, base) || slices.ContainsFunc(credentialPaths, func(p string) bool {
		in, name := path.Split(p)
		return name == base && strings.HasSuffix("/"+dir, "/"+in)
	}))
}
