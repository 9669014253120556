// SPDX-License-Identifier: Apache-2.0

// Command generate writes the parts of the documentation that the code knows better than any author: docs/sql-reference.md from
// the synopses of the parser, docs/commands.md and the usage in docs/validate.md from the programs' own help, and the table of
// settings in docs/operations.md from the list in cmd/firnd/config.go.
//
// `go generate ./...` runs it in this directory; its test fails when what it would write is not what is there. The notes beside
// it are written by hand, one file for each family of statements.
package main

import (
	"fmt"
	"os"
)

//go:generate go run .

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

func run() error {
	bin, err := os.MkdirTemp("", "firn-docs")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	if err := build(bin); err != nil {
		return err
	}
	for _, page := range pages(programs(bin)) {
		text, err := page.write()
		if err == nil {
			err = os.WriteFile(page.path, []byte(text), 0o644)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", page.path, err)
		}
	}
	return nil
}

// page is a file of which the code is the author, in whole or in part.
type page struct {
	path  string // relative to this directory
	write func() (string, error)
}

func pages(p programs) []page {
	return []page{
		{"../sql-reference.md", sqlReference}, {"../commands.md", p.commands}, {validateFile, p.validate}, {operationsFile, operations},
	}
}
