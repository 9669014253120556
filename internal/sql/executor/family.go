// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"strings"

	"firn.dev/firn/internal/sql/rowset"
)

// Family is an instance family of compute pools: what one instance asks for.
// https://docs.snowflake.com/en/sql-reference/sql/create-compute-pool; the numbers are those of snowflake-ml-python
// (snowflake/ml/jobs/_utils/constants.py).
type Family struct {
	Name   string
	CPU    int // cores
	Memory int // GiB
	GPUs   int
	GPU    string // model, "" without
}

// families lists the instance families.
func families() []Family {
	return []Family{
		{"CPU_X64_XS", 1, 6, 0, ""}, {"CPU_X64_S", 3, 13, 0, ""}, {"CPU_X64_M", 6, 28, 0, ""}, {"CPU_X64_SL", 14, 54, 0, ""},
		{"CPU_X64_L", 28, 116, 0, ""},
		{"HIGHMEM_X64_S", 6, 58, 0, ""}, {"HIGHMEM_X64_M", 28, 240, 0, ""}, {"HIGHMEM_X64_SL", 92, 654, 0, ""},
		{"HIGHMEM_X64_L", 124, 984, 0, ""},
		{"GPU_NV_XS", 3, 26, 1, "NVIDIA T4"}, {"GPU_NV_S", 6, 27, 1, "NVIDIA A10G"}, {"GPU_NV_M", 44, 178, 4, "NVIDIA A10G"},
		{"GPU_NV_L", 92, 1112, 8, "NVIDIA A100"}, {"GPU_NV_SM", 32, 424, 1, "NVIDIA A10"}, {"GPU_NV_2M", 68, 858, 2, "NVIDIA A10"},
		{"GPU_NV_3M", 44, 424, 2, "NVIDIA A100"}, {"GPU_NV_SL", 92, 858, 4, "NVIDIA A100"},
		{"GPU_GCP_NV_L4_1_24G", 6, 28, 1, "NVIDIA L4"}, {"GPU_GCP_NV_L4_4_24G", 44, 178, 4, "NVIDIA L4"},
		{"GPU_GCP_NV_A100_8_40G", 92, 654, 8, "NVIDIA A100"},
		{"GPU_L40S_G1", 6, 27, 1, "NVIDIA L40S"}, {"GPU_R6K_G1", 6, 27, 1, "NVIDIA RTX PRO 6000"},
	}
}

// FamilyOf finds an instance family by name, in any case.
func FamilyOf(name string) (Family, bool) {
	for _, f := range families() {
		if f.Name == strings.ToUpper(name) {
			return f, true
		}
	}
	return Family{}, false
}

func familyNames() []string {
	var names []string
	for _, f := range families() {
		names = append(names, f.Name)
	}
	return names
}

// showFamilies is SHOW COMPUTE POOL INSTANCE FAMILIES.
func showFamilies() show {
	return show{
		columns: []rowset.Column{
			rowset.TextColumn("name"), rowset.NumberColumn("vcpu"), rowset.NumberColumn("memory_gib"), rowset.NumberColumn("gpu_count"),
			rowset.TextColumn("gpu"),
		},
		rows: func(l *listing, _ showScope) error {
			for _, f := range families() {
				l.add(f.Name, func() []*string {
					return []*string{textCell(f.Name), numberCell(f.CPU), numberCell(f.Memory), numberCell(f.GPUs), orNull(f.GPU)}
				})
			}
			return nil
		},
	}
}
