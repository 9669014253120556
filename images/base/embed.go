// SPDX-License-Identifier: Apache-2.0

// Package base carries the recipe of Firn's own base image inside the server program: the files of this directory
// that docker needs, and the version that names the result.
//
// It is data without behaviour. internal/baseimage reads it to build the image; nothing else does.
package base

import (
	"embed"
	"strings"
)

// FS is the build context: Dockerfile, requirements, stub.py, wheels.txt and rootfs. Executable bits are not kept by
// embed; every file that begins with "#!" has to get them back.
//
//go:embed Dockerfile requirements.in requirements-3.11.txt stub.py wheels.txt rootfs
var FS embed.FS

//go:embed VERSION
var version string

// Version is the version of the recipe and so the default tag of the image, such as "1.0.0". It changes with every
// change to the recipe that users can notice.
var Version = strings.TrimSpace(version)
