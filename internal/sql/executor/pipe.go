// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"io"
	"reflect"
	"strconv"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/parser"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

const (
	// deepest is how deep EXECUTE IMMEDIATE may be inside EXECUTE IMMEDIATE.
	deepest = 8
	// longestScript is the size of the largest script file, in bytes.
	longestScript = 10 << 20
)

// pipe runs a chain of statements; $n in FROM is the result of the n-th step before.
func (w *work) pipe(ctx context.Context, s *ast.Pipe) (*Result, error) {
	var last *Result
	for _, step := range s.Steps {
		in := w.inner(parser.Parsed{Statement: step, Text: w.text}, w.binds)
		var err error
		if last, err = in.run(ctx); err != nil {
			return nil, err
		}
		w.adopt(in)
		w.piped = append(w.piped, last.Rowset)
	}
	return last, nil
}

// pipeColumns gives the columns of the last step.
func (w *work) pipeColumns(ctx context.Context, s *ast.Pipe) ([]rowset.Column, error) {
	var columns []rowset.Column
	for _, step := range s.Steps {
		in := w.inner(parser.Parsed{Statement: step, Text: w.text}, w.binds)
		var err error
		if columns, err = in.columns(ctx); err != nil {
			return nil, err
		}
		w.piped = append(w.piped, &rowset.Rowset{Columns: columns, Rows: [][]*string{}})
	}
	return columns, nil
}

func pipeHasEffects(w *work, s *ast.Pipe) bool {
	for _, step := range s.Steps {
		if v, ok := w.verbs[reflect.TypeOf(step)]; ok && v.effects(w, step) {
			return true
		}
	}
	return false
}

// executeImmediate runs the statements of a text or of a file in a stage, and gives the result of the last.
func (w *work) executeImmediate(ctx context.Context, s *ast.ExecuteImmediate) (*Result, error) {
	if w.depth >= deepest {
		return nil, errs.New(errs.Exhausted, "EXECUTE IMMEDIATE runs itself: it may be nested %d deep", deepest)
	}
	text, where, err := w.script(ctx, s)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseScript(text)
	if err != nil {
		return nil, inFile(err, where)
	}
	binds := map[string]rowset.Bind{}
	for i, x := range s.Using {
		v, err := w.scalar(ctx, x)
		if err != nil {
			return nil, err
		}
		binds[strconv.Itoa(i+1)] = rowset.Bind{Type: strings.ToUpper(string(v.Column.Type)), Values: []*string{v.Cell()}}
	}
	if len(s.Using) == 0 {
		binds = w.binds
	}
	var last *Result
	for i, p := range parsed {
		in := w.inner(p, dealBinds(binds, parsed, i))
		in.depth++
		if last, err = in.run(ctx); err != nil {
			return nil, inFile(err, where)
		}
		w.adopt(in)
	}
	return last, nil
}

// script gives the text to run; where names the file it came from.
func (w *work) script(ctx context.Context, s *ast.ExecuteImmediate) (text, where string, err error) {
	if s.Stage == nil {
		text, err = w.scalarText(s.Text)
		return text, "", err
	}
	where = s.Stage.Path
	stage, err := w.stageID(ctx, s.Stage)
	if err != nil {
		return "", where, err
	}
	file, info, err := w.options.Stages.Open(ctx, stage, s.Stage.Path)
	if errs.Is(err, errs.NotFound) {
		return "", where, errs.New(errs.NotFound, "SQL compilation error:\nFile '%s' does not exist in the stage or not authorized.", where).Numbered(2003, "02000")
	}
	if err != nil {
		return "", where, err
	}
	defer func() { _ = file.Close() }() // only read
	if info.Size > longestScript {
		return "", where, errs.New(errs.Exhausted, "file '%s' has %d bytes: a script has at most %d", where, info.Size, longestScript)
	}
	body, err := io.ReadAll(io.LimitReader(file, longestScript))
	if err != nil {
		return "", where, errs.Wrap(err, errs.Unavailable, "file '%s' cannot be read", where)
	}
	text = string(body)
	first, rest, _ := strings.Cut(text, "\n")
	if strings.TrimSpace(first) != templateMark {
		return text, where, nil
	}
	values := map[string]query.Value{}
	for _, a := range s.Arguments {
		if values[a.Name], err = w.scalar(ctx, a.Value); err != nil {
			return "", where, err
		}
	}
	if text, err = render(rest, values); err != nil {
		err = inFile(err, where)
	}
	return text, where, err
}

// inFile names the file in the error of a statement that came from one.
func inFile(err error, where string) error {
	if where == "" {
		return err
	}
	known := numbered(err)
	var n errorNumber
	if e, ok := known.(*errs.Error); ok {
		n = errorNumber{e.Number, e.State}
	}
	return errs.New(errs.CodeOf(err), "Uncaught exception in file '%s':\n%s", where, errs.MessageOf(err)).Numbered(n.number, n.state)
}

// immediateColumns cannot know what the text will be when it is an expression; a literal is described by its last statement.
func (w *work) immediateColumns(ctx context.Context, s *ast.ExecuteImmediate) ([]rowset.Column, error) {
	if s.Stage != nil {
		return statusColumns(), nil
	}
	text, err := w.scalarText(s.Text)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseScript(text)
	if err != nil {
		return nil, err
	}
	in := w.inner(parsed[len(parsed)-1], w.binds)
	return in.columns(ctx)
}
