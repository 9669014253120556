// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"testing"

	"firn.dev/firn/internal/catalog"
)

// TestImageStatementsUseAnIndex runs what happens on pushes and pulls, and in SHOW, and expects no statement to read a table that grows with
// use from end to end.
func TestImageStatementsUseAnIndex(t *testing.T) {
	t.Parallel()
	s, _ := openFile(t)
	name := catalog.Name{Database: "D", Schema: "S", Object: "O"}
	err := s.Update(t.Context(), func(ct catalog.Tx) error {
		tx := txOf(ct)
		repository := &catalog.Object{Kind: catalog.KindImageRepository, Name: name, Spec: &catalog.ImageRepositorySpec{}}
		for _, o := range []*catalog.Object{
			{Kind: catalog.KindDatabase, Name: catalog.Name{Object: "D"}, Spec: &catalog.DatabaseSpec{}},
			{Kind: catalog.KindSchema, Name: name.Parent(), Spec: &catalog.SchemaSpec{}}, repository,
		} {
			if err := tx.CreateObject(o); err != nil {
				return err
			}
		}
		m := &catalog.Manifest{Repository: repository.ID, Image: "i", Digest: "d", Blobs: []string{"b"}, Body: []byte("{}")}
		pull := catalog.ImagePull{Repository: repository.ID, Image: "i", Digest: "d", Time: tx.now}
		here := []catalog.ID{repository.ID, "other"}
		tx.runner = explainer{tx.runner.(*link), t}
		for _, step := range []func() error{
			func() error { _, err := tx.PutBlob(&catalog.Blob{Digest: "b"}); return err },
			func() error { return tx.LinkBlob(repository.ID, "i", "b") },
			func() error { return tx.PutManifest(m) },
			func() error {
				return tx.PutTag(&catalog.Tag{Repository: repository.ID, Image: "i", Name: "t", Digest: "d"})
			},
			func() error { return tx.PutUpload(&catalog.Upload{ID: "u", Repository: repository.ID}) },
			func() error { _, err := tx.StorageUsed(here); return err },
			func() error { _, err := tx.StorageReserved(here, "u"); return err },
			func() error { _, err := tx.HoldsBlob(here, "b"); return err },
			func() error { return walk(tx.ImageSizes(repository.ID)) },
			func() error { _, err := tx.ManifestHolders(repository.ID, "i", "d"); return err },
			func() error { return tx.AddPastEnvironment(&catalog.PastEnvironment{}) },
			func() error { return tx.PutImagePull(pull) },
			func() error { _, err := tx.ImagePull(repository.ID, "i", "d"); return err },
			func() error { return walk(tx.ImagePulls(repository.ID)) },
			func() error {
				return tx.AddImageEvent(catalog.ImageEvent{Kind: catalog.ImagePushed, Repository: repository.ID})
			},
			func() error { return walk(tx.ImageEvents(here, 10)) },
			func() error { _, err := tx.PurgeImageEvents(tx.now); return err },
			func() error { return walk(tx.Tags(repository.ID, "", "")) },
			func() error { return tx.DeleteTag(repository.ID, "i", "t") },
			func() error { return tx.DeleteManifest(repository.ID, "i", "d") },
			func() error { return tx.DeleteUpload("u") },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
