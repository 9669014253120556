// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
)

func stageSynopses() []Synopsis {
	return []Synopsis{
		{"Stages", "PUT { file://<path> | 'file://<path>' } <location> [ <option> = <value> ... ]",
			"<location> is @[<database>.][<schema>.]<stage>[/<path>], @~[/<path>] for the own user stage, or either in single quotes. Options: PARALLEL, AUTO_COMPRESS, SOURCE_COMPRESSION, OVERWRITE, THRESHOLD.",
			"PUT 'file:///tmp/model.pkl' '@models/v1' auto_compress = False overwrite = True"},
		{"Stages", "GET <location> { file://<path> | 'file://<path>' } [ PARALLEL = <n> ] [ PATTERN = '<regex>' ]",
			"A location without a trailing slash is a prefix.", "GET @models/v1/model.pkl file:///tmp/ PARALLEL = 4"},
		{"Stages", "{ LIST | LS } <location> [ PATTERN = '<regex>' ]", "", "ls @models pattern = '.*\\\\.pkl'"},
		{"Stages", "{ REMOVE | RM } <location> [ PATTERN = '<regex>' ]", "", "REMOVE @models/v1/"},
		{"Stages", "COPY FILES INTO <location> FROM { <location> | ( <query> ) } [ FILES = ( '<name>' [ , ... ] ) ] [ PATTERN = '<regex>' ] [ DETAILED_OUTPUT = { TRUE | FALSE } ]",
			"", "COPY FILES INTO @models/v2/ FROM @models/v1/ FILES = ('model.pkl')"},
	}
}

// ParseStageRef reads a stage location from a value: @stage/path, where the path may hold any characters, nothing before or after.
//
// Errors: Invalid, number 904 with the whole text; Unsupported for table stages and workspaces.
func ParseStageRef(text string) (*ast.StageRef, error) {
	if strings.HasPrefix(strings.ToLower(text), "snow://") {
		return nil, errs.New(errs.Unsupported, "SQL compilation error:\nunsupported location '%s': only stages are", text).Numbered(2, "0A000")
	}
	if !strings.HasPrefix(text, "@") {
		return nil, invalidIdentifier(text)
	}
	rest := text[1:]
	if strings.HasPrefix(rest, "%") {
		return nil, errs.New(errs.Unsupported, "SQL compilation error:\nunsupported table stage '%s': use a named stage", text).Numbered(2, "0A000")
	}
	if after, ok := strings.CutPrefix(rest, "~"); ok {
		if after != "" && after[0] != '/' {
			return nil, invalidIdentifier(text)
		}
		return &ast.StageRef{User: true, Path: strings.TrimLeft(after, "/")}, nil
	}
	end := nameEnd(rest)
	n, err := ParseName(rest[:end], catalog.KindStage)
	if err != nil {
		return nil, invalidIdentifier(text)
	}
	return &ast.StageRef{Name: n, Path: strings.TrimLeft(rest[end:], "/")}, nil
}

// nameEnd is where the first slash outside of double quotes is.
func nameEnd(s string) int {
	inQuotes := false
	for i := range len(s) {
		if s[i] == '"' {
			inQuotes = !inQuotes
		}
		if s[i] == '/' && !inQuotes {
			return i
		}
	}
	return len(s)
}

// stage reads a location.
func (p *parser) stage() *ast.StageRef {
	pos := p.offset()
	switch {
	case p.is(stageToken), p.is(stringToken), p.is(urlToken):
		ref, err := ParseStageRef(p.tok().text)
		if err != nil {
			p.stop(err)
			return nil
		}
		p.advance()
		ref.Pos = pos
		if ref.Name != nil {
			ref.Name.Pos += pos + 1
		}
		return ref
	case p.isBind(), p.is(variableToken):
		return &ast.StageRef{Arg: p.scalar(), Pos: pos}
	}
	p.unexpected("a stage location such as @stage/path")
	return nil
}

// local reads file://path.
func (p *parser) local() (path string, arg ast.Expr) {
	if p.isBind() {
		return "", p.bind()
	}
	const scheme = "file://"
	text := p.tok().text
	if !p.is(urlToken) && !p.is(stringToken) || len(text) <= len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme) {
		p.unexpected("file://<path>")
		return "", nil
	}
	p.advance()
	return text[len(scheme):], nil
}

func (p *parser) put() ast.Statement {
	s := &ast.Put{}
	s.Local, s.LocalArg = p.local()
	s.Stage = p.stage()
	s.Options = p.properties()
	return s
}

func (p *parser) get() ast.Statement {
	s := &ast.Get{Stage: p.stage()}
	s.Local, s.LocalArg = p.local()
	s.Options = p.properties()
	return s
}

func (p *parser) list() ast.Statement {
	s := &ast.List{Stage: p.stage()}
	s.Pattern = p.pattern()
	return s
}

func (p *parser) remove() ast.Statement {
	s := &ast.Remove{Stage: p.stage()}
	s.Pattern = p.pattern()
	return s
}

func (p *parser) pattern() ast.Expr {
	if !p.take("PATTERN") {
		return nil
	}
	p.expectOp("=")
	return p.scalar()
}

func (p *parser) copyFiles() ast.Statement {
	p.expect("INTO")
	s := &ast.CopyFiles{Into: p.stage()}
	p.expect("FROM")
	if p.takeOp("(") {
		s.Query = p.query()
		p.expectOp(")")
	} else {
		s.From = p.stage()
	}
	s.Options = p.properties()
	return s
}
