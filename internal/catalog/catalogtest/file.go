// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"slices"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func fileChecks() []Check {
	return []Check{
		{"files come back as they were stored", checkFiles},
		{"files are listed by prefix in byte order", checkPrefix},
		{"bytes without a file are orphans", checkOrphans},
	}
}

func checkFiles(t T, s catalog.Store) {
	w := newWorld(t, s)
	other := stage("D", "S", "OTHER")
	f := &catalog.File{Stage: w.stage.ID, Path: "dir/ü.txt", Key: "k", Size: 1 << 40, MD5: "d41d8", Meta: map[string]string{"sfc-digest": "x=="}}
	update(t, s, func(tx catalog.Tx) error {
		if err := create(tx, other); err != nil {
			return err
		}
		if err := tx.PutFile(f); err != nil {
			return err
		}
		wantEqual(t, "modified", f.Modified, tx.Now())
		wantCode(t, "file in no stage", tx.PutFile(&catalog.File{Stage: "none", Path: "a", Key: "k"}), errs.NotFound)
		return nil
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "file", must(tx.File(w.stage.ID, f.Path))(t), f)
		for _, path := range []string{"dir/Ü.txt", "dir", "dir/"} {
			_, err := tx.File(w.stage.ID, path)
			wantCode(t, "file "+path, err, errs.NotFound)
		}
		_, err := tx.File(other.ID, f.Path)
		wantCode(t, "file in another stage", err, errs.NotFound)
		return nil
	})
	f2 := &catalog.File{Stage: w.stage.ID, Path: f.Path, Key: "k2", Size: 2}
	update(t, s, func(tx catalog.Tx) error { return tx.PutFile(f2) })
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "files after a second put", all(t, tx.Files(w.stage.ID, "")), []*catalog.File{f2})
		return nil
	})
	update(t, s, func(tx catalog.Tx) error { return tx.DeleteFile(w.stage.ID, f.Path) })
	update(t, s, func(tx catalog.Tx) error {
		wantCode(t, "second delete", tx.DeleteFile(w.stage.ID, f.Path), errs.NotFound)
		return nil
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "files after a delete", len(all(t, tx.Files(w.stage.ID, ""))), 0)
		return nil
	})
}

func checkPrefix(t T, s catalog.Store) {
	w := newWorld(t, s)
	paths := []string{"a", "a/b", "a/B", "a/b/c", "a%", "a_", "ab", "b", "A", "ü", "üa", "日", "😀", "\U0010FFFF", "\U0010FFFFx", "\uD7FFx", "z"}
	update(t, s, func(tx catalog.Tx) error {
		for _, p := range paths {
			if err := tx.PutFile(&catalog.File{Stage: w.stage.ID, Path: p, Key: p}); err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(paths)
	for _, prefix := range []string{"", "a", "a/", "a%", "a_", "A", "ü", "日", "\U0010FFFF", "\uD7FF", "q", "a/b/cd"} {
		var want []string
		for _, p := range paths {
			if len(p) >= len(prefix) && p[:len(prefix)] == prefix {
				want = append(want, p)
			}
		}
		view(t, s, func(tx catalog.Tx) error {
			var got []string
			for _, f := range all(t, tx.Files(w.stage.ID, prefix)) {
				got = append(got, f.Path)
			}
			wantEqual(t, "files with prefix "+prefix, got, want)
			return nil
		})
	}
}

func checkOrphans(t T, s catalog.Store) {
	w := newWorld(t, s)
	wantOrphans := func(what string, want ...string) {
		t.Helper()
		view(t, s, func(tx catalog.Tx) error {
			got := all(t, tx.OrphanKeys(tx.Now().Add(time.Second)))
			slices.Sort(got)
			wantEqual(t, "orphans after "+what, got, want)
			return nil
		})
	}
	put := func(path, key string) {
		t.Helper()
		update(t, s, func(tx catalog.Tx) error { return tx.PutFile(&catalog.File{Stage: w.stage.ID, Path: path, Key: key}) })
	}
	remove := func(path string) {
		t.Helper()
		update(t, s, func(tx catalog.Tx) error { return tx.DeleteFile(w.stage.ID, path) })
	}
	put("a", "k1")
	put("b", "k1")
	put("c", "k2")
	wantOrphans("three puts")
	remove("a")
	wantOrphans("delete of one of two files")
	put("b", "k1")
	wantOrphans("put of the same bytes")
	put("b", "k3")
	wantOrphans("replacing", "k1")
	put("d", "k1")
	wantOrphans("using the bytes again")
	remove("c")
	remove("d")
	wantOrphans("two deletes", "k1", "k2")
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "orphans of an hour ago", len(all(t, tx.OrphanKeys(tx.Now().Add(-time.Hour)))), 0)
		return nil
	})
	update(t, s, func(tx catalog.Tx) error { return tx.ForgetOrphan("k1") })
	wantOrphans("forgetting one", "k2")
	update(t, s, func(tx catalog.Tx) error { return tx.DropObject(w.stage.ID) })
	wantOrphans("dropping the stage", "k2", "k3")
}
