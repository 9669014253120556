// SPDX-License-Identifier: Apache-2.0

// Package base carries the recipe of Firn's own base image inside the server program: the files of this directory
// that make the image, and the version that names the result.
//
// It is data without behaviour. internal/baseimage reads it to build the image; nothing else does.
package base

import (
	"embed"
	"strings"
)

// FS is the recipe: root.sh makes the root image, everything else is the build context of Dockerfile. Executable bits
// are not kept by embed; every file that begins with "#!" has to get them back.
//
//go:embed Dockerfile requirements-3.11.txt root.sh rootfs stub.py wheels.txt
var FS embed.FS

//go:embed VERSION
var version string

// Version is the version of the recipe and so the default tag of the image, such as "1.0.0". It changes with every
// change to the recipe that users can notice.
var Version = strings.TrimSpace(version)
