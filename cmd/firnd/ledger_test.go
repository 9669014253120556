// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// ledger is what the server has acknowledged: for each thing the states in which it may be. A thing that nobody is changing has
// one; between a request and its answer it may be as it was or as it is to be, and nothing else. "" is a thing that is not there.
type ledger struct {
	mu     sync.Mutex
	states map[string][]string
	acks   int
}

func newLedger() *ledger { return &ledger{states: map[string][]string{}} }

// begin notes that a change is asked for.
func (l *ledger) begin(thing, to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.states[thing] == nil {
		l.states[thing] = []string{""}
	}
	l.states[thing] = append(l.states[thing], to)
}

// acknowledged notes that the server has said that the change is done.
func (l *ledger) acknowledged(thing, to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states[thing] = []string{to}
	l.acks++
}

// acknowledgements counts what was acknowledged so far.
func (l *ledger) acknowledgements() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acks
}

// present tells whether a thing is there for sure.
func (l *ledger) present(thing string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.states[thing]) == 1 && l.states[thing][0] != ""
}

// compare gives a line for each thing that is not as it may be, and takes what is seen for certain from now on.
func (l *ledger) compare(seen map[string]string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wrong []string
	for thing, states := range l.states {
		if !slices.Contains(states, seen[thing]) {
			wrong = append(wrong, fmt.Sprintf("%s is '%s', may be '%s'", thing, seen[thing], strings.Join(states, "' or '")))
		}
		l.states[thing] = []string{seen[thing]}
	}
	for _, thing := range slices.Sorted(maps.Keys(seen)) {
		if l.states[thing] == nil {
			wrong = append(wrong, thing+" is there and nobody made it")
		}
	}
	slices.Sort(wrong)
	return wrong
}
