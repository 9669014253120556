// SPDX-License-Identifier: Apache-2.0

package sbom

import (
	"cmp"
	_ "embed"
	"strings"
)

// The licences and the exceptions of the SPDX list 3.28, one per line.
var (
	//go:embed spdx-ids.txt
	listedLicences string
	//go:embed spdx-exceptions.txt
	listedExceptions string
)

// reference begins the name of a licence that is not on the list.
const reference = "LicenseRef-"

// normal writes an expression the way that SPDX wants it: operators in upper case, ids as the list spells them. An id that the list
// does not have becomes a reference, and so does a licence with an exception that it does not have.
func normal(expression string) string {
	words := strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(expression))
	var out []string
	for i := 0; i < len(words); i++ {
		switch operator := strings.ToUpper(words[i]); {
		case operator == "WITH" && i > 0 && i+1 < len(words):
			i++
			if exception, ok := listed(listedExceptions, words[i]); ok {
				out = append(out, operator, exception)
			} else {
				out[len(out)-1] = refer(strings.TrimPrefix(out[len(out)-1], reference) + "-with-" + words[i])
			}
		case operator == "AND" || operator == "OR":
			out = append(out, operator)
		case operator == "(" || operator == ")":
			out = append(out, operator)
		default:
			out = append(out, normalID(words[i]))
		}
	}
	return strings.NewReplacer("( ", "(", " )", ")").Replace(strings.Join(out, " "))
}

func normalID(id string) string {
	if own, ok := strings.CutPrefix(id, reference); ok {
		return refer(own)
	}
	if spelled, ok := listed(listedLicences, id); ok {
		return spelled
	}
	if base, plus := strings.CutSuffix(id, "+"); plus {
		if spelled, ok := listed(listedLicences, base); ok {
			return spelled + "+"
		}
	}
	return refer(id)
}

// listed finds an id in a list and gives it as the list spells it.
func listed(list, id string) (string, bool) {
	for line := range strings.Lines(list) {
		if line = strings.TrimSuffix(line, "\n"); strings.EqualFold(line, id) {
			return line, true
		}
	}
	return "", false
}

func refer(name string) string { return reference + cmp.Or(plain(name), "unnamed") }

// plain replaces what SPDX does not allow in an identifier.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, s)
}

// references lists the licences of an expression that are not on the list.
func references(expression string) []string {
	var list []string
	for _, word := range strings.FieldsFunc(expression, func(r rune) bool { return r == ' ' || r == '(' || r == ')' }) {
		if strings.HasPrefix(word, reference) {
			list = append(list, word)
		}
	}
	return list
}
