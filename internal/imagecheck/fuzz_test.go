// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"io"
	"testing"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

// FuzzFiles is about the files that the configuration leads to: users and groups, programs and how they are started.
func FuzzFiles(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/sh\nann:x:1000:100::/home/ann\n", "users:x:100:ann,bob\n", "#!/usr/bin/env -S bash -x\n", "ann:users", "/app")
	f.Add("::::\n:", "a:b:c\n", "#!", "1:2", "")
	f.Add("x:x:99999999999999999999:0", "\x00", "#! /bin/sh\r\n", "x", "../..")
	f.Fuzz(func(t *testing.T, passwd, group, script, user, workdir string) {
		img := fx.New(fx.Tar(append(fx.Good(), fx.File("etc/passwd", passwd), fx.File("etc/group", group), fx.Program("usr/local/bin/entrypoint.sh", script),
			fx.Program("app/start_nbctl.sh", script), fx.Program("usr/local/bin/pip", script))...))
		img.Config["User"], img.Config["WorkingDir"] = user, workdir
		p, err := Builtin(PolicyDefault)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Check(t.Context(), img, Options{Policy: p})
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range Formats() {
			if err := r.Write(io.Discard, format, true); err != nil {
				t.Fatal(err)
			}
		}
	})
}
