// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"firn.dev/firn/internal/catalog"
)

// files puts files on a stage; the content is the path.
func (b *jobBench) files(stage catalog.Name, paths ...string) {
	b.t.Helper()
	b.update(func(tx catalog.Tx) error {
		o, err := tx.Object(catalog.KindStage, stage)
		if err != nil {
			return err
		}
		for _, p := range paths {
			err := tx.PutFile(&catalog.File{Stage: o.ID, Path: p, Key: "stage/" + strings.ToLower(stage.Object) + "/" + p, Size: int64(len(p)), MD5: "0123456789abcdef0123456789abcdef"})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func stageName(name string) catalog.Name {
	return catalog.Name{Database: "D", Schema: "S", Object: name}
}

// columnOf gives one column of all rows.
func columnOf(rows []map[string]string, name string) []string {
	out := []string{}
	for _, r := range rows {
		out = append(out, r[name])
	}
	return out
}

func TestPutPlans(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.run(b.admin, `create stage "odd.Name-x"`)
	for _, c := range []struct {
		text, local, prefix string
		options             map[string]string
	}{
		{"PUT 'file:///home/me/pay/myjob.py' '@st/myjob_1/app'  parallel = 4 source_compression = 'AUTO_DETECT' auto_compress = False overwrite = True ",
			"/home/me/pay/myjob.py", "myjob_1/app/", map[string]string{"PARALLEL": "4", "SOURCE_COMPRESSION": "AUTO_DETECT", "AUTO_COMPRESS": "False", "OVERWRITE": "True"}},
		{"PUT 'file://startup.sh' '@D.S.st/x/system' PARALLEL = 4 AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = AUTO_DETECT OVERWRITE = TRUE",
			"startup.sh", "x/system/", map[string]string{"PARALLEL": "4", "SOURCE_COMPRESSION": "AUTO_DETECT", "AUTO_COMPRESS": "FALSE", "OVERWRITE": "TRUE"}},
		{"put file:///tmp/a*.csv @st auto_compress=false parallel=4 overwrite=False threshold=100", "/tmp/a*.csv", "",
			map[string]string{"PARALLEL": "4", "AUTO_COMPRESS": "false", "OVERWRITE": "False", "THRESHOLD": "100"}},
		{`put 'file:///tmp/a b' '@"odd.Name-x"/p q/'`, "/tmp/a b", "p q/", map[string]string{}},
		{"put file:///tmp/a @~/dir", "/tmp/a", "dir/", map[string]string{}},
	} {
		result, err := b.try(b.admin, c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got := result.Transfer
		if !got.Upload || got.Local != c.local || got.Prefix != c.prefix || got.Stage.ID == "" || !reflect.DeepEqual(got.Options, c.options) || got.BoundLocation {
			t.Errorf("%s: got %+v", c.text, got)
		}
	}
	result, err := b.try(b.admin, "PUT file:///tmp/binds ?", "@st/b")
	if err != nil || !result.Transfer.BoundLocation || result.Transfer.Prefix != "b/" {
		t.Errorf("got %+v, %v", result, err)
	}
	if rows := b.run(b.admin, "ls @st"); len(rows) != 0 {
		t.Errorf("PUT left %v", rows)
	}
	b.refuses(b.admin, 0, "put file:///tmp/a @st parallell = 4", "did you mean 'PARALLEL'")
	b.refuses(b.admin, 2003, "put file:///tmp/a @nostage", "Stage 'D.S.NOSTAGE' does not exist")
	b.refuses(b.admin, 904, "put file:///tmp/a @st/../x", "'..' is not allowed")
}

func TestGetPlans(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.files(stageName("ST"), "r/mljob_result", "r/mljob_result.json", "r/mljob_extra.pkl", "r/sub/x.csv", "rr/y.csv")
	for text, want := range map[string][]string{
		"GET '@D.S.st/r/mljob_result' 'file:///tmp'  parallel = 10 ": {"r/mljob_result"}, // exact wins
		"get @st/r/mljob file:///tmp/":                               {"r/mljob_extra.pkl", "r/mljob_result", "r/mljob_result.json"},
		"get @st/r/ file:///tmp/":                                    {"r/mljob_extra.pkl", "r/mljob_result", "r/mljob_result.json", "r/sub/x.csv"},
		"get @st/r file:///tmp/ pattern = '.*[.]csv'":                {"r/sub/x.csv", "rr/y.csv"},
		"get @st/none file:///tmp/":                                  {},
	} {
		result, err := b.try(b.admin, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := []string{}
		for _, f := range result.Transfer.Files {
			got = append(got, f.Path)
			if !strings.HasPrefix(f.Path, result.Transfer.Prefix) {
				t.Errorf("%s: %s is outside of %q", text, f.Path, result.Transfer.Prefix)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func TestListAndRemove(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.run(b.admin, `create stage "odd.Name-x"`)
	b.files(stageName("ST"), "glob/f1", "globgz/f2", "a b/#%'x", "z.csv")
	b.files(stageName("odd.Name-x"), "p/f")
	for text, want := range map[string][]string{
		"ls @st":                              {"st/a b/#%'x", "st/glob/f1", "st/globgz/f2", "st/z.csv"},
		"LIST '@st/glob'":                     {"st/glob/f1", "st/globgz/f2"},
		"list @D.S.ST/glob/":                  {"st/glob/f1"},
		"ls @st pattern = '.*csv'":            {"st/z.csv"},
		`ls @"odd.Name-x"/p`:                  {"odd.Name-x/p/f"},
		"ls @st/missing":                      {},
		"list '@st/a b/'":                     {"st/a b/#%'x"},
		"ls @~":                               {},
		"ls @st pattern = 'st/glob[a-z]*/.*'": {"st/glob/f1", "st/globgz/f2"},
	} {
		rows := b.run(b.admin, text)
		if got := columnOf(rows, "name"); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
		for _, r := range rows {
			if r["md5"] == "" || !strings.HasSuffix(r["last_modified"], " GMT") || r["size"] == "" {
				t.Errorf("%s: %v", text, r)
			}
		}
	}
	if got := b.cell(b.admin, `select count(1) as "N" from directory(@st)`); got != "4" {
		t.Errorf("directory table has %s files", got)
	}
	rows := b.run(b.admin, "REMOVE @st/glob/")
	if len(rows) != 1 || rows[0]["name"] != "st/glob/f1" || rows[0]["result"] != "removed" {
		t.Errorf("removed %v", rows)
	}
	if rows := b.run(b.admin, "rm @st/nothing"); len(rows) != 0 {
		t.Errorf("removed %v", rows)
	}
	b.run(b.admin, "rm @st pattern = '.*csv'")
	if got := columnOf(b.run(b.admin, "ls @st"), "name"); !slices.Equal(got, []string{"st/a b/#%'x", "st/globgz/f2"}) {
		t.Errorf("left %v", got)
	}
}

func TestCopyFiles(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.run(b.admin, "create stage SRC")
	b.files(stageName("SRC"), "dir/a.py", "dir/sub/b.py", "dir/c.txt", "dirx/d.py")
	for _, c := range []struct {
		text string
		want []string
	}{
		{"copy files into @st/main_1/app/ from @src/dir/", []string{"main_1/app/a.py", "main_1/app/c.txt", "main_1/app/sub/b.py"}},
		{"copy files into @D.S.ST/one/ from @SRC/dir/a.py", []string{"one/a.py"}},
		{"copy files into @st/two from @src/dir/ files = ('a.py', 'sub/b.py')", []string{"two/a.py", "two/sub/b.py"}},
		{"copy files into @st/three/ from @src/dir/ pattern = '.*txt'", []string{"three/c.txt"}},
		{"copy files into @st/four/ from (select '@src/dir/a.py', 'new.py' union all select 'D.S.SRC/dir/c.txt', null)", []string{"four/c.txt", "four/new.py"}},
		{"copy files into @st/five/ from @src/none/", []string{}},
	} {
		if got := columnOf(b.run(b.admin, c.text), "file"); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.text, got, c.want)
		}
	}
	if got := b.cell(b.admin, "copy files into @st/six/ from @src/dir/ detailed_output = false"); got != "3" {
		t.Errorf("copied %s", got)
	}
	b.refuses(b.admin, 0, "copy files into @st/x/ from (select '@src/a', 'b', 'c')", "exceeds maximum allowable number of columns")
	b.refuses(b.admin, 0, "copy files into @st/x/ from (select '@src/none.py')", "none.py' does not exist")
	b.refuses(b.admin, 0, "copy files into @st/x/ from (select '@src/dir/a.py', '../../y')", "'..' is not allowed")
	for _, f := range b.run(b.admin, "ls @st/one/") {
		if f["size"] != "8" || f["md5"] == "" {
			t.Errorf("copy %v", f)
		}
	}
}

// TestStagePrivileges: reading needs READ (or USAGE, as on stages outside), writing WRITE.
func TestStagePrivileges(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.files(stageName("ST"), "f")
	b.run(b.admin, "create stage SRC")
	reads := []string{"ls @st", "get @st/f file:///tmp/"}
	writes := []string{"put file:///tmp/f @st", "rm @st/f"}
	for _, text := range append(slices.Clone(reads), writes...) {
		b.refuses(b.ann, 2003, text)
	}
	for _, g := range []string{"usage on database D", "usage on schema D.S", "read on stage D.S.ST"} {
		b.run(b.admin, "grant "+g+" to role SCIENTIST")
	}
	for _, text := range reads {
		b.run(b.ann, text)
	}
	for _, text := range writes {
		b.refuses(b.ann, 3001, text, "stage 'ST'")
	}
	if _, err := b.try(b.ann, "put file:///tmp/f ?", "@st/x"); err == nil {
		t.Error("a bound location needs no privilege")
	}
	b.run(b.admin, "grant write on stage D.S.ST to role SCIENTIST")
	b.refuses(b.ann, 2003, "copy files into @st/ from (select '@D.S.SRC/f')")
	b.refuses(b.ann, 2003, "copy files into @st/ from @D.S.SRC/f")
	b.run(b.admin, "revoke read on stage D.S.ST from role SCIENTIST")
	b.refuses(b.ann, 3001, "ls @st")
	b.run(b.ann, "put file:///tmp/f @~/mine")
	b.run(b.ann, "rm @st/f")
}
