// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
)

// look gives everything that the clients change as the server has it now.
func (k *torture) look(t *testing.T) map[string]string {
	t.Helper()
	w := k.session(t)
	seen := map[string]string{}
	for _, r := range k.must(t, w, "SHOW STAGES LIKE 'ST_%' IN SCHEMA ml.t").rows() {
		seen["stage "+r["name"]] = "there"
	}
	for _, r := range k.must(t, w, "SHOW GRANTS ON DATABASE ml").rows() {
		if r["privilege"] != "OWNERSHIP" {
			seen["grant "+r["grantee_name"]] = r["privilege"]
		}
	}
	for _, r := range k.must(t, w, "SHOW CUSTOM RUNTIME ENVIRONMENTS").rows() {
		seen["environment "+r["name"]] = r["cre_status"]
	}
	for _, r := range k.must(t, w, "SHOW JOB SERVICES IN SCHEMA ml.t").rows() {
		seen["job "+r["name"]] = r["status"]
	}
	for _, r := range k.must(t, w, "LIST @ml.t.files").rows() {
		var content bytes.Buffer
		file := strings.ToLower(r["name"])
		if err := w.get(t.Context(), uuid.NewString(), "@ml.t."+file, &content); err != nil {
			seen["file "+file] = "damaged: " + err.Error()
			continue
		}
		seen["file "+file] = digestOf(content.Bytes())
	}
	k.lookAtImages(t, w, seen)
	return seen
}

// lookAtImages pulls every tag whole; the digests of all that it has are computed on the way.
func (k *torture) lookAtImages(t *testing.T, w *wire, seen map[string]string) {
	t.Helper()
	for _, r := range k.must(t, w, "SHOW IMAGES IN IMAGE REPOSITORY ml.t.images").rows() {
		if r["image_name"] == "job" || r["tags"] == "" {
			continue
		}
		for tag := range strings.SplitSeq(r["tags"], ",") {
			ref := k.tag(t, r["image_name"], strings.TrimSpace(tag))
			thing := "image " + ref.RepositoryStr() + ":" + ref.TagStr()
			image, err := remote.Image(ref, k.auth(), remote.WithContext(t.Context()), remote.WithRetryBackoff(remote.Backoff{Steps: 1}), remote.WithRetryStatusCodes())
			if err == nil {
				err = validate.Image(image)
			}
			if err != nil {
				seen[thing] = "damaged: " + err.Error()
				continue
			}
			digest, err := image.Digest()
			if err != nil {
				t.Fatal(err)
			}
			seen[thing] = digest.String()
		}
	}
}

// rehash reads every blob that the catalog has, those that no tag names any more among them, and gives how many there are.
func (k *torture) rehash(t *testing.T) (read int) {
	t.Helper()
	k.eachBlob(t, func(_ *sql.DB, digest, key string, body []byte) {
		if key != "" {
			var err error
			if body, err = os.ReadFile(k.file(key)); err != nil {
				t.Errorf("blob %s: %v", digest, err)
			}
		}
		if got := "sha256:" + digestOf(body); got != digest {
			t.Errorf("blob %s has the digest %s", digest, got)
		}
		read++
	})
	return read
}

// file is where the blob store has a key.
func (k *torture) file(key string) string {
	return filepath.Join(k.dir, "blobs", "blobs", filepath.FromSlash(strings.ReplaceAll(key, "/", "+/")))
}

// eachBlob gives the rows of all blobs of images. No server may run.
func (k *torture) eachBlob(t *testing.T, do func(db *sql.DB, digest, key string, body []byte)) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(k.dir, "firn.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, r := range blobRows(t, db) {
		do(db, r.digest, r.key, r.body)
	}
}

type blobRow struct {
	digest, key string
	body        []byte
}

func blobRows(t *testing.T, db *sql.DB) []blobRow {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT digest, key, body FROM blob")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []blobRow
	for rows.Next() {
		var r blobRow
		if err := rows.Scan(&r.digest, &r.key, &r.body); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// tamper takes things away behind the server's back and makes sure that the same look notices each loss.
func (k *torture) tamper(t *testing.T) {
	t.Helper()
	stage := k.loseStage(t)
	k.damageBlobs(t)
	k.start()
	found := strings.Join(k.compare(k.look(t)), "\n")
	for _, want := range []string{"stage " + stage + " is ''", "image ml/t/images/i4:", "image ml/t/images/i5:", "file files/u6/", "file files/u7/"} {
		if !strings.Contains(found, want) {
			t.Errorf("it is not noticed that %s is not what it was:\n%s", want, found)
		}
	}
}

// loseStage deletes the row of a stage and gives its name.
func (k *torture) loseStage(t *testing.T) (lost string) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(k.dir, "firn.db"), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	err = store.Update(t.Context(), func(tx catalog.Tx) error {
		for o, err := range tx.Objects(catalog.KindStage, catalog.Name{Database: "ML", Object: "T"}) {
			if err != nil {
				return err
			}
			if strings.HasPrefix(o.Name.Object, "ST_") {
				lost = o.Name.Object
				return tx.DropObject(o.ID)
			}
		}
		return errors.New("no stage to take away")
	})
	if err != nil {
		t.Fatal(err)
	}
	return lost
}

// damageBlobs flips a bit of every blob, in rows and in files.
func (k *torture) damageBlobs(t *testing.T) {
	t.Helper()
	k.eachBlob(t, func(db *sql.DB, digest, key string, body []byte) {
		if key == "" && len(body) > 0 {
			body[len(body)/2] ^= 1
			if _, err := db.ExecContext(t.Context(), "UPDATE blob SET body = ? WHERE digest = ?", body, digest); err != nil {
				t.Fatal(err)
			}
		}
	})
	err := filepath.WalkDir(filepath.Join(k.dir, "blobs", "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || len(content) == 0 {
			return err
		}
		content[len(content)/2] ^= 1
		return os.WriteFile(path, content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
