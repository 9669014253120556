// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"strings"
	"testing"

	"firn.dev/firn/internal/blob/dir"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/stage"
)

func TestRender(t *testing.T) {
	t.Parallel()
	values := map[string]query.Value{
		"NAME": query.TextValue("x"), "N": query.NumberValue(3), "YES": query.BoolValue(true), "NO": query.BoolValue(false), "NOTHING": {},
	}
	for _, c := range []struct{ text, want, err string }{
		{"a {{ name }} {{N}} {{yes}} {{nothing}}", "a x 3 True None", ""},
		{"{% if yes %}1{% else %}2{% endif %}{% if not yes %}3{%- else -%}4{% endif %}", "14", ""},
		{"{% if n == 2 %}two{% elif n == 3 %}three{% elif yes %}yes{% else %}else{% endif %}", "three", ""},
		{"{% if name != 'y' %}{% if no %}a{% else %}b{% endif %}{% endif %}{# c #}.", "b.", ""},
		{"{% if no %}{{ unknown }}{% if yes %}a{% endif %}{% endif %}b", "b", ""},
		{"{{ unknown }}", "", "'unknown' is undefined"}, {"{% if yes %}", "", "no endif"}, {"{% else %}", "", "else without if"},
		{"{% for x in y %}{% endfor %}", "", "template tag for"}, {"{% if a + b %}{% endif %}", "", "template condition a + b"},
	} {
		got, err := render(c.text, values)
		if c.err == "" && (err != nil || got != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %q, %v", c.text, got, err)
		}
	}
}

func TestExecuteImmediateFromStage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	blobs, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	files := stage.New(h.store, blobs)
	h.options.Stages = files
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	h.must(t, s, "CREATE DATABASE d", "CREATE STAGE st", "CREATE ROLE r", "CREATE USER u", "GRANT ROLE r TO USER u")
	var id catalog.ID
	err = h.store.View(t.Context(), func(tx catalog.Tx) error {
		o, err := tx.Object(catalog.KindStage, catalog.Name{Database: "D", Schema: "PUBLIC", Object: "ST"})
		id = o.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"dir/f.sql": "CREATE SCHEMA made; -- and\nSELECT CURRENT_SCHEMA() AS made;", "bad.sql": "SELECT 1;\nDROP STAGE nope;",
		"t.sql": "--!jinja\n{% if more %}CREATE SCHEMA {{ name }};{% endif %} SELECT '{{ name }}';",
	} {
		if _, err := files.Put(t.Context(), id, name, strings.NewReader(text), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"execute immediate from @d.public.st/dir/f.sql", "MADE\n"},
		{"execute immediate from @d.public.st/t.sql using (name => 'templated', more => TRUE)", "templated\n"},
		{"execute immediate from @d.public.st/bad.sql", "error 2003 02000 Uncaught exception in file 'bad.sql': / SQL compilation error: / Stage 'D.TEMPLATED.NOPE' does not exist or not authorized.\n"},
		{"execute immediate from @d.public.st/none.sql", "error 2003 02000 SQL compilation error: / File 'none.sql' does not exist in the stage or not authorized.\n"},
		{"SELECT CURRENT_SCHEMA()", "TEMPLATED\n"},
	} {
		if got := h.answer(t, s, c.text, nil); got != c.want {
			t.Errorf("%s: %s", c.text, got)
		}
	}
	stranger := h.session(t, "U", "R")
	if got := h.answer(t, stranger, "execute immediate from @d.public.st/dir/f.sql", nil); !strings.HasPrefix(got, "error 2003") {
		t.Errorf("stranger: %s", got)
	}
}
