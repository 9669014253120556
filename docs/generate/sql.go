// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"firn.dev/firn/internal/sql/parser"
)

//go:embed notes
var notes embed.FS

const sqlHead = `<!-- Written by docs/generate; change the synopses in internal/sql/parser or the notes in docs/generate/notes. -->
# SQL reference

Every statement that Firn reads, by family. Words in capitals are written as they are, in any case; ` + "`<...>`" + ` is yours to fill in,
` + "`[ ... ]`" + ` may be left out, ` + "`{ a | b }`" + ` is a choice. A name is ` + "`[<database>.][<schema>.]<name>`" + `; unquoted names are stored in upper
case. Every example here is parsed by a test.

A statement that is not on this page is refused with number 000002 and the name of what is missing. What differs from Snowflake is
in [differences.md](differences.md), what each word means in the [glossary](glossary.md).

`

// placeholder is a word with <...> in it, without the mark that ends a clause.
var placeholder = regexp.MustCompile(`\S*?<[^>]*>(?:[^\s,.]|\.\S)*`)

// sqlReference gives docs/sql-reference.md.
func sqlReference() (string, error) {
	families := map[string][]parser.Synopsis{}
	var order []string
	for _, s := range parser.Synopses() {
		if families[s.Family] == nil {
			order = append(order, s.Family)
		}
		families[s.Family] = append(families[s.Family], s)
	}
	if err := strayNotes(order); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(sqlHead)
	for _, family := range order {
		fmt.Fprintf(&b, "- [%s](#%s)\n", family, slug(family))
	}
	for _, family := range order {
		fmt.Fprintf(&b, "\n## %s\n", family)
		if text, err := notes.ReadFile(noteFile(family)); err == nil {
			fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(string(text)))
		}
		for _, s := range families[family] {
			fmt.Fprintf(&b, "\n```text\n%s\n```\n", strings.TrimSpace(wrap(s.Syntax)))
			if s.Notes != "" {
				fmt.Fprintf(&b, "%s\n", placeholder.ReplaceAllString(s.Notes, "`$0`"))
			}
			if s.Example != "" {
				fmt.Fprintf(&b, "\n```sql\n%s\n```\n", s.Example)
			}
		}
	}
	return b.String(), nil
}

// strayNotes refuses notes that belong to no family.
func strayNotes(families []string) error {
	known := map[string]bool{}
	for _, f := range families {
		known[noteFile(f)] = true
	}
	files, err := fs.Glob(notes, "notes/*")
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(files, func(f string) bool { return !known[f] }); i >= 0 {
		return fmt.Errorf("%s belongs to no family of statements", files[i])
	}
	return nil
}

func noteFile(family string) string { return "notes/" + slug(family) + ".txt" }

func slug(family string) string { return strings.ReplaceAll(strings.ToLower(family), " ", "-") }

// wrap breaks a long synopsis at blanks, and keeps an opening bracket with what follows it.
func wrap(syntax string) string {
	const width = 110
	var b strings.Builder
	line, opened := 0, ""
	for word := range strings.SplitSeq(syntax, " ") {
		word = opened + word
		if opened = ""; strings.HasSuffix(word, "[") || strings.HasSuffix(word, "{") || word == "(" {
			opened = word + " "
			continue
		}
		switch {
		case line == 0:
		case line+1+len(word) > width:
			b.WriteString("\n    ")
			line = 4
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	return b.String() + strings.TrimSuffix(opened, " ")
}
