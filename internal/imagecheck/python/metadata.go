// SPDX-License-Identifier: Apache-2.0

package python

import (
	"bytes"
	"strings"
)

// fields are the header lines of a METADATA or PKG-INFO file, in order.
type fields []field

type field struct {
	key     string // lower case
	value   string // continuation lines joined by a newline, as Python's mail parser gives them
	line    string // of a requires.txt as it stands there; section is the heading above it, "extra:marker" or less
	section string
}

// folded tells whether the value was wrapped over several lines.
func (f field) folded() bool { return strings.Contains(f.value, "\n") }

// parseHeader reads the header of mail-like text up to the first blank line. Any line end, a BOM (unless strictBOM: then it
// hides everything, as it does for Python), bytes that are no UTF-8 and any case of keys are fine.
func parseHeader(body []byte, strictBOM bool) fields {
	if rest, ok := bytes.CutPrefix(body, []byte("\xef\xbb\xbf")); ok {
		if strictBOM {
			return nil
		}
		body = rest
	}
	text := strings.ReplaceAll(strings.ToValidUTF8(string(body), "\ufffd"), "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	var list fields
	// A value and its continuation lines are one piece of text, so nothing is joined: a header may be megabytes of them.
	next, from := 0, 0
	for line := range strings.Lines(text) {
		at := next
		next += len(line)
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(list) > 0 {
				list[len(list)-1].value = text[from : at+len(line)]
			}
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			// Python's parser takes a line without a colon as the start of the body.
			break
		}
		value = strings.TrimLeft(value, " \t")
		from = at + len(line) - len(value)
		list = append(list, field{key: strings.ToLower(strings.TrimRight(key, " \t")), value: value})
	}
	return list
}

// first gives the first value of a key, "" when absent.
func (f fields) first(key string) string {
	key = strings.ToLower(key)
	for _, one := range f {
		if one.key == key {
			return strings.TrimSpace(one.value)
		}
	}
	return ""
}

// all gives every value of a key.
func (f fields) all(key string) []field {
	key = strings.ToLower(key)
	var values []field
	for _, one := range f {
		if one.key == key {
			values = append(values, one)
		}
	}
	return values
}

// requiresTxt turns the sections of an egg's requires.txt into requirements with markers, as pip does.
func requiresTxt(body []byte) []field {
	var list []field
	section := ""
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		default:
			list = append(list, field{key: "requires-dist", value: withSection(line, section), line: line, section: section})
		}
	}
	return list
}

// withSection joins a requirement and the "extra:marker" of its section.
func withSection(line, section string) string {
	extra, marker, _ := strings.Cut(section, ":")
	var conditions []string
	if marker != "" {
		conditions = append(conditions, "("+marker+")")
	}
	if extra != "" {
		conditions = append(conditions, `extra == "`+strings.TrimSpace(extra)+`"`)
	}
	if len(conditions) == 0 {
		return line
	}
	name, old, hasMarker := strings.Cut(line, ";")
	if hasMarker {
		conditions = append([]string{"(" + strings.TrimSpace(old) + ")"}, conditions...)
	}
	if strings.Contains(name, "@") {
		name += " "
	}
	return name + "; " + strings.Join(conditions, " and ")
}
