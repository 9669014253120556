// SPDX-License-Identifier: Apache-2.0

package pep508

import (
	"strings"
	"testing"
)

// FuzzMarker holds that a marker and what it prints as mean the same.
func FuzzMarker(f *testing.F) {
	for _, s := range []string{
		`python_version < "3.8" and (os_name == 'nt' or extra == "x")`, `"linux" in sys_platform`, `'3' not  in python_version`, `platform_release >= "5"`,
		`extra == "a" or extra=="b" and python_full_version ~= "3.11.2"`, `os_name == "\x41"`, `((os_name=='posix'))`, `"a"=="b"`, `python_version in "3.10 3.11"`,
	} {
		f.Add(s)
	}
	env := Environment{"python_version": {"3.11"}, "python_full_version": {"3.11.0", "3.11.9"}, "os_name": {"posix"}, "sys_platform": {"linux"}, "platform_machine": {"x86_64"}}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMarker(text)
		if err != nil {
			return
		}
		if strings.Contains(text, `\`) {
			return // what an escape stands for is printed as it is, as Python's packaging does, and need not read
		}
		again, err := ParseMarker(m.String())
		if err != nil || again.String() != m.String() {
			t.Fatalf("%q prints as %q, which reads as %v, %v", text, m, again, err)
		}
		for _, extra := range []string{"", "x"} {
			want, wantErr := m.Evaluate(env, extra)
			got, gotErr := again.Evaluate(env, extra)
			if got != want || (gotErr == nil) != (wantErr == nil) {
				t.Fatalf("%q is %v, %v; its own text %q is %v, %v", text, want, wantErr, m, got, gotErr)
			}
		}
	})
}
