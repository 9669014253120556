// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
)

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	garbage := filepath.Join(folder, "garbage")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source string
		code   errs.Code
		says   string
	}{
		{"", errs.Invalid, "sqlite:PATH"},
		{"sqlite:", errs.Invalid, "sqlite:PATH"},
		{"mysql://u:hunter2@h/d", errs.Invalid, "sqlite:PATH"},
		{"postgres://u:hunter2@h:notaport/d", errs.Invalid, "malformed"},
		{"postgres://u:hunter2@127.0.0.1:1/d?connect_timeout=2", errs.Unavailable, "d at 127.0.0.1:1"},
		{"sqlite:" + filepath.Join(folder, "none", "c.db"), errs.Unavailable, "folder does not exist"},
		{"sqlite:" + folder, errs.Unavailable, folder},
		{"sqlite:" + garbage, errs.Corrupt, garbage},
	} {
		s, err := sqlstore.Open(t.Context(), c.source, sqlstore.Options{})
		if err == nil {
			s.Close()
		}
		if !errs.Is(err, c.code) || !strings.Contains(errs.MessageOf(err), c.says) {
			t.Errorf("open %q: got %v (%s), want %s with %q", c.source, err, errs.CodeOf(err), c.code, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	for name, source := range sources() {
		if name == "sqlite-memory" {
			continue // it ends with Close
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := source(t)
			open(t, source)
			driver, dsn := "pgx", source
			if file, ok := strings.CutPrefix(source, "sqlite:"); ok {
				driver, dsn = "sqlite", file
			}
			db, err := sql.Open(driver, dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)"); err != nil {
				t.Fatal(err)
			}
			_, err = sqlstore.Open(t.Context(), source, sqlstore.Options{})
			if !errs.Is(err, errs.Unsupported) || !strings.Contains(err.Error(), "schema version 9999") {
				t.Errorf("open of a newer catalog: got error %v, want Unsupported with the version", err)
			}
		})
	}
}

func TestManyOpenOneNewCatalog(t *testing.T) {
	t.Parallel()
	for name, source := range sources() {
		if name == "sqlite-memory" {
			continue // nobody else reaches it
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := source(t)
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					s, err := sqlstore.Open(t.Context(), source, sqlstore.Options{})
					if err != nil {
						t.Error(err)
						return
					}
					defer s.Close()
					if err := s.Update(t.Context(), func(tx catalog.Tx) error {
						return tx.PutSession(&catalog.Session{ID: int64(1 + i)})
					}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if err := open(t, source).View(t.Context(), func(tx catalog.Tx) error {
				for i := range 4 {
					if _, err := tx.Session(int64(1 + i)); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFileIsPrivate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "odd name?#%41.db")
	s := open(t, "sqlite:"+file)
	if err := s.Update(t.Context(), func(tx catalog.Tx) error { return tx.PutToken(catalog.Token{Hash: "h"}) }); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(file + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want that only its owner may read it", info.Name(), info.Mode())
		}
	}
}

func TestDamagedFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "catalog.db")
	s := open(t, "sqlite:"+file)
	if err := s.Update(t.Context(), func(tx catalog.Tx) error { return fill(tx, 2000) }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(content) / 4; i < len(content); i++ { // the schema is at the front
		content[i] = 0xa5
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = sqlstore.Open(t.Context(), "sqlite:"+file, sqlstore.Options{})
	if err == nil {
		err = s.View(t.Context(), func(tx catalog.Tx) error {
			for _, err := range tx.Objects(catalog.KindRuntimeEnvironment, catalog.Name{}) {
				if err != nil {
					return err
				}
			}
			return nil
		})
		s.Close()
	}
	if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), file) {
		t.Errorf("listing of a damaged file: got error %v (%s), want Corrupt with the name of the file", err, errs.CodeOf(err))
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	s, err := sqlstore.Open(t.Context(), "sqlite::memory:", sqlstore.Options{
		Now:    func() time.Time { return now },
		Random: bytes.NewReader(bytes.Repeat([]byte{0xff, 0, 0x5a}, 10_000)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	last := catalog.ID("")
	for range 20 { // the time moves on by a microsecond for each transaction
		if err := s.Update(t.Context(), func(tx catalog.Tx) error {
			for range 20 {
				j := &catalog.Job{}
				if err := tx.SubmitJob(j); err != nil {
					return err
				}
				u, err := uuid.Parse(string(j.ID))
				if err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 {
					t.Errorf("id %s is no UUIDv7 (error %v)", j.ID, err)
				}
				if sec, nsec := u.Time().UnixTime(); !time.Unix(sec, nsec).Equal(now.Truncate(time.Millisecond)) {
					t.Errorf("id %s is of %v, want %v", j.ID, time.Unix(sec, nsec), now)
				}
				if j.ID <= last {
					t.Errorf("id %s does not sort behind %s", j.ID, last)
				}
				last = j.ID
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Microsecond)
	}
}
