// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"errors"
	"strings"
	"testing"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind catalog.Kind
		text string
		want string // canonical parts joined by |, "" for an error
	}{
		{catalog.KindStage, "payload_stage", "PAYLOAD_STAGE"},
		{catalog.KindStage, `"DB"."SCHEMA".SNOWPARK_TEMP_STAGE_ABC`, "DB|SCHEMA|SNOWPARK_TEMP_STAGE_ABC"},
		{catalog.KindService, "TESTDB.PUBLIC.MYJOB_0A1B2C3D", "TESTDB|PUBLIC|MYJOB_0A1B2C3D"},
		{catalog.KindStage, `"a.b""c"`, `a.b"c`},
		{catalog.KindSchema, "d.s", "D|S"},
		{catalog.KindDatabase, `"MY-DB"`, "MY-DB"},
		{catalog.KindComputePool, "SYSTEM_COMPUTE_POOL_CPU", "SYSTEM_COMPUTE_POOL_CPU"},
		{catalog.KindRuntimeEnvironment, `"MY_CRE"`, "MY_CRE"},
		{ast.KindTable, "d.s.t", "D|S|T"},
		{catalog.KindRuntimeEnvironment, `"my cre"`, ""},
		{catalog.KindDatabase, "a.b", ""},
		{catalog.KindSchema, "a.b.c", ""},
		{catalog.KindStage, "a.b.c.d", ""},
		{catalog.KindStage, "o'hara; drop table t", ""},
		{catalog.KindStage, "a b", ""},
		{catalog.KindStage, " a", ""},
		{catalog.KindStage, "a ", ""},
		{catalog.KindStage, "a--x", ""},
		{catalog.KindStage, "a/**/", ""},
		{catalog.KindStage, "a.", ""},
		{catalog.KindStage, `""`, ""},
		{catalog.KindStage, `"a`, ""},
		{catalog.KindStage, "1a", ""},
		{catalog.KindStage, "my-stage", ""},
		{catalog.KindStage, "", ""},
		{catalog.KindStage, "IDENTIFIER('x')", ""},
		{catalog.KindStage, "@x", ""},
	} {
		n, err := ParseName(c.text, c.kind)
		if c.want == "" {
			var e *errs.Error
			if !errors.As(err, &e) || e.Code != errs.Invalid || e.Number != 904 || !strings.Contains(e.Message, "invalid identifier '"+c.text+"'") {
				t.Errorf("%s %q: got %v, %v", c.kind, c.text, n, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %q: %v", c.kind, c.text, err)
			continue
		}
		var parts []string
		for _, p := range n.Parts {
			parts = append(parts, p.Canonical())
		}
		if got := strings.Join(parts, "|"); got != c.want || n.Kind != c.kind {
			t.Errorf("%s %q: got %q of kind %s", c.kind, c.text, got, n.Kind)
		}
	}
}

func TestParseStageRef(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, name, path string
		user             bool
	}{
		{"@payload_stage/myjob_1/app", "payload_stage", "myjob_1/app", false},
		{"@st", "st", "", false},
		{"@st/", "st", "", false},
		{"@d.s.st/p/", "d.s.st", "p/", false},
		{`@"s peci'al / chars"/a b/c`, `"s peci'al / chars"`, "a b/c", false},
		{`@d."S".stg`, `d."S".stg`, "", false},
		{"@~", "", "", true},
		{"@~/dir/x; drop", "", "dir/x; drop", true},
		{"@st//a//b", "st", "a//b", false},
		{"@st/\"odd\"", "st", `"odd"`, false},
	} {
		ref, err := ParseStageRef(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		name := ""
		if ref.Name != nil {
			name = ref.Name.String()
		}
		if name != c.name || ref.Path != c.path || ref.User != c.user {
			t.Errorf("%q: got %q %q %v", c.text, name, ref.Path, ref.User)
		}
		again, err := Parse("LIST " + ref.String())
		if err != nil || again[0].Statement.(*ast.List).Stage.String() != ref.String() {
			t.Errorf("%q prints as %q: %v", c.text, ref, err)
		}
	}
	for _, text := range []string{"", "st", "@", "@/p", "@~x", "@o'hara; drop table t", "@a b/c", "@a.b.c.d/x", "@my-stage"} {
		if _, err := ParseStageRef(text); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "'"+text+"'") {
			t.Errorf("%q: got %v", text, err)
		}
	}
	for _, text := range []string{"@%t", "snow://workspace/x"} {
		if _, err := ParseStageRef(text); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
