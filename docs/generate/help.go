// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

const commandsHead = `<!-- Written by docs/generate from the programs' own help. -->
# Commands

What ` + "`firn`" + ` and ` + "`firnd`" + ` say about themselves. What the settings of the server mean is in [operations.md](operations.md#settings), what
` + "`firn validate`" + ` looks at in [validate.md](validate.md). ` + "`completion`" + ` writes a script for your shell.
`

// build builds both programs into a directory.
func build(dir string) error {
	out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "../../cmd/firn", "../../cmd/firnd").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// programs asks the programs in a directory.
type programs string

// commands gives docs/commands.md: the help of every command, depth first.
func (p programs) commands() (string, error) {
	var b strings.Builder
	b.WriteString(commandsHead)
	for _, name := range []string{"firn", "firnd"} {
		if err := p.describe(&b, name); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

var listed = regexp.MustCompile(`(?m)^  ([a-z-]+) `)

// describe writes the help of a command and of those below it.
func (p programs) describe(b *strings.Builder, command ...string) error {
	text, err := p.help(command...)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "\n## %s\n\n```text\n%s\n```\n", strings.Join(command, " "), text)
	_, below, _ := strings.Cut(text, "Available Commands:\n")
	below, _, _ = strings.Cut(below, "\n\n")
	for _, m := range listed.FindAllStringSubmatch(below+"\n", -1) {
		if m[1] == "completion" || m[1] == "help" {
			continue
		}
		if err := p.describe(b, append(command, m[1])...); err != nil {
			return err
		}
	}
	return nil
}

func (p programs) help(command ...string) (string, error) {
	out, err := exec.Command(filepath.Join(string(p), command[0]), append(command[1:], "--help")...).Output()
	if err != nil {
		return "", fmt.Errorf("%s --help: %w", strings.Join(command, " "), err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n"), nil
}

const (
	validateFile = "../validate.md"
	helpBegin    = "<!-- help: written by docs/generate from firn validate --help -->\n"
	helpEnd      = "<!-- end of help -->\n"
)

// validate gives docs/validate.md with the help of the program as it is now.
func (p programs) validate() (string, error) {
	text, err := p.help("firn", "validate")
	if err != nil {
		return "", err
	}
	return between(validateFile, helpBegin, "```text\n"+text+"\n```\n", helpEnd)
}

// between gives a file with a text in place of what is between two of its lines.
func between(file, begin, text, end string) (string, error) {
	have, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	head, rest, ok := strings.Cut(string(have), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("the lines %q and %q are gone", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return head + begin + text + end + tail, nil
}
