// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/layer"
)

// fault is why a program of the image cannot be started, and what would cure it.
type fault struct {
	reason, remedy string
	evidence       []Evidence
}

// startable tells whether the kernel could start the file at p as the image's user; nil when it could. It follows "#!" one step,
// like a person would who reads the script.
func (c *checker) startable(p string) *fault {
	resolved, n, err := c.tree.Resolve(p)
	if err != nil {
		return &fault{reason: errs.MessageOf(err), remedy: "COPY " + path.Base(p) + " " + p}
	}
	at := func(detail string) []Evidence { return []Evidence{c.evidence(n.Layer, resolved, detail)} }
	if n.Type != layer.File {
		return &fault{reason: fmt.Sprintf("%s is no regular file", resolved), remedy: "COPY " + path.Base(p) + " " + p, evidence: at("not a regular file")}
	}
	if !c.account.mayExecute(n.Entry) {
		return &fault{
			reason:   fmt.Sprintf("%s has mode %04o and is not executable for USER %s", resolved, n.Mode, c.userName()),
			remedy:   "RUN chmod 0755 " + resolved,
			evidence: at(fmt.Sprintf("mode %04o, owner %d:%d", n.Mode, n.UID, n.GID)),
		}
	}
	switch {
	case isELF(n.Body):
		return nil
	case !bytes.HasPrefix(n.Body, []byte("#!")):
		return &fault{
			reason: fmt.Sprintf("%s starts neither with #! nor as an ELF program: exec format error", resolved),
			remedy: "make #!/bin/bash the first line of " + path.Base(p), evidence: at("no #! line"),
		}
	}
	if reason, remedy := c.shebangFault(n.Body); reason != "" {
		return &fault{reason: fmt.Sprintf("%s cannot be started: %s", resolved, reason), remedy: remedy, evidence: at(strings.TrimRight(string(n.Body), "\n"))}
	}
	return nil
}

func (c *checker) userName() string {
	if c.config.Config.User == "" {
		return "root"
	}
	return c.config.Config.User
}

// shebangFault looks for the interpreter that a "#!" line names, "" when it is there.
func (c *checker) shebangFault(body []byte) (reason, remedy string) {
	interpreter, argument := shebang(body)
	if strings.HasSuffix(strings.TrimSuffix(string(body), "\n"), "\r") {
		return fmt.Sprintf("the #! line ends in a carriage return, so the interpreter is %q", interpreter+"\r"), "convert the script to Unix line ends (sed -i 's/\\r$//')"
	}
	if !path.IsAbs(interpreter) {
		return fmt.Sprintf("interpreter %q is no absolute path", interpreter), "make #!/bin/bash the first line"
	}
	if reason := c.interpreterFault(interpreter); reason != "" {
		return reason, "install it, or make #!/bin/bash the first line"
	}
	if name := envProgram(interpreter, argument); name != "" && c.onPath(name) == "" {
		return fmt.Sprintf("%s %s: %s is not on PATH", interpreter, argument, name), "install " + name + ", or put its directory on PATH with ENV PATH=..."
	}
	return "", ""
}

func (c *checker) interpreterFault(p string) string {
	resolved, n, err := c.tree.Resolve(p)
	switch {
	case err != nil:
		return fmt.Sprintf("interpreter %s: %s", p, errs.MessageOf(err))
	case n.Type != layer.File || !c.account.mayExecute(n.Entry):
		return fmt.Sprintf("interpreter %s is not executable", resolved)
	}
	return ""
}

// shebang splits "#! /bin/sh -e" into interpreter and the one argument that the kernel passes.
func shebang(body []byte) (interpreter, argument string) {
	line, _, _ := strings.Cut(strings.TrimPrefix(string(body), "#!"), "\n")
	line = strings.Trim(line, " \t\r")
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		return line[:i], strings.Trim(line[i:], " \t")
	}
	return line, ""
}

// envProgram gives X of "#!/usr/bin/env X", "" for any other line.
func envProgram(interpreter, argument string) string {
	if path.Base(interpreter) != "env" {
		return ""
	}
	for word := range strings.FieldsSeq(argument) {
		if strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
			continue
		}
		return word
	}
	return ""
}

// onPath finds a program like a shell does, "" when it is nowhere.
func (c *checker) onPath(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, dir := range c.config.searchPath() {
		p := path.Join(dir, name)
		if _, n, err := c.tree.Resolve(p); err == nil && n.Type == layer.File && c.account.mayExecute(n.Entry) {
			return p
		}
	}
	return ""
}

// interpreters lists the programs that run a script: itself when it is ELF, else what its "#!" line leads to.
func (c *checker) interpreters(p string) []string {
	_, n, err := c.tree.Resolve(p)
	if err != nil {
		return nil
	}
	if !bytes.HasPrefix(n.Body, []byte("#!")) {
		return []string{p}
	}
	interpreter, argument := shebang(n.Body)
	list := []string{interpreter}
	if name := envProgram(interpreter, argument); name != "" {
		list = append(list, c.onPath(name))
	}
	return list
}

const machineAMD64 = 62

func isELF(body []byte) bool { return len(body) >= 20 && bytes.HasPrefix(body, []byte("\x7fELF")) }

// elfMachine reads e_machine; byte 5 says in which order.
func elfMachine(body []byte) uint16 {
	if body[5] == 2 {
		return binary.BigEndian.Uint16(body[18:])
	}
	return binary.LittleEndian.Uint16(body[18:])
}

func machineName(machine uint16) string {
	switch machine {
	case 3:
		return "386"
	case 40:
		return "arm"
	case machineAMD64:
		return "amd64"
	case 183:
		return "arm64"
	}
	return fmt.Sprintf("machine %d", machine)
}
