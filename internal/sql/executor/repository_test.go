// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
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

// TestImageFacts: what SHOW IMAGES tells beyond Snowflake's columns, and IMAGE_EVENTS, to those who may pull.
func TestImageFacts(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	digest := func(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }
	b.run(b.admin, "create custom runtime environment HIDDEN image_path = '/d/s/repo/app:v1' base_image_type = CPU")
	b.update(func(tx catalog.Tx) error {
		repo := b.repositoryOf(tx)
		for name, size := range map[string]int64{"config": 10, "own": 100, "base": 1000} {
			if _, err := tx.PutBlob(&catalog.Blob{Digest: name, Size: size, Key: name}); err != nil {
				return err
			}
			if err := tx.LinkBlob(repo, "app", name); err != nil {
				return err
			}
		}
		if err := tx.LinkBlob(repo, "base", "base"); err != nil {
			return err
		}
		m := &catalog.Manifest{Repository: repo, Image: "app", Digest: digest("c"), MediaType: "m", Body: []byte("{}"), Blobs: []string{"config", "own", "base"}}
		if err := tx.PutManifest(m); err != nil {
			return err
		}
		for _, e := range []catalog.ImageEvent{
			{Kind: catalog.ImageTagMoved, Tag: "v1", Digest: digest("c"), Previous: digest("a"), User: "PAULA"},
			{Kind: catalog.ImageDrifted, Tag: "v1", Digest: digest("c"), Previous: digest("a"), User: "PAULA", Environment: "HIDDEN"},
			{Kind: catalog.ImageDrifted, Tag: "v1", Digest: digest("c"), Previous: digest("a"), User: "PAULA", Environment: "MY_CRE"},
			{Kind: catalog.ImagePulled, Digest: digest("c")},
		} {
			at = at.Add(time.Microsecond) // their order can be asked for
			e.Repository, e.Image, e.Time = repo, "app", at
			if err := tx.AddImageEvent(e); err != nil {
				return err
			}
		}
		if err := tx.PutTag(&catalog.Tag{Repository: repo, Image: "app", Name: "v1", Digest: digest("c"), MovedBy: "PAULA"}); err != nil {
			return err
		}
		return tx.PutImagePull(catalog.ImagePull{Repository: repo, Image: "app", Digest: digest("c"), Time: at, User: "DAN"})
	})
	result, err := b.try(b.admin, "SHOW IMAGES IN IMAGE REPOSITORY d.s.repo")
	if err != nil {
		t.Fatal(err)
	}
	want := "app | v1 | " + digest("c") + " | d/s/repo/app:v1 | 1112 | 1 | 1000 | 1767323045.000 | PAULA\n"
	if got := cells(result.Rowset, "image_name", "tags", "digest", "image_path", "size", "layers_shared", "size_shared", "last_pulled_on", "pushed_by"); got != want {
		t.Errorf("images are %swant %s", got, want)
	}
	for i, name := range strings.Fields("created_on image_name tags digest image_path") { // those of Snowflake stay where they are
		if result.Rowset.Columns[i].Name != name {
			t.Errorf("column %d of SHOW IMAGES is %s", i, result.Rowset.Columns[i].Name)
		}
	}
	for status, change := range map[string]func(tx catalog.Tx, repo catalog.ID) error{
		"DRIFTED": func(catalog.Tx, catalog.ID) error { return nil },
		"CURRENT": func(tx catalog.Tx, repo catalog.ID) error {
			return tx.PutTag(&catalog.Tag{Repository: repo, Image: "app", Name: "v1", Digest: digest("a")})
		},
		"GONE": func(tx catalog.Tx, repo catalog.ID) error { return tx.DeleteTag(repo, "app", "v1") },
	} {
		b.update(func(tx catalog.Tx) error {
			repo := b.repositoryOf(tx)
			if err := tx.PutTag(&catalog.Tag{Repository: repo, Image: "app", Name: "v1", Digest: digest("c")}); err != nil {
				return err
			}
			return change(tx, repo)
		})
		if rows := b.run(b.admin, "SHOW CUSTOM RUNTIME ENVIRONMENTS"); len(rows) != 2 || rows[0]["image_status"] != status || rows[0]["digest"] != digest("a") {
			t.Errorf("environments are %v, want %s", rows, status)
		}
	}

	b.grantAll()
	b.run(b.admin, "GRANT USAGE ON CUSTOM RUNTIME ENVIRONMENT my_cre TO ROLE scientist")
	const events = "SELECT event_kind, repository_name, image_name, tag, left(digest, 8), left(previous_digest, 8), user_name, environment_name FROM d.information_schema.image_events ORDER BY event_time"
	all := [][]string{
		{"TAG_MOVED", "REPO", "app", "v1", "sha256:c", "sha256:a", "PAULA", ""}, {"DRIFTED", "REPO", "app", "v1", "sha256:c", "sha256:a", "PAULA", ""},
		{"DRIFTED", "REPO", "app", "v1", "sha256:c", "sha256:a", "PAULA", "MY_CRE"}, {"PULL", "REPO", "app", "", "sha256:c", "", "", ""},
	}
	for _, c := range []struct {
		session *catalog.Session
		want    [][]string
	}{{b.ann, all}, {b.session("ANN", "PUBLIC"), nil}} {
		result, err := b.try(c.session, events)
		if err != nil {
			if c.want != nil {
				t.Error(err)
			}
			continue
		}
		var got [][]string
		for _, row := range result.Rowset.Rows {
			var line []string
			for _, cell := range row {
				if cell == nil {
					line = append(line, "")
				} else {
					line = append(line, *cell)
				}
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestDropRepositoryInUse: what an environment or a job needs stays.
func TestDropRepositoryInUse(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	b.run(b.admin, "CREATE IMAGE REPOSITORY d.s.second")
	second := catalog.Name{Database: "D", Schema: "S", Object: "SECOND"}
	b.push(second, "app", "v1", "sha256:"+strings.Repeat("d", 64))
	job := &catalog.Job{Kind: "JOB SERVICE", Name: "J", Digest: "sha256:" + strings.Repeat("d", 64), Owner: "ACCOUNTADMIN", Pool: "P"}
	b.update(func(tx catalog.Tx) error { return tx.SubmitJob(job) })
	for text, want := range map[string]string{
		"DROP IMAGE REPOSITORY d.s.repo":                "image repository 'D.S.REPO' is used by custom runtime environment MY_CRE",
		"DROP DATABASE d":                               "is used by ",
		"CREATE OR REPLACE IMAGE REPOSITORY d.s.repo":   "MY_CRE",
		"DROP IMAGE REPOSITORY d.s.second":              "image repository 'D.S.SECOND' is used by job " + string(job.ID),
		"CREATE OR REPLACE IMAGE REPOSITORY d.s.second": "job " + string(job.ID),
	} {
		if _, err := b.try(b.admin, text); !errs.Is(err, errs.Refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	b.move("J", catalog.JobDone, nil)
	b.run(b.admin, "DROP IMAGE REPOSITORY d.s.second")
}
