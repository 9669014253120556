// SPDX-License-Identifier: Apache-2.0

package errs

import "slices"

// Nearest gives the known word that was probably meant, for a message that says "did you mean", or "" when none is near: one that differs
// in two letters, or two of five, at the most. Of several that are as near it is the first in byte order.
func Nearest(word string, known []string) string {
	best, at := "", max(2, 2*len(word)/5)+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(word, k); d < at {
			best, at = k, d
		}
	}
	return best
}

// distance counts the bytes to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
