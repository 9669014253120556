// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

func listColumns() []rowset.Column {
	columns := textColumns("name size md5 last_modified")
	columns[1] = rowset.NumberColumn("size")
	return columns
}

func removeColumns() []rowset.Column { return textColumns("name result") }

// list runs LIST. A place without files has no rows.
func (w *work) list(ctx context.Context, s *ast.List) (*Result, error) {
	pattern, err := w.patternOf(ctx, s.Pattern)
	if err != nil {
		return nil, err
	}
	out := &rowset.Rowset{Columns: listColumns()}
	err = w.atStage(ctx, s.Stage, toLook(), func(tx catalog.Tx, place stagePlace) error {
		files, err := collect(tx.Files(place.stage.ID, place.path))
		out.Rows = [][]*string{}
		for _, f := range place.matching(files, pattern) {
			out.Rows = append(out.Rows, []*string{
				textCell(place.shown(f.Path)), numberCell(f.Size), textCell(f.MD5), textCell(f.Modified.UTC().Format(http.TimeFormat)),
			})
		}
		return err
	})
	return &Result{Rowset: out}, err
}

// remove runs REMOVE: the file of exactly this path, else all whose path begins with it.
func (w *work) remove(ctx context.Context, s *ast.Remove) (*Result, error) {
	pattern, err := w.patternOf(ctx, s.Pattern)
	if err != nil {
		return nil, err
	}
	ref, err := w.givenStage(ctx, s.Stage)
	if err != nil {
		return nil, err
	}
	out := &rowset.Rowset{Columns: removeColumns()}
	err = w.update(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		if err := g.Check(stageNeeds(ref, [][]catalog.Privilege{{catalog.Write}})); err != nil {
			return err
		}
		place, err := w.placeOf(tx, g, ref)
		if err != nil {
			return err
		}
		files, err := place.files(tx)
		if err != nil {
			return err
		}
		out.Rows = [][]*string{}
		for _, f := range place.matching(files, pattern) {
			if err := tx.DeleteFile(place.stage.ID, f.Path); err != nil {
				return err
			}
			out.Rows = append(out.Rows, []*string{textCell(place.shown(f.Path)), textCell("removed")})
		}
		return nil
	})
	return &Result{Rowset: out}, err
}

func (w *work) patternOf(ctx context.Context, x ast.Expr) (*regexp.Regexp, error) {
	if x == nil {
		return nil, nil
	}
	v, err := w.scalar(ctx, x)
	if err != nil {
		return nil, err
	}
	return filePattern(v.Text())
}

// copyOptions are the options of COPY FILES.
type copyOptions struct {
	files    []string // relative to the source; nil: all
	pattern  *regexp.Regexp
	detailed bool
}

func (w *work) copyOptions(given []ast.Property) (copyOptions, error) {
	o := copyOptions{detailed: true}
	for _, p := range given {
		var err error
		switch p.Name {
		case "FILES":
			o.files, err = w.listValue(p.Name, p.Value)
		case "PATTERN":
			var text string
			if text, err = w.textValue(p.Name, p.Value); err == nil {
				o.pattern, err = filePattern(text)
			}
		case "DETAILED_OUTPUT":
			var word string
			word, err = w.wordValue(p.Name, p.Value, []string{"TRUE", "FALSE"})
			o.detailed = word == "TRUE"
		default:
			err = unknown("property", p.Name, []string{"FILES", "PATTERN", "DETAILED_OUTPUT"})
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

func (o copyOptions) columns() []rowset.Column {
	if o.detailed {
		return textColumns("file")
	}
	return []rowset.Column{rowset.NumberColumn("files_copied")}
}

// copyColumns gives the columns of COPY FILES without running it.
func (w *work) copyColumns(_ context.Context, s *ast.CopyFiles) ([]rowset.Column, error) {
	o, err := w.copyOptions(s.Options)
	return o.columns(), err
}

// source is one file to copy: where it is, and its path below the target.
type source struct {
	ref    *ast.StageRef // exactly one file, of COPY FILES FROM (SELECT ...); its target is then relative
	target string
}

// copyFiles runs COPY FILES. The copies share the bytes of their sources, and all of them appear at once.
func (w *work) copyFiles(ctx context.Context, s *ast.CopyFiles) (*Result, error) {
	options, err := w.copyOptions(s.Options)
	if err != nil {
		return nil, err
	}
	into, err := w.givenStage(ctx, s.Into)
	if err != nil {
		return nil, err
	}
	var chosen []source
	from := s.From
	if s.Query != nil {
		chosen, err = w.chosenFiles(ctx, s.Query)
	} else {
		from, err = w.givenStage(ctx, s.From)
	}
	if err != nil {
		return nil, err
	}
	var copied []string
	err = w.update(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		if err := g.Check(stageNeeds(into, [][]catalog.Privilege{{catalog.Write}})); err != nil {
			return err
		}
		target, err := w.placeOf(tx, g, into)
		if err != nil {
			return err
		}
		var files map[string]*catalog.File // by path in the target
		if s.Query != nil {
			files, err = w.filesChosen(tx, g, target, chosen)
		} else {
			files, err = w.filesBelow(tx, g, target, from, options)
		}
		if err != nil {
			return err
		}
		copied = slices.Sorted(maps.Keys(files))
		for _, p := range copied {
			f := files[p]
			err := tx.PutFile(&catalog.File{Stage: target.stage.ID, Path: p, Key: f.Key, Size: f.Size, MD5: f.MD5, Meta: f.Meta})
			if err != nil {
				return err
			}
		}
		return nil
	})
	out := &rowset.Rowset{Columns: options.columns(), Rows: [][]*string{}}
	if !options.detailed {
		out.Rows = [][]*string{{numberCell(len(copied))}}
		return &Result{Rowset: out}, err
	}
	for _, p := range copied {
		out.Rows = append(out.Rows, []*string{textCell(p)})
	}
	return &Result{Rowset: out}, err
}

// filesBelow finds the files of a place, by their new paths.
func (w *work) filesBelow(tx catalog.Tx, g *rbac.Guard, target stagePlace, from *ast.StageRef, o copyOptions) (map[string]*catalog.File, error) {
	if err := g.Check(stageNeeds(from, toLook())); err != nil {
		return nil, err
	}
	place, err := w.placeOf(tx, g, from)
	if err != nil {
		return nil, err
	}
	files, err := place.files(tx)
	if err != nil {
		return nil, err
	}
	out := map[string]*catalog.File{}
	for _, f := range place.matching(files, o.pattern) {
		relative := place.below(f.Path)
		if o.files != nil && !slices.Contains(o.files, relative) {
			continue
		}
		p, err := target.targetPath(relative)
		if err != nil {
			return nil, err
		}
		out[p] = f
	}
	return out, nil
}

// chosenFiles runs the query of COPY FILES FROM (SELECT url [, name]).
func (w *work) chosenFiles(ctx context.Context, q *ast.Query) ([]source, error) {
	rows, err := w.engine.Run(ctx, q, w.env())
	if err != nil {
		return nil, err
	}
	if len(rows.Columns) > 2 {
		return nil, errs.New(errs.Invalid, "SQL compilation error:\nthe query of COPY FILES exceeds maximum allowable number of columns: it has %d, 2 are allowed",
			len(rows.Columns)).Numbered(1015, "22023")
	}
	var out []source
	for _, row := range rows.Rows {
		if row[0] == nil {
			return nil, errs.New(errs.Invalid, "the query of COPY FILES gave NULL for a file").Numbered(1015, "22023")
		}
		ref, err := w.stageRef("@" + strings.TrimPrefix(*row[0], "@"))
		if err != nil {
			return nil, err
		}
		s := source{ref: ref, target: ref.Path[strings.LastIndexByte(ref.Path, '/')+1:]}
		if len(row) == 2 && row[1] != nil {
			s.target = *row[1]
		}
		out = append(out, s)
	}
	return out, nil
}

// filesChosen finds the files that a query named, by their new paths.
func (w *work) filesChosen(tx catalog.Tx, g *rbac.Guard, target stagePlace, chosen []source) (map[string]*catalog.File, error) {
	out := map[string]*catalog.File{}
	for _, s := range chosen {
		if err := g.Check(stageNeeds(s.ref, toLook())); err != nil {
			return nil, err
		}
		place, err := w.placeOf(tx, g, s.ref)
		if err != nil {
			return nil, err
		}
		f, err := tx.File(place.stage.ID, place.path)
		if errs.Is(err, errs.NotFound) {
			return nil, errs.New(errs.NotFound, "file '%s' does not exist", place.reference())
		}
		if err != nil {
			return nil, err
		}
		p, err := target.targetPath(s.target)
		if err != nil {
			return nil, err
		}
		if p == "" {
			return nil, errs.New(errs.Invalid, "the query of COPY FILES gave no name for file '%s'", place.reference())
		}
		out[p] = f
	}
	return out, nil
}

// directoryRelation is DIRECTORY(@stage): the files of a stage as a table.
func directoryRelation() relation {
	columns := textColumns("RELATIVE_PATH SIZE LAST_MODIFIED MD5 ETAG FILE_URL")
	columns[1] = rowset.NumberColumn("SIZE")
	columns[2] = rowset.Column{Name: "LAST_MODIFIED", Type: rowset.TimestampTZ, Scale: 3}
	return relation{columns: columns, rows: directoryRows}
}

func directoryRows(ctx context.Context, w *work, call query.TableCall) ([][]*string, error) {
	var rows [][]*string
	err := w.atStage(ctx, call.Stage, toLook(), func(tx catalog.Tx, place stagePlace) error {
		rows = [][]*string{}
		for f, err := range tx.Files(place.stage.ID, place.path) {
			if err != nil {
				return err
			}
			at := *timeCell(f.Modified) + " 1440"
			rows = append(rows, []*string{
				textCell(f.Path), numberCell(f.Size), &at, textCell(f.MD5), textCell(f.MD5), textCell(stagePlace{place.stage, f.Path}.reference()),
			})
		}
		return nil
	})
	return rows, err
}
