// SPDX-License-Identifier: Apache-2.0

package stage_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/firn/internal/blob/blobtest"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/stage"
)

// room is a catalog with two stages.
type room struct {
	*stage.Stage
	t       *testing.T
	catalog catalog.Store
	blobs   *blobtest.Memory
	a, b    catalog.ID
}

func setup(t *testing.T) *room {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	r := &room{t: t, catalog: store, blobs: blobtest.NewMemory()}
	r.Stage = stage.New(store, r.blobs)
	err = store.Update(t.Context(), func(tx catalog.Tx) error {
		for _, o := range []*catalog.Object{
			{Kind: catalog.KindDatabase, Name: catalog.Name{Object: "D"}, Spec: &catalog.DatabaseSpec{}},
			{Kind: catalog.KindSchema, Name: catalog.Name{Database: "D", Object: "S"}, Spec: &catalog.SchemaSpec{}},
		} {
			if err := tx.CreateObject(o); err != nil {
				return err
			}
		}
		for name, id := range map[string]*catalog.ID{"A": &r.a, "B": &r.b} {
			o := &catalog.Object{Kind: catalog.KindStage, Name: catalog.Name{Database: "D", Schema: "S", Object: name}, Spec: &catalog.StageSpec{}}
			if err := tx.CreateObject(o); err != nil {
				return err
			}
			*id = o.ID
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *room) put(path, content string) *catalog.File {
	r.t.Helper()
	f, err := r.Put(r.t.Context(), r.a, path, strings.NewReader(content), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

// tree gives a stage as path -> content.
func (r *room) tree(id catalog.ID, prefix string) map[string]string {
	r.t.Helper()
	got := map[string]string{}
	for f, err := range r.List(r.t.Context(), id, prefix) {
		if err != nil {
			r.t.Fatal(err)
		}
		rc, _, err := r.Open(r.t.Context(), id, f.Path)
		if err != nil {
			r.t.Fatal(err)
		}
		data, err := io.ReadAll(rc)
		rc.Close()
		if err != nil {
			r.t.Fatal(err)
		}
		got[f.Path] = string(data)
	}
	return got
}

func (r *room) keys() []string {
	r.t.Helper()
	var keys []string
	for b, err := range r.blobs.List(r.t.Context(), stage.KeyPrefix) {
		if err != nil {
			r.t.Fatal(err)
		}
		keys = append(keys, b.Key)
	}
	return keys
}

func TestPutOpenDelete(t *testing.T) {
	t.Parallel()
	r := setup(t)
	f, err := r.Put(t.Context(), r.a, "dir/a.txt", strings.NewReader("hello"), map[string]string{"sfc-digest": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if f.Size != 5 || f.MD5 != "5d41402abc4b2a76b9719d911017c592" || f.Modified.IsZero() || !strings.HasPrefix(f.Key, stage.KeyPrefix) {
		t.Errorf("put gives %+v", f)
	}
	rc, again, err := r.Open(t.Context(), r.a, "dir/a.txt")
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(rc); string(data) != "hello" || err != nil {
		t.Errorf("content %q, %v", data, err)
	}
	if diff := cmp.Diff(f, again); diff != "" {
		t.Errorf("the row differs: %s", diff)
	}
	r.put("dir/a.txt", "replaced")
	r.put("dir2/b", "")
	if diff := cmp.Diff(map[string]string{"dir/a.txt": "replaced"}, r.tree(r.a, "dir/")); diff != "" {
		t.Error(diff)
	}
	if err := r.Delete(t.Context(), r.a, "dir/a.txt"); err != nil {
		t.Error(err)
	}
	if err := r.Delete(t.Context(), r.a, "dir/a.txt"); !errs.Is(err, errs.NotFound) {
		t.Errorf("second delete: %v", err)
	}
	if _, _, err := r.Open(t.Context(), r.a, "dir/a.txt"); !errs.Is(err, errs.NotFound) {
		t.Errorf("open of a deleted file: %v", err)
	}
}

func TestFailedPutLeavesNothing(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.put("x", "before")
	before := r.keys()
	broken := errors.New("broken")
	if _, err := r.Put(t.Context(), r.a, "x", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), nil); !errors.Is(err, broken) {
		t.Errorf("broken reader: %v", err)
	}
	for _, path := range []string{"", "/x", "x/", "a//b", ".", "..", "../x", "a/../b", "a/./b", "a\x00b", "\xff", strings.Repeat("x", 1025)} {
		if _, err := r.Put(t.Context(), r.a, path, strings.NewReader("x"), nil); !errs.Is(err, errs.Invalid) {
			t.Errorf("path %q: %v", path, err)
		}
		if err := r.Copy(t.Context(), r.a, "x", r.a, path); !errs.Is(err, errs.Invalid) {
			t.Errorf("copy to path %q: %v", path, err)
		}
	}
	if diff := cmp.Diff(map[string]string{"x": "before"}, r.tree(r.a, "")); diff != "" {
		t.Error(diff)
	}
	if after := r.keys(); !slices.Equal(before, after) {
		t.Errorf("blobs %q became %q", before, after)
	}
}

func TestCopySharesBytesAndOrphansAreCollected(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.put("x", "shared")
	if err := r.Copy(t.Context(), r.a, "x", r.b, "y/z"); err != nil {
		t.Fatal(err)
	}
	if err := r.Copy(t.Context(), r.a, "none", r.b, "n"); !errs.Is(err, errs.NotFound) {
		t.Errorf("copy of a missing file: %v", err)
	}
	if n := len(r.keys()); n != 1 {
		t.Errorf("%d blobs for a file and its copy", n)
	}
	if err := r.Delete(t.Context(), r.a, "x"); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if n, err := r.CollectOrphans(t.Context(), later); n != 0 || err != nil {
		t.Errorf("collected %d, %v while a copy is left", n, err)
	}
	if diff := cmp.Diff(map[string]string{"y/z": "shared"}, r.tree(r.b, "")); diff != "" {
		t.Error(diff)
	}
	if err := r.Delete(t.Context(), r.b, "y/z"); err != nil {
		t.Fatal(err)
	}
	if n, err := r.CollectOrphans(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("collected %d, %v before their time", n, err)
	}
	if n, err := r.CollectOrphans(t.Context(), later); n != 1 || err != nil {
		t.Errorf("collected %d, %v", n, err)
	}
	if n, err := r.CollectOrphans(t.Context(), later); n != 0 || err != nil {
		t.Errorf("collected again %d, %v", n, err)
	}
	if keys := r.keys(); len(keys) != 0 {
		t.Errorf("blobs left: %q", keys)
	}
}

func TestLargeFile(t *testing.T) {
	t.Parallel()
	r := setup(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	f, err := r.Put(t.Context(), r.a, "big", bytes.NewReader(data), nil)
	if err != nil || f.Size != int64(len(data)) {
		t.Fatalf("%+v, %v", f, err)
	}
	if got := r.tree(r.a, "")["big"]; got != string(data) {
		t.Errorf("%d bytes came back, want %d", len(got), len(data))
	}
}

func (r *room) drop(id catalog.ID) {
	r.t.Helper()
	if err := r.catalog.Update(r.t.Context(), func(tx catalog.Tx) error { return tx.DropObject(id) }); err != nil {
		r.t.Fatal(err)
	}
}
