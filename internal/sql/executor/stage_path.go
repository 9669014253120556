// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"path"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/parser"
)

// stagePlace is a place in a stage, found.
type stagePlace struct {
	// stage is the stage. The user's own stage @~ has the user's id and no spec.
	stage *catalog.Object
	path  string // below the root, without leading slash; a trailing slash is kept
}

// stageRef reads a reference that arrives as a value, and resolves its name.
//
// Errors: Invalid (904) with the text as it was given; 90105; 90106.
func (w *work) stageRef(text string) (*ast.StageRef, error) {
	ref, err := parser.ParseStageRef(text)
	if err != nil {
		return nil, err
	}
	if ref.Name != nil {
		err = w.resolve(ref.Name)
	}
	return ref, err
}

// placeOf finds where a reference points. What the statement requires of the stage has been checked.
//
// Errors: NotFound; Invalid for a path that leads out of the stage; Unsupported for a user stage without a user.
func (w *work) placeOf(tx catalog.Tx, g *rbac.Guard, ref *ast.StageRef) (stagePlace, error) {
	p, err := cleanPath(ref.Path)
	if err != nil {
		return stagePlace{}, err
	}
	if ref.Name != nil {
		o, err := g.Find(catalog.KindStage, ref.Name.Resolved)
		return stagePlace{o, p}, err
	}
	user, err := tx.Object(catalog.KindUser, catalog.Name{Object: w.session.User})
	if errs.Is(err, errs.NotFound) {
		return stagePlace{}, errs.New(errs.Unsupported, "the user stage @~ needs a user, and this session belongs to a role: use a named stage")
	}
	if err != nil {
		return stagePlace{}, err
	}
	return stagePlace{&catalog.Object{ID: user.ID, Kind: catalog.KindStage, Owner: user.Owner, Created: user.Created}, p}, nil
}

// cleanPath gives a path below a stage root with single slashes and none at its start.
//
// Errors: Invalid for . and .. among its parts.
func cleanPath(p string) (string, error) {
	var parts []string
	for part := range strings.SplitSeq(p, "/") {
		switch part {
		case "":
		case ".", "..":
			return "", errs.New(errs.Invalid, "invalid stage path '%s': '%s' is not allowed in it", p, part).Numbered(904, "42000")
		default:
			parts = append(parts, part)
		}
	}
	clean := strings.Join(parts, "/")
	if clean != "" && strings.HasSuffix(p, "/") {
		clean += "/"
	}
	return clean, nil
}

// directory is the path as a directory: with a trailing slash unless it is the root.
func (p stagePlace) directory() string {
	if p.path == "" || strings.HasSuffix(p.path, "/") {
		return p.path
	}
	return p.path + "/"
}

// shown is the path of a file as LIST writes it: behind the stage's name, which is in lower case unless it has to be quoted.
func (p stagePlace) shown(file string) string {
	name := p.stage.Name.Object
	switch {
	case name == "":
		return file
	case catalog.Quote(name) == name:
		name = strings.ToLower(name)
	}
	return name + "/" + file
}

// reference is the place as others may write it: @DB.SCHEMA.STAGE/path.
func (p stagePlace) reference() string {
	name := "~"
	if p.stage.Name.Object != "" {
		name = p.stage.Name.String()
	}
	return strings.TrimSuffix("@"+name+"/"+strings.TrimSuffix(p.path, "/"), "/")
}

// files lists the files of a place: the one of exactly this path, else all whose path begins with it.
func (p stagePlace) files(tx catalog.Tx) ([]*catalog.File, error) {
	all, err := collect(tx.Files(p.stage.ID, p.path))
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.Path == p.path {
			return []*catalog.File{f}, nil
		}
	}
	return all, nil
}

// below gives the path of a file relative to the directory that the place names: of one file, and of files found by the
// beginning of their names, the last part of the place stays.
func (p stagePlace) below(file string) string {
	if p.path == "" {
		return file
	}
	if rest, ok := strings.CutPrefix(file, p.directory()); ok {
		return rest
	}
	dir := path.Dir(p.path)
	if dir == "." {
		return file
	}
	return strings.TrimPrefix(file, dir+"/")
}
