// SPDX-License-Identifier: Apache-2.0

// Command generate writes the parts of the documentation that the code knows better than any author: docs/sql-reference.md from
// the synopses of the parser, the table of settings in docs/operations.md from the list in cmd/firnd/config.go, and the usage in
// docs/validate.md from the program's own help.
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
	for _, page := range pages() {
		text, err := page.write()
		if err == nil {
			err = os.WriteFile(page.path, []byte(text), 0o644)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", page.path, err)
			os.Exit(1)
		}
	}
}

// page is a file of which the code is the author, in whole or in part.
type page struct {
	path  string // relative to this directory
	write func() (string, error)
}

func pages() []page {
	return []page{{"../sql-reference.md", sqlReference}, {"../operations.md", operations}, {"../validate.md", validate}}
}
