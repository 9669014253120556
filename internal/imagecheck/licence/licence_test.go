// SPDX-License-Identifier: Apache-2.0

package licence

import (
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	t.Parallel()
	osi := "License :: OSI Approved :: "
	for _, x := range []struct {
		expression, field string
		classifiers       []string
		want              string
	}{
		{"MIT OR Apache-2.0", "x", nil, "MIT OR Apache-2.0"},
		{"", "BSD-3-Clause AND MIT", nil, "BSD-3-Clause AND MIT"},
		{"", "Apache License, Version 2.0", nil, "Apache-2.0"},
		{"", "MIT License.", nil, "MIT"},
		{"", "UNKNOWN", []string{osi + "MIT License"}, "MIT"},
		{"", "Copyright (c) 2001 somebody " + strings.Repeat("and so on ", 20), []string{osi + "BSD License"}, "BSD-3-Clause"},
		{"", "Dual License", []string{osi + "Apache Software License", osi + "BSD License", osi + "BSD License"}, "Apache-2.0 OR BSD-3-Clause"},
		{"", "", []string{"License :: OSI Approved", "Topic :: MIT License"}, ""},
		{"", "see LICENSE", nil, ""},
		{"no ( expression", "MIT", nil, "MIT"},
		{"", "LicenseRef-Mine", nil, "LicenseRef-Mine"},
		{"", "GPL-3.0-or-later WITH GCC-exception-3.1", nil, "GPL-3.0-or-later WITH GCC-exception-3.1"},
	} {
		if got := Of(x.expression, x.field, x.classifiers); got != x.want {
			t.Errorf("%q, %.40q, %q: got %q, want %q", x.expression, x.field, x.classifiers, got, x.want)
		}
	}
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	noGPL := func(id string) bool { return !strings.HasPrefix(id, "GPL") }
	for text, want := range map[string]bool{
		"MIT": true, "GPL-2.0-only": false, "MIT OR GPL-2.0-only": true, "MIT AND GPL-2.0-only": false, "MIT or GPL-2.0+ and MIT": true,
		"(MIT OR GPL-2.0-only) AND ISC": true, "(MIT AND GPL-2.0-only) OR (ISC)": true, "GPL-2.0-only WITH Classpath-exception-2.0": false,
	} {
		if got, err := Allowed(text, noGPL); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MIT OR", "MIT ISC", "(MIT", "MIT)", "MIT WITH", "OR", "M;T", strings.Repeat("(", 1e5)} {
		if _, err := Allowed(text, noGPL); err == nil {
			t.Errorf("%.20q is accepted", text)
		}
	}
}
