// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func imageChecks() []Check {
	return []Check{
		{"a blob exists once", checkBlobs},
		{"a blob is visible in the images that hold it", checkLinks},
		{"manifests come back as they were pushed", checkManifests},
		{"a manifest needs what it names", checkReferences},
		{"what is about a manifest is found", checkReferrers},
		{"manifests in use are not deleted", checkHolders},
		{"tags move", checkTags},
		{"tags are listed in byte order", checkTagOrder},
		{"uploads make progress and expire", checkUploads},
		{"a dropped repository takes its images along", checkDropRepository},
	}
}

// The digests that the checks use are short: the catalog does not look inside.
const image = "team/img"

// repository makes an image repository that is not in a catalog yet.
func repository(name string) *catalog.Object {
	return &catalog.Object{
		Kind: catalog.KindImageRepository, Name: catalog.Name{Database: "D", Schema: "S", Object: name}, Owner: "R",
		Spec: &catalog.ImageRepositorySpec{Encryption: "SNOWFLAKE_SSE"},
	}
}

// newRepositories adds D.S.REPO and D.S.OTHER and gives their ids.
func newRepositories(t T, s catalog.Store) (repo, other catalog.ID) {
	t.Helper()
	newWorld(t, s)
	a, b := repository("REPO"), repository("OTHER")
	update(t, s, func(tx catalog.Tx) error { return create(tx, a, b) })
	return a.ID, b.ID
}

// push adds blobs that an image holds.
func push(tx catalog.Tx, repo catalog.ID, image string, digests ...string) error {
	for _, d := range digests {
		if _, err := tx.PutBlob(&catalog.Blob{Digest: d, Size: 1, Key: "key/" + d}); err != nil {
			return err
		}
		if err := tx.LinkBlob(repo, image, d); err != nil {
			return err
		}
	}
	return nil
}

// manifest makes a manifest without blobs that is not in a catalog yet.
func manifest(repo catalog.ID, digest string) *catalog.Manifest {
	return &catalog.Manifest{Repository: repo, Image: image, Digest: digest, MediaType: "m", Body: []byte("{}")}
}

func checkBlobs(t T, s catalog.Store) {
	var first, small catalog.Blob
	update(t, s, func(tx catalog.Tx) error {
		b := must(tx.PutBlob(&catalog.Blob{Digest: "sha256:a", Size: 1 << 40, Key: "k1"}))(t)
		wantEqual(t, "new blob", b, &catalog.Blob{Digest: "sha256:a", Size: 1 << 40, Key: "k1", Leased: tx.Now(), Created: tx.Now()})
		first = *b
		small = *must(tx.PutBlob(&catalog.Blob{Digest: "sha256:b", Size: 3, Body: []byte{0, 1, 0xff}}))(t)
		wantEqual(t, "content of a new blob", small.Body, []byte(nil))
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		b := must(tx.PutBlob(&catalog.Blob{Digest: "sha256:a", Size: 1 << 40, Key: "k2"}))(t)
		first.Leased = tx.Now()
		wantEqual(t, "blob that was there", b, &first)
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		wantCode(t, "diffID of nothing", tx.SetDiffID("sha256:none", "sha256:x"), errs.NotFound)
		wantCode(t, "restore of nothing", tx.RestoreBlob(&catalog.Blob{Digest: "sha256:none", Key: "k3"}, "k1"), errs.NotFound)
		wantCode(t, "restore from elsewhere", tx.RestoreBlob(&catalog.Blob{Digest: "sha256:a", Key: "k3"}, "k2"), errs.Conflict)
		wantCode(t, "link of nothing", tx.LinkBlob("none", image, "sha256:a"), errs.NotFound)
		if err := tx.SetDiffID("sha256:a", "sha256:x"); err != nil {
			return err
		}
		return tx.RestoreBlob(&catalog.Blob{Digest: "sha256:a", Key: "k3"}, "k1")
	})
	first.DiffID, first.Key = "sha256:x", "k3"
	small.Body = []byte{0, 1, 0xff}
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "blob", must(tx.Blob("sha256:a"))(t), &first)
		wantEqual(t, "small blob", must(tx.Blob("sha256:b"))(t), &small)
		_, err := tx.Blob("sha256:none")
		wantCode(t, "missing blob", err, errs.NotFound)
		return nil
	})
}

func checkLinks(t T, s catalog.Store) {
	repo, other := newRepositories(t, s)
	update(t, s, func(tx catalog.Tx) error { return push(tx, repo, image, "sha256:a") })
	linked := func(tx catalog.Tx, repo catalog.ID, image string, code errs.Code) {
		t.Helper()
		b, err := tx.LinkedBlob(repo, image, "sha256:a")
		wantCode(t, "blob in "+image, err, code)
		if code == "" && (b == nil || b.Key != "key/sha256:a") {
			t.Errorf("linked blob is %+v", b)
		}
	}
	view(t, s, func(tx catalog.Tx) error {
		linked(tx, repo, image, "")
		linked(tx, repo, "team", errs.NotFound)
		linked(tx, other, image, errs.NotFound)
		wantEqual(t, "repositories", all(t, tx.BlobRepositories("sha256:a")), []catalog.ID{repo})
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		for range 2 { // a link that is there may be made again
			if err := tx.LinkBlob(other, "second", "sha256:a"); err != nil {
				return err
			}
		}
		wantEqual(t, "lease", must(tx.Blob("sha256:a"))(t).Leased, tx.Now())
		wantCode(t, "link of no blob", tx.LinkBlob(repo, image, "sha256:none"), errs.NotFound)
		wantEqual(t, "repositories", all(t, tx.BlobRepositories("sha256:a")), []catalog.ID{repo, other})
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		if err := tx.UnlinkBlob(repo, image, "sha256:a"); err != nil {
			return err
		}
		wantCode(t, "unlink again", tx.UnlinkBlob(repo, image, "sha256:a"), errs.NotFound)
		linked(tx, repo, image, errs.NotFound)
		linked(tx, other, "second", "")
		return nil
	})
}

func checkManifests(t T, s catalog.Store) {
	repo, other := newRepositories(t, s)
	m := &catalog.Manifest{
		Repository: repo, Image: image, Digest: "sha256:m", MediaType: "application/vnd.oci.image.manifest.v1+json", ArtifactType: "application/x",
		Subject: "sha256:later", Annotations: map[string]string{"ü": "\n"}, Body: []byte{'{', 0, 0xff}, Blobs: []string{"sha256:z", "sha256:a", "sha256:z"}, PushedBy: "U",
	}
	index := &catalog.Manifest{Repository: repo, Image: image, Digest: "sha512:i", MediaType: "index", Body: []byte("{}"), Children: []string{"sha256:m"}}
	update(t, s, func(tx catalog.Tx) error {
		if err := push(tx, repo, image, "sha256:a", "sha256:z"); err != nil {
			return err
		}
		for _, m := range []*catalog.Manifest{m, index} {
			if err := tx.PutManifest(m); err != nil {
				return err
			}
			wantEqual(t, "created", m.Created, tx.Now())
		}
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		again := *m
		again.PushedBy, again.Created = "V", time.Time{}
		err := tx.PutManifest(&again)
		m.Leased = tx.Now()
		wantEqual(t, "times of a manifest that was there", []time.Time{again.Created, again.Leased}, []time.Time{m.Created, m.Leased})
		return err
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "manifest", must(tx.Manifest(repo, image, m.Digest))(t), m)
		wantEqual(t, "index", must(tx.Manifest(repo, image, index.Digest))(t), index)
		_, err := tx.Manifest(repo, "team", m.Digest)
		wantCode(t, "manifest of another image", err, errs.NotFound)
		_, err = tx.Manifest(other, image, m.Digest)
		wantCode(t, "manifest of another repository", err, errs.NotFound)
		wantEqual(t, "images", all(t, tx.ImageNames(repo)), []string{image})
		wantEqual(t, "images elsewhere", len(all(t, tx.ImageNames(other))), 0)
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		for _, name := range []string{"b", "a-b", "a/b", "a"} {
			x := manifest(repo, "sha256:x")
			x.Image = name
			if err := tx.PutManifest(x); err != nil {
				return err
			}
		}
		wantEqual(t, "images", all(t, tx.ImageNames(repo)), []string{"a", "a-b", "a/b", "b", image})
		if err := tx.DeleteManifest(repo, "b", "sha256:x"); err != nil {
			return err
		}
		wantEqual(t, "images after a deletion", all(t, tx.ImageNames(repo)), []string{"a", "a-b", "a/b", image})
		wantCode(t, "deletion of nothing", tx.DeleteManifest(repo, "b", "sha256:x"), errs.NotFound)
		return nil
	})
}

func checkReferences(t T, s catalog.Store) {
	repo, _ := newRepositories(t, s)
	m, index := manifest(repo, "sha256:m"), manifest(repo, "sha256:i")
	m.Blobs, index.Children = []string{"sha256:a"}, []string{"sha256:m"}
	update(t, s, func(tx catalog.Tx) error {
		if err := push(tx, repo, "another", "sha256:a"); err != nil {
			return err
		}
		wantCode(t, "manifest with a blob of another image", tx.PutManifest(m), errs.NotFound)
		wantCode(t, "manifest in no repository", tx.PutManifest(manifest("none", "sha256:m")), errs.NotFound)
		if err := push(tx, repo, image, "sha256:a"); err != nil {
			return err
		}
		if err := tx.PutManifest(index); err != nil { // before what it names
			return err
		}
		wantEqual(t, "lost content of an index without its manifest", must(tx.LacksContent(repo, image, index.Digest))(t), false)
		return tx.PutManifest(m)
	})
	update(t, s, func(tx catalog.Tx) error {
		wantCode(t, "unlink of a blob in use", tx.UnlinkBlob(repo, image, "sha256:a"), errs.Refused)
		wantCode(t, "deletion of a manifest of an index", tx.DeleteManifest(repo, image, "sha256:m"), errs.Refused)
		for _, digest := range []string{"sha256:i", "sha256:m"} {
			if err := tx.DeleteManifest(repo, image, digest); err != nil {
				return err
			}
		}
		return tx.UnlinkBlob(repo, image, "sha256:a")
	})
}

func checkReferrers(t T, s catalog.Store) {
	repo, other := newRepositories(t, s)
	update(t, s, func(tx catalog.Tx) error {
		for _, m := range []struct {
			repo                   catalog.ID
			image, digest, subject string
		}{
			{repo, image, "sha256:c", "sha256:s"}, {repo, image, "sha256:a", "sha256:s"}, {repo, image, "sha256:b", ""},
			{repo, "else", "sha256:d", "sha256:s"}, {other, image, "sha256:e", "sha256:s"},
		} {
			x := manifest(m.repo, m.digest)
			x.Image, x.Subject = m.image, m.subject
			if err := tx.PutManifest(x); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, s, func(tx catalog.Tx) error {
		var got []string
		for _, m := range all(t, tx.Referrers(repo, image, "sha256:s")) {
			got = append(got, m.Digest)
		}
		wantEqual(t, "referrers", got, []string{"sha256:a", "sha256:c"})
		wantEqual(t, "referrers of nothing", len(all(t, tx.Referrers(repo, image, ""))), 0)
		return nil
	})
}

func checkHolders(t T, s catalog.Store) {
	repo, other := newRepositories(t, s)
	environment := func(name string, spec catalog.RuntimeEnvironmentSpec) *catalog.Object {
		spec.Image = image
		return &catalog.Object{Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: name}, Owner: "R", Spec: &spec}
	}
	byDigest := environment("E2", catalog.RuntimeEnvironmentSpec{Repository: repo, Digest: "sha256:m", TagDigest: "sha256:m"})
	byTag := environment("E1", catalog.RuntimeEnvironmentSpec{Repository: repo, Digest: "sha256:x", TagDigest: "sha256:m"})
	elsewhere := environment("E3", catalog.RuntimeEnvironmentSpec{Repository: other, Digest: "sha256:m", TagDigest: "sha256:m"})
	job := &catalog.Job{Kind: "ML JOB", Owner: "R", Pool: "P", Digest: "sha256:m"}
	update(t, s, func(tx catalog.Tx) error {
		if err := tx.PutManifest(manifest(repo, "sha256:m")); err != nil {
			return err
		}
		if err := create(tx, byDigest, byTag, elsewhere); err != nil {
			return err
		}
		return tx.SubmitJob(job)
	})
	want := []string{"custom runtime environment E1", "custom runtime environment E2", "job " + string(job.ID)}
	update(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "holders", must(tx.ManifestHolders(repo, image, "sha256:m"))(t), want)
		wantEqual(t, "holders of the repository", must(tx.ManifestHolders(repo, "", ""))(t), want)
		wantEqual(t, "holders of another digest", must(tx.ManifestHolders(repo, image, "sha256:y"))(t), []string(nil))
		wantCode(t, "deletion", tx.DeleteManifest(repo, image, "sha256:m"), errs.Refused)
		if err := tx.DropObject(byDigest.ID); err != nil {
			return err
		}
		ended := func(j *catalog.Job) { j.Completed = tx.Now().Add(-catalog.JobImageHold) }
		if err := tx.TransitionJob(job.ID, catalog.JobPending, catalog.JobCancelled, ended); err != nil {
			return err
		}
		wantEqual(t, "holders", must(tx.ManifestHolders(repo, image, "sha256:m"))(t), want[:1])
		wantCode(t, "deletion", tx.DeleteManifest(repo, image, "sha256:m"), errs.Refused)
		if err := tx.DropObject(byTag.ID); err != nil {
			return err
		}
		return tx.DeleteManifest(repo, image, "sha256:m")
	})
}

func checkTags(t T, s catalog.Store) {
	repo, _ := newRepositories(t, s)
	update(t, s, func(tx catalog.Tx) error {
		for _, digest := range []string{"sha256:m", "sha256:n"} {
			if err := tx.PutManifest(manifest(repo, digest)); err != nil {
				return err
			}
		}
		wantCode(t, "tag of nothing", tx.PutTag(&catalog.Tag{Repository: repo, Image: image, Name: "v1", Digest: "sha256:none"}), errs.NotFound)
		return nil
	})
	var want catalog.Tag
	for _, step := range []struct{ digest, by string }{{"sha256:m", "U"}, {"sha256:m", "V"}, {"sha256:n", "W"}} {
		update(t, s, func(tx catalog.Tx) error {
			if step.digest != want.Digest {
				want = catalog.Tag{
					Repository: repo, Image: image, Name: "v1", Digest: step.digest, MovedBy: step.by, Created: want.Created, Moved: tx.Now(),
				}
			}
			if want.Created.IsZero() {
				want.Created = tx.Now()
			}
			g := &catalog.Tag{Repository: repo, Image: image, Name: "v1", Digest: step.digest, MovedBy: step.by}
			err := tx.PutTag(g)
			wantEqual(t, "tag after "+step.by, g, &want)
			return err
		})
		view(t, s, func(tx catalog.Tx) error {
			wantEqual(t, "stored tag after "+step.by, must(tx.Tag(repo, image, "v1"))(t), &want)
			return nil
		})
	}
	update(t, s, func(tx catalog.Tx) error {
		if err := tx.PutTag(&catalog.Tag{Repository: repo, Image: image, Name: "v2", Digest: "sha256:n"}); err != nil {
			return err
		}
		if err := tx.DeleteTag(repo, image, "v1"); err != nil {
			return err
		}
		wantCode(t, "deletion of no tag", tx.DeleteTag(repo, image, "v1"), errs.NotFound)
		must(tx.Manifest(repo, image, "sha256:n"))(t) // a tag never takes the manifest along
		if err := tx.DeleteManifest(repo, image, "sha256:n"); err != nil {
			return err
		}
		_, err := tx.Tag(repo, image, "v2")
		wantCode(t, "tag of a deleted manifest", err, errs.NotFound)
		return nil
	})
}

func checkTagOrder(t T, s catalog.Store) {
	repo, _ := newRepositories(t, s)
	update(t, s, func(tx catalog.Tx) error {
		for _, image := range []string{"b", "a", "a-b"} {
			m := manifest(repo, "sha256:m")
			m.Image = image
			if err := tx.PutManifest(m); err != nil {
				return err
			}
			for _, name := range []string{"v2", "v10", "V", "_"} {
				if err := tx.PutTag(&catalog.Tag{Repository: repo, Image: image, Name: name, Digest: "sha256:m"}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	names := func(tx catalog.Tx, image, after string) (names []string) {
		for _, g := range all(t, tx.Tags(repo, image, after)) {
			names = append(names, g.Image+":"+g.Name)
		}
		return names
	}
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "tags of an image", names(tx, "a", ""), []string{"a:V", "a:_", "a:v10", "a:v2"})
		wantEqual(t, "tags after one", names(tx, "a", "_"), []string{"a:v10", "a:v2"})
		wantEqual(t, "tags after none", names(tx, "a", "a"), []string{"a:v10", "a:v2"})
		wantEqual(t, "all tags", names(tx, "", "_"), []string{"a:v10", "a:v2", "a-b:v10", "a-b:v2", "b:v10", "b:v2"})
		wantEqual(t, "tags of nothing", len(names(tx, "none", "")), 0)
		return nil
	})
}

func checkUploads(t T, s catalog.Store) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	u := &catalog.Upload{ID: "u1", Repository: "gone", Image: image, User: "U", Writer: "w", Key: "k", Body: []byte{0, 1}, Offset: 2, Hash: []byte{2, 3}, Reserved: 2, Expires: at}
	later := &catalog.Upload{ID: "u0", Repository: "gone", Image: image, Key: "k0", Expires: at.Add(time.Hour)}
	update(t, s, func(tx catalog.Tx) error {
		if err := tx.PutUpload(later); err != nil {
			return err
		}
		return tx.PutUpload(u)
	})
	u.Body, u.Offset, u.Hash, u.Reserved, u.Expires = nil, 1<<40, []byte{4}, 1<<41, at.Add(time.Minute)
	update(t, s, func(tx catalog.Tx) error { return tx.PutUpload(u) })
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "upload", must(tx.Upload("u1"))(t), u)
		_, err := tx.Upload("none")
		wantCode(t, "missing upload", err, errs.NotFound)
		wantEqual(t, "expired at its end", len(all(t, tx.ExpiredUploads(u.Expires))), 0)
		wantEqual(t, "expired", all(t, tx.ExpiredUploads(u.Expires.Add(time.Microsecond))), []*catalog.Upload{u})
		wantEqual(t, "all expired", all(t, tx.ExpiredUploads(at.AddDate(1, 0, 0))), []*catalog.Upload{u, later})
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		for range 2 {
			if err := tx.DeleteUpload("u1"); err != nil {
				return err
			}
		}
		_, err := tx.Upload("u1")
		wantCode(t, "deleted upload", err, errs.NotFound)
		return nil
	})
}

func checkDropRepository(t T, s catalog.Store) {
	repo, other := newRepositories(t, s)
	update(t, s, func(tx catalog.Tx) error {
		for _, id := range []catalog.ID{repo, other} {
			if err := push(tx, id, image, "sha256:a"); err != nil {
				return err
			}
			m := manifest(id, "sha256:m")
			m.Blobs = []string{"sha256:a"}
			if err := tx.PutManifest(m); err != nil {
				return err
			}
			if err := tx.PutTag(&catalog.Tag{Repository: id, Image: image, Name: "v1", Digest: "sha256:m"}); err != nil {
				return err
			}
		}
		return tx.PutUpload(&catalog.Upload{ID: "u1", Repository: repo, Image: image, Key: "k"})
	})
	update(t, s, func(tx catalog.Tx) error { return tx.DropObject(repo) })
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "images", len(all(t, tx.ImageNames(repo))), 0)
		wantEqual(t, "tags", len(all(t, tx.Tags(repo, "", ""))), 0)
		wantEqual(t, "repositories of the blob", all(t, tx.BlobRepositories("sha256:a")), []catalog.ID{other})
		must(tx.Upload("u1"))(t) // expiry finds its bytes
		must(tx.Tag(other, image, "v1"))(t)
		return nil
	})
}
