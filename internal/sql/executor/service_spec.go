// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"firn.dev/firn/internal/errs"
)

// serviceDoc is a service specification. What Firn acts on has a field; everything else is kept and shown as it was given.
// https://docs.snowflake.com/en/developer-guide/snowpark-container-services/specification-reference
type serviceDoc struct {
	Spec serviceSpec    `yaml:"spec"`
	Rest map[string]any `yaml:",inline"`
}

// serviceSpec is the part below "spec".
type serviceSpec struct {
	Containers []serviceContainer `yaml:"containers"`
	Volumes    []serviceVolume    `yaml:"volumes"`
	Endpoints  []serviceEndpoint  `yaml:"endpoints,omitempty"`
	Rest       map[string]any     `yaml:",inline"`
}

// serviceContainer is one container.
type serviceContainer struct {
	Name      string            `yaml:"name"`
	Image     scalar            `yaml:"image"`
	Command   []scalar          `yaml:"command,omitempty"`
	Args      []scalar          `yaml:"args,omitempty"`
	Env       map[string]scalar `yaml:"env"`
	Mounts    []serviceMount    `yaml:"volumeMounts,omitempty"`
	Secrets   []serviceSecret   `yaml:"secrets,omitempty"`
	Resources serviceResources  `yaml:"resources,omitempty"`
	Rest      map[string]any    `yaml:",inline"`
}

// serviceMount is where a container sees a volume.
type serviceMount struct {
	Name string         `yaml:"name"`
	Path string         `yaml:"mountPath"`
	Rest map[string]any `yaml:",inline"`
}

// serviceResources are what a container asks for and what it may use: cpu, memory, nvidia.com/gpu.
type serviceResources struct {
	Requests map[string]scalar `yaml:"requests,omitempty"`
	Limits   map[string]scalar `yaml:"limits,omitempty"`
}

// serviceVolume is a directory that containers may mount.
type serviceVolume struct {
	Name   string              `yaml:"name"`
	Source string              `yaml:"source,omitempty"` // local, memory, stage, or @stage/path
	Size   scalar              `yaml:"size,omitempty"`
	Stage  *serviceStageConfig `yaml:"stageConfig,omitempty"`
	Rest   map[string]any      `yaml:",inline"`
}

// serviceStageConfig names the stage directory of a volume.
type serviceStageConfig struct {
	Name string         `yaml:"name"`
	Rest map[string]any `yaml:",inline"`
}

// serviceEndpoint is a port that a container listens on.
type serviceEndpoint struct {
	Name      string         `yaml:"name"`
	Port      int            `yaml:"port,omitempty"`
	PortRange string         `yaml:"portRange,omitempty"`
	Protocol  string         `yaml:"protocol,omitempty"`
	Public    bool           `yaml:"public,omitempty"`
	Rest      map[string]any `yaml:",inline"`
}

// serviceSecret gives a secret to a container.
type serviceSecret struct {
	Secret    secretName     `yaml:"snowflakeSecret"`
	Env       string         `yaml:"envVarName,omitempty"`
	Key       string         `yaml:"secretKeyRef,omitempty"` // secret_string, username or password
	Directory string         `yaml:"directoryPath,omitempty"`
	Rest      map[string]any `yaml:",inline"`
}

// secretName is a secret's name, written alone or as {objectName: name}.
type secretName string

// UnmarshalYAML reads both forms.
func (s *secretName) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.MappingNode {
		var long struct {
			Name string `yaml:"objectName"`
		}
		err := n.Decode(&long)
		*s = secretName(long.Name)
		return err
	}
	return n.Decode((*string)(s))
}

// scalar is a text that may be written as a number or a truth value, and is kept as written. It is printed in double quotes, so
// that every reader of YAML takes it for a text.
type scalar string

// UnmarshalYAML takes any scalar.
func (s *scalar) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return errs.New(errs.Invalid, "expected a text, number or truth value")
	}
	*s = ""
	if n.Tag != "!!null" {
		*s = scalar(n.Value)
	}
	return nil
}

// MarshalYAML quotes the text.
func (s scalar) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: string(s)}, nil
}

// parseServiceDoc reads a specification, YAML or JSON, and completes what may be left out.
//
// Errors: Invalid, naming the line or the field.
func parseServiceDoc(text string) (*serviceDoc, error) {
	doc := &serviceDoc{}
	if err := yaml.Unmarshal([]byte(text), doc); err != nil {
		return nil, badSpec("%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return doc, doc.complete()
}

// badSpec is the error for a specification that cannot work.
func badSpec(format string, args ...any) error {
	e := errs.New(errs.Invalid, format, args...)
	e.Message = "Invalid spec: " + e.Message
	return e.Numbered(395018, "22023")
}

// complete fills in defaults and checks that the parts fit together.
func (d *serviceDoc) complete() error {
	if len(d.Spec.Containers) == 0 {
		return badSpec("missing 'spec.containers'")
	}
	volumes := []string{}
	for i := range d.Spec.Volumes {
		v := &d.Spec.Volumes[i]
		if v.Name == "" {
			return badSpec("missing 'name' of 'spec.volumes[%d]'", i)
		}
		if v.stageText() == "" && v.Source == "stage" {
			return badSpec("missing 'stageConfig.name' of volume '%s'", v.Name)
		}
		volumes = append(volumes, v.Name)
	}
	if d.Spec.Volumes == nil {
		d.Spec.Volumes = []serviceVolume{}
	}
	names := map[string]bool{}
	for i := range d.Spec.Containers {
		c := &d.Spec.Containers[i]
		if c.Name == "" || names[c.Name] {
			return badSpec("'spec.containers[%d]' needs a 'name' of its own", i)
		}
		names[c.Name] = true
		if err := c.complete(volumes); err != nil {
			return err
		}
	}
	return nil
}

// complete fills in defaults of one container and checks it.
func (c *serviceContainer) complete(volumes []string) error {
	if c.Image == "" {
		return badSpec("missing 'image' of container '%s'", c.Name)
	}
	if c.Env == nil {
		c.Env = map[string]scalar{}
	}
	for name, value := range c.Env {
		if badVariable(name) || strings.ContainsRune(string(value), 0) {
			return badSpec("container '%s': invalid environment variable %q", c.Name, name)
		}
	}
	for _, a := range append(slices.Clone(c.Args), c.Command...) {
		if strings.ContainsRune(string(a), 0) {
			return badSpec("container '%s': an argument has a NUL character", c.Name)
		}
	}
	for _, m := range c.Mounts {
		if !slices.Contains(volumes, m.Name) {
			return badSpec("container '%s' mounts the volume '%s', which 'spec.volumes' does not have", c.Name, m.Name)
		}
		if !strings.HasPrefix(m.Path, "/") || path.Clean(m.Path) == "/" {
			return badSpec("container '%s': 'mountPath' of volume '%s' must be an absolute path below /", c.Name, m.Name)
		}
	}
	for _, s := range c.Secrets {
		switch {
		case s.Secret == "":
			return badSpec("container '%s': missing 'snowflakeSecret'", c.Name)
		case s.Directory != "":
			return errs.New(errs.Unsupported, "secret '%s' of container '%s': directoryPath is not supported, give it as envVarName", s.Secret, c.Name)
		case badVariable(s.Env):
			return badSpec("container '%s': missing or invalid 'envVarName' of secret '%s'", c.Name, s.Secret)
		}
	}
	return nil
}

// badVariable tells whether a text cannot name an environment variable.
func badVariable(name string) bool { return name == "" || strings.ContainsAny(name, "=\x00") }

// stageText is the stage directory of a volume, "" for other volumes.
func (v *serviceVolume) stageText() string {
	if v.Stage != nil && v.Stage.Name != "" {
		return v.Stage.Name
	}
	if strings.HasPrefix(v.Source, "@") {
		return v.Source
	}
	return ""
}

// setStage writes the stage directory where the volume names it.
func (v *serviceVolume) setStage(text string) {
	if v.Stage != nil {
		v.Stage.Name = text
		return
	}
	v.Source = text
}

// text prints the specification as YAML.
func (d *serviceDoc) text() (string, error) {
	b, err := yaml.Dump(d, yaml.WithIndent(2))
	if err != nil {
		return "", errs.Wrap(err, errs.Invalid, "invalid service specification")
	}
	return string(b), nil
}

// merged is the document with a patch applied: objects key by key, lists of objects by their "name", null deletes, everything
// else is replaced.
//
// Errors: Invalid when the result is no specification; Refused when the patch moves a volume that belongs to the job.
func (d *serviceDoc) merged(patch map[string]any) (*serviceDoc, error) {
	if len(patch) == 0 {
		return d, nil
	}
	if name := managedVolume(patch); name != "" {
		return nil, errs.New(errs.Refused, "SPEC_OVERRIDES may not change the volume '%s': it holds the job's files", name)
	}
	text, err := d.text()
	if err != nil {
		return nil, err
	}
	base := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &base); err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "invalid service specification")
	}
	result, err := yaml.Dump(mergePatch(base, patch), yaml.WithIndent(2))
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "invalid SPEC_OVERRIDES")
	}
	return parseServiceDoc(string(result))
}

// managedVolume names the job's own volume that a patch touches: whoever deletes the job later removes what such a volume names.
func managedVolume(patch map[string]any) string {
	spec, _ := patch["spec"].(map[string]any)
	given, ok := spec["volumes"]
	if !ok {
		return ""
	}
	list, ok := given.([]any)
	if !ok { // null would delete, everything else replace them
		return stageVolume
	}
	for _, item := range list {
		volume, _ := item.(map[string]any)
		switch name, _ := volume["name"].(string); name {
		case stageVolume, resultVolume:
			return name
		case "": // a list without names replaces the list
			return stageVolume
		}
	}
	return ""
}

func mergePatch(base, patch any) any {
	switch patch := patch.(type) {
	case map[string]any:
		out := map[string]any{}
		old, _ := base.(map[string]any)
		for k, v := range old {
			out[k] = v
		}
		for k, v := range patch {
			if v == nil {
				delete(out, k)
				continue
			}
			out[k] = mergePatch(out[k], v)
		}
		return out
	case []any:
		old, _ := base.([]any)
		if merged, ok := mergeNamed(old, patch); ok {
			return merged
		}
	}
	return patch
}

// mergeNamed merges two lists of objects that all have a "name".
func mergeNamed(base, patch []any) ([]any, bool) {
	at := map[string]int{}
	out := []any{}
	for i, item := range append(slices.Clone(base), patch...) {
		object, _ := item.(map[string]any)
		name, ok := object["name"].(string)
		if !ok {
			return nil, false
		}
		if j, known := at[name]; known && i >= len(base) {
			out[j] = mergePatch(out[j], item)
			continue
		}
		at[name] = len(out)
		out = append(out, mergePatch(nil, item))
	}
	return out, true
}
