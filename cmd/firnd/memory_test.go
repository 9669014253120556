// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"testing"
	"testing/fstest"
)

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	const meminfo, v2, v1 = "proc/meminfo", "sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"
	const host = "MemTotal:       16777216 kB\nMemFree:         1 kB\n" // 16 GiB
	tests := []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"a quarter of the host", map[string]string{meminfo: host}, 4 << 30},
		{"no limit of the group", map[string]string{meminfo: host, v2: "max\n"}, 4 << 30},
		{"three quarters of the group", map[string]string{meminfo: host, v2: "1073741824\n"}, 768 << 20},
		{"old groups", map[string]string{meminfo: host, v1: "1073741824\n"}, 768 << 20},
		{"no limit of an old group", map[string]string{meminfo: host, v1: "9223372036854771712\n"}, 4 << 30},
		{"a group larger than the host", map[string]string{meminfo: host, v2: "68719476736\n"}, 4 << 30},
		{"a small group", map[string]string{meminfo: host, v2: "67108864\n"}, leastMemory},
		{"not known", nil, math.MaxInt64},
		{"damaged", map[string]string{meminfo: "MemTotal: many kB\n", v2: "some"}, math.MaxInt64},
	}
	for _, tt := range tests {
		root := fstest.MapFS{}
		for name, text := range tt.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := memoryLimit(root); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
