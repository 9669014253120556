// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// leastMemory is the lowest bound that firnd sets for itself.
const leastMemory = 128 << 20

// memoryLimit gives how many bytes the runtime should stay below: a quarter of the host, as the jobs are to have the rest, and
// three quarters of what a control group allows. A bound of the environment (GOMEMLIMIT) is the operator's word and goes before.
// It is soft: near it the garbage collector works harder, nothing fails. root is the host's root directory.
func memoryLimit(root fs.FS) int64 {
	limit := int64(math.MaxInt64)
	if total := totalMemory(root); total > 0 {
		limit = total / 4
	}
	for _, file := range []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n < math.MaxInt64/2 { // "max" is none
			limit = min(limit, n/4*3)
		}
	}
	return max(limit, leastMemory)
}

// totalMemory is the host's memory in bytes, 0 when it is not known.
func totalMemory(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var kib int64
		if n, _ := fmt.Sscanf(lines.Text(), "MemTotal: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}
