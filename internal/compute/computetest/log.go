// SPDX-License-Identifier: Apache-2.0

package computetest

import (
	"bufio"
	"context"
	"io"
	"strings"
	"time"

	"firn.dev/firn/internal/compute"
)

// logChecks are the promises about logs.
var logChecks = []check{
	{"log-has-both-streams-in-order", func(r *room) {
		r.start("both", "echo one", "sleep 100ms", "err two", "sleep 100ms", "echo three")
		r.wait(r.backend, "both", 0, compute.ReasonExit)
		if got := r.log(r.backend, "both", compute.LogOptions{}); got != "one\ntwo\nthree\n" {
			r.Errorf("log %q", got)
		}
	}},
	{"log-ends-with-the-task", func(r *room) {
		r.start("f", "echo first", "sleep 500ms", "echo last", "exit 1")
		// Before, beside and after Wait: neither may take the other's bytes away.
		followed := make(chan string, 1)
		go func() { followed <- r.log(r.backend, "f", compute.LogOptions{Follow: true}) }()
		now := r.log(r.backend, "f", compute.LogOptions{})
		if now != "first\n" && now != "" {
			r.Errorf("the log without following is %q before the end", now)
		}
		r.wait(r.backend, "f", 1, compute.ReasonExit)
		select {
		case got := <-followed:
			if got != "first\nlast\n" {
				r.Errorf("followed log %q", got)
			}
		case <-r.ctx.Done():
			r.Fatalf("the followed log of an ended task goes on")
		}
		if got := r.log(r.backend, "f", compute.LogOptions{Follow: true}); got != "first\nlast\n" {
			r.Errorf("log after the end %q", got)
		}
	}},
	{"log-comes-line-by-line", func(r *room) {
		r.start("live", "echo now", "hang")
		rc, err := r.backend.Logs(r.ctx, "live", compute.LogOptions{Follow: true})
		if err != nil {
			r.Fatalf("log: %v", err)
		}
		line, err := bufio.NewReader(rc).ReadString('\n')
		if line != "now\n" {
			r.Errorf("first line %q, %v", line, err)
		}
		if err := rc.Close(); err != nil {
			r.Errorf("close: %v", err)
		}
		if s, _ := r.status(r.backend, "live"); s.Phase != compute.Running {
			r.Errorf("closing the log ended the task: %+v", s)
		}
	}},
	{"log-is-whole", func(r *room) {
		r.start("long", "lines 3000", "wide 50000", "echo end")
		r.wait(r.backend, "long", 0, compute.ReasonExit)
		want := lines(1, 3000) + strings.Repeat("x", 50000) + "\nend\n"
		for _, follow := range []bool{false, true} {
			if got := r.log(r.backend, "long", compute.LogOptions{Follow: follow}); got != want {
				r.Errorf("follow %v: log of %d bytes, want %d", follow, len(got), len(want))
			}
		}
		stamped := r.log(r.backend, "long", compute.LogOptions{Timestamps: true})
		if got, _ := unstamp(r, stamped); got != want {
			r.Errorf("log with times has %d bytes without them, want %d", len(got), len(want))
		}
	}},
	{"log-selects", func(r *room) {
		r.start("sel", "echo early", "sleep 300ms", "lines 20")
		r.wait(r.backend, "sel", 0, compute.ReasonExit)
		if got := r.log(r.backend, "sel", compute.LogOptions{Tail: 3}); got != lines(18, 20) {
			r.Errorf("last three lines %q", got)
		}
		if got := r.log(r.backend, "sel", compute.LogOptions{Tail: 100}); got != "early\n"+lines(1, 20) {
			r.Errorf("more lines than there are %q", got)
		}
		_, times := unstamp(r, r.log(r.backend, "sel", compute.LogOptions{Timestamps: true}))
		if len(times) != 21 {
			r.Fatalf("%d lines with times, want 21", len(times))
		}
		if got := r.log(r.backend, "sel", compute.LogOptions{Since: times[1]}); got != lines(1, 20) {
			r.Errorf("lines since the second one's time %q", got)
		}
	}},
	{"log-can-be-given-up", func(r *room) {
		r.start("g", "echo x", "hang")
		short, stop := context.WithCancel(r.ctx)
		rc, err := r.backend.Logs(short, "g", compute.LogOptions{Follow: true})
		if err != nil {
			r.Fatalf("log: %v", err)
		}
		defer rc.Close()
		ended := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, rc)
			ended <- err
		}()
		stop()
		select {
		case err := <-ended:
			if err == nil {
				r.Errorf("a log that was given up looks whole")
			}
		case <-r.ctx.Done():
			r.Fatalf("a log that was given up goes on")
		}
	}},
}

// unstamp takes the time off each line.
func unstamp(r *room, text string) (string, []time.Time) {
	r.Helper()
	var b strings.Builder
	var times []time.Time
	for line := range strings.Lines(text) {
		stamp, rest, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil || !strings.HasSuffix(stamp, "Z") || time.Since(at).Abs() > time.Hour {
			r.Fatalf("line %.60q begins with no time: %v", line, err)
		}
		times = append(times, at)
		b.WriteString(rest)
	}
	return b.String(), times
}
