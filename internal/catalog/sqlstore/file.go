// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"fmt"
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const fileColumns columns = "stage, path, content, size, md5, meta, modified"

func readFile(row scan) (*catalog.File, error) {
	f := &catalog.File{}
	return f, row(&f.Stage, &f.Path, &f.Key, &f.Size, &f.MD5, documentColumn{&f.Meta}, stamp{&f.Modified})
}

// PutFile implements catalog.Files.
func (t *tx) PutFile(f *catalog.File) error {
	meta, err := document(f.Meta)
	if err != nil {
		return err
	}
	if _, err := t.ObjectByID(f.Stage); err != nil {
		return err
	}
	before, err := t.File(f.Stage, f.Path)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	_, err = t.exec("INSERT INTO file ("+string(fileColumns)+") VALUES ("+fileColumns.places()+") ON CONFLICT (stage, path) DO UPDATE SET "+fileColumns.updates(2),
		string(f.Stage), f.Path, f.Key, f.Size, f.MD5, meta, micros(t.now))
	if err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM orphan WHERE content = $1", f.Key); err != nil {
		return err
	}
	f.Modified = t.now
	if before != nil && before.Key != f.Key {
		return t.orphan(before.Key)
	}
	return nil
}

// orphan notes that the bytes have lost a file, if it was their last.
func (t *tx) orphan(key string) error {
	_, used, err := one(t, readText, "SELECT path FROM file WHERE content = $1 LIMIT 1", key)
	if err != nil || used {
		return err
	}
	_, err = t.exec("INSERT INTO orphan (content, since) VALUES ($1, $2) ON CONFLICT DO NOTHING", key, micros(t.now))
	return err
}

// orphanFiles removes the files of the objects that the filter selects.
func (t *tx) orphanFiles(f filter) error {
	stages := "(SELECT id FROM object" + f.where() + ")"
	_, err := t.exec(fmt.Sprintf(`INSERT INTO orphan (content, since) SELECT DISTINCT content, CAST($%d AS BIGINT) FROM file WHERE stage IN %s
		AND NOT EXISTS (SELECT 1 FROM file AS other WHERE other.content = file.content AND other.stage NOT IN %s) ON CONFLICT DO NOTHING`,
		len(f.args)+1, stages, stages), append(f.args[:len(f.args):len(f.args)], micros(t.now))...)
	if err != nil {
		return err
	}
	_, err = t.exec("DELETE FROM file WHERE stage IN "+stages, f.args...)
	return err
}

// File implements catalog.Files.
func (t *tx) File(stage catalog.ID, path string) (*catalog.File, error) {
	f, found, err := one(t, readFile, "SELECT "+string(fileColumns)+" FROM file WHERE stage = $1 AND path = $2", string(stage), path)
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "file %q does not exist in the stage", path)
	}
	return f, err
}

// Files implements catalog.Files.
func (t *tx) Files(stage catalog.ID, prefix string) iter.Seq2[*catalog.File, error] {
	var f filter
	f.add("stage = ? AND path >= ?", string(stage), prefix)
	if end, ok := after(prefix); ok {
		f.add("path < ?", end)
	}
	return list(t, readFile, "SELECT "+string(fileColumns)+" FROM file"+f.where()+" ORDER BY path", f.args...)
}

// DeleteFile implements catalog.Files.
func (t *tx) DeleteFile(stage catalog.ID, path string) error {
	f, err := t.File(stage, path)
	if err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM file WHERE stage = $1 AND path = $2", string(stage), path); err != nil {
		return err
	}
	return t.orphan(f.Key)
}

// OrphanKeys implements catalog.Files.
func (t *tx) OrphanKeys(before time.Time) iter.Seq2[string, error] {
	return list(t, readText, "SELECT content FROM orphan WHERE since < $1 ORDER BY since, content", micros(before))
}

// ForgetOrphan implements catalog.Files.
func (t *tx) ForgetOrphan(key string) error {
	_, err := t.exec("DELETE FROM orphan WHERE content = $1", key)
	return err
}
