// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"path"
	"regexp"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// putColumns are those of the rows that clients make of a PUT.
func putColumns() []rowset.Column {
	columns := textColumns("source target source_size target_size source_compression target_compression status message")
	columns[2], columns[3] = rowset.NumberColumn("source_size"), rowset.NumberColumn("target_size")
	return columns
}

// getColumns are those of the rows that clients make of a GET.
func getColumns() []rowset.Column {
	columns := textColumns("file size status message")
	columns[1] = rowset.NumberColumn("size")
	return columns
}

// put answers PUT with what the client is to upload where. It has no side effect: clients send the same statement again for each
// file, with its bare name.
func (w *work) put(ctx context.Context, s *ast.Put) (*Result, error) {
	local, err := w.localPath(ctx, s.Local, s.LocalArg)
	if err != nil {
		return nil, err
	}
	options, err := w.transferOptions(s.Options, "PARALLEL", "AUTO_COMPRESS", "SOURCE_COMPRESSION", "OVERWRITE", "THRESHOLD")
	if err != nil {
		return nil, err
	}
	t := &Transfer{Upload: true, Local: local, Options: options, BoundLocation: s.Stage.Arg != nil}
	err = w.atStage(ctx, s.Stage, [][]catalog.Privilege{{catalog.Write}}, func(_ catalog.Tx, place stagePlace) error {
		t.Stage, t.Prefix = place.stage, place.directory()
		return nil
	})
	return &Result{Rowset: &rowset.Rowset{Columns: putColumns(), Rows: [][]*string{}}, Transfer: t}, err
}

// get answers GET with the files that the client is to download.
func (w *work) get(ctx context.Context, s *ast.Get) (*Result, error) {
	local, err := w.localPath(ctx, s.Local, s.LocalArg)
	if err != nil {
		return nil, err
	}
	options, err := w.transferOptions(s.Options, "PARALLEL", "PATTERN")
	if err != nil {
		return nil, err
	}
	pattern, err := filePattern(options["PATTERN"])
	if err != nil {
		return nil, err
	}
	t := &Transfer{Local: local, Options: options, BoundLocation: s.Stage.Arg != nil}
	err = w.atStage(ctx, s.Stage, toLook(), func(tx catalog.Tx, place stagePlace) error {
		files, err := place.files(tx)
		t.Stage, t.Prefix = place.stage, place.path[:strings.LastIndexByte(place.path, '/')+1]
		t.Files = place.matching(files, pattern)
		return err
	})
	return &Result{Rowset: &rowset.Rowset{Columns: getColumns(), Rows: [][]*string{}}, Transfer: t}, err
}

// toLook is what listing and reading files requires.
func toLook() [][]catalog.Privilege { return [][]catalog.Privilege{{catalog.Read, catalog.Usage}} }

// atStage runs fn in a snapshot with the place that a statement names. The requirements of a name in the text were checked already;
// those of one that came as a value are checked here, any privilege of each list being enough.
func (w *work) atStage(ctx context.Context, ref *ast.StageRef, needs [][]catalog.Privilege, fn func(catalog.Tx, stagePlace) error) error {
	ref, err := w.givenStage(ctx, ref)
	if err != nil {
		return err
	}
	return w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		if err := g.Check(stageNeeds(ref, needs)); err != nil {
			return err
		}
		place, err := w.placeOf(tx, g, ref)
		if err != nil {
			return err
		}
		return fn(tx, place)
	})
}

func stageNeeds(ref *ast.StageRef, needs [][]catalog.Privilege) []catalog.Requirement {
	if ref.Name == nil {
		return nil
	}
	var out []catalog.Requirement
	for _, any := range needs {
		out = append(out, catalog.Requirement{Any: any, Kind: catalog.KindStage, Name: ref.Name.Resolved})
	}
	return out
}

// givenStage reads a reference that came as a bind or variable.
func (w *work) givenStage(ctx context.Context, ref *ast.StageRef) (*ast.StageRef, error) {
	if ref.Arg == nil {
		return ref, nil
	}
	v, err := w.scalar(ctx, ref.Arg)
	if err != nil {
		return nil, err
	}
	return w.stageRef(v.Text())
}

// localPath is the path on the client, without file://.
func (w *work) localPath(ctx context.Context, local string, arg ast.Expr) (string, error) {
	if arg == nil {
		return local, nil
	}
	v, err := w.scalar(ctx, arg)
	if err != nil {
		return "", err
	}
	const scheme = "file://"
	text := v.Text()
	if len(text) <= len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme) {
		return "", errs.New(errs.Invalid, "SQL compilation error:\ninvalid local path '%s': it begins with file://", text).Numbered(1008, "22023")
	}
	return text[len(scheme):], nil
}

// transferOptions reads the options of PUT and GET, in whatever style clients write them.
//
// Errors: Invalid for an unknown or repeated option, naming the nearest known one.
func (w *work) transferOptions(given []ast.Property, known ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range given {
		if _, twice := out[p.Name]; twice {
			return nil, errs.New(errs.Invalid, "SQL compilation error:\nduplicate property '%s'", p.Name).Numbered(1003, "42000")
		}
		found := false
		for _, k := range known {
			found = found || k == p.Name
		}
		if !found {
			return nil, unknown("property", p.Name, known)
		}
		text, err := w.textValue(p.Name, p.Value)
		if err != nil {
			return nil, err
		}
		out[p.Name] = text
	}
	return out, nil
}

// filePattern compiles PATTERN, which must match the whole path of a file as LIST shows it; nil for "".
func filePattern(text string) (*regexp.Regexp, error) {
	if text == "" {
		return nil, nil
	}
	re, err := regexp.Compile("(?s)^(?:" + text + ")$")
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "SQL compilation error:\ninvalid PATTERN '%s'", text).Numbered(1008, "22023")
	}
	return re, nil
}

// matching keeps the files that the pattern matches; nil keeps all.
func (p stagePlace) matching(files []*catalog.File, pattern *regexp.Regexp) []*catalog.File {
	if pattern == nil {
		return files
	}
	var out []*catalog.File
	for _, f := range files {
		if pattern.MatchString(p.shown(f.Path)) {
			out = append(out, f)
		}
	}
	return out
}

// targetPath is where a file of that relative path goes in a place.
//
// Errors: Invalid for a path that leads out of the stage.
func (p stagePlace) targetPath(relative string) (string, error) {
	clean, err := cleanPath(relative)
	if err != nil {
		return "", err
	}
	return path.Join(p.path, clean), nil
}
