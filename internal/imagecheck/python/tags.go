// SPDX-License-Identifier: Apache-2.0

package python

import (
	"strconv"
	"strings"
)

// supportsAny tells whether one of the wheel tags, such as "cp311-abi3-manylinux_2_17_x86_64", fits CPython of this environment
// on linux/amd64. A wheel without tags fits nothing.
func (e *Environment) supportsAny(tags []string) bool {
	for _, tag := range tags {
		parts := strings.Split(tag, "-")
		if len(parts) != 3 {
			continue
		}
		for python := range strings.SplitSeq(parts[0], ".") {
			for abi := range strings.SplitSeq(parts[1], ".") {
				for platform := range strings.SplitSeq(parts[2], ".") {
					if e.supports(python, abi, platform) {
						return true
					}
				}
			}
		}
	}
	return false
}

func (e *Environment) supports(python, abi, platform string) bool {
	own := strings.ReplaceAll(e.minor, ".", "")
	pure := platform == "any"
	if !pure && !e.supportsPlatform(platform) {
		return false
	}
	switch {
	case strings.HasPrefix(python, "py"):
		return abi == "none" && notLater(strings.TrimPrefix(python, "py"), own)
	case python == "cp"+own:
		return abi == "none" || !pure && (abi == "abi3" || abi == "cp"+own)
	case strings.HasPrefix(python, "cp3"):
		return abi == "abi3" && !pure && notLater(strings.TrimPrefix(python, "cp"), own)
	}
	return false
}

// supportsPlatform leaves the version of the C library out: an image that runs at all has one of today.
func (e *Environment) supportsPlatform(platform string) bool {
	if !strings.HasSuffix(platform, "_x86_64") {
		return false
	}
	switch {
	case platform == "linux_x86_64":
		return true
	case strings.HasPrefix(platform, "manylinux"):
		return !e.musl
	case strings.HasPrefix(platform, "musllinux"):
		return e.musl
	}
	return false
}

// notLater compares tags such as "3", "39" and "311" with the own one: same major, minor not later.
func notLater(tag, own string) bool {
	if tag == "" || tag[:1] != own[:1] {
		return false
	}
	if len(tag) == 1 {
		return true
	}
	want, err1 := strconv.Atoi(tag[1:])
	have, err2 := strconv.Atoi(own[1:])
	return err1 == nil && err2 == nil && want <= have
}
