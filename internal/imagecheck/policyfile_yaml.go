// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"firn.dev/firn/internal/errs"
	"go.yaml.in/yaml/v4"
)

// policyYAML is a policy file while it is read; it knows on which line each key stands.
type policyYAML struct {
	file string
	root *yaml.Node
}

// policyMax is the largest policy file that is read, bytes.
const policyMax = 1 << 20

// decode reads one strict document into f: unknown and repeated keys, aliases and a second document are errors.
func (y *policyYAML) decode(data []byte, f *policyFile) error {
	if len(data) > policyMax {
		return errs.New(errs.Invalid, "policy file %s has %d bytes, at most %d are read", y.file, len(data), policyMax)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return errs.New(errs.Invalid, "policy file %s is empty", y.file)
	} else if err != nil {
		return y.syntax(err)
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		return errs.New(errs.Invalid, "policy file %s holds more than one document", y.file)
	}
	y.root = doc.Content[0]
	if err := y.keys(y.root, reflect.TypeFor[policyFile](), nil); err != nil {
		return err
	}
	if err := y.root.Decode(f); err != nil {
		return y.syntax(err)
	}
	return nil
}

// syntax passes on what the YAML reader says; it knows the line.
func (y *policyYAML) syntax(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	return errs.New(errs.Invalid, "policy file %s: %s", y.file, strings.Join(strings.Fields(text), " "))
}

// keys compares the keys of a mapping, and of those in it, with what its Go type knows.
func (y *policyYAML) keys(n *yaml.Node, t reflect.Type, where []string) error {
	key := strings.Join(where, ".")
	if n.Kind == yaml.AliasNode {
		return y.errorLine(n.Line, key, "aliases are not allowed in a policy file")
	}
	switch {
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			if err := y.keys(item, t.Elem(), where); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode, t.Kind() == reflect.Map && n.Kind == yaml.MappingNode:
		return y.mapping(n, t, where)
	case n.Tag == "!!null":
	case t.Kind() == reflect.Slice:
		return y.errorLine(n.Line, key, "a list is wanted")
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		return y.errorLine(n.Line, key, "keys with values are wanted")
	case n.Kind != yaml.ScalarNode:
		return y.errorLine(n.Line, key, "one value is wanted")
	}
	return nil
}

func (y *policyYAML) mapping(n *yaml.Node, t reflect.Type, where []string) error {
	fields := fieldTypes(t)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i].Value, n.Content[i+1]
		inner := append(slices.Clone(where), name)
		if seen[name] {
			return y.errorLine(n.Content[i].Line, strings.Join(inner, "."), "the key stands here twice")
		}
		seen[name] = true
		if t.Kind() == reflect.Map {
			if err := y.keys(value, t.Elem(), inner); err != nil {
				return err
			}
			continue
		}
		known, ok := fields[name]
		if !ok {
			names := make([]string, 0, len(fields))
			for field := range fields {
				names = append(names, field)
			}
			return y.errorLine(n.Content[i].Line, strings.Join(inner, "."), "the key is unknown%s", didYouMean(name, names))
		}
		if err := y.keys(value, known, inner); err != nil {
			return err
		}
	}
	return nil
}

// fieldTypes gives the keys of a struct.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			fields[t.Field(i).Tag.Get("yaml")] = t.Field(i).Type
		}
	}
	return fields
}

// errorAt names file, line and key of a value; where holds keys and list indexes.
func (y *policyYAML) errorAt(where []any, format string, args ...any) error {
	n := y.root
	var keys []string
	for _, step := range where {
		if name, ok := step.(string); ok {
			keys = append(keys, name)
		}
		if next := child(n, step); next != nil {
			n = next
		}
	}
	return y.errorLine(n.Line, strings.Join(keys, "."), format, args...)
}

// child gives the value under a key or at an index, nil when there is none.
func child(n *yaml.Node, step any) *yaml.Node {
	switch at := step.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && at < len(n.Content) {
			return n.Content[at]
		}
	case string:
		for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
			if n.Content[i].Value == at {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

func (y *policyYAML) errorLine(line int, key, format string, args ...any) error {
	place := fmt.Sprintf("policy file %s, line %d", y.file, line)
	if key != "" {
		place += ", " + key
	}
	return errs.New(errs.Invalid, "%s: %s", place, fmt.Sprintf(format, args...))
}

// didYouMean names the nearest of the known words, "" when none is near.
func didYouMean(word string, known []string) string {
	best := errs.Nearest(word, known)
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", best)
}

// glob compiles a pattern for absolute paths of an image: * and ? stay within one directory, ** crosses them, and a pattern without
// a leading slash fits at any depth.
//
// Errors: Invalid.
func glob(pattern string) (*regexp.Regexp, error) {
	if strings.TrimSpace(pattern) == "" {
		return nil, errs.New(errs.Invalid, "a glob must not be empty")
	}
	if !strings.HasPrefix(pattern, "/") {
		pattern = "/**/" + pattern
	}
	var b strings.Builder
	for rest := pattern; rest != ""; {
		token, text := rest[:1], regexp.QuoteMeta(rest[:1])
		switch {
		case strings.HasPrefix(rest, "**/"):
			token, text = "**/", `(?:.*/)?`
		case strings.HasPrefix(rest, "**"):
			token, text = "**", `.*`
		case token == "*":
			text = `[^/]*`
		case token == "?":
			text = `[^/]`
		}
		b.WriteString(text)
		rest = rest[len(token):]
	}
	re, err := regexp.Compile(`(?s)^` + b.String() + `$`)
	if err != nil {
		return nil, errs.New(errs.Invalid, "%q is no glob: %v", pattern, err)
	}
	return re, nil
}
