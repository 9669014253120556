// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"firn.dev/firn/internal/imagecheck"
	"golang.org/x/term"
)

// isTerminal tells whether somebody watches.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// wantsColor follows https://no-color.org.
func wantsColor(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

// bar shows how many layers and bytes are read, on a terminal and only when it takes long. The zero value shows nothing.
type bar struct {
	w     io.Writer
	name  string
	start time.Time
	shown bool
}

const (
	barAfter = time.Second
	barWidth = 24
)

func newBar(w io.Writer, name string) *bar {
	if !isTerminal(w) {
		return &bar{}
	}
	return &bar{w: w, name: strings.ToValidUTF8(name, "?"), start: time.Now()}
}

// step draws the bar; calls never overlap.
func (b *bar) step(p imagecheck.Progress) {
	if b.w == nil || time.Since(b.start) < barAfter || p.Total == 0 {
		return
	}
	full := barWidth * p.Done / p.Total
	fmt.Fprintf(b.w, "\r\x1b[K[%s%s] %d/%d layers, %d MB of %.60s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), p.Done, p.Total, p.ReadBytes/1e6, b.name)
	b.shown = true
}

// clear takes the bar away.
func (b *bar) clear() {
	if b.shown {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
