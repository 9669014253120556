// SPDX-License-Identifier: Apache-2.0

package python

import (
	"slices"
	"testing"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

// FuzzEnvironment is about the small files around an environment: where it is, what belongs to it.
func FuzzEnvironment(f *testing.F) {
	f.Add("home = /usr/local/bin\ninclude-system-site-packages = true\nversion = 3.11.2\n", "# x\nimport os\n/usr\n../lib\n", "x-1.dist-info/METADATA,,\nx/y.so,sha256=a,1\n", `{"dir_info": {"editable": true}}`, "/opt:src::")
	f.Add("HOME=", "\ufeff/opt\r\n", "\"a,b\",,\n", "[[[", ":")
	f.Fuzz(func(t *testing.T, cfg, pth, record, direct, pythonPath string) {
		envs := inspect(t, map[string]string{"PYTHONPATH": pythonPath, "PATH": "/opt/v/bin:/usr/local/bin"}, append(interpreterFiles("3.11", "3.11.2"),
			fx.File("opt/v/pyvenv.cfg", cfg), fx.Symlink("opt/v/bin/python3", "/usr/local/bin/python3"), fx.File(site+"/a.pth", pth), fx.File(site+"/x.egg-link", pth),
			fx.Wheel(site, "x", "1"), fx.File(site+"/x-1.dist-info/RECORD", record), fx.File(site+"/x-1.dist-info/direct_url.json", direct), fx.File(site+"/x-1.dist-info/INSTALLER", record),
			fx.File("usr/local/include/python3.11/patchlevel.h", cfg), fx.File("var/lib/dpkg/info/x.list", pth))...)
		for _, e := range envs {
			for i, dir := range e.SysPath {
				if dir == "" || dir[0] != '/' || slices.Contains(e.SysPath[:i], dir) {
					t.Fatalf("sys.path is %q", e.SysPath)
				}
			}
			if !slices.IsSortedFunc(e.Packages, func(a, b Package) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) }) {
				t.Fatalf("packages are not in order: %v", e.Packages)
			}
		}
	})
}
