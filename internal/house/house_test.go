// SPDX-License-Identifier: Apache-2.0

package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "firn.dev/firn/"

// implementations are known to cmd/firnd alone.
var implementations = []string{"catalog/sqlstore", "compute/docker", "compute/none", "blob/dir", "blob/s3"}

// source is one Go file as the checks see it.
type source struct {
	dir     string   // below the module root, "internal/errs"
	name    string   // house.go
	imports []string // of the module, without its path
	doc     bool     // has a package comment
}

func sources(t *testing.T) []source {
	t.Helper()
	root := "../.."
	var out []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil && rel != "." {
				return filepath.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		out = append(out, source{path.Dir(filepath.ToSlash(rel)), d.Name(), ownImports(f), f.Doc != nil})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 50 {
		t.Fatalf("found %d Go files: the walk is broken", len(out))
	}
	return out
}

func ownImports(f *ast.File) []string {
	var out []string
	for _, imp := range f.Imports {
		if own, ok := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), module); ok {
			out = append(out, own)
		}
	}
	return out
}

func TestImportsFollowThePlan(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		room, internal := strings.CutPrefix(s.dir, "internal/")
		test := strings.HasSuffix(s.name, "_test.go")
		for _, imp := range s.imports {
			target, ok := strings.CutPrefix(imp, "internal/")
			where := s.dir + "/" + s.name
			switch {
			case strings.HasSuffix(target, "test") && ok:
				if !test {
					t.Errorf("%s imports %s: suites are for tests", where, imp)
				}
			case test:
			case !internal:
				if ok && slices.Contains(implementations, target) && s.dir != "cmd/firnd" && s.dir != "bench" {
					t.Errorf("%s imports %s: only cmd/firnd and bench know implementations", where, imp)
				}
			case !ok:
				if imp != "images/base" || room != "baseimage" {
					t.Errorf("%s imports %s: rooms import rooms", where, imp)
				}
			case target != "errs" && !slices.Contains(Plan[room], target) && !strings.HasPrefix(target, room+"/") && !sibling(room, target):
				t.Errorf("%s imports %s, which the plan does not allow", where, imp)
			}
		}
	}
}

// sibling tells whether both are sub-rooms of one room that is no contract.
func sibling(a, b string) bool { return path.Dir(a) == path.Dir(b) && path.Dir(a) == "imagecheck" }

func TestEveryRoomIsPlannedAndDescribed(t *testing.T) {
	t.Parallel()
	described := map[string]bool{}
	for _, s := range sources(t) {
		described[s.dir] = described[s.dir] || s.doc && !strings.HasSuffix(s.name, "_test.go")
	}
	for dir, doc := range described {
		room, internal := strings.CutPrefix(dir, "internal/")
		if !doc {
			t.Errorf("%s has no package comment", dir)
		}
		if _, planned := Plan[room]; internal && !planned && path.Dir(room) != "imagecheck" {
			t.Errorf("%s is not in the plan", dir)
		}
	}
}

// TestPlanHasFloors sorts the rooms into floors: a room stands one above the highest that it imports. A cycle has no floor.
func TestPlanHasFloors(t *testing.T) {
	t.Parallel()
	floor := map[string]int{}
	for changed, round := true, 0; changed; round++ {
		if round > len(Plan) {
			t.Fatalf("the plan has a cycle: %v", floor)
		}
		changed = false
		for room, imports := range Plan {
			for _, imp := range imports {
				if _, ok := Plan[imp]; !ok {
					t.Fatalf("%s may import %s, which is not in the plan", room, imp)
				}
				if floor[room] <= floor[imp] {
					floor[room], changed = floor[imp]+1, true
				}
			}
		}
	}
}

// TestPictureShowsEveryRoom holds docs/architecture.md against the tree.
func TestPictureShowsEveryRoom(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	picture, _, _ := strings.Cut(string(text), "## A straight line")
	shown := map[string]bool{}
	for _, word := range strings.FieldsFunc(picture, func(r rune) bool { return strings.ContainsRune(" ,()`\n", r) }) {
		shown[word] = true
	}
	for _, s := range sources(t) {
		if room, internal := strings.CutPrefix(s.dir, "internal/"); internal && !shown[room] {
			t.Errorf("the picture in docs/architecture.md does not show %s", room)
			shown[room] = true
		}
	}
}
