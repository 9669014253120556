// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

const (
	configFile     = "../../cmd/firnd/config.go"
	operationsFile = "../operations.md"
	settingsBegin  = "<!-- settings: written by docs/generate from cmd/firnd/config.go -->\n"
	settingsEnd    = "<!-- end of settings -->\n"
)

// operations gives docs/operations.md with the table of settings as it is now.
func operations() (string, error) {
	rows, err := settings()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| flag and key | environment | default | meaning |\n|---|---|---|---|\n")
	for _, r := range rows {
		key, fallback, help := r[0], r[1], r[2]
		if fallback != "" {
			fallback = "`" + fallback + "`"
		}
		env := "FIRND_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", key, env, fallback, help)
	}
	return between(operationsFile, settingsBegin, b.String(), settingsEnd)
}

// settings reads the list named settings in the configuration of firnd: key, default and help of each.
func settings() ([][3]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), configFile, nil, 0)
	if err != nil {
		return nil, err
	}
	var rows [][3]string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "settings" || len(spec.Values) != 1 {
			return true
		}
		list, ok := spec.Values[0].(*ast.CompositeLit)
		if !ok {
			return false
		}
		for _, element := range list.Elts {
			if row, ok := element.(*ast.CompositeLit); ok && len(row.Elts) == 3 {
				rows = append(rows, [3]string{literal(row.Elts[0]), literal(row.Elts[1]), literal(row.Elts[2])})
			}
		}
		return false
	})
	if len(rows) < 5 {
		return nil, fmt.Errorf("%s: %d settings were found: the list has another form now", configFile, len(rows))
	}
	return rows, nil
}

func literal(e ast.Expr) string {
	l, ok := e.(*ast.BasicLit)
	if !ok {
		return "?"
	}
	text, err := strconv.Unquote(l.Value)
	if err != nil {
		return "?"
	}
	return text
}
