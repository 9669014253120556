// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
)

func TestShowImages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.session(t, AdminUser, catalog.RoleAccountAdmin)
	h.must(t, s, "CREATE DATABASE d", "CREATE IMAGE REPOSITORY r")
	const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	err := h.store.Update(t.Context(), func(tx catalog.Tx) error {
		o, err := tx.Object(catalog.KindImageRepository, catalog.Name{Database: "D", Schema: "PUBLIC", Object: "R"})
		if err != nil {
			return err
		}
		for _, image := range []string{"app", "base/cpu"} {
			if err := tx.PutManifest(&catalog.Manifest{Repository: o.ID, Image: image, Digest: digest, MediaType: "m", Body: []byte("{}"), Created: time.Now()}); err != nil {
				return err
			}
			for _, tag := range []string{"v1", "latest"} {
				if err := tx.PutTag(&catalog.Tag{Repository: o.ID, Image: image, Name: tag, Digest: digest}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{"SHOW IMAGES LIKE 'a%' IN IMAGE REPOSITORY r", "app | latest | " + digest + " | d/public/r/app:latest\napp | v1 | " + digest + " | d/public/r/app:v1\n"},
		{"SHOW IMAGES LIKE 'base%' IN IMAGE REPOSITORY d.public.r", "base/cpu | latest | " + digest + " | d/public/r/base/cpu:latest\nbase/cpu | v1 | " + digest + " | d/public/r/base/cpu:v1\n"},
		{"SELECT SYSTEM$REGISTRY_LIST_IMAGES('/d/public/r')", `{"images":["app","base/cpu"]}` + "\n"},
	} {
		columns := []string{"image_name", "tags", "digest", "image_path"}
		if strings.HasPrefix(c.text, "SELECT") {
			columns = nil
		}
		if got := h.answer(t, s, c.text, columns); got != c.want {
			t.Errorf("%s: %s", c.text, got)
		}
	}
}
