// SPDX-License-Identifier: Apache-2.0

package vulndb

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// ladders are versions in their order, of both ecosystems; numbers of a model become their elements.
var ladders = map[string][]string{
	PyPI: {"0.dev1", "0.1", "1.0.dev3", "1.0a2", "1.0b1", "1.0rc1", "1.0", "1.0.post2", "1.0.1", "1.2", "1.10", "2", "2.0.1.post1.dev1", "2.0.1.post1", "1!0.1", "1!3"},
	"Debian:12": {
		"0~~", "0~a", "0.1-1", "1.0~rc1-1", "1.0-1~deb12u1", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0+dfsg-1", "1.0.1-1", "1.2-1", "1.10-1", "1.10a-1", "2~-1",
		"1:0.1-1", "2:0~0-1",
	},
}

func TestLadders(t *testing.T) {
	t.Parallel()
	for ecosystem, ladder := range ladders {
		o := orderOf(ecosystem)
		for i, a := range ladder {
			for j, b := range ladder {
				c, ok := o.compare(a, b)
				if !ok || c < 0 != (i < j) || c > 0 != (i > j) {
					t.Errorf("%s: compare(%s, %s) = %d, %v", ecosystem, a, b, c, ok)
				}
			}
		}
	}
}

// TestRangesAreIntervals compares the walk over shuffled events with what the intervals say that they were made of.
func TestRangesAreIntervals(t *testing.T) {
	t.Parallel()
	for ecosystem, ladder := range ladders {
		rapid.Check(t, func(t *rapid.T) {
			o := orderOf(ecosystem)
			// Turning points in rising order; each even one begins an interval, the next ends it.
			points := rapid.SliceOfNDistinct(rapid.IntRange(0, len(ladder)-1), 1, 8, rapid.ID).Draw(t, "points")
			slices.Sort(points)
			var events []event
			inside := make([]bool, len(ladder))
			for i := 0; i < len(points); i += 2 {
				from, to := points[i], len(ladder)
				events = append(events, event("i"+ladder[from]))
				if i+1 < len(points) {
					to = points[i+1]
					kind, at := "f", to
					if rapid.Bool().Draw(t, "last affected") {
						kind, at = "l", to-1
					}
					events = append(events, event(kind+ladder[at]))
				}
				for v := from; v < to; v++ {
					inside[v] = true
				}
			}
			if rapid.Bool().Draw(t, "from the start") {
				events[0] = "i0"
				for v := range points[0] {
					inside[v] = true
				}
			}
			single := slices.Contains(events, "i0")
			shuffled := slices.Clone(events)
			// Events at the same version keep their order, so only whole files without such pairs may be shuffled.
			if distinct(events) {
				r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
				r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			}
			sortEvents(shuffled, o)
			if single && shuffled[0] != "i0" {
				t.Fatalf("the start is not first: %v", shuffled)
			}
			for v, want := range inside {
				if got := inRange(ladder[v], shuffled, o); got != want {
					t.Fatalf("%s %s in %v = %v", ecosystem, ladder[v], shuffled, got)
				}
			}
		})
	}
}

func distinct(events []event) bool {
	seen := map[string]bool{}
	for _, e := range events {
		if seen[e.version()] {
			return false
		}
		seen[e.version()] = true
	}
	return true
}

func TestLimits(t *testing.T) {
	t.Parallel()
	o := orderOf(PyPI)
	for text, x := range map[string]struct {
		version string
		want    bool
	}{"i0 m2": {"1", true}, "i0 m2 ": {"2", false}, "i0 m*": {"9", true}, "i0 m2 m5": {"4", true}, "": {"1", false}, "f2": {"1", false}} {
		var events []event
		for _, word := range strings.Fields(text) {
			events = append(events, event(word))
		}
		sortEvents(events, o)
		if got := inRange(x.version, events, o); got != x.want {
			t.Errorf("%s in %v = %v", x.version, events, got)
		}
	}
}

func TestSameSpelling(t *testing.T) {
	t.Parallel()
	o := orderOf(PyPI)
	for _, group := range [][]string{{"1", "1.0", "v1.0.0", "1.0.0.0"}, {"1.0.post1", "1.post1", "1-1", "1.0.0-r1"}, {"1.0rc1", "1c1", "1.0-RC.1"}, {"10", "10.0"}, {"0", "0.0"}} {
		for _, v := range group {
			if got := o.same(v); got != o.same(group[0]) {
				t.Errorf("%s becomes %s, %s becomes %s", v, got, group[0], o.same(group[0]))
			}
			if c, _ := o.compare(o.same(v), v); c != 0 {
				t.Errorf("%s becomes %s, which is another version", v, o.same(v))
			}
		}
	}
}
