// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const (
	validateFile = "../validate.md"
	helpBegin    = "<!-- help: written by docs/generate from firn validate --help -->\n"
	helpEnd      = "<!-- end of help -->\n"
)

// validate gives docs/validate.md with the help of the program as it is now.
func validate() (string, error) {
	help, err := exec.Command("go", "run", "../../cmd/firn", "validate", "--help").Output()
	if err != nil {
		return "", fmt.Errorf("firn validate --help: %w", err)
	}
	return between(validateFile, helpBegin, "```text\n"+strings.TrimSpace(string(help))+"\n```\n", helpEnd)
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
