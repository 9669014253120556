// SPDX-License-Identifier: Apache-2.0

package computetest

import (
	"fmt"
	"strings"
	"time"

	"firn.dev/firn/internal/compute"
)

// Program is what a container of the suite does, one step a line:
//
//	echo TEXT        a line on stdout
//	err TEXT         a line on stderr
//	lines N          lines "line 1" to "line N" on stdout
//	wide N           one line of N times "x" on stdout
//	env NAME         the value of a variable as a line on stdout
//	cat PATH         the content of a file on stdout
//	write PATH TEXT  a file with a line in it
//	sleep DURATION   at most a second's fraction or whole seconds: 200ms, 5s
//	hang             sleeps for ever
//	deaf             takes no notice of being asked to end from here on
//	eat              uses memory until it is killed
//	exit N           ends with a code
//
// Real images get it as a shell script, the fake runs it itself: the environment key FAKE_RUN of a Task holds it, also in
// tests that have nothing to do with the suite. Without the key the fake ends at once with code 0.
type Program []string

// EnvRun is the key of a Task's environment that holds the Program, lines joined by newlines, for the fake.
const EnvRun = "FAKE_RUN"

// Steps makes a program of lines.
func Steps(lines ...string) Program { return lines }

// script writes the program for a POSIX shell with what busybox has.
func (p Program) script() string {
	var b strings.Builder
	for _, line := range p {
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "echo":
			fmt.Fprintf(&b, "echo '%s'\n", rest)
		case "err":
			fmt.Fprintf(&b, "echo '%s' >&2\n", rest)
		case "lines":
			fmt.Fprintf(&b, "i=1; while [ $i -le %s ]; do echo line $i; i=$((i+1)); done\n", rest)
		case "wide":
			fmt.Fprintf(&b, "head -c %s /dev/zero | tr '\\0' x; echo\n", rest)
		case "env":
			fmt.Fprintf(&b, "echo \"$%s\"\n", rest)
		case "cat":
			fmt.Fprintf(&b, "cat '%s'\n", rest)
		case "write":
			path, text, _ := strings.Cut(rest, " ")
			fmt.Fprintf(&b, "mkdir -p \"$(dirname '%s')\"; echo '%s' > '%s'\n", path, text, path)
		case "sleep":
			d, _ := time.ParseDuration(rest)
			fmt.Fprintf(&b, "sleep %g\n", d.Seconds())
		case "hang":
			b.WriteString("while :; do sleep 0.1; done\n")
		case "deaf":
			b.WriteString("trap '' TERM\n")
		case "eat":
			b.WriteString("exec tail /dev/zero\n")
		case "exit":
			fmt.Fprintf(&b, "exit %s\n", rest)
		}
	}
	return b.String()
}

// Task makes a task that runs the program, on the fake and on every image with a shell.
func (p Program) Task(id compute.TaskID, image string) compute.Task {
	return compute.Task{
		ID: id, Image: image, Network: "none",
		// A shell that is PID 1 is not ended by a signal that it does not trap.
		Command: []string{"/bin/sh", "-c", "trap 'exit 143' TERM\n" + p.script()},
		Env:     map[string]string{EnvRun: strings.Join(p, "\n")},
	}
}
